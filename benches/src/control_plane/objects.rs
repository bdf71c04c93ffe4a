//! Nodes and pods as upstream's scheduler benchmarks have them.

use serde_json::{Value, json};

pub const HOST: &str = "kubernetes.io/hostname";
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// The node that is alone, or alone meant.
pub const THE_NODE: &str = "scheduler-perf-node";
const IMAGE: &str = "registry.k8s.io/pause:3.10.2";

/// What a pod asks of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    Default,
    /// It asks for nothing.
    Light,
    Gated,
    /// It belongs to one node, as a daemon set's.
    Daemon,
    LowPriority,
    /// It fits when three of low priority go.
    HighPriority,
    /// It fits nowhere.
    TooLarge,
    NodeAffinity,
    PodAffinity,
    PodAntiAffinity,
    /// What pods with anti-affinity keep away from.
    Avoided,
    PreferredPodAffinity,
    PreferredPodAntiAffinity,
    Spread,
    PreferredSpread,
}

impl Template {
    /// A pod of this kind.
    pub fn pod(self, namespace: &str, name: &str) -> Value {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"containers": [{"name": "pause", "image": IMAGE, "ports": [{"containerPort": 80}]}]},
        });
        if let Some(color) = self.color() {
            pod["metadata"]["labels"] = json!({"color": color});
        }
        let has = |cpu: &str| json!({"cpu": cpu, "memory": "500Mi"});
        pod["spec"]["containers"][0]["resources"] = match self {
            Template::Light | Template::Gated | Template::Daemon => json!({}),
            Template::TooLarge => json!({"requests": has("9")}),
            Template::LowPriority => json!({"requests": has("900m"), "limits": has("900m")}),
            Template::HighPriority => json!({"requests": has("3"), "limits": has("3")}),
            _ => json!({"requests": has("100m"), "limits": has("100m")}),
        };
        if let (Some(spec), Value::Object(more)) = (pod["spec"].as_object_mut(), self.more()) {
            spec.extend(more);
        }
        pod
    }

    fn color(self) -> Option<&'static str> {
        match self {
            Template::PodAffinity | Template::Spread | Template::PreferredSpread => Some("blue"),
            Template::PodAntiAffinity | Template::Avoided => Some("green"),
            Template::PreferredPodAffinity => Some("red"),
            Template::PreferredPodAntiAffinity => Some("yellow"),
            _ => None,
        }
    }

    /// What its spec has beside containers.
    fn more(self) -> Value {
        let colored = || json!({"matchLabels": {"color": self.color()}});
        let near = |key: &str| {
            json!({"labelSelector": colored(), "topologyKey": key,
                "namespaces": [super::cases::MEASURED, super::cases::BEFORE]})
        };
        let affinity = |kind: &str, terms: Value| json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": terms}}});
        let preferred = |kind: &str| {
            let terms = json!([{"weight": 1, "podAffinityTerm": near(HOST)}]);
            json!({"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": terms}}})
        };
        let spread = |otherwise: &str| {
            json!({"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": ZONE,
                "whenUnsatisfiable": otherwise, "labelSelector": colored()}]})
        };
        match self {
            Template::Default | Template::Avoided => json!({}),
            Template::Light | Template::LowPriority => json!({"terminationGracePeriodSeconds": 0}),
            Template::Gated => json!({"schedulingGates": [{"name": "test.k8s.io/hold"}]}),
            Template::Daemon => affinity(
                "nodeAffinity",
                json!({"nodeSelectorTerms": [{"matchFields":
                    [{"key": "metadata.name", "operator": "In", "values": [THE_NODE]}]}]}),
            ),
            Template::HighPriority | Template::TooLarge => json!({"priority": 10}),
            Template::NodeAffinity => affinity(
                "nodeAffinity",
                json!({"nodeSelectorTerms": [{"matchExpressions":
                    [{"key": ZONE, "operator": "In", "values": ["zone1", "zone2"]}]}]}),
            ),
            Template::PodAffinity => affinity("podAffinity", json!([near(ZONE)])),
            Template::PodAntiAffinity => affinity("podAntiAffinity", json!([near(HOST)])),
            Template::PreferredPodAffinity => preferred("podAffinity"),
            Template::PreferredPodAntiAffinity => preferred("podAntiAffinity"),
            Template::Spread => spread("DoNotSchedule"),
            Template::PreferredSpread => spread("ScheduleAnyway"),
        }
    }
}

/// A node that is ready and holds so many pods. Unlike upstream's it has the label of its name, as real ones do.
pub fn node(name: &str, zone: Option<&str>, pods: &str) -> Value {
    let mut labels = json!({HOST: name});
    if let Some(zone) = zone {
        labels[ZONE] = json!(zone);
    }
    let has = json!({"pods": pods, "cpu": "4", "memory": "32Gi"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "capacity": has, "allocatable": has,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A service that selects nobody.
pub fn service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": "foo"}, "ports": [{"port": 8080, "targetPort": 8080}]},
    })
}

/// A deployment of so many pods.
pub fn deployment(namespace: &str, name: &str, replicas: usize) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": workers(name, "Always"),
        },
    })
}

/// A job of so many pods at a time, each of which ends by itself.
pub fn job(namespace: &str, name: &str, pods: usize) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parallelism": pods, "completions": pods, "template": workers(name, "Never")},
    })
}

fn workers(app: &str, restart: &str) -> Value {
    let requests = json!({"cpu": "50m", "memory": "64Mi"});
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {
            "restartPolicy": restart,
            "containers": [{"name": "main", "image": IMAGE, "resources": {"requests": requests}}],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_ask_for_what_they_are_named_for() {
        let pod = Template::PodAntiAffinity.pod("n", "p");
        let term = &pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            [0];
        assert_eq!(term["topologyKey"], HOST);
        assert_eq!(term["labelSelector"]["matchLabels"]["color"], "green");
        let large = Template::TooLarge.pod("n", "p");
        assert_eq!(large["spec"]["priority"], 10);
        assert_eq!(
            large["spec"]["containers"][0]["resources"]["requests"]["cpu"],
            "9"
        );
    }
}
