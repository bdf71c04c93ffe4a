//! Reads messages by the layout of their types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::layout::{self, Entry, Slot};
use super::wire::{Reader, Wire};
use super::{Envelope, Error, scalar, union};
use crate::catalog::Catalog;
use crate::codec::{DEPTH_MAX, VALUES_MAX, number, typed};
use crate::schema::{Field, NodeId, Shape};
use crate::{Map, Value};

/// Reads one object, and counts what it makes.
pub(super) struct Decoder {
    values: usize,
}

/// The type of a value: its node, and its Go type where that says more.
#[derive(Clone, Copy)]
pub(super) struct Kind<'a> {
    pub(super) id: NodeId,
    pub(super) go: Option<&'a str>,
}

/// Reads apiVersion and kind, and finds the message.
pub(super) fn open(bytes: &[u8]) -> Result<Envelope<'_>, Error> {
    let mut envelope = Envelope {
        api_version: String::new(),
        kind: String::new(),
        raw: &[],
    };
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.field()? {
        match field {
            (1, Wire::Bytes(meta)) => {
                let mut reader = Reader::new(meta);
                while let Some(field) = reader.field()? {
                    match field {
                        (1, Wire::Bytes(text)) => envelope.api_version = lossy(text),
                        (2, Wire::Bytes(text)) => envelope.kind = lossy(text),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(raw)) => envelope.raw = raw,
            _ => {}
        }
    }
    Ok(envelope)
}

/// Text as Go's JSON shows it: what is not UTF-8 is replaced.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Decoder {
    pub(super) fn new() -> Decoder {
        Decoder { values: 0 }
    }

    fn count(&mut self, values: usize) -> Result<(), Error> {
        self.values += values;
        if self.values > VALUES_MAX {
            return Err(Error::Values(VALUES_MAX));
        }
        Ok(())
    }

    /// An object with all that Go writes of it.
    pub(super) fn object(
        &mut self,
        id: NodeId,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::Depth(DEPTH_MAX));
        }
        let schema = &Catalog::builtin().schema;
        let Shape::Object(object) = &schema.node(id).shape else {
            return Ok(Value::Null);
        };
        let mut fields = Map::new();
        self.fields(layout::of(id), bytes, depth, &mut fields)?;
        typed::finish(schema, object, &mut fields);
        self.count(fields.len() + 1)?;
        Ok(Value::Object(fields))
    }

    fn fields(
        &mut self,
        entries: &'static [Entry],
        bytes: &[u8],
        depth: usize,
        fields: &mut Map,
    ) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(Error::Depth(DEPTH_MAX));
        }
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            match layout::entry(entries, number).map(|entry| &entry.slot) {
                Some(Slot::Field { name, field }) => {
                    self.field(field, wire, depth, entry_of(fields, name))
                        .map_err(|error| named(error, name))?;
                }
                Some(Slot::Embedded(entries)) => {
                    if let Wire::Bytes(inner) = wire {
                        self.fields(entries, inner, depth + 1, fields)?;
                    }
                }
                // A newer writer's field.
                None => {}
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &'static Field,
        wire: Wire<'_>,
        depth: usize,
        slot: &mut Value,
    ) -> Result<(), Error> {
        let kind = |id| Kind {
            id,
            go: field.go.kind.as_deref(),
        };
        match &Catalog::builtin().schema.node(field.node).shape {
            Shape::List(list) => {
                if slot.is_null() {
                    *slot = Value::Array(Vec::new());
                }
                let elements = slot.as_array_mut().expect("the field is a list");
                self.elements(kind(list.items), wire, depth, elements)
            }
            Shape::Map { values, .. } => {
                if slot.is_null() {
                    *slot = Value::Object(Map::new());
                }
                let entries = slot.as_object_mut().expect("the field is a map");
                let (key, value) = self.entry(kind(*values), wire, depth)?;
                entries.insert(key, value);
                Ok(())
            }
            _ => {
                *slot = self.value(kind(field.node), wire, depth)?;
                Ok(())
            }
        }
    }

    /// One element of a repeated field, or several numbers that are packed.
    fn elements(
        &mut self,
        kind: Kind<'_>,
        wire: Wire<'_>,
        depth: usize,
        elements: &mut Vec<Value>,
    ) -> Result<(), Error> {
        let shape = &Catalog::builtin().schema.node(kind.id).shape;
        if let (Wire::Bytes(packed), Shape::Integer { .. } | Shape::Boolean) = (wire, shape) {
            let mut reader = Reader::new(packed);
            while !reader.is_at_end() {
                let wire = Wire::Varint(reader.varint()?);
                elements.push(self.value(kind, wire, depth)?);
            }
            return Ok(());
        }
        elements.push(self.value(kind, wire, depth)?);
        Ok(())
    }

    /// A key and a value of a map.
    fn entry(
        &mut self,
        kind: Kind<'_>,
        wire: Wire<'_>,
        depth: usize,
    ) -> Result<(String, Value), Error> {
        let Wire::Bytes(bytes) = wire else {
            return Err(Error::WireType(String::new()));
        };
        let mut key = String::new();
        let mut value = None;
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            match (number, wire) {
                (1, Wire::Bytes(text)) => key = lossy(text),
                (2, wire) => value = Some(self.value(kind, wire, depth)?),
                _ => {}
            }
        }
        let schema = &Catalog::builtin().schema;
        let value = value.unwrap_or_else(|| typed::zero(schema, &schema.node(kind.id).shape));
        Ok((key, value))
    }

    pub(super) fn value(
        &mut self,
        kind: Kind<'_>,
        wire: Wire<'_>,
        depth: usize,
    ) -> Result<Value, Error> {
        self.count(1)?;
        let shape = &Catalog::builtin().schema.node(kind.id).shape;
        let wrong = || Error::WireType(String::new());
        let bytes = match (shape, wire) {
            (Shape::Integer { bits: 32 }, Wire::Varint(number)) => {
                return Ok((number as i32).into());
            }
            (Shape::Integer { .. }, Wire::Varint(number)) => {
                return Ok((number as i64).into());
            }
            (Shape::Boolean, Wire::Varint(number)) => return Ok((number != 0).into()),
            (Shape::Number, Wire::Fixed64(bits)) => {
                return Ok(number(f64::from_bits(bits)).unwrap_or(Value::Null));
            }
            (_, Wire::Bytes(bytes)) => bytes,
            _ => return Err(wrong()),
        };
        match shape {
            Shape::Object(_) => self.object(kind.id, bytes, depth + 1),
            Shape::String => Ok(lossy(bytes).into()),
            Shape::Bytes => Ok(STANDARD.encode(bytes).into()),
            Shape::WrappedList { items } => {
                let mut elements = Vec::new();
                let mut reader = Reader::new(bytes);
                while let Some((number, wire)) = reader.field()? {
                    if number == 1 {
                        let kind = Kind {
                            id: *items,
                            go: None,
                        };
                        elements.push(self.value(kind, wire, depth + 1)?);
                    }
                }
                Ok(Value::Array(elements))
            }
            Shape::Any => union::decode(self, kind.go, bytes, depth + 1),
            Shape::Integer { .. }
            | Shape::Boolean
            | Shape::Number
            | Shape::List(_)
            | Shape::Map { .. } => Err(wrong()),
            scalar => scalar::decode(scalar, bytes),
        }
    }
}

fn entry_of<'a>(fields: &'a mut Map, name: &str) -> &'a mut Value {
    fields.entry(name).or_insert(Value::Null)
}

/// An error about the innermost field that has a name.
fn named(error: Error, name: &str) -> Error {
    match error {
        Error::WireType(field) if field.is_empty() => Error::WireType(name.to_owned()),
        error => error,
    }
}
