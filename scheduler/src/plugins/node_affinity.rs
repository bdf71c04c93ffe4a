//! `NodeAffinity`: nodes that a pod asks for by labels and names, and those that it would rather have.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::{NodeAffinity as Added, NodeSelectorTerm};

use crate::{
    cluster::{NodeIndex, NodeSet, Objects, Site, Snapshot, Wants},
    framework::{
        ClusterEvent, EventKinds, Filter, Plugin, PreFilter, Score, Verdict, normalize_by_max,
    },
    node::NodeView,
    pod::{NodePreference, PodView},
    query::{NodeQuery, NodeTerm},
    selector::{Condition, Requirement, Selector},
};

const REASON: &str = "node(s) didn't match Pod's node affinity/selector";
const REASON_ADDED: &str = "node(s) didn't match scheduler-enforced node affinity";
const REASON_CONFLICT: &str = "pod affinity terms conflict";

/// Rejects and ranks nodes by the pod's affinity, and by what the configuration adds for every pod.
#[derive(Debug, Default)]
pub struct NodeAffinity {
    added: Option<NodeQuery>,
    added_preferences: Vec<NodePreference>,
}

impl NodeAffinity {
    /// With `addedAffinity`.
    #[must_use]
    pub fn new(added: Option<&Added>) -> NodeAffinity {
        let required = added.and_then(|added| {
            added
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let preferred = added.and_then(|added| {
            added
                .preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let preference =
            |one: &k8s_openapi::api::core::v1::PreferredSchedulingTerm| NodePreference {
                weight: one.weight,
                query: Arc::new(any_of(std::slice::from_ref(&one.preference))),
            };
        NodeAffinity {
            added: required.map(|required| any_of(&required.node_selector_terms)),
            added_preferences: preferred.into_iter().flatten().map(preference).collect(),
        }
    }

    fn admits(&self, pod: &PodView, node: &NodeView) -> bool {
        self.added.as_ref().is_none_or(|added| added.matches(node)) && pod.node_query.matches(node)
    }

    fn preferences<'a>(&'a self, pod: &'a PodView) -> impl Iterator<Item = &'a NodePreference> {
        let all = self.added_preferences.iter().chain(&pod.node_preferences);
        all.filter(|preference| preference.weight != 0)
    }
}

fn any_of(terms: &[NodeSelectorTerm]) -> NodeQuery {
    let term = |term: &NodeSelectorTerm| NodeTerm {
        labels: Selector::new(
            term.match_expressions
                .iter()
                .flatten()
                .map(Requirement::from)
                .collect(),
        ),
        names: term
            .match_fields
            .iter()
            .flatten()
            .map(Requirement::from)
            .collect(),
    };
    NodeQuery {
        selector: Selector::everything(),
        terms: Some(terms.iter().map(term).collect()),
    }
}

/// The nodes that a query names; `None` if a term of it names none.
fn names(query: &NodeQuery) -> Option<BTreeSet<&str>> {
    let mut all = BTreeSet::new();
    let terms = query.terms.as_ref().filter(|terms| !terms.is_empty())?;
    for term in terms {
        let mut of_term: Option<BTreeSet<&str>> = None;
        for requirement in &term.names {
            let Condition::In(values) = &requirement.condition else {
                continue;
            };
            let values = values.iter().map(|value| &**value);
            of_term = Some(match of_term {
                None => values.collect(),
                Some(before) => values.filter(|value| before.contains(value)).collect(),
            });
        }
        all.extend(of_term?);
    }
    Some(all)
}

struct Required<'a> {
    added: Option<&'a NodeQuery>,
    query: &'a NodeQuery,
    /// Nodes that match the query. `None` where the nodes are so few that each is asked.
    nodes: Option<Cow<'a, NodeSet>>,
}

impl Filter for Required<'_> {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        if self.added.is_some_and(|added| !added.matches(site.node())) {
            return Verdict::Unresolvable(REASON_ADDED.into());
        }
        let matches = match &self.nodes {
            Some(nodes) => nodes.contains(site.index()),
            None => self.query.matches(site.node()),
        };
        if matches {
            return Verdict::Fits;
        }
        Verdict::Unresolvable(REASON.into())
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        let nodes = self.nodes.as_deref().map(Cow::Borrowed);
        Box::new(Required {
            added: self.added,
            query: self.query,
            nodes,
        })
    }
}

struct Preferred<'a>(Vec<(i64, Cow<'a, NodeSet>)>);

impl Score for Preferred<'_> {
    fn score(&self, site: &Site<'_>) -> i64 {
        let matching = self
            .0
            .iter()
            .filter(|(_, nodes)| nodes.contains(site.index()));
        matching.map(|(weight, _)| weight).sum()
    }

    fn normalize(&self, _: &[NodeIndex], scores: &mut [i64]) {
        normalize_by_max(scores, false);
    }
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED | EventKinds::NODE_LABELS
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        match event {
            ClusterEvent::NodeAdded(node) => self.admits(pod, node),
            ClusterEvent::NodeChanged { old, new } => {
                !self.admits(pod, old) && self.admits(pod, new)
            }
            _ => true,
        }
    }

    fn wants(&self, pod: &PodView, _: &Objects, wants: &mut Wants) {
        if !pod.node_query.is_everything() && names(&pod.node_query).is_none() {
            wants.nodes.push(pod.node_query.clone());
        }
        wants.nodes.extend(
            self.preferences(pod)
                .map(|preference| preference.query.clone()),
        );
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, snapshot: &'a Snapshot) -> PreFilter<'a> {
        let query = &*pod.node_query;
        if query.is_everything() && self.added.is_none() {
            return PreFilter::Skip;
        }
        let (added, named) = (self.added.as_ref(), names(query));
        let Some(named) = named else {
            let nodes = Some(snapshot.matching_nodes(query));
            return PreFilter::judge(Required {
                added,
                query,
                nodes,
            });
        };
        if named.is_empty() {
            return PreFilter::Reject(Verdict::Unresolvable(REASON_CONFLICT.into()));
        }
        PreFilter::Judge {
            filter: Box::new(Required {
                added,
                query,
                nodes: None,
            }),
            nodes: Some(
                named
                    .into_iter()
                    .filter_map(|name| snapshot.find(name))
                    .collect(),
            ),
        }
    }

    fn pre_score<'a>(
        &'a self,
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        _: &[NodeIndex],
    ) -> Option<Box<dyn Score + 'a>> {
        let nodes = |preference: &'a NodePreference| {
            (
                i64::from(preference.weight),
                snapshot.matching_nodes(&preference.query),
            )
        };
        let preferred: Vec<_> = self.preferences(pod).map(nodes).collect();
        if preferred.is_empty() {
            return None;
        }
        Some(Box::new(Preferred(preferred)))
    }
}

#[cfg(test)]
mod tests;
