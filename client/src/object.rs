//! Objects whose kind is no type: a tree of JSON, and what all objects have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::kind::{Key, Kind};
use crate::request::decoded;

/// What a store of objects needs to know of one.
pub trait Object: Send + Sync + Sized + 'static {
    #[must_use]
    fn key(&self) -> Key;

    /// Empty if it has none.
    #[must_use]
    fn resource_version(&self) -> &str;

    /// Empty if it has none.
    #[must_use]
    fn uid(&self) -> &str;

    /// Forgets who manages which of its fields, which is most of many objects and of no use here.
    fn forget_managers(&mut self);
}

impl<K: Kind> Object for K {
    fn key(&self) -> Key {
        Key::of(self)
    }

    fn resource_version(&self) -> &str {
        let version = self.metadata().resource_version.as_deref();
        version.unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }

    fn forget_managers(&mut self) {
        self.metadata_mut().managed_fields = None;
    }
}

/// An object of any kind.
#[derive(Debug, Clone, PartialEq)]
pub struct DynamicObject {
    value: Value,
}

/// The part of an object that all kinds have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    metadata: Value,
}

impl DynamicObject {
    pub(crate) fn decode(object: &[u8]) -> Result<DynamicObject, Error> {
        let value: Value = decoded(object)?;
        DynamicObject::new(value)
            .ok_or_else(|| Error::Malformed("an object has metadata".to_owned()))
    }

    /// Only `apiVersion`, `kind` and `metadata`.
    pub(crate) fn decode_metadata(object: &[u8]) -> Result<DynamicObject, Error> {
        let head: Head = decoded(object)?;
        let value =
            json!({"apiVersion": head.api_version, "kind": head.kind, "metadata": head.metadata});
        DynamicObject::new(value)
            .ok_or_else(|| Error::Malformed("an object has metadata".to_owned()))
    }

    /// The object that a tree is; none if it has no metadata.
    #[must_use]
    pub fn new(value: Value) -> Option<DynamicObject> {
        value["metadata"]
            .is_object()
            .then_some(DynamicObject { value })
    }

    /// The whole tree.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    #[must_use]
    pub fn into_value(self) -> Value {
        self.value
    }

    /// The metadata as a type; empty where they are not of it.
    #[must_use]
    pub fn metadata(&self) -> ObjectMeta {
        ObjectMeta::deserialize(&self.value["metadata"]).unwrap_or_default()
    }

    fn text(&self, field: &str) -> &str {
        self.value["metadata"][field].as_str().unwrap_or_default()
    }

    #[must_use]
    pub fn api_version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }

    #[must_use]
    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.text("name")
    }

    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text("namespace")
    }

    /// A label; none if it is not set.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.value["metadata"]["labels"][name].as_str()
    }

    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.value["metadata"]["annotations"][name].as_str()
    }

    #[must_use]
    pub fn finalizers(&self) -> Vec<&str> {
        let finalizers = self.value["metadata"]["finalizers"].as_array();
        let finalizers = finalizers.into_iter().flatten();
        finalizers.filter_map(Value::as_str).collect()
    }

    #[must_use]
    pub fn owners(&self) -> Vec<OwnerReference> {
        Vec::deserialize(&self.value["metadata"]["ownerReferences"]).unwrap_or_default()
    }

    /// Whether it was asked to be deleted.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        self.value["metadata"]["deletionTimestamp"].is_string()
    }
}

impl Object for DynamicObject {
    fn key(&self) -> Key {
        Key::new(self.namespace(), self.name())
    }

    fn resource_version(&self) -> &str {
        self.text("resourceVersion")
    }

    fn uid(&self) -> &str {
        self.text("uid")
    }

    fn forget_managers(&mut self) {
        if let Some(metadata) = self.value["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_can_be_asked_and_kept_alone() {
        let text = br#"{"apiVersion":"v1","kind":"X","data":[1],"metadata":{"name":"n","namespace":"s","uid":"u",
            "resourceVersion":"7","labels":{"a":"b"},"finalizers":["f"],"deletionTimestamp":"2026-01-01T00:00:00Z",
            "managedFields":[{}],
            "ownerReferences":[{"apiVersion":"v1","kind":"Y","name":"o","uid":"ou","controller":true}]}}"#;
        let whole = DynamicObject::decode(text).unwrap();
        assert_eq!(whole.value()["data"][0], 1);
        let mut object = DynamicObject::decode_metadata(text).unwrap();
        object.forget_managers();
        assert_eq!(object.value()["data"], Value::Null);
        assert_eq!(object.value()["metadata"]["managedFields"], Value::Null);
        assert_eq!(
            (object.api_version(), object.kind(), object.uid()),
            ("v1", "X", "u")
        );
        assert_eq!(
            (object.key(), object.resource_version()),
            (Key::new("s", "n"), "7")
        );
        assert_eq!(object.label("a"), Some("b"));
        assert_eq!(object.finalizers(), ["f"]);
        assert_eq!(object.owners()[0].uid, "ou");
        assert!(object.is_being_deleted());
        assert_eq!(object.metadata().name.as_deref(), Some("n"));
        for bad in [&b"{}"[..], b"[]", b"null", b"{\"metadata\":1}", b""] {
            assert!(
                DynamicObject::decode(bad).is_err() && DynamicObject::decode_metadata(bad).is_err()
            );
        }
    }
}
