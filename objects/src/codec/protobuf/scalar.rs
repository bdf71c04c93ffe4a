//! Values that are messages on the wire and one value in JSON: times, quantities, ports, raw JSON.

use super::Error;
use super::decode::lossy;
use super::wire::{Reader, Wire, Writer};
use crate::Value;
use crate::codec::{duration, json, time};
use crate::quantity::Quantity;
use crate::schema::Shape;

/// The fields 1, 2 and 3 of a message, which is all that these have.
#[derive(Default)]
struct Three<'a> {
    numbers: [u64; 3],
    bytes: [Option<&'a [u8]>; 3],
}

fn three(bytes: &[u8]) -> Result<Three<'_>, Error> {
    let mut fields = Three::default();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        // A number is at least 1.
        if let index @ 0..3 = number as usize - 1 {
            match wire {
                Wire::Varint(value) => fields.numbers[index] = value,
                Wire::Bytes(value) => fields.bytes[index] = Some(value),
                Wire::Fixed32 | Wire::Fixed64(_) => {}
            }
        }
    }
    Ok(fields)
}

pub(super) fn decode(shape: &Shape, bytes: &[u8]) -> Result<Value, Error> {
    let fields = three(bytes)?;
    let text = |index: usize| fields.bytes[index].map(lossy).unwrap_or_default();
    let [first, second, _] = fields.numbers;
    Ok(match shape {
        Shape::Time | Shape::MicroTime if bytes.is_empty() => Value::Null,
        Shape::Time => time::format(first as i64).into(),
        Shape::MicroTime => time::format_micros(time::Instant {
            seconds: first as i64,
            nanos: second as u32,
        })
        .into(),
        Shape::Duration => duration::format(first as i64).into(),
        Shape::IntOrString if first == 0 => (second as i32).into(),
        Shape::IntOrString => text(2).into(),
        Shape::Quantity => match Quantity::parse(&text(0)) {
            Ok(quantity) => quantity.to_string().into(),
            Err(_) => "0".into(),
        },
        _ => raw(fields.bytes[0].unwrap_or_default())?,
    })
}

/// JSON, or a whole object in protobuf.
fn raw(bytes: &[u8]) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    json::read(bytes)
        .map(|read| read.value)
        .map_err(|_error| Error::Json)
}

/// Writes a value as the message of its shape; what is absent or otherwise than its shape as zero.
pub(super) fn encode(shape: &Shape, value: &Value, writer: &mut Writer) {
    match shape {
        Shape::Time => {
            let instant = value.as_str().and_then(|text| time::parse(text).ok());
            timestamp(
                instant.map(|instant| time::Instant {
                    nanos: 0,
                    ..instant
                }),
                writer,
            );
        }
        Shape::MicroTime => {
            let instant = value.as_str().and_then(|text| time::parse(text).ok());
            timestamp(instant, writer);
        }
        Shape::Duration => {
            let nanos = value.as_str().and_then(|text| duration::parse(text).ok());
            writer.varint(1, nanos.unwrap_or_default() as u64);
        }
        Shape::IntOrString => {
            writer.varint(1, value.is_string().into());
            writer.varint(2, value.as_i64().unwrap_or_default() as u64);
            writer.bytes(3, value.as_str().unwrap_or_default().as_bytes());
        }
        Shape::Quantity => {
            let text = Quantity::from_value(value).unwrap_or_else(|_error| Quantity::zero());
            writer.bytes(1, text.to_string().as_bytes());
        }
        _ if value.is_null() => {}
        _ => writer.bytes(1, value.to_string().as_bytes()),
    }
}

fn timestamp(instant: Option<time::Instant>, writer: &mut Writer) {
    if let Some(instant) = instant.filter(|instant| instant.seconds != time::ZERO_SECONDS) {
        writer.varint(1, instant.seconds as u64);
        writer.varint(2, (instant.nanos / 1000 * 1000).into());
    }
}
