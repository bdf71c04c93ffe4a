//! The bytes of `WatchResponse.events`, written without a protobuf type and split between events.

use bytes::{BufMut, Bytes, BytesMut};
use state_machine::{EncodedKeyValue, Event, EventKind};

/// `WatchResponse.events` = 11, length-delimited.
const EVENTS_TAG: u8 = 11 << 3 | 2;
/// `Event.type` = 1, varint.
const TYPE_TAG: u8 = 1 << 3;
/// `Event.kv` = 2 and `Event.prev_kv` = 3, length-delimited.
const KV_TAG: u8 = 2 << 3 | 2;
const PREV_KV_TAG: u8 = 3 << 3 | 2;

/// Bytes that `write_event` will write.
pub(super) fn event_length(event: &Event, prev: Option<&EncodedKeyValue>) -> usize {
    let body = body_length(event, prev);
    1 + varint_length(body) + body
}

/// Appends one `events` field.
pub(super) fn write_event(out: &mut BytesMut, event: &Event, prev: Option<&EncodedKeyValue>) {
    out.put_u8(EVENTS_TAG);
    write_varint(out, body_length(event, prev));
    if event.kind == EventKind::Delete {
        out.put_slice(&[TYPE_TAG, EventKind::Delete as u8]);
    }
    write_field(out, KV_TAG, &event.kv.0);
    if let Some(prev) = prev {
        write_field(out, PREV_KV_TAG, &prev.0);
    }
}

/// `parts` in one piece that is no larger than it has to be.
pub(super) fn concatenate(parts: &[impl AsRef<[u8]>]) -> Bytes {
    let bytes = parts.iter().map(|part| part.as_ref().len()).sum();
    let mut out = BytesMut::with_capacity(bytes);
    parts
        .iter()
        .for_each(|part| out.extend_from_slice(part.as_ref()));
    out.freeze()
}

/// Cuts `events` between events into parts of at most `max_bytes`; an event larger than that is a part of its own.
pub(super) fn split(events: &Bytes, max_bytes: usize) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut part_start = 0;
    let mut position = 0;
    while position < events.len() {
        let end = position + field_length(&events[position..]);
        if end - part_start > max_bytes && position > part_start {
            parts.push(events.slice(part_start..position));
            part_start = position;
        }
        position = end;
    }
    parts.push(events.slice(part_start..));
    parts
}

fn body_length(event: &Event, prev: Option<&EncodedKeyValue>) -> usize {
    let kind = if event.kind == EventKind::Delete {
        2
    } else {
        0
    };
    kind + bytes_field_length(&event.kv.0) + prev.map_or(0, |prev| bytes_field_length(&prev.0))
}

fn bytes_field_length(bytes: &Bytes) -> usize {
    1 + varint_length(bytes.len()) + bytes.len()
}

fn write_field(out: &mut BytesMut, tag: u8, bytes: &Bytes) {
    out.put_u8(tag);
    write_varint(out, bytes.len());
    out.put_slice(bytes);
}

fn varint_length(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn write_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Length of the whole field at the start of `field`, which this module wrote.
fn field_length(field: &[u8]) -> usize {
    let mut body = 0;
    for (index, byte) in field[1..].iter().enumerate() {
        body |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return 1 + index + 1 + body;
        }
    }
    unreachable!("a length this module wrote ends")
}
