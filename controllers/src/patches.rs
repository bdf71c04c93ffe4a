//! Merge patches that change what a decision changed, and leave alone what typed objects do not know.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A merge patch from one tree to the other; none if they are the same. Lists are replaced as a whole.
pub(crate) fn between(old: &impl Serialize, new: &impl Serialize) -> Option<Value> {
    let old = serde_json::to_value(old).unwrap_or_default();
    let new = serde_json::to_value(new).unwrap_or_default();
    difference(&old, &new)
}

fn difference(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let mut patch: Map<String, Value> = gone.map(|name| (name.clone(), Value::Null)).collect();
    for (name, new) in new {
        let change = match old.get(name) {
            Some(old) => difference(old, new),
            None => Some(new.clone()),
        };
        if let Some(change) = change {
            patch.insert(name.clone(), change);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// A patch of the status alone; none if it stays. It fails if the object has changed since it was seen.
pub(crate) fn status(
    seen: &ObjectMeta,
    old: &impl Serialize,
    new: &impl Serialize,
) -> Option<Value> {
    let status = between(old, new)?;
    Some(when_unchanged(seen, json!({"status": status})))
}

/// The patch, which fails if the object has changed since it was seen, or is another of the same name.
pub(crate) fn when_unchanged(seen: &ObjectMeta, mut patch: Value) -> Value {
    if let Some(version) = &seen.resource_version {
        patch["metadata"]["resourceVersion"] = json!(version);
    }
    if let Some(uid) = &seen.uid {
        patch["metadata"]["uid"] = json!(uid);
    }
    patch
}

/// A count of a status, in which zero is left out.
pub(crate) fn count(number: i32) -> Option<i32> {
    (number != 0).then_some(number)
}

/// A time as objects hold it, in whole seconds.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_only_what_changed() {
        let old = json!({"a": 1, "b": {"c": 1, "d": 2}, "list": [1], "same": {"x": []}, "gone": 1});
        let new = json!({"a": 2, "b": {"c": 1, "d": 3, "e": 4}, "list": [1, 2], "same": {"x": []}});
        let patch = between(&old, &new).unwrap();
        let expected = json!({"a": 2, "b": {"d": 3, "e": 4}, "list": [1, 2], "gone": null});
        assert_eq!(patch, expected);
        assert_eq!(between(&new, &new), None);
    }

    #[test]
    fn a_status_patch_holds_for_what_was_seen() {
        let seen = ObjectMeta {
            resource_version: Some("7".into()),
            uid: Some("u".into()),
            ..ObjectMeta::default()
        };
        let patch = status(&seen, &json!({"a": 1}), &json!({"b": 1})).unwrap();
        let expected = json!({
            "metadata": {"resourceVersion": "7", "uid": "u"}, "status": {"a": null, "b": 1},
        });
        assert_eq!(patch, expected);
        assert_eq!(status(&seen, &json!({"a": 1}), &json!({"a": 1})), None);
    }

    #[test]
    fn times_are_whole_seconds() {
        let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(json!(time(at)), "2026-01-02T03:04:05Z");
    }
}
