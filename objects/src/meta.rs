//! Reading and writing `metadata`, which every object has.

use crate::{Map, Value};

/// The text at a path of fields; empty where there is none, as Go's zero value.
#[must_use]
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The value at a path of fields.
#[must_use]
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, field| value.get(field))
}

/// The elements of the list at a path of fields; none where there is no list.
#[must_use]
pub fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The fields of the object at a path.
#[must_use]
pub fn map<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Map> {
    at(value, path).and_then(Value::as_object)
}

/// The fields of `metadata`, which is made where it is missing or is none.
pub fn metadata_mut(object: &mut Value) -> &mut Map {
    fields_mut(object, "metadata")
}

/// The fields of the object in a field, which is made where it is missing or is none.
pub fn fields_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Map {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let fields = object.as_object_mut().expect("it was made an object");
    let inner = fields
        .entry(field)
        .or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    inner.as_object_mut().expect("it was made an object")
}

/// The value of `spec`, which is made an object where it is missing or is none.
pub fn spec_mut(object: &mut Value) -> &mut Value {
    fields_mut(object, "spec");
    object.get_mut("spec").expect("it was just made")
}

#[must_use]
pub fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"])
}

#[must_use]
pub fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"])
}

#[must_use]
pub fn uid(object: &Value) -> &str {
    text(object, &["metadata", "uid"])
}

#[must_use]
pub fn resource_version(object: &Value) -> &str {
    text(object, &["metadata", "resourceVersion"])
}

#[must_use]
pub fn labels(object: &Value) -> Option<&Map> {
    map(object, &["metadata", "labels"])
}

/// A label's value.
#[must_use]
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    labels(object)?.get(key)?.as_str()
}

/// An annotation's value.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    map(object, &["metadata", "annotations"])?
        .get(key)?
        .as_str()
}

/// Whether deletion of the object has begun.
#[must_use]
pub fn is_deleting(object: &Value) -> bool {
    !text(object, &["metadata", "deletionTimestamp"]).is_empty()
}
