//! The strategy of pods: their phase and class, and which parts each subresource writes.

use serde_json::json;

use super::{Strategy, reset, reset_metadata};
use crate::{Value, meta};

pub(crate) mod quality;

/// A pod that says nothing else has so long to end.
const GRACE_PERIOD_SECONDS: i64 = 30;

pub(super) const STRATEGIES: &[Strategy] = &[pod()];

const fn pod() -> Strategy {
    let mut strategy = Strategy::new("", "Pod");
    strategy.grace_period_seconds = Some(GRACE_PERIOD_SECONDS);
    strategy.create = create;
    strategy.update = update;
    strategy
}

fn create(object: &mut Value) {
    let mut status = json!({"phase": "Pending", "qosClass": quality::class(object)});
    if !meta::list(object, &["spec", "schedulingGates"]).is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null,
            "lastTransitionTime": meta::at(object, &["metadata", "creationTimestamp"]),
        }]);
    }
    object["status"] = status;
    let labels = meta::at(object, &["metadata", "labels"])
        .cloned()
        .unwrap_or(Value::Null);
    let spec = meta::spec_mut(object);
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec
            .get_mut("affinity")
            .and_then(|all| all.get_mut(affinity))
        else {
            continue;
        };
        for term in elements(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            select_by_keys(term, &labels);
        }
        for weighted in elements(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                select_by_keys(term, &labels);
            }
        }
    }
    for constraint in elements(spec, "topologySpreadConstraints") {
        select_by_keys(constraint, &labels);
    }
}

fn elements<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// Writes the pod's own labels of `matchLabelKeys` and `mismatchLabelKeys` into the selector.
fn select_by_keys(term: &mut Value, labels: &Value) {
    let mut expressions = Vec::new();
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in meta::list(term, &[field]).iter().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                expressions.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    let Some(selector) = term.get_mut("labelSelector").and_then(Value::as_object_mut) else {
        return;
    };
    if expressions.is_empty() {
        return;
    }
    let all = selector
        .entry("matchExpressions")
        .or_insert_with(|| json!([]));
    if let Some(all) = all.as_array_mut() {
        all.extend(expressions);
    }
}

fn update(subresource: Option<&str>, new: &mut Value, old: &Value) {
    match subresource {
        None => {}
        Some("status") => status(new, old),
        Some("ephemeralcontainers") => {
            let containers = meta::at(new, &["spec", "ephemeralContainers"]).cloned();
            keep_all(new, old);
            place(meta::spec_mut(new), "ephemeralContainers", containers);
        }
        Some("resize") => resize(new, old),
        Some(_) => {}
    }
}

/// Puts a value into a field, or takes the field away.
fn place(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(fields) = object.as_object_mut() {
        match value {
            Some(value) => fields.insert(field.to_owned(), value),
            None => fields.remove(field),
        };
    }
}

fn status(new: &mut Value, old: &Value) {
    reset_metadata(new, "ownerReferences", old);
    let before = old.get("status").cloned().unwrap_or(Value::Null);
    meta::fields_mut(new, "status");
    let status = &mut new["status"];
    if meta::text(status, &["qosClass"]).is_empty() {
        reset(status, "qosClass", &before);
    }
    keep_observed_generation(status, &before);
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for condition in elements(status, "conditions") {
        let kind = meta::text(condition, &["type"]).to_owned();
        let nth = seen.entry(kind.clone()).or_default();
        let same_type = meta::list(&before, &["conditions"])
            .iter()
            .filter(|condition| meta::text(condition, &["type"]) == kind)
            .nth(*nth);
        *nth += 1;
        if let Some(previous) = same_type {
            keep_observed_generation(condition, previous);
        }
    }
}

/// A generation that was seen once is not forgotten.
fn keep_observed_generation(new: &mut Value, old: &Value) {
    let number = new
        .get("observedGeneration")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    if number == 0 {
        reset(new, "observedGeneration", old);
    }
}

/// Spec, status and all of metadata but what every update may write stay as they are.
fn keep_all(new: &mut Value, old: &Value) {
    reset(new, "spec", old);
    reset(new, "status", old);
    let fields = [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "finalizers",
        "labels",
        "annotations",
        "ownerReferences",
        "generateName",
    ];
    for field in fields {
        reset_metadata(new, field, old);
    }
}

/// Of containers, their resources and how these are changed; of the pod, its own resources.
fn resize(new: &mut Value, old: &Value) {
    let lists = ["containers", "initContainers"];
    let length = |object: &Value, list: &str| meta::list(object, &["spec", list]).len();
    if lists
        .iter()
        .any(|list| length(new, list) != length(old, list))
    {
        return;
    }
    let mut kept = Vec::new();
    for list in lists {
        kept.push((
            list,
            resized(
                meta::list(new, &["spec", list]),
                meta::list(old, &["spec", list]),
            ),
        ));
    }
    let resources = meta::at(new, &["spec", "resources"]).cloned();
    keep_all(new, old);
    let spec = meta::spec_mut(new);
    place(spec, "resources", resources);
    for (list, containers) in kept {
        if !containers.is_empty() {
            spec[list] = Value::Array(containers);
        }
    }
}

fn resized(new: &[Value], old: &[Value]) -> Vec<Value> {
    let renamed = new
        .iter()
        .zip(old)
        .any(|(new, old)| new.get("name") != old.get("name"));
    if renamed {
        return new.to_vec();
    }
    let both = new.iter().zip(old);
    both.map(|(new, old)| {
        let mut container = old.clone();
        reset(&mut container, "resources", new);
        reset(&mut container, "resizePolicy", new);
        container
    })
    .collect()
}
