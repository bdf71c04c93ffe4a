//! Schemas of custom resources: what their CRD says, as it says it.

use serde_json::json;

use super::{
    Served,
    components::{ANY_KIND, Components, list_schema, reference},
};
use crate::{
    Map, Value,
    catalog::Resource,
    schema::{At, Constraints, Object, Shape},
};

/// The deepest a CRD's schema is followed; what is deeper may be anything.
const DEPTH_MAX: usize = 64;

/// The name of a custom resource's type: `com.example.v1.Foo`.
pub(super) fn type_name(resource: &Resource, kind: &str) -> String {
    let mut words: Vec<&str> = resource.group.split('.').rev().collect();
    words.extend([resource.version.as_str(), kind]);
    words.join(".")
}

/// The type of a custom resource's objects.
pub(super) fn object(components: &mut Components<'_>, served: Served<'_>) -> Value {
    let mut schema = value(served.schema.at(served.resource.node), 0);
    schema["type"] = json!("object");
    let common = common_fields(components, "ObjectMeta");
    match schema.get_mut("properties").and_then(Value::as_object_mut) {
        Some(properties) => properties.extend(common),
        None => schema["properties"] = Value::Object(common),
    }
    schema
}

/// The type of a list of them.
pub(super) fn list(components: &mut Components<'_>, resource: &Resource, name: &str) -> Value {
    let mut properties = common_fields(components, "ListMeta");
    let items = json!({ "description": format!("List of {}.", resource.plural), "type": "array", "items": reference(name) });
    properties.insert("items".to_owned(), items);
    json!({
        "description": format!("{0}List is a list of {0}", resource.kind),
        "type": "object",
        "required": ["items"],
        "properties": properties,
    })
}

fn common_fields(components: &mut Components<'_>, metadata: &str) -> Map {
    let metadata = json!({ "allOf": [components.meta(metadata)] });
    let mut fields = Map::new();
    for (name, mut schema) in [
        ("apiVersion", json!({ "type": "string" })),
        ("kind", json!({ "type": "string" })),
        ("metadata", metadata),
    ] {
        if let Some(text) = components.description(ANY_KIND, name) {
            schema["description"] = json!(text);
        }
        fields.insert(name.to_owned(), schema);
    }
    fields
}

fn value(at: At<'_>, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return json!({});
    }
    let below = |id| value(at.schema.at(id), depth + 1);
    let mut schema = match at.shape() {
        Shape::Object(object) => object_schema(object, &below),
        Shape::Map { values, atomic } => {
            let mut map = json!({ "type": "object", "additionalProperties": below(*values) });
            if *atomic {
                map["x-kubernetes-map-type"] = json!("atomic");
            }
            map
        }
        Shape::List(list) => list_schema(list, below(list.items)),
        Shape::WrappedList { items } => json!({ "type": "array", "items": below(*items) }),
        Shape::Any | Shape::Json => json!({ "x-kubernetes-preserve-unknown-fields": true }),
        Shape::Integer { .. } => json!({ "type": "integer" }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::IntOrString => json!({
            "anyOf": [{ "type": "integer" }, { "type": "string" }], "x-kubernetes-int-or-string": true,
        }),
        Shape::RawExtension => json!({ "type": "object" }),
        Shape::String
        | Shape::Bytes
        | Shape::Time
        | Shape::MicroTime
        | Shape::Duration
        | Shape::Quantity => json!({ "type": "string" }),
    };
    if at.node().nullable {
        schema["nullable"] = json!(true);
    }
    if let (Some(constraints), Value::Object(fields)) = (&at.node().constraints, &mut schema) {
        constrain(fields, constraints);
    }
    schema
}

fn object_schema(object: &Object, below: &dyn Fn(crate::schema::NodeId) -> Value) -> Value {
    let mut schema = json!({ "type": "object" });
    let properties: Map = object
        .fields
        .iter()
        .map(|(name, field)| {
            let mut property = below(field.node);
            if let Some(default) = &field.default {
                property["default"] = default.clone();
            }
            (name.to_string(), property)
        })
        .collect();
    if !properties.is_empty() {
        schema["properties"] = Value::Object(properties);
    }
    if let Some(others) = object.others {
        schema["additionalProperties"] = below(others);
    }
    for (key, holds) in [
        (
            "x-kubernetes-preserve-unknown-fields",
            object.preserve_unknown,
        ),
        ("x-kubernetes-embedded-resource", object.embedded),
    ] {
        if holds {
            schema[key] = json!(true);
        }
    }
    if object.atomic {
        schema["x-kubernetes-map-type"] = json!("atomic");
    }
    schema
}

fn constrain(schema: &mut Map, constraints: &Constraints) {
    let list = |values: &[Value]| (!values.is_empty()).then(|| json!(values));
    let flag = |holds: bool| holds.then_some(json!(true));
    let required = &constraints.required;
    for (key, value) in [
        ("title", constraints.title.as_ref().map(|text| json!(text))),
        (
            "description",
            constraints.description.as_ref().map(|text| json!(text)),
        ),
        (
            "format",
            constraints.format.as_ref().map(|text| json!(text)),
        ),
        (
            "pattern",
            constraints.pattern.as_ref().map(|text| json!(text)),
        ),
        ("enum", list(&constraints.choices)),
        (
            "minimum",
            constraints.minimum.as_ref().map(|bound| json!(bound)),
        ),
        (
            "maximum",
            constraints.maximum.as_ref().map(|bound| json!(bound)),
        ),
        ("exclusiveMinimum", flag(constraints.exclusive_minimum)),
        ("exclusiveMaximum", flag(constraints.exclusive_maximum)),
        (
            "multipleOf",
            constraints.multiple_of.as_ref().map(|bound| json!(bound)),
        ),
        (
            "minLength",
            constraints.length_min.map(|bound| json!(bound)),
        ),
        (
            "maxLength",
            constraints.length_max.map(|bound| json!(bound)),
        ),
        ("minItems", constraints.items_min.map(|bound| json!(bound))),
        ("maxItems", constraints.items_max.map(|bound| json!(bound))),
        ("uniqueItems", flag(constraints.unique_items)),
        (
            "minProperties",
            constraints.properties_min.map(|bound| json!(bound)),
        ),
        (
            "maxProperties",
            constraints.properties_max.map(|bound| json!(bound)),
        ),
        ("required", (!required.is_empty()).then(|| json!(required))),
        ("allOf", list(&constraints.all_of)),
        ("anyOf", list(&constraints.any_of)),
        ("oneOf", list(&constraints.one_of)),
        ("not", constraints.not.clone()),
        ("x-kubernetes-validations", list(&constraints.rules)),
    ] {
        if let Some(value) = value {
            schema.insert(key.to_owned(), value);
        }
    }
}
