//! The end of a run without what differs from run to run: names with hashes, uids, times, revisions and nodes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fields::{is_ready, is_true, list, name, number, owner, text};
use super::history::Objects;

/// Annotations and labels that count: the others have hashes, uids and revisions.
const TOLD: [&str; 2] = ["app", "simulation.mainstay.dev/"];
/// Figures of statuses that count.
const FIGURES: [&str; 8] = [
    "replicas",
    "readyReplicas",
    "updatedReplicas",
    "availableReplicas",
    "currentReplicas",
    "succeeded",
    "failed",
    "active",
];
const CONDITIONS: [&str; 4] = ["Available", "Progressing", "Complete", "Failed"];

/// What there is, by the words for each thing. Things that are alike are told from one another by their number.
pub(super) fn normal(objects: &Objects) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let of = |resource: &str| objects.get(resource).map_or(&[][..], Vec::as_slice);
    for resource in ["deployments", "statefulsets", "jobs"] {
        for object in of(resource) {
            all.insert(format!("{resource} {}", name(object)), workload(object));
        }
    }
    for service in of("services") {
        let count = of("endpointslices").iter().filter(|slice| {
            text(slice, "/metadata/labels/kubernetes.io~1service-name") == name(service)
        });
        let ready: usize = count.map(|slice| list(slice, "/endpoints").len()).sum();
        let words = json!({ "selector": service["spec"]["selector"], "endpoints": ready });
        all.insert(format!("services {}", name(service)), words);
    }
    let mut alike: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for set in of("replicasets") {
        if number(set, "/spec/replicas") > 0 {
            let label = format!(
                "replicasets of {}",
                owner(set).map_or("", |one| text(one, "/name"))
            );
            alike
                .entry(label)
                .or_default()
                .push(workload(set).to_string());
        }
    }
    for pod in of("pods") {
        alike
            .entry(label_of(pod))
            .or_default()
            .push(words_of(pod).to_string());
    }
    for (label, mut words) in alike {
        words.sort();
        all.insert(label, json!(words));
    }
    all
}

/// In words, where two ends differ.
pub(super) fn differences(without: &Objects, with: &Objects) -> Vec<String> {
    let (without, with) = (normal(without), normal(with));
    let names: std::collections::BTreeSet<&String> = without.keys().chain(with.keys()).collect();
    let show = |found: Option<&Value>| found.map_or("nothing".to_owned(), Value::to_string);
    names
        .into_iter()
        .filter(|name| without.get(*name) != with.get(*name))
        .map(|name| {
            format!(
                "{name}: without faults {}, with them {}",
                show(without.get(name)),
                show(with.get(name))
            )
        })
        .collect()
}

fn workload(object: &Value) -> Value {
    let spec = &object["spec"];
    let figures: BTreeMap<&str, i64> = FIGURES
        .iter()
        .map(|figure| (*figure, number(object, &format!("/status/{figure}"))))
        .collect();
    let conditions = CONDITIONS.iter().filter(|one| is_true(object, one));
    json!({
        "replicas": spec["replicas"],
        "paused": spec["paused"] == true,
        "completions": spec["completions"],
        "parallelism": spec["parallelism"],
        "strategy": spec["strategy"],
        "template": template(&spec["template"]),
        "status": figures,
        "conditions": conditions.collect::<Vec<_>>(),
    })
}

fn template(template: &Value) -> Value {
    let told = |map: &Value| -> BTreeMap<String, Value> {
        let entries = map.as_object().into_iter().flatten();
        entries
            .filter(|(name, _)| TOLD.iter().any(|told| name.starts_with(told)))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let containers = list(template, "/spec/containers").iter();
    let containers = containers.map(|container| {
        json!({ "name": container["name"], "image": container["image"],
            "resources": container["resources"], "ports": container["ports"] })
    });
    json!({
        "labels": told(&template["metadata"]["labels"]),
        "annotations": told(&template["metadata"]["annotations"]),
        "containers": containers.collect::<Vec<_>>(),
        "restartPolicy": template["spec"]["restartPolicy"],
    })
}

/// A pod of a StatefulSet has a name of its own; others are one of their owner's.
fn label_of(pod: &Value) -> String {
    let owner = owner(pod).cloned().unwrap_or_default();
    match text(&owner, "/kind") {
        "StatefulSet" => format!("pod {}", name(pod)),
        "ReplicaSet" => {
            let set = text(&owner, "/name");
            let deployment = set
                .rsplit_once('-')
                .map_or(set, |(deployment, _)| deployment);
            format!("pods of {deployment}")
        }
        _ => format!("pods of {}", text(&owner, "/name")),
    }
}

fn words_of(pod: &Value) -> Value {
    json!({
        "template": template(pod),
        "phase": pod["status"]["phase"],
        "ready": is_ready(pod),
        "bound": !text(pod, "/spec/nodeName").is_empty(),
    })
}
