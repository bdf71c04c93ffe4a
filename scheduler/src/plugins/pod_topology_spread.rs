//! `PodTopologySpread`: pods that are alike are spread over zones, nodes and other topologies.

mod constraints;
mod hard;
mod soft;

use std::{borrow::Cow, sync::Arc};

use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use crate::{
    cluster::{Counts, NodeIndex, NodeSet, Objects, Snapshot, Wants},
    framework::{ClusterEvent, EventKinds, Plugin, PreFilter, Score},
    pod::{PodView, SpreadConstraint, WhenUnsatisfiable},
    taint,
};
use hard::Hard;
use soft::Soft;

/// Nodes are their own domains under this label.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// What pods get that have no constraints, by the services and controllers they belong to.
#[derive(Debug, Clone)]
pub enum Defaults {
    /// Rather no more than 3 apart on nodes and 5 in zones.
    System,
    /// These constraints, which have no selectors.
    List(Vec<TopologySpreadConstraint>),
}

/// Rejects nodes where hard constraints would be broken, and ranks the others by the soft ones.
#[derive(Debug)]
pub struct PodTopologySpread {
    pub defaults: Defaults,
}

impl Default for PodTopologySpread {
    fn default() -> PodTopologySpread {
        PodTopologySpread {
            defaults: Defaults::System,
        }
    }
}

impl PodTopologySpread {
    /// The constraints of a pod, or those it gets, of one kind.
    fn constraints<'a>(
        &self,
        pod: &'a PodView,
        objects: &Objects,
        when: WhenUnsatisfiable,
    ) -> Vec<Cow<'a, SpreadConstraint>> {
        if pod.spread.is_empty() {
            let defaults = constraints::defaults(&self.defaults, pod, objects, when);
            return defaults.into_iter().map(Cow::Owned).collect();
        }
        let own = pod
            .spread
            .iter()
            .filter(|constraint| constraint.when == when);
        own.map(Cow::Borrowed).collect()
    }
}

/// The nodes whose pods count for a constraint.
struct Included<'a> {
    /// Those that the pod may be on by its affinity; `None` for all.
    nodes: Option<Cow<'a, NodeSet>>,
    /// Whether those are left out whose taints the pod does not tolerate.
    honors_taints: bool,
}

impl<'a> Included<'a> {
    fn of(constraint: &SpreadConstraint, pod: &'a PodView, snapshot: &'a Snapshot) -> Included<'a> {
        let is_narrow = constraint.honors_affinity && !pod.node_query.is_everything();
        Included {
            nodes: is_narrow.then(|| snapshot.matching_nodes(&pod.node_query)),
            honors_taints: constraint.honors_taints,
        }
    }

    fn has(&self, pod: &PodView, snapshot: &Snapshot, node: NodeIndex) -> bool {
        let is_open = || {
            !snapshot.flags(node).hard_taints
                || taint::untolerated(&snapshot.node(node).taints, &pod.tolerations).is_none()
        };
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(node))
            && (!self.honors_taints || is_open())
    }

    fn fork(&self) -> Included<'_> {
        Included {
            nodes: self.nodes.as_deref().map(Cow::Borrowed),
            honors_taints: self.honors_taints,
        }
    }
}

/// The pods that count for a constraint. A selector that selects everything counts none.
fn counted<'a>(constraint: &SpreadConstraint, snapshot: &'a Snapshot) -> Cow<'a, Counts> {
    if constraint.selector.is_everything() {
        return Cow::Owned(Counts::default());
    }
    snapshot.matching_pods(&constraint.query)
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED
            | EventKinds::NODE_DELETED
            | EventKinds::NODE_LABELS
            | EventKinds::NODE_TAINTS
            | EventKinds::POD_ASSIGNED
            | EventKinds::POD_LABELS
            | EventKinds::POD_DELETED
            | EventKinds::POD_TOLERATIONS
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, snapshot: &Snapshot) -> bool {
        let objects = &snapshot.objects;
        let rules = self.constraints(pod, objects, WhenUnsatisfiable::DoNotSchedule);
        let selects = |other: &PodView| {
            let is_selected =
                |rule: &Cow<'_, SpreadConstraint>| rule.selector.matches(&other.labels);
            other.namespace == pod.namespace && rules.iter().any(is_selected)
        };
        let has_keys = |node: &crate::node::NodeView| {
            rules
                .iter()
                .all(|rule| node.labels.get(&rule.topology_key).is_some())
        };
        match event {
            ClusterEvent::PodAssigned(other) | ClusterEvent::PodDeleted(other) => selects(other),
            ClusterEvent::AssignedPodChanged { old, new } => rules.iter().any(|rule| {
                old.namespace == pod.namespace
                    && rule.selector.matches(&old.labels) != rule.selector.matches(&new.labels)
            }),
            ClusterEvent::NodeAdded(node) | ClusterEvent::NodeDeleted(node) => has_keys(node),
            ClusterEvent::NodeChanged { old, new } => has_keys(old) || has_keys(new),
            _ => true,
        }
    }

    fn wants(&self, pod: &PodView, objects: &Objects, wants: &mut Wants) {
        for when in [
            WhenUnsatisfiable::DoNotSchedule,
            WhenUnsatisfiable::ScheduleAnyway,
        ] {
            for rule in self.constraints(pod, objects, when) {
                wants.topologies.push(rule.topology_key.clone());
                if !rule.selector.is_everything() {
                    wants.pods.push(rule.query.clone());
                }
                if rule.honors_affinity && !pod.node_query.is_everything() {
                    wants.nodes.push(pod.node_query.clone());
                }
            }
        }
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, snapshot: &'a Snapshot) -> PreFilter<'a> {
        let rules = self.constraints(pod, &snapshot.objects, WhenUnsatisfiable::DoNotSchedule);
        if rules.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::judge(Hard::new(pod, snapshot, rules))
    }

    fn pre_score<'a>(
        &'a self,
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        nodes: &[NodeIndex],
    ) -> Option<Box<dyn Score + 'a>> {
        let rules = self.constraints(pod, &snapshot.objects, WhenUnsatisfiable::ScheduleAnyway);
        if rules.is_empty() {
            return None;
        }
        // Nodes without zones are spread over all the same, unless someone asked for zones.
        let needs_all_keys = !pod.spread.is_empty() || matches!(self.defaults, Defaults::List(_));
        Some(Box::new(Soft::new(
            (pod, snapshot),
            rules,
            nodes,
            needs_all_keys,
        )))
    }
}

/// A key as constraints have it.
fn key(key: &str) -> Arc<str> {
    key.into()
}

#[cfg(test)]
mod tests;
