//! Writes messages by the layout of their types, byte for byte as upstream does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::layout::{self, Entry, Slot};
use super::wire::Writer;
use super::{MAGIC, scalar, union};
use crate::catalog::Catalog;
use crate::schema::{Field, NodeId, Shape};
use crate::{Map, Value};

/// What an envelope takes beside what is in it, or a little less.
const OVERHEAD: usize = 32;

/// Kind and message of an object in what all objects are wrapped into.
pub(super) fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(raw.len() + api_version.len() + kind.len() + OVERHEAD);
    bytes.extend_from_slice(MAGIC);
    let mut writer = Writer { bytes };
    writer.message(1, |writer| {
        writer.bytes(1, api_version.as_bytes());
        writer.bytes(2, kind.as_bytes());
    });
    writer.bytes(2, raw);
    // Encoding and type of the content, which upstream writes though they are empty.
    writer.bytes(3, b"");
    writer.bytes(4, b"");
    writer.bytes
}

pub(super) fn message(id: NodeId, object: &Value) -> Vec<u8> {
    let mut writer = Writer::default();
    fields_of(id, object, &mut writer);
    writer.bytes
}

/// Writes the fields of an object; all that are not pointers are written even if there is none.
pub(super) fn fields_of(id: NodeId, object: &Value, writer: &mut Writer) {
    let none = Map::new();
    fields(layout::of(id), object.as_object().unwrap_or(&none), writer);
}

fn fields(entries: &'static [Entry], object: &Map, writer: &mut Writer) {
    for entry in entries {
        match &entry.slot {
            Slot::Field { name, field } => {
                let value = object.get(*name).unwrap_or(&Value::Null);
                write_field(entry.number, field, value, writer);
            }
            Slot::Embedded(entries) => {
                writer.message(entry.number, |writer| fields(entries, object, writer));
            }
        }
    }
}

fn write_field(number: u32, field: &'static Field, value: &Value, writer: &mut Writer) {
    let go = field.go.kind.as_deref();
    match (&Catalog::builtin().schema.node(field.node).shape, value) {
        (Shape::List(list), Value::Array(elements)) => {
            for element in elements {
                write_value(number, list.items, (go, element), writer);
            }
        }
        (Shape::Map { values, .. }, Value::Object(entries)) => {
            for (key, value) in entries {
                writer.message(number, |writer| {
                    writer.bytes(1, key.as_bytes());
                    write_value(2, *values, (go, value), writer);
                });
            }
        }
        (Shape::List(_) | Shape::Map { .. }, _) => {}
        (Shape::Bytes | Shape::Any, Value::Null) => {}
        (_, Value::Null) if field.go.pointer => {}
        _ => write_value(number, field.node, (go, value), writer),
    }
}

/// Writes a value, and of what has not its shape the zero value. With the value comes its Go type.
pub(super) fn write_value(
    number: u32,
    id: NodeId,
    (go, value): (Option<&str>, &Value),
    writer: &mut Writer,
) {
    match &Catalog::builtin().schema.node(id).shape {
        Shape::Object(_) => writer.message(number, |writer| fields_of(id, value, writer)),
        Shape::String => writer.bytes(number, value.as_str().unwrap_or_default().as_bytes()),
        Shape::Bytes => {
            let text = value.as_str().unwrap_or_default();
            writer.bytes(number, &STANDARD.decode(text).unwrap_or_default());
        }
        Shape::Integer { .. } => {
            writer.varint(number, value.as_i64().unwrap_or_default() as u64);
        }
        Shape::Boolean => writer.varint(number, value.as_bool().unwrap_or_default().into()),
        Shape::Number => writer.fixed64(number, value.as_f64().unwrap_or_default().to_bits()),
        Shape::WrappedList { items } => writer.message(number, |writer| {
            for element in value.as_array().into_iter().flatten() {
                write_value(1, *items, (None, element), writer);
            }
        }),
        Shape::Any => writer.message(number, |writer| union::encode(go, value, writer)),
        // A list of lists or of maps, which no built-in type has.
        Shape::List(_) | Shape::Map { .. } => {}
        scalar => writer.message(number, |writer| scalar::encode(scalar, value, writer)),
    }
}
