//! Data as values: by its schema where it has one, as it is where not.

use std::sync::Arc;

use base64::Engine as _;

use super::{escape, has_type_and_name, is_embedded, values_of};
use crate::{
    cel::{
        time,
        value::{Key, List, ListKind, Map, Value, exact_int},
    },
    schema::{self, At, Shape},
};

/// How deep data without a schema is followed.
const DATA_DEPTH_MAX: usize = 256;

/// Data as a value of its place. Data that does not hold to the schema is a fault where it stands.
#[must_use]
pub fn to_value(at: At<'_>, data: &crate::Value, root: bool) -> Value {
    convert(at, data, root, 0)
}

fn fault(message: String) -> Value {
    Value::Fault(message.into())
}

fn go_type(data: &crate::Value) -> &'static str {
    match data {
        crate::Value::Null => "<nil>",
        crate::Value::Bool(_) => "bool",
        crate::Value::Number(number) if number.is_f64() => "float64",
        crate::Value::Number(_) => "int64",
        crate::Value::String(_) => "string",
        crate::Value::Array(_) => "[]interface {}",
        crate::Value::Object(_) => "map[string]interface {}",
    }
}

fn convert(at: At<'_>, data: &crate::Value, root: bool, depth: usize) -> Value {
    if depth > DATA_DEPTH_MAX {
        return fault("invalid data, nested too deep".to_owned());
    }
    if data.is_null() {
        return if at.node().nullable {
            Value::Null
        } else {
            fault("invalid data, got null for schema with nullable=false".to_owned())
        };
    }
    match (at.shape(), data) {
        (Shape::Any | Shape::Json, _) if !root => untyped(data, depth),
        (Shape::IntOrString, crate::Value::String(text)) => text.as_str().into(),
        (Shape::IntOrString, crate::Value::Number(number)) if number.is_i64() => {
            untyped(data, depth)
        }
        (Shape::IntOrString, _) => fault(
            "invalid data, expected XIntOrString value to be either a string or integer".to_owned(),
        ),
        (Shape::Integer { .. }, _) => match data.as_i64() {
            Some(number) => Value::Int(number),
            None => fault(format!("invalid data, expected int, got {}", go_type(data))),
        },
        (Shape::Number, _) => match data.as_f64() {
            Some(number) => Value::Double(number),
            None => fault(format!(
                "invalid data, expected float, got {}",
                go_type(data)
            )),
        },
        (Shape::Boolean, crate::Value::Bool(flag)) => Value::Bool(*flag),
        (Shape::Boolean, _) => fault(format!(
            "invalid data, expected bool, got {}",
            go_type(data)
        )),
        (Shape::List(_) | Shape::WrappedList { .. }, crate::Value::Array(items)) => {
            convert_list(at, items, depth)
        }
        (Shape::List(_) | Shape::WrappedList { .. }, _) => fault(
            "invalid data, expected an array for the provided schema with type=array".to_owned(),
        ),
        (shape, crate::Value::String(text)) if is_text(shape) => convert_text(at, text),
        (shape, _) if is_text(shape) => fault(format!(
            "invalid data, expected string, got {}",
            go_type(data)
        )),
        (_, crate::Value::Object(fields)) => convert_object(at, fields, root, depth),
        _ => fault(
            "invalid data, expected a map for the provided schema with type=object".to_owned(),
        ),
    }
}

fn is_text(shape: &Shape) -> bool {
    matches!(
        shape,
        Shape::String
            | Shape::Bytes
            | Shape::Time
            | Shape::MicroTime
            | Shape::Duration
            | Shape::Quantity
    )
}

fn convert_text(at: At<'_>, text: &str) -> Value {
    let format = at
        .node()
        .constraints
        .as_deref()
        .and_then(|limits| limits.format.as_deref());
    let format = match at.shape() {
        Shape::Bytes => Some("byte"),
        Shape::Time | Shape::MicroTime => Some("date-time"),
        _ => format,
    };
    match format {
        Some("duration") => time::parse_duration(text).map_or_else(
            || fault(format!("Invalid duration {text}")),
            Value::Duration,
        ),
        Some("date") => time::parse_date(text).map_or_else(
            || fault(format!("Invalid date formatted string {text}")),
            Value::Timestamp,
        ),
        Some("date-time") => time::parse_openapi(text).map_or_else(
            || fault(format!("Invalid date-time formatted string {text}")),
            Value::Timestamp,
        ),
        Some("byte") => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_or_else(
                |_| fault(format!("Invalid byte formatted string {text}")),
                |bytes| Value::Bytes(bytes.into()),
            ),
        _ => text.into(),
    }
}

fn convert_list(at: At<'_>, items: &[crate::Value], depth: usize) -> Value {
    let Some(items_at) = at.items() else {
        return fault("invalid array type, expected Items with a non-empty Schema".to_owned());
    };
    let kind = match at.shape() {
        Shape::List(list) if list.kind == schema::ListKind::Set => ListKind::Set,
        Shape::List(list) if list.kind == schema::ListKind::Map => ListKind::Map(
            list.keys
                .iter()
                .map(|key| escape(key).unwrap_or_else(|| key.to_string()))
                .collect(),
        ),
        _ => ListKind::Ordered,
    };
    let embedded = is_embedded(items_at);
    let items = items
        .iter()
        .map(|item| convert(items_at, item, embedded, depth + 1))
        .collect();
    Value::List(Arc::new(List { items, kind }))
}

fn convert_object(at: At<'_>, fields: &crate::Map, root: bool, depth: usize) -> Value {
    let keyed = values_of(at).is_some();
    let whole = root || is_embedded(at);
    let mut map = Map::new();
    for (name, data) in fields {
        let key = if keyed {
            Some(name.clone())
        } else {
            escape(name)
        };
        // A named field that is null is taken for one that is absent.
        let Some(key) = key.filter(|_| keyed || !data.is_null()) else {
            continue;
        };
        let value = match at.field(name) {
            // What every whole object has is read by the rule that every whole object keeps.
            Some(place) if !(whole && name == "metadata" && !has_type_and_name(at)) => {
                convert(place, data, is_embedded(place), depth + 1)
            }
            _ if whole && name == "metadata" => untyped(data, depth + 1),
            _ if whole && matches!(name.as_str(), "kind" | "apiVersion") => {
                untyped(data, depth + 1)
            }
            _ => continue,
        };
        map.insert(Key::String(key.into()), value);
    }
    Value::Map(Arc::new(map))
}

/// Data that no schema describes.
#[must_use]
pub fn from_data(data: &crate::Value) -> Value {
    untyped(data, 0)
}

fn untyped(data: &crate::Value, depth: usize) -> Value {
    if depth > DATA_DEPTH_MAX {
        return fault("invalid data, nested too deep".to_owned());
    }
    match data {
        crate::Value::Null => Value::Null,
        crate::Value::Bool(flag) => Value::Bool(*flag),
        crate::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(whole)) => Value::Uint(whole),
            (None, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        crate::Value::String(text) => text.as_str().into(),
        crate::Value::Array(items) => items
            .iter()
            .map(|item| untyped(item, depth + 1))
            .collect::<Vec<_>>()
            .into(),
        crate::Value::Object(fields) => Value::Map(Arc::new(
            fields
                .iter()
                .map(|(name, data)| (Key::String(name.as_str().into()), untyped(data, depth + 1)))
                .collect(),
        )),
    }
}

/// A value as data: what patches set. Values that only expressions know have no form as data.
///
/// # Errors
///
/// If a part of it has none.
pub fn to_data(value: &Value) -> Result<crate::Value, String> {
    plain(value, 0)
}

fn plain(value: &Value, depth: usize) -> Result<crate::Value, String> {
    if depth > DATA_DEPTH_MAX {
        return Err("nested too deep".to_owned());
    }
    Ok(match value {
        Value::Null | Value::Optional(None) => crate::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Double(number) => match exact_int(*number) {
            Some(whole) => whole.into(),
            None => (*number).into(),
        },
        Value::String(text) => (**text).into(),
        Value::Bytes(bytes) => base64::engine::general_purpose::STANDARD
            .encode(bytes)
            .into(),
        Value::Timestamp(at) => time::show(*at).into(),
        Value::Duration(nanoseconds) => time::show_duration(*nanoseconds).into(),
        Value::Optional(Some(inner)) => plain(inner, depth + 1)?,
        Value::List(list) => {
            let items = list.items.iter().map(|item| plain(item, depth + 1));
            items.collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| match key {
                Key::String(name) => Ok((name.to_string(), plain(value, depth + 1)?)),
                other => {
                    let of = Value::from(other.clone());
                    Err(format!("map key of type {}, not string", of.type_name()))
                }
            });
            crate::Value::Object(entries.collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let fields = object.fields.iter();
            let fields = fields.map(|(name, of)| Ok((name.to_string(), plain(of, depth + 1)?)));
            crate::Value::Object(fields.collect::<Result<_, String>>()?)
        }
        Value::Fault(message) => return Err(message.to_string()),
        other => return Err(format!("unsupported type {}", other.type_name())),
    })
}
