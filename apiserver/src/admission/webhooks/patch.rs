//! The patches that webhooks answer with, and the object before and after.

use objects::codec::json;
use objects::patch::{Unapplied, apply_json};
use objects::status::Status;
use objects::{Value, meta};

use super::Refused;
use crate::admission::rules::is_whole;
use crate::admission::{Operation, Review};
use crate::registry::{as_served, with_defaults};
use crate::served::Served;

/// What the server writes into a new object after it was changed by others.
const LATER: [&str; 2] = ["uid", "creationTimestamp"];

/// The object as a webhook that may change it sees it: a new one has not got everything yet.
pub(super) async fn shown(
    target: &Served,
    operation: Operation,
    object: &Value,
) -> Result<Value, Status> {
    if !is_whole(target, object) {
        return Ok(object.clone());
    }
    let mut shown = as_served(target, object.clone()).await?;
    if operation == Operation::Create {
        for field in LATER {
            meta::metadata_mut(&mut shown).remove(field);
        }
    }
    Ok(shown)
}

/// An object after a patch, read as one of its kind.
pub(super) fn apply(target: &Served, object: &Value, patch: &[u8]) -> Result<Value, Refused> {
    let operations = json::read(patch).map_err(|error| {
        Refused::Unasked(format!(
            "received undecodable patch in webhook response: {error}"
        ))
    })?;
    let patched = patched(object, operations.value).map_err(Status::internal)?;
    check_kind(object, &patched).map_err(Status::internal)?;
    if !is_whole(target, object) {
        return Ok(patched);
    }
    let read = match target.custom() {
        Some(version) => {
            let mut read = patched;
            objects::crd::check_metadata(&mut read).map_err(Status::internal)?;
            version.prune(&mut read);
            read
        }
        None => {
            json::check(&patched, target.at())
                .map_err(Status::internal)?
                .value
        }
    };
    Ok(with_defaults(target, read))
}

/// A patch leaves an object of the same kind and version.
fn check_kind(before: &Value, after: &Value) -> Result<(), String> {
    let (old_version, old_kind) = type_meta(before)?;
    let (version, kind) = type_meta(after)?;
    if (&version, &kind) == (&old_version, &old_kind) {
        return Ok(());
    }
    Err(format!(
        "unable to decode {version}, Kind={kind} into {old_version}, Kind={old_kind}"
    ))
}

fn type_meta(object: &Value) -> Result<(String, String), String> {
    json::type_meta(object.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// A patched object in the place of what it was before.
pub(super) async fn taken(
    review: &Review<'_>,
    before: &Value,
    patched: Value,
) -> Result<Value, Status> {
    if !is_whole(review.served, before) {
        return Ok(patched);
    }
    let mut after = as_served(review.served, patched).await?;
    if review.operation == Operation::Create {
        for field in LATER {
            let own = meta::at(before, &["metadata", field]).cloned();
            let metadata = meta::metadata_mut(&mut after);
            metadata.remove(field);
            metadata.extend(own.map(|own| (field.to_owned(), own)));
        }
    }
    Ok(after)
}

/// The object after operations, or why the first one that does not apply does not, as upstream's library tells it.
fn patched(object: &Value, operations: Value) -> Result<Value, String> {
    let told = operations.clone();
    apply_json(object, operations).map_err(|unapplied| match unapplied {
        Unapplied::Unread(status) => status.message,
        Unapplied::At { index, before } => fault_of(&before, &told[index]),
    })
}

fn fault_of(object: &Value, operation: &Value) -> String {
    let text = |field: &str| meta::text(operation, &[field]);
    let (op, path, from) = (text("op"), text("path"), text("from"));
    let holder = path.rsplit_once('/').map_or("", |(holder, _)| holder);
    let has_holder = object
        .pointer(holder)
        .is_some_and(|holder| holder.is_object() || holder.is_array());
    match op {
        "add" | "remove" if !has_holder => {
            format!("{op} operation does not apply: doc is missing path: {path:?}: missing value")
        }
        "replace" if !has_holder => {
            format!("replace operation does not apply: doc is missing path: {path}: missing value")
        }
        "replace" => {
            format!("replace operation does not apply: doc is missing key: {path}: missing value")
        }
        "remove" => {
            let key = path.rsplit('/').next().unwrap_or_default();
            format!(
                "error in remove for path: '{path}': Unable to remove nonexistent key: {key}: missing value"
            )
        }
        "test" => format!("testing value {path} failed: test failed"),
        "add" => format!("error in add for path: '{path}': invalid index referenced"),
        "move" | "copy" if object.pointer(from).is_none() => {
            format!(
                "{op} operation does not apply: doc is missing from path: {from}: missing value"
            )
        }
        "move" | "copy" => {
            format!(
                "{op} operation does not apply: doc is missing destination path: {path}: missing value"
            )
        }
        other => format!("Unexpected kind: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::served::Resources;

    #[test]
    fn an_operation_that_does_not_apply_is_told_as_upstreams_library_does() {
        let object = json!({"data": {"a": "b"}});
        // Captured from a kube-apiserver 1.36.3.
        let cases = [
            (
                json!({"op": "replace", "path": "/nothere/x", "value": 1}),
                "replace operation does not apply: doc is missing path: /nothere/x: missing value",
            ),
            (
                json!({"op": "frob", "path": "/data", "value": 1}),
                "Unexpected kind: frob",
            ),
        ];
        for (operation, expected) in cases {
            let first = json!({"op": "add", "path": "/data/c", "value": "d"});
            let operations =
                json!([first, operation, {"op": "add", "path": "/data/d", "value": "e"}]);
            assert_eq!(patched(&object, operations).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_patch_of_too_many_operations_is_refused_as_a_whole() {
        let operation = json!({"op": "frob", "path": "/data"});
        let operations = Value::Array(vec![operation; 10_001]);
        assert_eq!(
            patched(&json!({"data": {}}), operations).unwrap_err(),
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
        );
    }

    #[test]
    fn a_long_patch_of_a_large_object_that_fails_at_its_end_is_gone_through_once_more_and_not_for_each_operation()
     {
        let mut object = json!({"data": {}});
        for at in 0..20_000 {
            object["data"][at.to_string()] = json!("x");
        }
        let mut operations = vec![json!({"op": "add", "path": "/data/c", "value": "d"}); 9_999];
        operations.push(json!({"op": "frob", "path": "/data"}));
        let (done, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(patched(&object, Value::Array(operations))));
        let told = told.recv_timeout(std::time::Duration::from_secs(20));
        assert_eq!(told.unwrap().unwrap_err(), "Unexpected kind: frob");
    }

    #[test]
    fn a_patch_makes_no_other_kind_of_an_object() {
        let table = Resources::default().table();
        let served = table.get("", "v1", "configmaps").unwrap();
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        let patched = |path: &str, value: Value| {
            let patch = json!([{"op": "replace", "path": path, "value": value}]);
            apply(served, &object, patch.to_string().as_bytes())
        };
        for (path, value) in [
            ("", json!(3)),
            ("/kind", json!("Pod")),
            ("/apiVersion", json!(1)),
        ] {
            assert!(patched(path, value).is_err(), "{path}");
        }
        assert!(patched("/metadata/name", json!("b")).is_ok());
    }

    proptest! {
        #[test]
        fn no_operation_is_a_panic(op in "[a-z]{0,7}", path in "[/a-z0-9~]{0,12}", from in "[/a-z]{0,5}") {
            let operation = json!({"op": op, "path": path, "from": from});
            let _ = patched(&json!({"data": {"a": [1]}}), json!([operation]));
        }
    }
}
