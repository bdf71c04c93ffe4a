//! An object in memory: its JSON as clients are sent it, and of its fields those that lists and watches choose by.

use std::sync::Arc;

use bytes::Bytes;
use objects::{Map, Value, meta};

/// How the bytes of a store become an object.
pub type Decode = Arc<dyn Fn(&str, &[u8]) -> Result<Value, String> + Send + Sync>;

/// An object at one revision.
#[derive(Debug)]
pub struct Object {
    pub revision: i64,
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub labels: Option<Map>,
    /// The object with its resource version, in the version that is stored.
    pub json: Bytes,
}

impl Object {
    /// An object as it was read from the store.
    #[must_use]
    pub fn new(mut value: Value, revision: i64) -> Object {
        meta::metadata_mut(&mut value)
            .insert("resourceVersion".to_owned(), revision.to_string().into());
        Object {
            revision,
            namespace: meta::namespace(&value).into(),
            name: meta::name(&value).into(),
            labels: meta::labels(&value).cloned(),
            json: serde_json::to_vec(&value).expect("a tree is JSON").into(),
        }
    }

    /// The same object at another revision: what a deletion is told with.
    #[must_use]
    pub fn at_revision(&self, revision: i64) -> Object {
        Object::new(self.value(), revision)
    }

    /// The tree. It is parsed at every call: most of what is done with objects needs none.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).expect("it was written by us")
    }
}
