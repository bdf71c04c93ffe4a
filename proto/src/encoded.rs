//! Messages kept as their encoded bytes, so that an answer copies what is stored.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint};
use prost::{DecodeError, Message};

use crate::{etcdserverpb, mvccpb};

/// Field number of `WatchResponse.events`.
const EVENTS: u32 = 11;
/// Field numbers of `Event`.
const EVENT_TYPE: u32 = 1;
const EVENT_KV: u32 = 2;
const EVENT_PREV_KV: u32 = 3;

/// A `mvccpb.KeyValue` as its encoded bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyValue(pub Bytes);

impl From<&mvccpb::KeyValue> for KeyValue {
    fn from(plain: &mvccpb::KeyValue) -> KeyValue {
        KeyValue(plain.encode_to_vec().into())
    }
}

impl Message for KeyValue {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        _context: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.0 = with_field(&self.0, tag, wire_type, buf)?;
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// An `etcdserverpb.WatchResponse` in two encoded halves: the part that differs between watchers,
/// and the events, which many watchers share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WatchResponse {
    /// All fields but `events`.
    pub head: Bytes,
    /// The `events` field, once for each event, see [`put_event`].
    pub tail: Bytes,
}

impl From<&etcdserverpb::WatchResponse> for WatchResponse {
    fn from(plain: &etcdserverpb::WatchResponse) -> WatchResponse {
        // `events` has the highest number, so the whole message is a head.
        WatchResponse {
            head: plain.encode_to_vec().into(),
            tail: Bytes::new(),
        }
    }
}

impl Message for WatchResponse {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.head);
        buf.put_slice(&self.tail);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        _context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let half = if tag == EVENTS {
            &mut self.tail
        } else {
            &mut self.head
        };
        *half = with_field(half, tag, wire_type, buf)?;
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    fn clear(&mut self) {
        self.head.clear();
        self.tail.clear();
    }
}

/// Appends one event to the tail of a [`WatchResponse`]: `kv` and `prev_kv` are encoded key-values.
pub fn put_event(
    out: &mut BytesMut,
    kind: mvccpb::event::EventType,
    kv: &[u8],
    prev_kv: Option<&[u8]>,
) {
    let kind = kind as u64;
    // A zero enum is the default and is not written.
    let kind_bytes = if kind == 0 {
        0
    } else {
        1 + encoded_len_varint(kind)
    };
    let event_bytes = kind_bytes + field_bytes(kv) + prev_kv.map_or(0, field_bytes);

    out.reserve(event_bytes + 1 + encoded_len_varint(event_bytes as u64));
    encode_key(EVENTS, WireType::LengthDelimited, out);
    encode_varint(event_bytes as u64, out);
    if kind != 0 {
        encode_key(EVENT_TYPE, WireType::Varint, out);
        encode_varint(kind, out);
    }
    put_field(out, EVENT_KV, kv);
    if let Some(prev_kv) = prev_kv {
        put_field(out, EVENT_PREV_KV, prev_kv);
    }
}

/// Bytes of a length-delimited field whose number is below 16.
fn field_bytes(value: &[u8]) -> usize {
    1 + encoded_len_varint(value.len() as u64) + value.len()
}

fn put_field(out: &mut BytesMut, tag: u32, value: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.put_slice(value);
}

/// `bytes` with one more field, taken from `buf` as it stands there.
fn with_field(
    bytes: &Bytes,
    tag: u32,
    wire_type: WireType,
    buf: &mut impl Buf,
) -> Result<Bytes, DecodeError> {
    let mut out = BytesMut::from(&bytes[..]);
    encode_key(tag, wire_type, &mut out);
    let length = match wire_type {
        WireType::Varint => {
            encode_varint(prost::encoding::decode_varint(buf)?, &mut out);
            0
        }
        WireType::LengthDelimited => {
            let length = prost::encoding::decode_varint(buf)?;
            encode_varint(length, &mut out);
            length
        }
        WireType::SixtyFourBit => 8,
        WireType::ThirtyTwoBit => 4,
        WireType::StartGroup | WireType::EndGroup => return Err(malformed()),
    };
    // A length that does not fit memory cannot be in the buffer either.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if buf.remaining() < length {
        return Err(malformed());
    }
    out.put(buf.take(length));
    Ok(out.freeze())
}

/// The decoder's own error for a field that cannot be read; prost offers no other way to make one.
fn malformed() -> DecodeError {
    prost::encoding::decode_varint(&mut &[][..]).expect_err("no bytes are no varint")
}

#[cfg(test)]
mod tests;
