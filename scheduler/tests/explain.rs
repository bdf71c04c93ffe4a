//! What is said of pods that wait, against what the engine itself says of them.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, from_value, json};

use scheduler::{
    cluster::Snapshot,
    config::default_profile,
    engine::{Effect, Engine},
    explain::{Cluster, Explanation, explain},
    node::NodeView,
    pod::{DEFAULT_SCHEDULER, PodView},
    queue::Backoff,
    resources::ResourceNames,
};

fn node(name: &str, more: &Value) -> Node {
    let mut node = json!({
        "metadata": {"name": name, "uid": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    });
    json_patch(&mut node, more);
    from_value(node).unwrap()
}

fn pod(name: &str, more: &Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}]},
    });
    json_patch(&mut pod, more);
    from_value(pod).unwrap()
}

fn json_patch(into: &mut Value, more: &Value) {
    let Some(more) = more.as_object() else {
        *into = more.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in more {
        json_patch(&mut into[key], value);
    }
}

fn asking(cpu: &str) -> Value {
    json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]}})
}

/// What is said of the last pod; and what the engine says of it, which has to be the same.
fn judged(nodes: &[Node], pods: &[Pod]) -> Explanation {
    let names = ResourceNames::default();
    let mut cluster = Cluster {
        snapshot: Snapshot::new(names.clone()),
        waiting: Vec::new(),
    };
    let profiles = vec![default_profile(DEFAULT_SCHEDULER)];
    let mut engine = Engine::new(profiles, Backoff::default(), names.clone(), 1);
    let now = Timestamp::UNIX_EPOCH;
    for node in nodes {
        let view = Arc::new(NodeView::new(node, &names));
        cluster.snapshot.set_node(view.clone());
        engine.set_node(view, now);
    }
    for pod in pods {
        let view = Arc::new(PodView::new(pod, &names));
        match view.node_name.clone() {
            Some(node) => cluster.snapshot.set_pod(view.clone(), &node),
            None => cluster.waiting.push(view.clone()),
        }
        engine.set_pod(view, now);
    }
    let last = pods.last().unwrap();
    let said = explain(last, &mut cluster);
    while engine.schedule_next(now) {}
    let name = last.metadata.name.as_deref().unwrap();
    let engines = engine
        .take_effects()
        .into_iter()
        .find_map(|effect| match effect {
            Effect::Unschedulable(one) if &*one.name == name => Some(one.message),
            _ => None,
        });
    if said.gates.is_empty() {
        assert_eq!(engines.unwrap_or_default(), said.message);
    }
    said
}

#[test]
fn a_pod_that_is_too_large_is_told_what_is_left_and_what_would_do() {
    let nodes = [node("a", &json!({})), node("b", &json!({}))];
    let placed = pod("placed", &json!({"spec": {"nodeName": "a"}}));
    let said = judged(&nodes, &[placed, pod("large", &asking("3500m"))]);
    assert_eq!(said.fits, ["b"]);
    assert_eq!(said.message, "");

    let both = [
        pod("on-a", &json!({"spec": {"nodeName": "a"}})),
        pod("on-b", &json!({"spec": {"nodeName": "b"}})),
        pod("large", &asking("3500m")),
    ];
    let said = judged(&nodes, &both);
    assert!(
        said.message
            .starts_with("0/2 nodes are available: 2 Insufficient cpu. preemption:"),
        "{}",
        said.message
    );
    let cpu = &said.shortfalls[0];
    assert_eq!(
        (
            cpu.resource.as_str(),
            cpu.asked.as_str(),
            cpu.free_most.as_str()
        ),
        ("cpu", "3500m", "3")
    );
    assert_eq!(
        (cpu.free.as_str(), cpu.node_most.as_str(), cpu.nodes_short),
        ("6", "4", 2)
    );
    assert_eq!(said.shortfalls.len(), 1, "memory is left");
    assert!(
        said.advice[0].starts_with("free cpu, or ask for less: it asks for 3500m"),
        "{:?}",
        said.advice
    );

    let said = judged(&nodes, &[pod("huge", &asking("9"))]);
    assert_eq!(
        said.advice,
        ["ask for less cpu, or add a larger node: it asks for 9, and the largest node has 4"]
    );
}

#[test]
fn nodes_with_the_same_reason_are_told_together() {
    let taint = |key: &str| json!({"spec": {"taints": [{"key": key, "value": "x", "effect": "NoSchedule"}]}});
    let nodes = [
        node("a", &taint("dedicated")),
        node("b", &taint("dedicated")),
        node(
            "c",
            &json!({"spec": {"unschedulable": true, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}}),
        ),
    ];
    let said = judged(&nodes, &[pod("web", &json!({}))]);
    let nodes: Vec<_> = said
        .rejected
        .iter()
        .map(|one| one.nodes.join(" "))
        .collect();
    assert_eq!(nodes, ["a b", "c"]);
    assert_eq!(
        said.advice,
        [
            "tolerate the taint dedicated=x:NoSchedule: it is on 2 nodes",
            "uncordon a node (kubectl uncordon c): 1 node is cordoned",
        ]
    );
}

#[test]
fn a_selector_that_nothing_matches_is_told_with_what_there_is() {
    let nodes = [
        node("a", &json!({"metadata": {"labels": {"disk": "hdd"}}})),
        node("b", &json!({"metadata": {"labels": {"zone": "east"}}})),
    ];
    let selecting = |selector: Value| pod("web", &json!({"spec": {"nodeSelector": selector}}));
    let said = judged(&nodes, &[selecting(json!({"disk": "ssd"}))]);
    assert_eq!(
        said.advice,
        ["its node selector asks for disk=ssd, which no node has (disk is hdd there)"]
    );
    let said = judged(&nodes, &[selecting(json!({"disk": "hdd", "zone": "east"}))]);
    assert_eq!(
        said.advice,
        ["each label that it asks for is on some node, and no node has all of them"]
    );
}

#[test]
fn gates_groups_and_victims_are_told() {
    let nodes = [node("a", &json!({}))];
    let gated = pod(
        "web",
        &json!({"spec": {"schedulingGates": [{"name": "later"}]}}),
    );
    assert_eq!(judged(&nodes, &[gated]).gates, ["later"]);

    let member = pod(
        "web",
        &json!({"metadata": {
            "labels": {"scheduling.x-k8s.io/pod-group": "g"},
            "annotations": {"scheduling.x-k8s.io/min-member": "2"},
        }}),
    );
    let said = judged(&nodes, &[member]);
    assert!(
        said.message.contains("cannot find enough sibling pods"),
        "{}",
        said.message
    );

    let low = pod("low", &json!({"spec": {"nodeName": "a", "priority": 1}}));
    let mut high = asking("4");
    high["spec"]["priority"] = json!(9);
    let said = judged(&nodes, &[low, pod("high", &high)]);
    let eviction = said.preempts.unwrap();
    assert_eq!(
        (eviction.node.as_str(), &eviction.pods[..]),
        ("a", &["default/low".to_owned()][..])
    );
}

#[test]
fn without_nodes_there_is_a_message_and_no_table() {
    let said = judged(&[], &[pod("web", &json!({}))]);
    assert_eq!(said.message, "no nodes available to schedule pods");
    assert_eq!((said.rejected, said.shortfalls), (Vec::new(), Vec::new()));
}
