//! Parts of a CRD's schema that are one of several things in JSON, and a message of several fields on the wire.

use super::Error;
use super::decode::{Decoder, Kind, lossy};
use super::encode::fields_of;
use super::wire::{Reader, Wire, Writer};
use crate::Value;
use crate::catalog::Catalog;
use crate::schema::NodeId;

/// The type that all of them may hold.
fn schema() -> NodeId {
    Catalog::builtin()
        .schema
        .named(super::SCHEMA_TYPE)
        .unwrap_or_default()
}

#[derive(Clone, Copy, PartialEq)]
enum Union {
    /// A schema, or a list of schemas.
    Schemas,
    /// A schema, or true or false.
    Bool,
    /// A schema, or a list of names.
    Names,
    /// A message without fields.
    Empty,
}

fn union(go: Option<&str>) -> Option<Union> {
    match go? {
        "v1.JSONSchemaPropsOrArray" => Some(Union::Schemas),
        "v1.JSONSchemaPropsOrBool" => Some(Union::Bool),
        "v1.JSONSchemaPropsOrStringArray" | "v1.JSONSchemaDependencies" => Some(Union::Names),
        "v1.CustomResourceSubresourceStatus" => Some(Union::Empty),
        _ => None,
    }
}

pub(super) fn decode(
    decoder: &mut Decoder,
    go: Option<&str>,
    bytes: &[u8],
    depth: usize,
) -> Result<Value, Error> {
    let Some(union) = union(go) else {
        return Ok(Value::Null);
    };
    let kind = Kind {
        id: schema(),
        go: None,
    };
    let (mut one, mut many, mut allows) = (Value::Null, Vec::new(), false);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        match (union, number, wire) {
            (Union::Schemas | Union::Names, 1, wire) | (Union::Bool, 2, wire) => {
                one = decoder.value(kind, wire, depth)?;
            }
            (Union::Schemas, 2, wire) => many.push(decoder.value(kind, wire, depth)?),
            (Union::Names, 2, Wire::Bytes(text)) => many.push(lossy(text).into()),
            (Union::Bool, 1, Wire::Varint(number)) => allows = number != 0,
            _ => {}
        }
    }
    Ok(match union {
        Union::Empty => Value::Object(crate::Map::new()),
        Union::Bool if one.is_null() => allows.into(),
        Union::Schemas | Union::Names if !many.is_empty() => many.into(),
        _ => one,
    })
}

/// Writes the message's fields.
pub(super) fn encode(go: Option<&str>, value: &Value, writer: &mut Writer) {
    let Some(union) = union(go) else { return };
    let one = value.is_object().then_some(value);
    let many = value.as_array().map_or(&[][..], Vec::as_slice);
    let number = if union == Union::Bool { 2 } else { 1 };
    if union == Union::Bool {
        // Beside a schema Go says true.
        writer.varint(1, u64::from(one.is_some() || value.as_bool() == Some(true)));
    }
    if let Some(one) = one.filter(|_| union != Union::Empty) {
        writer.message(number, |writer| fields_of(schema(), one, writer));
    }
    for element in many {
        match union {
            Union::Schemas => {
                writer.message(2, |writer| fields_of(schema(), element, writer));
            }
            _ => writer.bytes(2, element.as_str().unwrap_or_default().as_bytes()),
        }
    }
}
