//! An object in memory: its JSON as clients are sent it, and of its fields those that lists and watches choose by.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use objects::codec::outline::Outline;
use objects::selector::selectable;
use objects::{Map, Value, meta};
use parking_lot::RwLock;

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
    /// Where in it the value of `metadata` is.
    metadata: Range<usize>,
    /// Fields that selectors asked for, with their values: a thousand watchers of pods of nodes ask for the same one.
    selected: RwLock<Vec<(Box<str>, Box<str>)>>,
    /// The tree, once somebody wanted it kept.
    kept: OnceLock<Arc<Value>>,
}

impl Object {
    /// An object as it was read from the store.
    #[must_use]
    pub fn new(mut value: Value, revision: i64) -> Object {
        meta::metadata_mut(&mut value)
            .insert("resourceVersion".to_owned(), revision.to_string().into());
        let (json, metadata) = write(&value);
        Object {
            revision,
            namespace: meta::namespace(&value).into(),
            name: meta::name(&value).into(),
            labels: meta::labels(&value).cloned(),
            json,
            metadata,
            selected: RwLock::default(),
            kept: OnceLock::new(),
        }
    }

    /// An object from its text in the store, without a tree of it. None if that takes one.
    #[must_use]
    pub fn of_text(text: &[u8], revision: i64) -> Option<Object> {
        let outline = Outline::of(text)?;
        let (json, metadata) = outline.with_version(text, revision);
        Some(Object {
            revision,
            namespace: outline.namespace.into(),
            name: outline.name.into(),
            labels: outline.labels,
            json: json.into(),
            metadata,
            selected: RwLock::default(),
            kept: OnceLock::new(),
        })
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

    /// The tree, which is kept from then on: for the few objects that many requests are judged by.
    #[must_use]
    pub fn kept_value(&self) -> Arc<Value> {
        self.kept.get_or_init(|| Arc::new(self.value())).clone()
    }

    /// The JSON of `metadata`.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        &self.json[self.metadata.clone()]
    }

    /// The value of the field that selectors know by this name, in the version that is stored.
    #[must_use]
    pub fn field(&self, name: &str) -> String {
        match name {
            "metadata.name" => return self.name.to_string(),
            "metadata.namespace" => return self.namespace.to_string(),
            _ => {}
        }
        let known = |selected: &[(Box<str>, Box<str>)]| {
            let found = selected.iter().find(|(field, _)| **field == *name);
            found.map(|(_, value)| value.to_string())
        };
        if let Some(value) = known(&self.selected.read()) {
            return value;
        }
        let value = selectable::value_in(&self.json, name)
            .unwrap_or_else(|| selectable::value(&self.value(), name));
        let mut selected = self.selected.write();
        if known(&selected).is_none() {
            selected.push((name.into(), value.as_str().into()));
        }
        value
    }
}

/// The JSON of an object, and where in it the value of `metadata` is.
fn write(value: &Value) -> (Bytes, Range<usize>) {
    let (mut json, mut metadata) = (vec![b'{'], 0..0);
    for (name, value) in value.as_object().into_iter().flatten() {
        if json.len() > 1 {
            json.push(b',');
        }
        write_to(&mut json, &Value::from(name.as_str()));
        json.push(b':');
        let start = json.len();
        write_to(&mut json, value);
        if name == "metadata" {
            metadata = start..json.len();
        }
    }
    json.push(b'}');
    json.shrink_to_fit();
    (json.into(), metadata)
}

fn write_to(json: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(json, value).expect("a tree is JSON, and memory takes it");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Object;

    #[test]
    fn the_json_of_an_object_is_that_of_its_tree_and_its_metadata_a_part_of_it() {
        let value = json!({"kind": "Pod", "metadata": {"name": "a\"b"}, "spec": {"nodeName": "n"}});
        let object = Object::new(value, 7);
        let expected = json!({"kind": "Pod", "metadata": {"name": "a\"b", "resourceVersion": "7"}, "spec": {"nodeName": "n"}});
        assert_eq!(object.json, expected.to_string());
        assert_eq!(
            object.metadata(),
            expected["metadata"].to_string().as_bytes()
        );
    }

    #[test]
    fn an_object_of_its_text_is_the_one_of_its_tree() {
        let value = json!({"kind": "Pod", "metadata": {"labels": {"a": "b"}, "name": "x", "namespace": "n", "uid": "1"}, "spec": {}});
        let of_text = Object::of_text(value.to_string().as_bytes(), 7).unwrap();
        let of_tree = Object::new(value, 7);
        assert_eq!(of_text.json, of_tree.json);
        assert_eq!(of_text.metadata(), of_tree.metadata());
        assert_eq!(of_text.labels, of_tree.labels);
        assert_eq!(of_text.name, of_tree.name);
        assert_eq!(of_text.namespace, of_tree.namespace);
    }

    #[test]
    fn a_field_has_the_same_value_at_every_look() {
        let object = Object::new(
            json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}}),
            7,
        );
        for _ in 0..2 {
            assert_eq!(object.field("spec.nodeName"), "n");
            assert_eq!(object.field("status.phase"), "");
            assert_eq!(object.field("metadata.name"), "a");
        }
    }
}
