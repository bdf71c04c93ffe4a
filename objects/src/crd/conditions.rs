//! The conditions of a definition, and what its deletion waits for.

use serde_json::json;

use crate::{Map, Value, meta};

/// What keeps a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Whether the kind of a definition is served.
#[must_use]
pub fn is_established(definition: &Value) -> bool {
    status_of(definition, "Established") == Some("True")
}

/// Whether a definition is going, so that no more objects of it are made.
#[must_use]
pub fn is_terminating(definition: &Value) -> bool {
    status_of(definition, "Terminating") == Some("True")
}

/// What a condition of a definition says.
#[must_use]
pub(super) fn status_of<'a>(definition: &'a Value, kind: &str) -> Option<&'a str> {
    meta::list(definition, &["status", "conditions"])
        .iter()
        .find(|condition| meta::text(condition, &["type"]) == kind)
        .map(|condition| meta::text(condition, &["status"]))
}

/// Sets a condition: kind, status, reason and message. Tells whether anything changed.
pub fn condition(
    definition: &mut Value,
    [kind, status, reason, message]: [&str; 4],
    now: &str,
) -> bool {
    let fields = meta::fields_mut(definition, "status");
    let list = fields.entry("conditions").or_insert(Value::Null);
    if !list.is_array() {
        *list = json!([]);
    }
    let list = list.as_array_mut().expect("it was made a list");
    let made = |since: Value| {
        let mut made = Map::new();
        made.insert("lastTransitionTime".to_owned(), since);
        for (field, text) in [
            ("message", message),
            ("reason", reason),
            ("status", status),
            ("type", kind),
        ] {
            made.insert(field.to_owned(), text.into());
        }
        Value::Object(made)
    };
    let Some(present) = list
        .iter_mut()
        .find(|present| meta::text(present, &["type"]) == kind)
    else {
        list.push(made(now.into()));
        return true;
    };
    let same = [("status", status), ("reason", reason), ("message", message)]
        .iter()
        .all(|(field, text)| meta::text(present, &[field]) == *text);
    if same {
        return false;
    }
    let since = if meta::text(present, &["status"]) == status {
        present["lastTransitionTime"].clone()
    } else {
        now.into()
    };
    *present = made(since);
    true
}

/// Marks a definition whose deletion is asked for: it stays until its objects are gone.
pub fn begin_deletion(definition: &mut Value, now: &str) {
    let finalizers = meta::metadata_mut(definition)
        .entry("finalizers")
        .or_insert_with(|| json!([]));
    if let Some(list) = finalizers.as_array_mut()
        && !list.iter().any(|name| name == FINALIZER)
    {
        list.push(FINALIZER.into());
    }
    let told = [
        "Terminating",
        "True",
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    ];
    condition(definition, told, now);
}

/// Lets a definition go whose objects are gone.
pub fn finished_deletion(definition: &mut Value, now: &str) {
    let told = [
        "Terminating",
        "False",
        "InstanceDeletionCompleted",
        "removed all instances",
    ];
    condition(definition, told, now);
    if let Some(list) = meta::metadata_mut(definition)
        .get_mut("finalizers")
        .and_then(Value::as_array_mut)
    {
        list.retain(|name| name != FINALIZER);
    }
}
