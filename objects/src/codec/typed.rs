//! What an object of a built-in kind looks like once Go's structs have held it: the form that upstream answers and stores.

use crate::schema::{Field, Object, Omit, Schema, Shape};
use crate::{Map, Value};

/// Gives an object the fields that Go always writes and takes those that it leaves out. What is inside of its fields has been
/// given its form before.
pub(super) fn finish(schema: &Schema, object: &Object, fields: &mut Map) {
    for (name, field) in &object.fields {
        let shape = &schema.node(field.node).shape;
        match fields.get(&**name) {
            None | Some(Value::Null) => match of_absent(schema, field) {
                Some(value) => {
                    fields.insert(name.to_string(), value);
                }
                None => {
                    fields.remove(&**name);
                }
            },
            Some(value) if !field.go.pointer && is_empty(shape, value) => match field.go.omit {
                Omit::Never if is_collection(shape) => {
                    fields.insert(name.to_string(), Value::Null);
                }
                Omit::Never => {}
                Omit::Empty | Omit::Zero => {
                    fields.remove(&**name);
                }
            },
            Some(_) => {}
        }
    }
}

/// What Go writes for a field that nothing was read into.
fn of_absent(schema: &Schema, field: &Field) -> Option<Value> {
    let shape = &schema.node(field.node).shape;
    if field.go.pointer || is_collection(shape) || matches!(shape, Shape::Any | Shape::Json) {
        return (field.go.omit == Omit::Never).then_some(Value::Null);
    }
    match (field.go.omit, shape) {
        (Omit::Zero, _) => None,
        (Omit::Empty, Shape::String | Shape::Boolean | Shape::Integer { .. } | Shape::Number) => {
            None
        }
        (Omit::Empty | Omit::Never, shape) => Some(zero(schema, shape)),
    }
}

/// The zero value of a shape as JSON shows it.
pub(super) fn zero(schema: &Schema, shape: &Shape) -> Value {
    match shape {
        Shape::Object(object) => {
            let mut fields = Map::new();
            finish(schema, object, &mut fields);
            Value::Object(fields)
        }
        Shape::String => "".into(),
        Shape::Boolean => false.into(),
        Shape::Integer { .. } | Shape::Number | Shape::IntOrString => 0.into(),
        Shape::Quantity => "0".into(),
        Shape::Duration => "0s".into(),
        Shape::Any
        | Shape::Map { .. }
        | Shape::List(_)
        | Shape::WrappedList { .. }
        | Shape::Bytes
        | Shape::Time
        | Shape::MicroTime
        | Shape::Json
        | Shape::RawExtension => Value::Null,
    }
}

fn is_collection(shape: &Shape) -> bool {
    matches!(
        shape,
        Shape::Map { .. } | Shape::List(_) | Shape::WrappedList { .. } | Shape::Bytes
    )
}

/// Whether Go takes a value as empty; structs never are.
fn is_empty(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Object(_) | Shape::IntOrString | Shape::Quantity | Shape::Duration, _) => false,
        (Shape::Any | Shape::Json | Shape::RawExtension, _) => false,
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Bool(value)) => !value,
        (_, Value::Number(number)) => number.as_f64() == Some(0.0),
        (_, Value::Array(elements)) => elements.is_empty(),
        (_, Value::Object(entries)) => entries.is_empty(),
        (_, Value::Null) => true,
    }
}
