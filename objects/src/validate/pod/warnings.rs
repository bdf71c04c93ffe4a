//! What a client is told about a pod that is well, but may not be what was meant.

use std::collections::BTreeMap;

use super::Spot;
use crate::{
    Value, meta,
    path::Path,
    validate::{amount, kinds::deprecations::NODE_LABELS, workloads::name_warning},
};

const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];
const VOLUMES: [(&str, &str, &str); 9] = [
    (
        "photonPersistentDisk",
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    (
        "gitRepo",
        "gitRepo",
        "deprecated in v1.11, and disabled by default in v1.33+",
    ),
    (
        "scaleIO",
        "scaleIO",
        "deprecated in v1.16, non-functional in v1.22+",
    ),
    (
        "flocker",
        "flocker",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "storageos",
        "storageOS",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "quobyte",
        "quobyte",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "glusterfs",
        "glusterfs",
        "deprecated in v1.25, non-functional in v1.26+",
    ),
    (
        "cephfs",
        "cephfs",
        "deprecated in v1.28, non-functional in v1.31+",
    ),
    (
        "rbd",
        "rbd",
        "deprecated in v1.28, non-functional in v1.31+",
    ),
];

/// The warnings of a pod, which are told at its creation alone.
pub(super) fn pod(new: &Value, old: Option<&Value>) -> Vec<String> {
    if old.is_some() {
        return Vec::new();
    }
    let mut all: Vec<String> = name_warning(meta::name(new), "the Pod's hostname")
        .into_iter()
        .collect();
    check(&Spot::root(new), &mut all);
    all
}

/// The warnings of a template.
pub(in crate::validate) fn template(
    template: &Value,
    _: Option<&Value>,
    path: &Path,
) -> Vec<String> {
    let mut all = Vec::new();
    let spot = Spot {
        value: template,
        path: path.clone(),
    };
    check(&spot, &mut all);
    all
}

fn check(pod: &Spot<'_>, all: &mut Vec<String>) {
    let spec = pod.get("spec");
    nodes(&spec, all);
    for (key, annotation) in pod.get("metadata").get("annotations").entries() {
        if let Some((_, words)) = ANNOTATIONS.iter().find(|(name, _)| *name == key) {
            all.push(format!("{}: {words}", annotation.path));
        }
    }
    for volume in spec.get("volumes").each() {
        for (field, name, words) in VOLUMES {
            if volume.find(field).is_some() {
                all.push(format!("{}: {words}", volume.path.child(name)));
            }
        }
    }
    duplicates(&spec.get("hostAliases"), "ip", all);
    duplicates(&spec.get("imagePullSecrets"), "name", all);
    for secret in spec.get("imagePullSecrets").each() {
        let name = secret.get("name");
        if name.text().is_empty() {
            all.push(format!("{}: invalid empty name \"\"", name.path));
        }
    }
    fractions(&spec.get("overhead"), all);
    let containers: Vec<Spot<'_>> = CONTAINERS
        .iter()
        .flat_map(|list| spec.get(list).each().collect::<Vec<_>>())
        .collect();
    for container in &containers {
        fractions(&container.get("resources").get("limits"), all);
        fractions(&container.get("resources").get("requests"), all);
        variables(&container.get("env"), all);
    }
    ports(&containers, all);
    let grace = spec.get("terminationGracePeriodSeconds");
    if grace.number().is_some_and(|seconds| seconds < 0) {
        all.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            grace.path
        ));
    }
    selectors(&spec, all);
}

/// Labels of nodes that have another name today.
fn nodes(spec: &Spot<'_>, all: &mut Vec<String>) {
    let deprecated = |key: &str| {
        NODE_LABELS
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, words)| *words)
    };
    for (key, label) in spec.get("nodeSelector").entries() {
        if let Some(words) = deprecated(key) {
            all.push(format!("{}: {words}", label.path));
        }
    }
    let affinity = spec.get("affinity").get("nodeAffinity");
    let required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution");
    let preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution");
    let mut terms: Vec<Spot<'_>> = required.get("nodeSelectorTerms").each().collect();
    terms.extend(preferred.each().map(|weighted| weighted.get("preference")));
    for term in terms {
        for expression in term.get("matchExpressions").each() {
            let key = expression.get("key");
            if let Some(words) = deprecated(key.text()) {
                all.push(format!("{}: {} is {words}", key.path, key.text()));
            }
        }
    }
    for constraint in spec.get("topologySpreadConstraints").each() {
        let key = constraint.get("topologyKey");
        if let Some(words) = deprecated(key.text()) {
            all.push(format!("{}: {} is {words}", key.path, key.text()));
        }
        null_selector(&constraint, all);
    }
}

fn null_selector(term: &Spot<'_>, all: &mut Vec<String>) {
    let selector = term.get("labelSelector");
    if !selector.is_present() {
        all.push(format!(
            "{}: a null labelSelector results in matching no pod",
            selector.path
        ));
    }
}

fn selectors(spec: &Spot<'_>, all: &mut Vec<String>) {
    for field in ["podAffinity", "podAntiAffinity"] {
        let affinity = spec.get("affinity").get(field);
        for term in affinity
            .get("requiredDuringSchedulingIgnoredDuringExecution")
            .each()
        {
            null_selector(&term, all);
        }
        for weighted in affinity
            .get("preferredDuringSchedulingIgnoredDuringExecution")
            .each()
        {
            null_selector(&weighted.get("podAffinityTerm"), all);
        }
    }
}

fn duplicates(list: &Spot<'_>, field: &str, all: &mut Vec<String>) {
    let mut seen = Vec::new();
    for item in list.each() {
        let value = item.get(field);
        if seen.contains(&value.text()) {
            all.push(format!(
                "{}: duplicate {field} \"{}\"",
                value.path,
                value.text()
            ));
        } else {
            seen.push(value.text());
        }
    }
}

/// Bytes cannot be divided.
fn fractions(amounts: &Spot<'_>, all: &mut Vec<String>) {
    for (name, amount) in amounts.entries() {
        let bytes = name == "memory" || name == "ephemeral-storage";
        if bytes && amount::read(amount.value).is_some_and(|number| !amount::is_whole(&number)) {
            let text = amount.text();
            all.push(format!(
                "{}: fractional byte value \"{text}\" is invalid, must be an integer",
                amount.path
            ));
        }
    }
}

/// A variable that is set twice, and not by way of its first value.
fn variables(variables: &Spot<'_>, all: &mut Vec<String>) {
    let mut seen = Vec::new();
    for variable in variables.each() {
        let name = variable.get("name").text();
        if !seen.contains(&name) {
            seen.push(name);
            continue;
        }
        let reference = format!("$({name})");
        let value = variable.get("value").text();
        let hides = variable.find("valueFrom").is_some()
            || value == reference
            || !value.contains(&reference);
        if hides {
            all.push(format!(
                "{}: hides previous definition of \"{name}\", which may be dropped when using apply",
                variable.path
            ));
        }
    }
}

/// Ports that are said twice, or that may be meant to be one.
fn ports(containers: &[Spot<'_>], all: &mut Vec<String>) {
    let every: Vec<Spot<'_>> = containers
        .iter()
        .flat_map(|container| container.get("ports").each().collect::<Vec<_>>())
        .collect();
    let host = |port: &Spot<'_>| port.get("hostPort").number().unwrap_or(0);
    let address = |port: &Spot<'_>| port.get("hostIP").text().to_owned();
    for (index, port) in every.iter().enumerate() {
        for other in &every[..index] {
            let same = ["containerPort", "protocol"]
                .iter()
                .all(|field| port.get(field).value == other.get(field).value);
            if !same {
                continue;
            }
            let words = if address(port) == address(other) && host(port) == host(other) {
                "duplicate port definition"
            } else if host(port) == 0 || host(other) == 0 {
                "overlapping port definition"
            } else if host(port) == host(other)
                && address(port).is_empty() != address(other).is_empty()
            {
                "dangerously ambiguous port definition"
            } else {
                continue;
            };
            all.push(format!("{}: {words} with {}", port.path, other.path));
        }
    }
    let mut names: BTreeMap<&str, &Path> = BTreeMap::new();
    for port in &every {
        let name = port.get("name").text();
        if name.is_empty() {
            continue;
        }
        match names.get(name) {
            Some(other) => all.push(format!(
                "{}: duplicate port name \"{name}\" with {other}, services and probes that select ports by name will use {other}",
                port.path
            )),
            None => {
                names.insert(name, &port.path);
            }
        }
    }
}
