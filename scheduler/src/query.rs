//! Questions about pods and nodes as values: equal questions share one answer, which the cluster keeps up to date.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    node::NodeView,
    pod::PodView,
    selector::{Labels, Requirement, Selector},
};

/// Labels of the namespaces there are, by name.
pub type Namespaces = BTreeMap<Arc<str>, Labels>;

/// Pods of some namespaces with some labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodSelector {
    /// Pods in these namespaces, in order of their names,
    pub namespaces: Box<[Arc<str>]>,
    /// and in those namespaces whose labels this selects. `None` adds none.
    pub namespace_selector: Option<Selector>,
    /// Of those the pods with such labels.
    pub selector: Selector,
}

impl PodSelector {
    /// Whether a pod is one of them. A namespace that is not known has no labels.
    #[must_use]
    pub fn matches(&self, pod: &PodView, namespaces: &Namespaces) -> bool {
        self.matches_namespace(&pod.namespace, namespaces) && self.selector.matches(&pod.labels)
    }

    fn matches_namespace(&self, namespace: &str, namespaces: &Namespaces) -> bool {
        if self.namespaces.iter().any(|name| **name == *namespace) {
            return true;
        }
        self.namespace_selector.as_ref().is_some_and(|selector| {
            selector.is_everything()
                || namespaces.get(namespace).map_or_else(
                    || selector.matches(&Labels::default()),
                    |labels| selector.matches(labels),
                )
        })
    }
}

/// Pods on nodes that match all of some selectors: what the cluster counts for each node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodQuery {
    /// A pod must match all of them. Empty matches no pod.
    pub all: Box<[PodSelector]>,
    /// Whether pods count that are being deleted: they do for affinity, and do not for spreading.
    pub with_terminating: bool,
}

impl PodQuery {
    /// Whether a pod counts.
    #[must_use]
    pub fn matches(&self, pod: &PodView, namespaces: &Namespaces) -> bool {
        (self.with_terminating || !pod.terminating)
            && !self.all.is_empty()
            && self.all.iter().all(|one| one.matches(pod, namespaces))
    }

    /// Whether the answer depends on labels of namespaces.
    #[must_use]
    pub fn by_namespace_labels(&self) -> bool {
        self.all.iter().any(|one| one.namespace_selector.is_some())
    }
}

/// One term of a node selector: all must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeTerm {
    /// On the node's labels.
    pub labels: Selector,
    /// On `metadata.name`, the one field that nodes are selected by.
    pub names: Box<[Requirement]>,
}

impl NodeTerm {
    /// Whether a node satisfies the term. A term that asks for nothing is satisfied by no node.
    #[must_use]
    pub fn matches(&self, node: &NodeView) -> bool {
        if self.labels.is_everything() && self.names.is_empty() {
            return false;
        }
        self.labels.matches(&node.labels)
            && self
                .names
                .iter()
                .all(|one| &*one.key == "metadata.name" && one.allows(Some(&*node.name)))
    }
}

/// Nodes that a pod may be on: what the cluster keeps as a set of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct NodeQuery {
    /// `spec.nodeSelector`: all these labels.
    pub selector: Selector,
    /// `requiredDuringSchedulingIgnoredDuringExecution`: at least one of the terms. `None` asks for nothing; no terms match no node.
    pub terms: Option<Box<[NodeTerm]>>,
}

impl NodeQuery {
    /// Whether every node is among them.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.selector.is_everything() && self.terms.is_none()
    }

    /// Whether a node is among them.
    #[must_use]
    pub fn matches(&self, node: &NodeView) -> bool {
        self.selector.matches(&node.labels)
            && self
                .terms
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
    }
}
