//! etcd's `mvccpb.KeyValue` in wire form: written once at the put, then only copied.

use bytes::Bytes;

use crate::codec::DecodeError;
use crate::outcome::EncodedKeyValue;

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

/// Writes `mvccpb.KeyValue` as etcd does: fields in order of their numbers, zero fields left out.
pub fn encode_key_value(_fields: &KeyValue) -> EncodedKeyValue {
    unimplemented!()
}

/// Reads `mvccpb.KeyValue`; key and value share the memory of `encoded`.
pub fn decode_key_value(_encoded: &Bytes) -> Result<KeyValue, DecodeError> {
    unimplemented!()
}
