//! What makes an `openAPIV3Schema` structural: every value has a type that stands outside of `allOf`, `anyOf`, `oneOf` and `not`.

use serde_json::json;

use super::read::{DEPTH_MAX, flag, word};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    path::Path,
};

/// What a schema is the schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The types that a schema may name.
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Parts of a schema that may not stand below a junction, and what is said of each.
const FORBIDDEN: [(&str, &str); 11] = [
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-embedded-resource",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-int-or-string",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-list-map-keys",
        "must be empty to be structural",
    ),
    (
        "x-kubernetes-list-type",
        "must be undefined to be structural",
    ),
];

/// The faults of a schema, by their texts in order.
pub(super) fn check(schema: &Value, path: &Path) -> Faults {
    let mut faults = Faults::new();
    place(schema, Level::Root, path, 0, &mut faults);
    faults.sort_by_cached_key(Invalid::to_string);
    faults
}

fn place(schema: &Value, level: Level, path: &Path, depth: usize, faults: &mut Faults) {
    if depth > DEPTH_MAX || !schema.is_object() {
        return;
    }
    let kind = word(schema, "type");
    let items = schema.get("items").filter(|items| items.is_object());
    match items {
        Some(items) => place(items, Level::Item, &path.child("items"), depth + 1, faults),
        None if kind == "array" => {
            faults.push(Invalid::required(&path.child("items"), "must be specified"));
        }
        None => {}
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        let at = path.child("properties").key(name);
        place(inner, Level::Field, &at, depth + 1, faults);
    }
    if let Some(values) = schema
        .get("additionalProperties")
        .filter(|values| !values.is_null())
    {
        let at = path.child("additionalProperties");
        if level == Level::Root {
            faults.push(Invalid::forbidden(&at, "must not be used at the root"));
        }
        if properties.is_some_and(|properties| !properties.is_empty()) && values != &json!(false) {
            let detail = "additionalProperties and properties are mutual exclusive";
            faults.push(Invalid::forbidden(&at, detail));
        }
        place(values, Level::Field, &at, depth + 1, faults);
    }
    types(schema, level, path, faults);
    extensions(schema, path, faults);
    junctions(schema, schema, path, depth, faults);
}

fn types(schema: &Value, level: Level, path: &Path, faults: &mut Faults) {
    let at = path.child("type");
    let kind = word(schema, "type");
    let untyped = flag(schema, "x-kubernetes-int-or-string")
        || flag(schema, "x-kubernetes-preserve-unknown-fields");
    if flag(schema, "x-kubernetes-embedded-resource") && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        faults.push(if kind.is_empty() {
            Invalid::required(&at, detail)
        } else {
            Invalid::value(&at, kind, detail)
        });
    } else if kind.is_empty() && !untyped {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        faults.push(Invalid::required(&at, detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        faults.push(Invalid::value(&at, kind, "must be object at the root"));
    }
    if !kind.is_empty() && !TYPES.contains(&kind) {
        faults.push(Invalid::not_supported(&at, kind, &TYPES));
    }
    metadata(schema, level, path, faults);
}

/// What a whole object has anyway may only be narrowed.
fn metadata(schema: &Value, level: Level, path: &Path, faults: &mut Faults) {
    let is_whole = level == Level::Root || flag(schema, "x-kubernetes-embedded-resource");
    let Some(properties) = schema.get("properties").filter(|_| is_whole) else {
        return;
    };
    for (name, wanted, detail) in [
        ("kind", "string", "must be string"),
        ("apiVersion", "string", "must be string"),
        ("metadata", "object", "must be object"),
    ] {
        let Some(inner) = properties.get(name) else {
            continue;
        };
        let at = path.child("properties").key(name);
        let kind = word(inner, "type");
        if kind != wanted {
            faults.push(Invalid::value(&at.child("type"), kind, detail));
        }
        let inner = inner.get("properties").and_then(Value::as_object);
        let is_other = |name: &String| !matches!(name.as_str(), "name" | "generateName");
        let says_more = inner.is_some_and(|inner| inner.keys().any(is_other));
        if name == "metadata" && level == Level::Root && says_more {
            let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            faults.push(Invalid::forbidden(&at, detail));
        }
    }
}

fn extensions(schema: &Value, path: &Path, faults: &mut Faults) {
    if flag(schema, "x-kubernetes-int-or-string") {
        for name in [
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-embedded-resource",
        ] {
            if flag(schema, name) {
                let detail = "must be false if x-kubernetes-int-or-string is true";
                faults.push(Invalid::value(&path.child(name), true, detail));
            }
        }
    }
    let has_properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|properties| !properties.is_empty());
    if flag(schema, "x-kubernetes-embedded-resource")
        && !flag(schema, "x-kubernetes-preserve-unknown-fields")
        && !has_properties
    {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        faults.push(Invalid::required(&path.child("properties"), detail));
    }
    let keys = schema
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array);
    let at = path.child("x-kubernetes-list-map-keys");
    let is_map = word(schema, "x-kubernetes-list-type") == "map";
    if is_map && keys.is_none_or(Vec::is_empty) {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        faults.push(Invalid::required(&at, detail));
    }
    for (index, key) in keys.into_iter().flatten().enumerate() {
        let key = key.as_str().unwrap_or_default();
        let known = schema
            .get("items")
            .and_then(|items| items.get("properties")?.get(key));
        if is_map && known.is_none() {
            let detail = "entries must all be names of item properties";
            faults.push(Invalid::value(&at.index(index), key, detail));
        }
    }
}

/// The alternatives that a text or number may have.
fn text_or_number() -> Value {
    json!([{"type": "integer"}, {"type": "string"}])
}

/// Looks below `allOf`, `anyOf`, `oneOf` and `not` of a schema, whose counterpart outside of them is given.
fn junctions(schema: &Value, outer: &Value, path: &Path, depth: usize, faults: &mut Faults) {
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && let Err(why) = regex::Regex::new(pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        faults.push(Invalid::value(&path.child("pattern"), pattern, detail));
    }
    for name in ["anyOf", "allOf", "oneOf"] {
        let list = schema.get(name).filter(|list| {
            // The two types of a text or number may be told apart so.
            name != "anyOf" || **list != text_or_number()
        });
        let list = list.and_then(Value::as_array);
        for (index, inner) in list.into_iter().flatten().enumerate() {
            let at = path.child(name).index(index);
            nested(inner, outer, &at, depth + 1, faults);
        }
    }
    if let Some(inner) = schema.get("not") {
        nested(inner, outer, &path.child("not"), depth + 1, faults);
    }
}

fn nested(schema: &Value, outer: &Value, path: &Path, depth: usize, faults: &mut Faults) {
    if depth > DEPTH_MAX || !schema.is_object() {
        return;
    }
    junctions(schema, outer, path, depth, faults);
    for (name, detail) in FORBIDDEN {
        let is_empty =
            |value: &Value| value.is_null() || value == false || value == "" || value == &json!([]);
        if schema.get(name).is_some_and(|value| !is_empty(value)) {
            faults.push(Invalid::forbidden(&path.child(name), detail));
        }
    }
    if let Some(items) = schema.get("items") {
        let at = path.child("items");
        let counterpart = outer.get("items").unwrap_or(&Value::Null);
        nested(items, counterpart, &at, depth + 1, faults);
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        let at = path.child("properties").key(name);
        let counterpart = outer.get("properties").and_then(|outer| outer.get(name));
        if name == "metadata" {
            let detail = "must not be specified in a nested context";
            faults.push(Invalid::forbidden(&at, detail));
        }
        let counterpart = counterpart.unwrap_or(&Value::Null);
        nested(inner, counterpart, &at, depth + 1, faults);
    }
}
