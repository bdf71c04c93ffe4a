//! The Kubernetes object model, pure: objects as JSON trees, and what their kinds say about them. No IO, no clock, no randomness.

pub mod amounts;
pub mod catalog;
pub mod cel;
pub mod codec;
pub mod convert;
pub mod crd;
pub mod cron;
pub mod defaults;
pub mod discovery;
pub mod invalid;
pub mod jsonpath;
pub mod meta;
pub mod openapi;
pub mod patch;
pub mod path;
pub mod quantity;
pub mod quota;
pub mod schema;
pub mod selector;
pub mod status;
pub mod strategy;
pub mod table;
pub mod validate;

/// An object or a part of one: the tree that JSON, YAML and protobuf are read into. Maps are ordered by key.
pub type Value = serde_json::Value;

/// The fields of an object.
pub type Map = serde_json::Map<String, Value>;
