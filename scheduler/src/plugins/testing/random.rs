//! Clusters by chance, for comparing plugins with their plain definitions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Placed, World};
use crate::{framework::Plugin, pod::PodView};

/// Choices that were made by chance; after the last one it is always the first.
pub(in crate::plugins) struct Dice<'a>(pub(in crate::plugins) &'a [u8]);

impl Dice<'_> {
    /// One of so many.
    pub(in crate::plugins) fn roll(&mut self, sides: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first) % sides
    }

    fn pick(&mut self, list: &[Value]) -> Value {
        list[self.roll(list.len())].clone()
    }

    fn labels(&mut self, choices: &[(&str, &[&str])]) -> Value {
        let mut labels = json!({});
        for (key, values) in choices {
            let at = self.roll(values.len() + 1);
            if at < values.len() {
                labels[*key] = json!(values[at]);
            }
        }
        labels
    }

    fn selector(&mut self) -> Value {
        self.pick(&[
            json!({"matchLabels": {"app": "x"}}),
            json!({"matchLabels": {"app": "y"}}),
            json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
            json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["a"]}]}),
            json!({}),
            json!(null),
        ])
    }

    fn term(&mut self) -> Value {
        let mut term = json!({"topologyKey": self.pick(&[json!("zone"), json!("host")])});
        term["labelSelector"] = self.selector();
        match self.roll(5) {
            0 => term["namespaces"] = json!(["other"]),
            1 => term["namespaceSelector"] = json!({}),
            2 => term["namespaceSelector"] = json!({"matchLabels": {"team": "t"}}),
            _ => {}
        }
        term
    }

    fn terms(&mut self) -> Vec<Value> {
        (0..self.roll(3)).map(|_| self.term()).collect()
    }

    fn weighted(&mut self) -> Vec<Value> {
        let weigh = |dice: &mut Self| {
            let term = dice.term();
            json!({"weight": dice.roll(100) + 1, "podAffinityTerm": term})
        };
        (0..self.roll(3)).map(|_| weigh(self)).collect()
    }

    /// A pod with terms of affinity.
    pub(in crate::plugins) fn affine(&mut self, name: &str) -> Value {
        let mut affinity = json!({});
        for kind in ["podAffinity", "podAntiAffinity"] {
            // Most pods in clusters ask for nothing.
            if self.roll(2) == 0 {
                continue;
            }
            affinity[kind] = json!({
                "requiredDuringSchedulingIgnoredDuringExecution": self.terms(),
                "preferredDuringSchedulingIgnoredDuringExecution": self.weighted(),
            });
        }
        let mut pod = self.plain(name);
        pod["spec"]["affinity"] = affinity;
        pod
    }

    /// A pod with constraints of spreading.
    pub(in crate::plugins) fn spread(&mut self, name: &str) -> Value {
        let mut constraints = Vec::new();
        for _ in 0..self.roll(4) {
            let keys = [
                json!("zone"),
                json!("host"),
                json!("kubernetes.io/hostname"),
            ];
            constraints.push(json!({
                "topologyKey": self.pick(&keys),
                "maxSkew": self.roll(3) + 1,
                "whenUnsatisfiable": self.pick(&[json!("DoNotSchedule"), json!("ScheduleAnyway")]),
                "labelSelector": self.selector(),
                "minDomains": self.pick(&[json!(null), json!(1), json!(3)]),
                "nodeAffinityPolicy": self.pick(&[json!(null), json!("Honor"), json!("Ignore")]),
                "nodeTaintsPolicy": self.pick(&[json!(null), json!("Honor"), json!("Ignore")]),
            }));
        }
        let mut pod = self.plain(name);
        pod["spec"]["topologySpreadConstraints"] = json!(constraints);
        if self.roll(3) == 0 {
            pod["spec"]["nodeSelector"] = json!({"disk": "ssd"});
        }
        if self.roll(3) == 0 {
            pod["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        }
        pod
    }

    /// Up to so many pods on nodes, made as pods of a plugin's tests are.
    pub(in crate::plugins) fn pods(
        &mut self,
        world: &World,
        most: usize,
        make: fn(&mut Self, &str) -> Value,
    ) -> Vec<Placed> {
        let nodes = world.sorted();
        (0..self.roll(most + 1))
            .map(|at| {
                let node = nodes[self.roll(nodes.len())];
                (world.pod(&make(self, &format!("p{at}"))), node)
            })
            .collect()
    }

    /// What a plugin says of the nodes for a pod when some of these pods are thought away and others onto their nodes. `None` if it says
    /// nothing. After that the world has really changed so.
    pub(in crate::plugins) fn change(
        &mut self,
        world: &mut World,
        pods: Vec<Placed>,
        (plugin, pod): (&dyn Plugin, &PodView),
    ) -> Option<Vec<String>> {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for placed in pods {
            match self.roll(3) {
                0 => removed.push(placed),
                1 => added.push(placed),
                _ => put(world, &placed),
            }
        }
        removed.iter().for_each(|placed| put(world, placed));
        let found = world.judge_changed(plugin, pod, (&removed, &added));
        for (gone, _) in &removed {
            world.snapshot.remove_pod(&gone.uid);
        }
        added.iter().for_each(|placed| put(world, placed));
        found
    }

    /// A pod with labels.
    pub(in crate::plugins) fn plain(&mut self, name: &str) -> Value {
        let deleted = self.roll(6) == 0;
        json!({
            "name": name,
            "namespace": self.pick(&[json!("default"), json!("other")]),
            "labels": self.labels(&[("app", &["x", "y"]), ("tier", &["a", "b"])]),
            "deleted": if deleted { json!("2026-01-01T00:00:00Z") } else { json!(null) },
            "spec": {},
        })
    }

    /// Up to seven nodes, and a name for each of the pods on them, up to twelve.
    pub(in crate::plugins) fn nodes(&mut self) -> World {
        let count = self.roll(7) + 1;
        let mut nodes = Vec::new();
        for at in 0..count {
            let mut labels = self.labels(&[("zone", &["a", "b", "c"]), ("disk", &["ssd"])]);
            for key in ["host", "kubernetes.io/hostname"] {
                if self.roll(5) > 0 {
                    labels[key] = json!(format!("n{at}"));
                }
            }
            let tainted = self.roll(4) == 0;
            let taints = if tainted {
                json!([{"key": "t", "effect": "NoSchedule"}])
            } else {
                json!([])
            };
            nodes.push(
                json!({"name": format!("n{at}"), "labels": labels, "spec": {"taints": taints}}),
            );
        }
        let mut world = World::of(&nodes);
        let team = [("team", "t")].into_iter().collect();
        world.snapshot.set_namespace("default", Some(team));
        world
            .snapshot
            .set_namespace("other", Some(crate::selector::Labels::default()));
        world
    }
}

/// Puts a pod on its node.
pub(in crate::plugins) fn put(world: &mut World, (pod, node): &Placed) {
    let name = world.snapshot.node(*node).name.clone();
    world.snapshot.set_pod(Arc::new(pod.clone()), &name);
}
