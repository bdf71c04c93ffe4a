//! A type from the schema of a CRD, as far as the stories' CRD needs it.

use objects::Value;
use objects::meta::text;
use objects::schema::{Field, List, ListKind, Node, NodeId, Object, Schema, Shape};

/// Adds the type that an `openAPIV3Schema` describes.
pub(crate) fn build(schema: &mut Schema, source: &Value) -> NodeId {
    let atomic = text(source, &["x-kubernetes-map-type"]) == "atomic";
    let shape = match text(source, &["type"]) {
        "string" => Shape::String,
        "integer" => Shape::Integer { bits: 64 },
        "number" => Shape::Number,
        "boolean" => Shape::Boolean,
        "array" => list(schema, source),
        "object" => match source.get("additionalProperties") {
            Some(values) => Shape::Map {
                values: build(schema, values),
                atomic,
            },
            None => object(schema, source, atomic),
        },
        _ if source.get("x-kubernetes-int-or-string").is_some() => Shape::IntOrString,
        _ => Shape::Any,
    };
    schema.add(Node {
        shape,
        ..Node::default()
    })
}

fn object(schema: &mut Schema, source: &Value, atomic: bool) -> Shape {
    let mut object = Object {
        atomic,
        embedded: source.get("x-kubernetes-embedded-resource").is_some(),
        preserve_unknown: source.get("x-kubernetes-preserve-unknown-fields").is_some(),
        ..Object::default()
    };
    let properties = source.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let field = Field {
            node: build(schema, property),
            default: property.get("default").cloned(),
            ..Field::default()
        };
        object.fields.insert(name.as_str().into(), field);
    }
    Shape::Object(object)
}

fn list(schema: &mut Schema, source: &Value) -> Shape {
    let keys = source
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array);
    Shape::List(List {
        items: build(schema, &source["items"]),
        kind: match text(source, &["x-kubernetes-list-type"]) {
            "set" => ListKind::Set,
            "map" => ListKind::Map,
            _ => ListKind::Atomic,
        },
        keys: keys
            .into_iter()
            .flatten()
            .filter_map(|key| Some(key.as_str()?.into()))
            .collect(),
    })
}
