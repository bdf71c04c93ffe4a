//! `TaintToleration`: pods keep off nodes whose taints they do not tolerate, and rather off those that discourage them.

use crate::{
    cluster::{NodeIndex, Site, Snapshot},
    framework::{
        ClusterEvent, EventKinds, Filter, Plugin, PreFilter, Score, Verdict, normalize_by_max,
    },
    node::NodeView,
    pod::PodView,
    taint::{Effect, Toleration, untolerated},
};

const REASON: &str = "node(s) had untolerated taint(s)";

/// Rejects nodes by `NoSchedule` and `NoExecute`, and ranks them by `PreferNoSchedule`.
#[derive(Debug, Default)]
pub struct TaintToleration;

#[derive(Clone, Copy)]
struct Tolerant<'a>(&'a [Toleration]);

impl Filter for Tolerant<'_> {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        if site.flags().hard_taints && untolerated(&site.node().taints, self.0).is_some() {
            return Verdict::Unresolvable(REASON.into());
        }
        Verdict::Fits
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(*self)
    }
}

impl Score for Tolerant<'_> {
    fn score(&self, site: &Site<'_>) -> i64 {
        if !site.flags().soft_taints {
            return 0;
        }
        let taints = site.node().taints.iter();
        let discourages = taints.filter(|taint| {
            taint.effect == Effect::PreferNoSchedule
                && !self.0.iter().any(|toleration| toleration.tolerates(taint))
        });
        discourages.count() as i64
    }

    fn normalize(&self, _: &[NodeIndex], scores: &mut [i64]) {
        normalize_by_max(scores, true);
    }
}

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED | EventKinds::NODE_TAINTS | EventKinds::POD_TOLERATIONS
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        let is_open = |node: &NodeView| untolerated(&node.taints, &pod.tolerations).is_none();
        match event {
            ClusterEvent::NodeAdded(node) => is_open(node),
            ClusterEvent::NodeChanged { old, new } => !is_open(old) && is_open(new),
            _ => true,
        }
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, _: &'a Snapshot) -> PreFilter<'a> {
        PreFilter::judge(Tolerant(&pod.tolerations))
    }

    fn pre_score<'a>(
        &'a self,
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        nodes: &[NodeIndex],
    ) -> Option<Box<dyn Score + 'a>> {
        if nodes.iter().any(|node| snapshot.flags(*node).soft_taints) {
            return Some(Box::new(Tolerant(&pod.tolerations)));
        }
        // Where no node discourages anyone, all are alike.
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::World;

    fn node(name: &str, taints: &[(&str, &str, &str)]) -> Value {
        let taint = |(key, value, effect): &(&str, &str, &str)| json!({"key": key, "value": value, "effect": effect});
        let taints: Vec<Value> = taints.iter().map(taint).collect();
        json!({"name": name, "spec": {"taints": taints}})
    }

    #[test]
    fn untolerated_taints_keep_pods_off() {
        let world = World::of(&[
            node("a", &[("dedicated", "user1", "NoSchedule")]),
            node("b", &[("dedicated", "user1", "PreferNoSchedule")]),
            node(
                "c",
                &[("x", "", "PreferNoSchedule"), ("gone", "", "NoExecute")],
            ),
            node("d", &[]),
        ]);
        let rejected = "!node(s) had untolerated taint(s)";
        let cases = [
            (json!([]), [rejected, "", rejected, ""]),
            (
                json!([{"key": "dedicated", "operator": "Equal", "value": "user1", "effect": "NoSchedule"}]),
                ["", "", rejected, ""],
            ),
            (
                json!([{"key": "dedicated", "operator": "Equal", "value": "user2", "effect": "NoSchedule"}]),
                [rejected, "", rejected, ""],
            ),
            (
                json!([{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}]),
                [rejected, "", rejected, ""],
            ),
            (json!([{"operator": "Exists"}]), ["", "", "", ""]),
        ];
        for (tolerations, expected) in cases {
            let pod = world.pod(&json!({"spec": {"tolerations": tolerations}}));
            assert_eq!(
                world.judge(&TaintToleration, &pod),
                expected,
                "{tolerations}"
            );
        }
    }

    #[test]
    fn the_node_with_most_discouraging_taints_scores_nothing() {
        let world = World::of(&[
            node(
                "a",
                &[
                    ("cpu", "arm", "PreferNoSchedule"),
                    ("disk", "ssd", "PreferNoSchedule"),
                ],
            ),
            node("b", &[("cpu", "arm", "PreferNoSchedule")]),
            node("c", &[("cpu", "arm", "NoSchedule")]),
        ]);
        let score = |tolerations: Value| {
            let pod = world.pod(&json!({"spec": {"tolerations": tolerations}}));
            world.score(&TaintToleration, &pod).unwrap()
        };
        assert_eq!(score(json!([])), [0, 50, 100]);
        let arm = json!({"key": "cpu", "operator": "Equal", "value": "arm", "effect": "PreferNoSchedule"});
        assert_eq!(score(json!([arm])), [0, 100, 100]);
        let hard =
            json!({"key": "cpu", "operator": "Equal", "value": "arm", "effect": "NoSchedule"});
        assert_eq!(score(json!([hard])), [0, 50, 100]);
        assert_eq!(score(json!([{"operator": "Exists"}])), [100, 100, 100]);
    }

    #[test]
    fn a_node_that_lost_its_taint_may_help() {
        let world = World::of(&[node("a", &[("gone", "", "NoExecute")]), node("b", &[])]);
        let pod = world.pod(&json!({}));
        let (tainted, open) = (
            world.snapshot.node(world.index("a")),
            world.snapshot.node(world.index("b")),
        );
        let helps = |event| TaintToleration.may_help(&pod, &event, &world.snapshot);
        assert!(helps(ClusterEvent::NodeChanged {
            old: tainted,
            new: open
        }));
        assert!(!helps(ClusterEvent::NodeChanged {
            old: open,
            new: open
        }));
        assert!(!helps(ClusterEvent::NodeAdded(tainted)));
    }
}
