//! The fields that an object of a built-in kind has without being given any, so that whoever creates it does not own them.

use crate::schema::{At, Field, Omit, Shape};
use crate::{Map, Value};

/// An object of a built-in type that sets nothing: structs that are always there, and zeros that are never left out.
#[must_use]
pub fn empty(at: At<'_>) -> Value {
    let Shape::Object(object) = at.shape() else {
        return Value::Null;
    };
    let fields: Map = object
        .fields
        .iter()
        .filter_map(|(name, field)| {
            let below = At {
                id: field.node,
                ..at
            };
            Some((name.to_string(), zero(field, below)?))
        })
        .collect();
    Value::Object(fields)
}

/// The zero of a field, unless it is left out.
fn zero(field: &Field, at: At<'_>) -> Option<Value> {
    let never = field.go.omit == Omit::Never;
    if field.go.pointer {
        return never.then_some(Value::Null);
    }
    let is_struct = matches!(
        at.shape(),
        Shape::Object(_)
            | Shape::Time
            | Shape::MicroTime
            | Shape::Duration
            | Shape::Quantity
            | Shape::IntOrString
            | Shape::RawExtension
    );
    // Go leaves a zero struct out only where the field says so.
    let shown = if is_struct {
        field.go.omit != Omit::Zero
    } else {
        never
    };
    shown.then(|| match at.shape() {
        Shape::Object(_) => empty(at),
        Shape::String => Value::from(""),
        Shape::Duration => Value::from("0s"),
        Shape::Quantity => Value::from("0"),
        Shape::Integer { .. } | Shape::Number | Shape::IntOrString => Value::from(0),
        Shape::Boolean => Value::from(false),
        _ => Value::Null,
    })
}
