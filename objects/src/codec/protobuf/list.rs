//! Writes a list object by object, so that nobody needs the trees of all its objects at once.

use super::layout::{self, Slot};
use super::wire::Writer;
use super::{Error, encode, known};
use crate::catalog::Catalog;
use crate::schema::{NodeId, Shape};
use crate::{Value, meta};

/// A list that is being written.
pub struct ListWriter {
    api_version: String,
    kind: String,
    /// The number of the field of the objects, which is the last one.
    number: u32,
    item: NodeId,
    raw: Writer,
}

impl ListWriter {
    /// Begins a list of a built-in kind: all of it but its objects.
    ///
    /// # Errors
    ///
    /// If the kind is not built in, has no protobuf, or is no list.
    pub fn new(list: &Value) -> Result<ListWriter, Error> {
        let (api_version, kind) = (
            meta::text(list, &["apiVersion"]),
            meta::text(list, &["kind"]),
        );
        let at = known(api_version, kind)?;
        let (number, item) = layout::of(at.id)
            .last()
            .and_then(|entry| match &entry.slot {
                Slot::Field {
                    name: "items",
                    field,
                } => Some((entry.number, field.node)),
                _ => None,
            })
            .and_then(
                |(number, node)| match &Catalog::builtin().schema.node(node).shape {
                    Shape::List(list) => Some((number, list.items)),
                    _ => None,
                },
            )
            .ok_or_else(|| Error::Kind {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
            })?;
        let mut raw = Writer::default();
        encode::fields_of(at.id, list, &mut raw);
        Ok(ListWriter {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            number,
            item,
            raw,
        })
    }

    /// Adds an object.
    pub fn push(&mut self, object: &Value) {
        encode::write_value(self.number, self.item, (None, object), &mut self.raw);
    }

    /// The whole list.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        encode::envelope(&self.api_version, &self.kind, &self.raw.bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{decode, encode};
    use super::ListWriter;

    #[test]
    fn a_list_that_is_written_object_by_object_is_that_of_the_whole_tree() {
        let item = |name: &str| json!({"metadata": {"name": name}, "data": {"a": name}});
        let mut list = json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "7"}, "items": []});
        let mut writer = ListWriter::new(&list).unwrap();
        for name in ["x", "y"] {
            writer.push(&item(name));
        }
        list["items"] = json!([item("x"), item("y")]);
        let bytes = writer.finish();
        assert_eq!(bytes, encode(&list).unwrap());
        assert_eq!(decode(&bytes).unwrap()["items"][1]["data"]["a"], "y");
    }

    #[test]
    fn what_is_no_list_is_not_begun() {
        assert!(ListWriter::new(&json!({"apiVersion": "v1", "kind": "ConfigMap"})).is_err());
    }
}
