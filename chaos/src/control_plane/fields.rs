//! What is looked up in objects again and again.

use serde_json::Value;

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A number; 0 if there is none, as in a status.
pub(super) fn number(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(super) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// The controlling owner.
pub(super) fn owner(object: &Value) -> Option<&Value> {
    let owners = list(object, "/metadata/ownerReferences").iter();
    let mut owners = owners.filter(|owner| owner["controller"] == true);
    owners.next()
}

pub(super) fn owner_uid(object: &Value) -> &str {
    owner(object).map_or("", |owner| text(owner, "/uid"))
}

pub(super) fn owner_kind(object: &Value) -> &str {
    owner(object).map_or("", |owner| text(owner, "/kind"))
}

pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["annotations"][name]
        .as_str()
        .unwrap_or_default()
}

pub(super) fn is_terminating(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// Whether a condition of a status is true.
pub(super) fn is_true(object: &Value, condition: &str) -> bool {
    list(object, "/status/conditions")
        .iter()
        .any(|one| one["type"] == condition && one["status"] == "True")
}

/// A pod whose containers are over for good.
pub(super) fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// A pod that its controller counts: neither over nor to be deleted.
pub(super) fn is_active(pod: &Value) -> bool {
    !has_ended(pod) && !is_terminating(pod)
}

pub(super) fn is_ready(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Running" && is_true(pod, "Ready") && !is_terminating(pod)
}

/// The number at the end of the name of a StatefulSet's pod.
pub(super) fn ordinal(name: &str) -> Option<u64> {
    name.rsplit('-').next()?.parse().ok()
}
