//! Reads an `openAPIV3Schema` into the nodes that every walk over objects understands.

use crate::{
    Value,
    catalog::Catalog,
    schema::{At, Constraints, Field, List, ListKind, Node, NodeId, Object, Schema, Shape},
};

/// How deep a schema is read. What lies deeper may be anything.
pub(super) const DEPTH_MAX: usize = 64;

/// The type of `metadata` of every object.
const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Adds the places of a schema, and gives the outermost one.
pub(super) fn add(schema: &mut Schema, text: &Value, depth: usize) -> NodeId {
    if depth > DEPTH_MAX || !text.is_object() {
        return NodeId::default();
    }
    let shape = shape(schema, text, depth);
    schema.add(Node {
        shape,
        nullable: flag(text, "nullable"),
        constraints: Some(Box::new(constraints(text))),
    })
}

/// Adds the type of whole objects to a schema: what the definition declares, and what every object has.
pub(super) fn add_whole(schema: &mut Schema, declared: NodeId) -> NodeId {
    let mut whole = Object::default();
    let constraints = schema.node(declared).constraints.clone();
    match schema.node(declared).shape {
        Shape::Object(ref object) => {
            whole.fields.clone_from(&object.fields);
            whole.others = object.others;
            whole.preserve_unknown = object.preserve_unknown;
        }
        _ => whole.preserve_unknown = true,
    }
    let text = schema.add(Node {
        shape: Shape::String,
        ..Node::default()
    });
    let builtin = &Catalog::builtin().schema;
    let metadata = builtin
        .named(METADATA)
        .map_or_else(NodeId::default, |id| copy(schema, builtin.at(id), 0));
    for (name, node) in [("apiVersion", text), ("kind", text), ("metadata", metadata)] {
        let field = Field {
            node,
            ..Field::default()
        };
        whole.fields.insert(name.into(), field);
    }
    schema.add(Node {
        shape: Shape::Object(whole),
        constraints,
        ..Node::default()
    })
}

/// Copies a type without constraints into another schema.
fn copy(schema: &mut Schema, at: At<'_>, depth: usize) -> NodeId {
    if depth > DEPTH_MAX {
        return NodeId::default();
    }
    let shape = match at.shape() {
        Shape::Object(object) => {
            let fields = object.fields.iter().map(|(name, field)| {
                let place = At {
                    schema: at.schema,
                    id: field.node,
                };
                let mut field = field.clone();
                field.node = copy(schema, place, depth + 1);
                (name.clone(), field)
            });
            Shape::Object(Object {
                fields: fields.collect(),
                atomic: object.atomic,
                preserve_unknown: object.preserve_unknown,
                ..Object::default()
            })
        }
        Shape::Map { values, atomic } => {
            let place = At {
                schema: at.schema,
                id: *values,
            };
            Shape::Map {
                values: copy(schema, place, depth + 1),
                atomic: *atomic,
            }
        }
        Shape::List(list) => {
            let place = At {
                schema: at.schema,
                id: list.items,
            };
            Shape::List(List {
                items: copy(schema, place, depth + 1),
                kind: list.kind,
                keys: list.keys.clone(),
            })
        }
        Shape::Time => Shape::Time,
        Shape::Integer { bits } => Shape::Integer { bits: *bits },
        Shape::Boolean => Shape::Boolean,
        Shape::String => Shape::String,
        _ => Shape::Any,
    };
    schema.add(Node {
        shape,
        ..Node::default()
    })
}

fn shape(schema: &mut Schema, text: &Value, depth: usize) -> Shape {
    if flag(text, "x-kubernetes-int-or-string") {
        return Shape::IntOrString;
    }
    match word(text, "type") {
        "object" => object(schema, text, depth),
        "array" => Shape::List(List {
            items: text
                .get("items")
                .map_or_else(NodeId::default, |items| add(schema, items, depth + 1)),
            kind: match word(text, "x-kubernetes-list-type") {
                "set" => ListKind::Set,
                "map" => ListKind::Map,
                _ => ListKind::Atomic,
            },
            keys: words(text, "x-kubernetes-list-map-keys").into(),
        }),
        "string" => Shape::String,
        "integer" => Shape::Integer { bits: 64 },
        "number" => Shape::Number,
        "boolean" => Shape::Boolean,
        _ => Shape::Any,
    }
}

fn object(schema: &mut Schema, text: &Value, depth: usize) -> Shape {
    let atomic = word(text, "x-kubernetes-map-type") == "atomic";
    let properties = text.get("properties").and_then(Value::as_object);
    let others = match text.get("additionalProperties") {
        Some(Value::Bool(true)) => Some(NodeId::default()),
        Some(values @ Value::Object(_)) => Some(add(schema, values, depth + 1)),
        _ => None,
    };
    if let (Some(values), None) = (others, properties) {
        return Shape::Map { values, atomic };
    }
    let required = words(text, "required");
    let fields = properties.into_iter().flatten().map(|(name, inner)| {
        let field = Field {
            node: add(schema, inner, depth + 1),
            required: required.iter().any(|required| **required == **name),
            default: inner
                .get("default")
                .filter(|value| !value.is_null())
                .cloned(),
            ..Field::default()
        };
        (name.as_str().into(), field)
    });
    Shape::Object(Object {
        fields: fields.collect(),
        others,
        preserve_unknown: flag(text, "x-kubernetes-preserve-unknown-fields"),
        embedded: flag(text, "x-kubernetes-embedded-resource"),
        atomic,
    })
}

fn constraints(text: &Value) -> Constraints {
    let count = |name: &str| text.get(name).and_then(Value::as_u64);
    let number = |name: &str| text.get(name).and_then(Value::as_number).cloned();
    let optional = |name: &str| text.get(name).and_then(Value::as_str).map(Box::from);
    let list = |name: &str| {
        text.get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    Constraints {
        title: optional("title"),
        description: optional("description"),
        format: optional("format"),
        pattern: optional("pattern"),
        choices: list("enum"),
        minimum: number("minimum"),
        maximum: number("maximum"),
        exclusive_minimum: flag(text, "exclusiveMinimum"),
        exclusive_maximum: flag(text, "exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        length_min: count("minLength"),
        length_max: count("maxLength"),
        items_min: count("minItems"),
        items_max: count("maxItems"),
        unique_items: flag(text, "uniqueItems"),
        properties_min: count("minProperties"),
        properties_max: count("maxProperties"),
        required: words(text, "required"),
        all_of: list("allOf"),
        any_of: list("anyOf"),
        one_of: list("oneOf"),
        not: text.get("not").filter(|not| not.is_object()).cloned(),
        rules: list("x-kubernetes-validations"),
    }
}

pub(super) fn flag(text: &Value, name: &str) -> bool {
    text.get(name).and_then(Value::as_bool).unwrap_or(false)
}

pub(super) fn word<'a>(text: &'a Value, name: &str) -> &'a str {
    text.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn words(text: &Value, name: &str) -> Vec<Box<str>> {
    let list = text.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(Box::from)
        .collect()
}
