//! What a converted object may differ in: everything but its identity; of its metadata, labels and annotations alone.

use objects::invalid::{Faults, aggregate};
use objects::path::Path;
use objects::validate::metadata;
use objects::{Map, Value, meta};

/// A converted object with the metadata that it had before, or what is wrong with it.
pub(super) fn check(
    at: usize,
    before: &Value,
    mut after: Value,
    api_version: &str,
) -> Result<Value, String> {
    let differs = |what: &str, expected: &str, received: &str| {
        format!(
            "returned invalid object at index {at}: invalid {what} (expected {expected}, received {received})"
        )
    };
    let said = |object: &Value, field: &str| meta::text(object, &[field]).to_owned();
    let (version, kind) = (said(&after, "apiVersion"), said(&after, "kind"));
    if version != api_version {
        return Err(differs("groupVersion", api_version, &version));
    }
    if kind != said(before, "kind") {
        return Err(differs("kind", &said(before, "kind"), &kind));
    }
    for (what, field) in [("name", "name"), ("namespace", "namespace"), ("UID", "uid")] {
        let (old, new) = (
            meta::text(before, &["metadata", field]),
            meta::text(&after, &["metadata", field]),
        );
        if old != new {
            return Err(format!(
                "returned invalid object: must have the same {what}: {old} != {new}"
            ));
        }
    }
    let restored =
        restore(before, &after).map_err(|why| format!("returned invalid metadata: {why}"))?;
    after["metadata"] = restored;
    Ok(after)
}

/// The metadata from before with the labels and annotations of after.
fn restore(before: &Value, after: &Value) -> Result<Value, String> {
    let own = before["metadata"].as_object().cloned().unwrap_or_default();
    let mut restored = own.clone();
    for (field, checked) in [
        (
            "labels",
            metadata::labels as fn(Option<&Map>, &Path, &mut Faults),
        ),
        ("annotations", metadata::annotations),
    ] {
        let said = match &after["metadata"][field] {
            Value::Null => {
                restored.remove(field);
                continue;
            }
            Value::Object(said) => said,
            _ => return Err(format!("invalid metadata.{field} in converted object")),
        };
        if let Some((key, _)) = said.iter().find(|(_, value)| !value.is_string()) {
            return Err(format!(
                "metadata.{field}[{key}] must be a string in converted object"
            ));
        }
        if own.get(field).and_then(Value::as_object) != Some(said) {
            let mut faults = Faults::new();
            checked(Some(said), &Path::new("metadata").child(field), &mut faults);
            if !faults.is_empty() {
                let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
                return Err(aggregate(&texts));
            }
        }
        restored.insert(field.to_owned(), Value::Object(said.clone()));
    }
    Ok(Value::Object(restored))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn before() -> Value {
        json!({
            "apiVersion": "x.test/v1", "kind": "Thing",
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": {"l": "1"}},
        })
    }

    fn told(field: &str, value: &Value) -> Result<Value, String> {
        let mut after = before();
        after["apiVersion"] = json!("x.test/v2");
        match field.strip_prefix("metadata.") {
            Some(field) => after["metadata"][field] = value.clone(),
            None => after[field] = value.clone(),
        }
        check(0, &before(), after, "x.test/v2")
    }

    #[test]
    fn a_converted_object_is_the_same_one() {
        // Captured from a kube-apiserver 1.36.3.
        let cases = [
            (
                "apiVersion",
                json!("x/v9"),
                "returned invalid object at index 0: invalid groupVersion (expected x.test/v2, received x/v9)",
            ),
            (
                "kind",
                json!("Other"),
                "returned invalid object at index 0: invalid kind (expected Thing, received Other)",
            ),
            (
                "metadata.name",
                json!("other"),
                "returned invalid object: must have the same name: a != other",
            ),
            (
                "metadata.uid",
                json!("other"),
                "returned invalid object: must have the same UID: u != other",
            ),
            (
                "metadata",
                json!(null),
                "returned invalid object: must have the same name: a != ",
            ),
            (
                "metadata.labels",
                json!({"bad label!": "1"}),
                "returned invalid metadata: metadata.labels: Invalid value: \"bad label!\": \
             name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
             (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
        ];
        for (field, value, expected) in cases {
            assert_eq!(told(field, &value).unwrap_err(), expected);
        }
    }

    #[test]
    fn of_the_metadata_labels_and_annotations_alone_are_converted() {
        let labels = json!({"m": "2"});
        let after = told("metadata.labels", &labels).unwrap();
        assert_eq!(after["metadata"]["labels"], labels);
        assert_eq!(after["metadata"]["resourceVersion"], "7");
        let after = told("metadata.finalizers", &json!(["a.b/c"])).unwrap();
        assert!(after["metadata"].get("finalizers").is_none());
        let after = told("metadata.labels", &json!(null)).unwrap();
        assert!(after["metadata"].get("labels").is_none());
    }

    proptest! {
        #[test]
        fn no_converted_object_is_a_panic(text in "[{}\\[\\]\":,a-z0-9]{0,60}", field in "(metadata|metadata.labels|metadata.annotations|spec)") {
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            let _ = told(&field, &value);
        }
    }
}
