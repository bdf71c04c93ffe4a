//! `InterPodAffinity`: pods that want to be, or do not want to be, where certain other pods are.

mod preferred;
mod required;

use std::sync::Arc;

use crate::{
    cluster::{Carries, NodeIndex, Objects, Snapshot, Wants},
    framework::{ClusterEvent, EventKinds, Plugin, PreFilter, Score},
    node::NodeView,
    pod::{AffinityTerm, PodView},
    query::Namespaces,
};
use preferred::Preferred;
use required::Required;

/// Rejects nodes by required terms of the pod and of pods that are there, and ranks the others by preferred ones.
#[derive(Debug)]
pub struct InterPodAffinity {
    /// What a required affinity of a pod that is there counts in ranking, from 0 to 100.
    pub hard_weight: i64,
    /// Whether pods that prefer nothing are not ranked by what others prefer.
    pub ignores_preferences_of_others: bool,
}

impl Default for InterPodAffinity {
    fn default() -> InterPodAffinity {
        InterPodAffinity {
            hard_weight: 1,
            ignores_preferences_of_others: false,
        }
    }
}

/// Whether a pod matches all of at least one term.
fn matches_all(terms: &[Arc<AffinityTerm>], pod: &PodView, namespaces: &Namespaces) -> bool {
    !terms.is_empty() && terms.iter().all(|term| term.pods.matches(pod, namespaces))
}

impl InterPodAffinity {
    fn helps_changed(pod: &PodView, old: &PodView, new: &PodView, known: &Namespaces) -> bool {
        let all = &pod.affinities;
        let near = |other: &PodView| matches_all(&all.required, other, known);
        let far = |other: &PodView| {
            !all.forbidden.is_empty()
                && all
                    .forbidden
                    .iter()
                    .all(|(term, _)| term.pods.matches(other, known))
        };
        (!near(old) && near(new)) || (far(old) && !far(new))
    }

    fn helps_deleted(pod: &PodView, gone: &PodView, known: &Namespaces) -> bool {
        let matches = |term: &AffinityTerm, other: &PodView| term.pods.matches(other, known);
        let own = pod.affinities.forbidden.iter();
        let others = gone.affinities.forbidden.iter();
        own.map(|(term, _)| (term, gone))
            .chain(others.map(|(term, _)| (term, pod)))
            .any(|(term, other)| matches(term, other))
    }

    fn helps_node(pod: &PodView, old: Option<&NodeView>, new: &NodeView) -> bool {
        let all = &pod.affinities;
        let Some(old) = old else {
            let has_key = |term: &Arc<AffinityTerm>| new.labels.get(&term.topology_key).is_some();
            return all.required.iter().any(has_key) || !all.forbidden.is_empty();
        };
        let value = |node: &NodeView, term: &AffinityTerm| {
            node.labels.get(&term.topology_key).map(str::to_owned)
        };
        let gets_near = |term: &Arc<AffinityTerm>| {
            value(new, term).is_some() && value(old, term) != value(new, term)
        };
        let gets_away = |(term, _): &(Arc<AffinityTerm>, _)| {
            value(old, term).is_some() && value(old, term) != value(new, term)
        };
        all.required.iter().any(gets_near) || all.forbidden.iter().any(gets_away)
    }
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn events(&self) -> EventKinds {
        EventKinds::POD_ASSIGNED
            | EventKinds::POD_LABELS
            | EventKinds::POD_DELETED
            | EventKinds::NODE_ADDED
            | EventKinds::NODE_LABELS
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, snapshot: &Snapshot) -> bool {
        let known = snapshot.objects.namespaces();
        match event {
            ClusterEvent::PodAssigned(other) => matches_all(&pod.affinities.required, other, known),
            ClusterEvent::AssignedPodChanged { old, new } => {
                InterPodAffinity::helps_changed(pod, old, new, known)
            }
            ClusterEvent::PodDeleted(gone) => InterPodAffinity::helps_deleted(pod, gone, known),
            ClusterEvent::NodeAdded(node) => InterPodAffinity::helps_node(pod, None, node),
            ClusterEvent::NodeChanged { old, new } => {
                InterPodAffinity::helps_node(pod, Some(old), new)
            }
            _ => true,
        }
    }

    fn wants(&self, pod: &PodView, _: &Objects, wants: &mut Wants) {
        let all = &pod.affinities;
        wants.pods.extend(all.required_query.clone());
        for term in &all.required {
            wants.topologies.push(term.topology_key.clone());
        }
        for (term, query) in &all.forbidden {
            wants.pods.push(query.clone());
            wants.topologies.push(term.topology_key.clone());
        }
        for one in all.preferred.iter().chain(&all.avoided) {
            wants.pods.push(one.query.clone());
            wants.topologies.push(one.term.topology_key.clone());
        }
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, snapshot: &'a Snapshot) -> PreFilter<'a> {
        Required::of(pod, snapshot).map_or(PreFilter::Skip, PreFilter::judge)
    }

    fn pre_score<'a>(
        &'a self,
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        _: &[NodeIndex],
    ) -> Option<Box<dyn Score + 'a>> {
        let prefers = !pod.affinities.preferred.is_empty() || !pod.affinities.avoided.is_empty();
        if self.ignores_preferences_of_others && !prefers {
            return None;
        }
        let weights = [
            (Carries::RequiredAffinity, self.hard_weight),
            (Carries::PreferredAffinity, 1),
            (Carries::PreferredAntiAffinity, -1),
        ];
        let preferred = Preferred::of(pod, snapshot, &weights)?;
        Some(Box::new(preferred))
    }
}

#[cfg(test)]
mod tests;
