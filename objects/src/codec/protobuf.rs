//! Kubernetes' protobuf of the built-in kinds: what clients send, what a stock kube-apiserver stores.

use crate::catalog::{Catalog, split_api_version};
use crate::schema::At;
use crate::{Value, meta};

mod decode;
mod encode;
mod layout;
mod list;
mod scalar;
mod union;
pub mod watch;
mod wire;

pub use list::ListWriter;

/// What every object begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// The type of a CRD's schema, which the parts of it hold that may be something else as well.
pub(super) const SCHEMA_TYPE: &str =
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// Why bytes are no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    Magic,
    #[error("unexpected EOF")]
    Truncated,
    #[error("proto: illegal tag, wire type or number")]
    Tag,
    #[error("proto: wrong wireType for field {0}")]
    WireType(String),
    #[error("proto: nested deeper than {0}")]
    Depth(usize),
    #[error("proto: an object of more than {0} values")]
    Values(usize),
    #[error("proto: a field of JSON holds none")]
    Json,
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    Kind { api_version: String, kind: String },
    #[error("a frame of more than {0} bytes")]
    Frame(usize),
}

/// An object's bytes, and of which kind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Empty where the sender leaves it to the request's path.
    pub api_version: String,
    pub kind: String,
    /// The message of the kind.
    pub raw: &'a [u8],
}

/// Whether bytes are an object in protobuf.
#[must_use]
pub fn is_protobuf(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Opens what every object is wrapped into.
///
/// # Errors
///
/// If the bytes are no protobuf.
pub fn open(bytes: &[u8]) -> Result<Envelope<'_>, Error> {
    decode::open(bytes.strip_prefix(MAGIC).ok_or(Error::Magic)?)
}

/// Reads an object of a built-in kind, with `apiVersion` and `kind`.
///
/// # Errors
///
/// If the bytes are no protobuf, or of another kind.
pub fn decode(bytes: &[u8]) -> Result<Value, Error> {
    let envelope = open(bytes)?;
    let at = known(&envelope.api_version, &envelope.kind)?;
    let mut object = decode_message(at, envelope.raw)?;
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), envelope.api_version.into());
        fields.insert("kind".to_owned(), envelope.kind.into());
    }
    Ok(object)
}

/// Reads the message of a built-in type: the same object that upstream's JSON would show.
///
/// # Errors
///
/// If the bytes are no such message.
pub fn decode_message(at: At<'static>, bytes: &[u8]) -> Result<Value, Error> {
    decode::Decoder::new().object(at.id, bytes, 0)
}

/// Writes an object of a built-in kind, as its `apiVersion` and `kind` say.
///
/// # Errors
///
/// If the kind is not built in or has no protobuf.
pub fn encode(object: &Value) -> Result<Vec<u8>, Error> {
    let (api_version, kind) = (
        meta::text(object, &["apiVersion"]),
        meta::text(object, &["kind"]),
    );
    let at = known(api_version, kind)?;
    Ok(encode::envelope(
        api_version,
        kind,
        &encode_message(at, object),
    ))
}

/// Writes the message of a built-in type. What does not have the shape that the type asks for is written as nothing.
#[must_use]
pub fn encode_message(at: At<'static>, object: &Value) -> Vec<u8> {
    encode::message(at.id, object)
}

/// The type of a kind that has protobuf.
fn known(api_version: &str, kind: &str) -> Result<At<'static>, Error> {
    let (group, version) = split_api_version(api_version);
    Catalog::builtin()
        .kind(group, version, kind)
        .filter(|at| !layout::of(at.id).is_empty())
        .ok_or_else(|| Error::Kind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        })
}

#[cfg(test)]
mod tests;
