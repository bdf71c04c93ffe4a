//! Huge pages are asked for by whole pages, wherever the spec of a pod stands.

use super::{amount, spot::Spot};
use crate::{
    Value,
    amounts::is_huge_pages,
    invalid::{Faults, Invalid},
    quantity::Quantity,
};

/// Kinds that hold the spec of a pod, and where.
const SPECS: [(&str, &str, &[&str]); 9] = [
    ("", "Pod", &["spec"]),
    ("", "PodTemplate", &["template", "spec"]),
    ("", "ReplicationController", TEMPLATE),
    ("apps", "DaemonSet", TEMPLATE),
    ("apps", "Deployment", TEMPLATE),
    ("apps", "ReplicaSet", TEMPLATE),
    ("apps", "StatefulSet", TEMPLATE),
    ("batch", "Job", TEMPLATE),
    (
        "batch",
        "CronJob",
        &["spec", "jobTemplate", "spec", "template", "spec"],
    ),
];

const TEMPLATE: &[&str] = &["spec", "template", "spec"];

/// Tells of each amount that is no number of pages. An object that was stored with one, which once was taken, may keep such amounts.
pub(super) fn check(group: &str, kind: &str, new: &Value, old: Option<&Value>) -> Faults {
    let mut faults = Faults::new();
    let row = SPECS.iter().find(|row| row.0 == group && row.1 == kind);
    let Some((_, _, path)) = row else {
        return faults;
    };
    let spec = |object| {
        path.iter()
            .fold(Spot::root(object), |spot, field| spot.get(field))
    };
    if let Some(old) = old {
        let mut before = Faults::new();
        of_containers(&spec(old), &mut before);
        if !before.is_empty() {
            return faults;
        }
    }
    let spec = spec(new);
    of_containers(&spec, &mut faults);
    of_resources(&spec.get("resources"), &mut faults);
    faults
}

/// The containers, and what runs the pod needs beside them.
fn of_containers(spec: &Spot<'_>, faults: &mut Faults) {
    for list in ["containers", "initContainers"] {
        for container in spec.get(list).each() {
            of_resources(&container.get("resources"), faults);
        }
    }
    let mut overhead = spec.get("overhead");
    overhead.path = overhead.path.child("limits");
    of_amounts(&overhead, faults);
}

fn of_resources(resources: &Spot<'_>, faults: &mut Faults) {
    for part in ["limits", "requests"] {
        of_amounts(&resources.get(part), faults);
    }
}

fn of_amounts(amounts: &Spot<'_>, faults: &mut Faults) {
    for (name, spot) in amounts.entries().filter(|(name, _)| is_huge_pages(name)) {
        let Some(asked) = amount::read(spot.value) else {
            continue;
        };
        if !is_whole(name, &asked) {
            let words = format!("{asked} is not positive integer multiple of {name}");
            faults.push(Invalid::value(&spot.path, asked.to_string(), words));
        }
    }
}

/// Whether an amount is a number of the pages that the resource is named after.
fn is_whole(name: &str, asked: &Quantity) -> bool {
    let size = name
        .strip_prefix("hugepages-")
        .and_then(|size| Quantity::parse(size).ok());
    let size = size.filter(|size| size.sign() > 0 && amount::is_whole(size));
    size.is_some_and(|size| asked.value() % size.value() == 0)
}
