//! `NodeUnschedulable`: nodes that are cordoned take only pods that tolerate it.

use crate::{
    cluster::{Site, Snapshot},
    framework::{ClusterEvent, EventKinds, Filter, Plugin, PreFilter, Verdict},
    pod::PodView,
    taint::{Effect, Taint},
};

const REASON: &str = "node(s) were unschedulable";

/// The taint that stands for `spec.unschedulable`.
const TAINT: &str = "node.kubernetes.io/unschedulable";

/// Rejects cordoned nodes.
#[derive(Debug, Default)]
pub struct NodeUnschedulable;

#[derive(Clone, Copy)]
struct Open;

impl Filter for Open {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        if site.flags().unschedulable {
            return Verdict::Unresolvable(REASON.into());
        }
        Verdict::Fits
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(*self)
    }
}

fn tolerates(pod: &PodView) -> bool {
    let taint = Taint {
        key: TAINT.into(),
        value: "".into(),
        effect: Effect::NoSchedule,
    };
    pod.tolerations
        .iter()
        .any(|toleration| toleration.tolerates(&taint))
}

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED | EventKinds::NODE_TAINTS | EventKinds::POD_TOLERATIONS
    }

    fn may_help(&self, _: &PodView, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        match event {
            ClusterEvent::NodeAdded(node) => !node.unschedulable,
            ClusterEvent::NodeChanged { old, new } => old.unschedulable && !new.unschedulable,
            ClusterEvent::WaitingPodChanged { new, .. } => tolerates(new),
            _ => true,
        }
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, _: &'a Snapshot) -> PreFilter<'a> {
        if !pod.tolerations.is_empty() && tolerates(pod) {
            return PreFilter::Skip;
        }
        PreFilter::judge(Open)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::World;

    #[test]
    fn a_cordoned_node_takes_only_pods_that_tolerate_it() {
        let world = World::of(&[
            json!({"name": "closed", "spec": {"unschedulable": true}}),
            json!({"name": "open"}),
        ]);
        let plain = world.pod(&json!({}));
        let rejected = "!node(s) were unschedulable";
        assert_eq!(world.judge(&NodeUnschedulable, &plain), [rejected, ""]);
        let tolerant = world.pod(&json!({"spec": {"tolerations": [
            {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
        ]}}));
        assert_eq!(world.judge(&NodeUnschedulable, &tolerant), ["", ""]);
    }

    #[test]
    fn an_uncordoned_node_may_help() {
        let world = World::of(&[
            json!({"name": "closed", "spec": {"unschedulable": true}}),
            json!({"name": "open"}),
        ]);
        let pod = world.pod(&json!({}));
        let node = |name| world.snapshot.node(world.index(name));
        let helps = |event| NodeUnschedulable.may_help(&pod, &event, &world.snapshot);
        assert!(helps(ClusterEvent::NodeAdded(node("open"))));
        assert!(!helps(ClusterEvent::NodeAdded(node("closed"))));
        assert!(helps(ClusterEvent::NodeChanged {
            old: node("closed"),
            new: node("open")
        }));
        assert!(!helps(ClusterEvent::NodeChanged {
            old: node("open"),
            new: node("closed")
        }));
    }
}
