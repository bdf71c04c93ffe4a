//! Names made of what an object holds: the same content, however it is written, has the same name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use objects::quantity::Quantity;
use serde::Serialize;
use serde_json::{Map, Value};

/// The label that tells the pods of a Deployment's templates apart.
pub(crate) const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// Letters and digits that make no words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Fields that hold a map or a struct which says nothing when it is empty.
const EMPTY_IS_ABSENT: [&str; 10] = [
    "annotations",
    "labels",
    "limits",
    "matchLabels",
    "metadata",
    "nodeSelector",
    "overhead",
    "requests",
    "resources",
    "volumeAttributes",
];

/// Fields whose values are amounts that can be written in several ways.
const AMOUNTS: [&str; 4] = ["limits", "overhead", "requests", "sizeLimit"];

/// A name for a pod template. The count of collisions makes another name of the same template.
pub(crate) fn template(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    content(&canonical(template), collisions)
}

/// A name for a tree. It does not depend on the order of its fields.
pub(crate) fn content(tree: &Value, collisions: Option<i32>) -> String {
    let mut hash = Fnv::new();
    hash.tree(tree);
    if let Some(collisions) = collisions {
        hash.bytes(&collisions.to_le_bytes());
    }
    encode(&hash.0.to_string())
}

/// Writes a text with the letters that names are made of.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .collect()
}

/// Whether two templates say the same, but for the label that tells templates apart.
pub(crate) fn is_same_template(left: &PodTemplateSpec, right: &PodTemplateSpec) -> bool {
    without_hash(left) == without_hash(right)
}

/// The canonical tree of a template, without the label that tells templates apart.
pub(crate) fn without_hash(template: &PodTemplateSpec) -> Value {
    let mut tree = serde_json::to_value(template).unwrap_or_default();
    if let Some(labels) = tree
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.remove(TEMPLATE_HASH_LABEL);
    }
    tidied(tree, "").unwrap_or_default()
}

/// An object as a tree in which nothing is said that could be left out, and amounts are written in one way.
pub(crate) fn canonical(object: &impl Serialize) -> Value {
    tidied(serde_json::to_value(object).unwrap_or_default(), "").unwrap_or_default()
}

/// The tree of the field `name`, or none if it says nothing.
fn tidied(tree: Value, name: &str) -> Option<Value> {
    match tree {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => {
            let items = items.into_iter();
            Some(
                items
                    .map(|item| tidied(item, "").unwrap_or_default())
                    .collect(),
            )
        }
        Value::Object(fields) => {
            let is_of_amounts = AMOUNTS.contains(&name);
            let fields: Map<String, Value> = fields
                .into_iter()
                .filter_map(|(field, tree)| {
                    let name = if is_of_amounts { name } else { &field };
                    let tree = tidied(tree, name)?;
                    Some((field, tree))
                })
                .collect();
            let says_nothing = fields.is_empty() && EMPTY_IS_ABSENT.contains(&name);
            (!says_nothing).then_some(Value::Object(fields))
        }
        Value::String(text) if AMOUNTS.contains(&name) => Some(match Quantity::parse(&text) {
            Ok(amount) => Value::String(amount.to_string()),
            Err(_malformed) => Value::String(text),
        }),
        scalar => Some(scalar),
    }
}

/// FNV-1a with 32 bits.
struct Fnv(u32);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0x811c_9dc5)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    fn tree(&mut self, tree: &Value) {
        match tree {
            Value::Array(items) => {
                self.bytes(b"[");
                for item in items {
                    self.tree(item);
                    self.bytes(b",");
                }
                self.bytes(b"]");
            }
            Value::Object(fields) => {
                let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
                self.bytes(b"{");
                for (name, tree) in sorted {
                    self.bytes(Value::from(name.as_str()).to_string().as_bytes());
                    self.bytes(b":");
                    self.tree(tree);
                    self.bytes(b",");
                }
                self.bytes(b"}");
            }
            scalar => self.bytes(scalar.to_string().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
