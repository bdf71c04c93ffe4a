//! Clusters by chance, for comparing plugins with their plain definitions.

use serde_json::{Value, json};

use super::World;

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
