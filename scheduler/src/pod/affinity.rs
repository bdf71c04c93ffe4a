//! Affinity of pods to nodes and to each other, parsed.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    NodeSelectorTerm, PodAffinityTerm, PodSpec, WeightedPodAffinityTerm,
};

use crate::{
    query::{NodeQuery, NodeTerm, PodQuery, PodSelector},
    selector::{Requirement, Selector},
};

/// A node affinity that is preferred.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodePreference {
    pub weight: i32,
    /// A query of one term: a term that asks for nothing matches no node.
    pub query: Arc<NodeQuery>,
}

/// A term of affinity or anti-affinity: pods that match it, in the domains of a topology key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AffinityTerm {
    pub pods: PodSelector,
    pub topology_key: Arc<str>,
}

/// A term that is preferred.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WeightedTerm {
    pub weight: i32,
    pub term: Arc<AffinityTerm>,
    /// Asks for the pods that match the term.
    pub query: Arc<PodQuery>,
}

/// What a pod asks about other pods.
#[derive(Debug, Clone, Default)]
pub struct Affinities {
    /// Required affinity.
    pub required: Box<[Arc<AffinityTerm>]>,
    /// Asks for the pods that match **all** terms of `required`, which is what counts; `None` without terms.
    pub required_query: Option<Arc<PodQuery>>,
    /// Required anti-affinity, each with the query for the pods that match it.
    pub forbidden: Box<[(Arc<AffinityTerm>, Arc<PodQuery>)]>,
    /// Preferred affinity.
    pub preferred: Box<[WeightedTerm]>,
    /// Preferred anti-affinity; weights are positive here too.
    pub avoided: Box<[WeightedTerm]>,
}

impl Affinities {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.required.is_empty()
            && self.forbidden.is_empty()
            && self.preferred.is_empty()
            && self.avoided.is_empty()
    }
}

pub(super) fn node_query(spec: &PodSpec) -> NodeQuery {
    let pairs = spec
        .node_selector
        .iter()
        .flatten()
        .map(|(key, value)| (&**key, &**value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    NodeQuery {
        selector: Selector::from_pairs(pairs),
        terms: required
            .map(|required| required.node_selector_terms.iter().map(node_term).collect()),
    }
}

/// One term of the API's node selectors.
pub(crate) fn node_term(term: &NodeSelectorTerm) -> NodeTerm {
    let labels = term
        .match_expressions
        .iter()
        .flatten()
        .map(Requirement::from)
        .collect();
    NodeTerm {
        labels: Selector::new(labels),
        names: term
            .match_fields
            .iter()
            .flatten()
            .map(Requirement::from)
            .collect(),
    }
}

pub(super) fn node_preferences(spec: &PodSpec) -> Box<[NodePreference]> {
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref());
    let preferred = affinity.and_then(|one| {
        one.preferred_during_scheduling_ignored_during_execution
            .as_ref()
    });
    preferred
        .into_iter()
        .flatten()
        .map(|one| NodePreference {
            weight: one.weight,
            query: Arc::new(NodeQuery {
                selector: Selector::everything(),
                terms: Some(Box::new([node_term(&one.preference)])),
            }),
        })
        .collect()
}

pub(super) fn pod_affinities(spec: &PodSpec, namespace: &Arc<str>) -> Affinities {
    let Some(affinity) = &spec.affinity else {
        return Affinities::default();
    };
    let term = |from: &PodAffinityTerm| Arc::new(term(from, namespace));
    let weighted = |from: &WeightedPodAffinityTerm| {
        let term = term(&from.pod_affinity_term);
        WeightedTerm {
            weight: from.weight,
            query: one(&term),
            term,
        }
    };
    let mut affinities = Affinities::default();
    if let Some(pods) = &affinity.pod_affinity {
        let required = pods
            .required_during_scheduling_ignored_during_execution
            .iter()
            .flatten();
        affinities.required = required.map(term).collect();
        let preferred = pods
            .preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten();
        affinities.preferred = preferred.map(weighted).collect();
    }
    if let Some(pods) = &affinity.pod_anti_affinity {
        let required = pods
            .required_during_scheduling_ignored_during_execution
            .iter()
            .flatten();
        affinities.forbidden = required
            .map(|from| {
                let term = term(from);
                let query = one(&term);
                (term, query)
            })
            .collect();
        let preferred = pods
            .preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten();
        affinities.avoided = preferred.map(weighted).collect();
    }
    if !affinities.required.is_empty() {
        let all = affinities
            .required
            .iter()
            .map(|term| term.pods.clone())
            .collect();
        affinities.required_query = Some(Arc::new(PodQuery {
            all,
            with_terminating: true,
        }));
    }
    affinities
}

fn one(term: &AffinityTerm) -> Arc<PodQuery> {
    Arc::new(PodQuery {
        all: Box::new([term.pods.clone()]),
        with_terminating: true,
    })
}

fn term(from: &PodAffinityTerm, namespace: &Arc<str>) -> AffinityTerm {
    let mut namespaces: Vec<Arc<str>> = from
        .namespaces
        .iter()
        .flatten()
        .map(|name| name.as_str().into())
        .collect();
    if namespaces.is_empty() && from.namespace_selector.is_none() {
        namespaces.push(namespace.clone());
    }
    namespaces.sort();
    namespaces.dedup();
    AffinityTerm {
        pods: PodSelector {
            namespaces: namespaces.into_boxed_slice(),
            namespace_selector: from
                .namespace_selector
                .as_ref()
                .map(|selector| Selector::of(Some(selector))),
            selector: Selector::of(from.label_selector.as_ref()),
        },
        topology_key: from.topology_key.as_str().into(),
    }
}
