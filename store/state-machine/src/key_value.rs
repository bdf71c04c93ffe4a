//! etcd's `mvccpb.KeyValue` in wire form: written once at the put, then only copied.

use bytes::Bytes;

use crate::codec::DecodeError;
use crate::outcome::EncodedKeyValue;
use crate::varint;

// Field numbers and wire types of `mvccpb.KeyValue` (etcd's kv.proto), as tag bytes.
const KEY: u8 = (1 << 3) | 2;
const CREATE_REVISION: u8 = 2 << 3;
const MOD_REVISION: u8 = 3 << 3;
const VERSION: u8 = 4 << 3;
const VALUE: u8 = (5 << 3) | 2;
const LEASE: u8 = 6 << 3;

/// The fields of `mvccpb.KeyValue`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Bytes,
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
    pub value: Bytes,
    pub lease: i64,
}

/// [`KeyValue`] before it owns anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fields<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) create_revision: i64,
    pub(crate) mod_revision: i64,
    pub(crate) version: i64,
    pub(crate) value: &'a [u8],
    pub(crate) lease: i64,
}

impl<'a> Fields<'a> {
    /// Bytes of [`Fields::encode`].
    fn encoded_length(&self) -> usize {
        let bytes = |b: &[u8]| {
            if b.is_empty() {
                0
            } else {
                1 + varint::length(b.len() as u64) + b.len()
            }
        };
        let number = |n: i64| {
            if n == 0 {
                0
            } else {
                1 + varint::length(n.cast_unsigned())
            }
        };
        bytes(self.key)
            + number(self.create_revision)
            + number(self.mod_revision)
            + number(self.version)
            + bytes(self.value)
            + number(self.lease)
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.encoded_length());
        put_bytes(&mut out, KEY, self.key);
        put_number(&mut out, CREATE_REVISION, self.create_revision);
        put_number(&mut out, MOD_REVISION, self.mod_revision);
        put_number(&mut out, VERSION, self.version);
        put_bytes(&mut out, VALUE, self.value);
        put_number(&mut out, LEASE, self.lease);
        Bytes::from(out)
    }

    pub(crate) fn decode(encoded: &'a [u8]) -> Result<Fields<'a>, DecodeError> {
        let mut rest = encoded;
        let mut fields = Fields::default();
        while let Some((&tag, after)) = rest.split_first() {
            rest = after;
            let number = varint::take(&mut rest).ok_or(DecodeError::Short)?;
            let mut bytes = || {
                let length = usize::try_from(number).map_err(|_large| DecodeError::Short)?;
                let (bytes, after) = rest.split_at_checked(length).ok_or(DecodeError::Short)?;
                rest = after;
                Ok(bytes)
            };
            match tag {
                KEY => fields.key = bytes()?,
                CREATE_REVISION => fields.create_revision = number.cast_signed(),
                MOD_REVISION => fields.mod_revision = number.cast_signed(),
                VERSION => fields.version = number.cast_signed(),
                VALUE => fields.value = bytes()?,
                LEASE => fields.lease = number.cast_signed(),
                other => return Err(DecodeError::Tag(other)),
            }
        }
        Ok(fields)
    }
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.push(tag);
        varint::put(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

fn put_number(out: &mut Vec<u8>, tag: u8, number: i64) {
    if number != 0 {
        out.push(tag);
        varint::put(out, number.cast_unsigned());
    }
}

/// Writes `mvccpb.KeyValue` as etcd does: fields in order of their numbers, zero fields left out.
pub fn encode_key_value(kv: &KeyValue) -> EncodedKeyValue {
    let fields = Fields {
        key: &kv.key,
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        value: &kv.value,
        lease: kv.lease,
    };
    EncodedKeyValue(fields.encode())
}

/// Reads `mvccpb.KeyValue`; key and value share the memory of `encoded`.
pub fn decode_key_value(encoded: &Bytes) -> Result<KeyValue, DecodeError> {
    let fields = Fields::decode(encoded)?;
    let share = |part: &[u8]| {
        if part.is_empty() {
            Bytes::new()
        } else {
            encoded.slice_ref(part)
        }
    };
    Ok(KeyValue {
        key: share(fields.key),
        create_revision: fields.create_revision,
        mod_revision: fields.mod_revision,
        version: fields.version,
        value: share(fields.value),
        lease: fields.lease,
    })
}

/// The key inside encoded bytes of this module, sharing their memory.
pub(crate) fn shared_key(encoded: &Bytes, key: &[u8]) -> Bytes {
    let start = 1 + varint::length(key.len() as u64);
    if key.is_empty() {
        Bytes::new()
    } else {
        encoded.slice(start..start + key.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_pinned() {
        let kv = KeyValue {
            key: Bytes::from_static(b"foo"),
            create_revision: 2,
            mod_revision: 300,
            version: 5,
            value: Bytes::from_static(b"bar"),
            lease: -1,
        };
        let golden: &[u8] =
            b"\x0a\x03foo\x10\x02\x18\xac\x02\x20\x05\x2a\x03bar\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(&encode_key_value(&kv).0[..], golden);
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(
            (key, value) in any::<(Vec<u8>, Vec<u8>)>(),
            (create_revision, mod_revision, version, lease) in any::<(i64, i64, i64, i64)>(),
        ) {
            let (key, value) = (Bytes::from(key), Bytes::from(value));
            let kv = KeyValue { key, create_revision, mod_revision, version, value, lease };
            let encoded = encode_key_value(&kv).0;
            prop_assert_eq!(decode_key_value(&encoded).unwrap(), kv.clone());
            prop_assert_eq!(shared_key(&encoded, &kv.key), kv.key);
        }

        #[test]
        fn garbage_is_an_error_or_a_value_but_never_a_panic(garbage: Vec<u8>) {
            let _ = decode_key_value(&Bytes::from(garbage));
        }
    }
}
