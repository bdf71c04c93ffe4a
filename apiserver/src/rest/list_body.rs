//! Lists as bytes: object by object where that can be, so that no more than one tree is held at a time.

use std::io::Write;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use objects::Value;
use objects::codec::protobuf::ListWriter;
use objects::status::Status;
use objects::table::{self, Options};
use serde_json::json;

use super::answer::{self, Answer};
use super::media::{Encoding, Form, Media};
use super::verbs::printer;
use crate::cache::Object;
use crate::registry::{List, as_printed, in_own_version, is_stored_as_served};
use crate::served::Served;

/// A list, and what is to be shown of it.
pub(super) struct Shown {
    pub(super) served: Arc<Served>,
    pub(super) list: List,
    pub(super) media: Media,
    /// How tables are made.
    pub(super) options: Options,
    /// Whether the client reads what is compressed.
    pub(super) accept_encoding: String,
}

impl Shown {
    /// The answer.
    pub(super) fn answer(&self) -> Result<Answer, Status> {
        let in_parts = !self.media.pretty && !self.list.items.is_empty();
        let body = match (&self.media.form, self.media.encoding) {
            (Form::Object, Encoding::Json) if in_parts => self.objects()?,
            (Form::Metadata { .. }, Encoding::Json) if in_parts => self.metadata_of_each()?,
            (Form::Table { .. }, Encoding::Json)
                if in_parts && printer(&self.served).keeps_order() =>
            {
                self.rows()?
            }
            (Form::Object, Encoding::Protobuf) => match ListWriter::new(&self.head()) {
                Ok(writer) => self.messages(writer, |object| object)?,
                Err(_) => return self.whole(),
            },
            (Form::Metadata { .. }, Encoding::Protobuf) => {
                match ListWriter::new(&table::partial_list(Some(&self.metadata()), [])) {
                    Ok(writer) => self.messages(writer, |object| table::partial(&object))?,
                    Err(_) => return self.whole(),
                }
            }
            _ => return self.whole(),
        };
        Ok(answer::compressed(
            200,
            self.media.encoding.name(),
            body,
            &self.accept_encoding,
        ))
    }

    /// The metadata of the list.
    fn metadata(&self) -> Value {
        let list = &self.list;
        let mut metadata = json!({"resourceVersion": list.revision.to_string()});
        if !list.continuation.is_empty() {
            metadata["continue"] = json!(list.continuation);
        }
        if let Some(remaining) = list.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        metadata
    }

    /// The list of objects without them.
    fn head(&self) -> Value {
        json!({
            "kind": format!("{}List", self.served.resource.kind),
            "apiVersion": self.served.resource.api_version(),
            "metadata": self.metadata(),
        })
    }

    fn objects(&self) -> Result<Bytes, Status> {
        if is_ready(&self.served) {
            return joined(self, &self.head(), "items", |object, body| {
                body.put_slice(&object.json);
                Ok(())
            });
        }
        joined(self, &self.head(), "items", |object, body| {
            append(body, &shown(&self.served, object))
        })
    }

    fn metadata_of_each(&self) -> Result<Bytes, Status> {
        let mut head = table::partial_list(Some(&self.metadata()), []);
        head.as_object_mut()
            .and_then(|fields| fields.remove("items"));
        let stored = is_ready(&self.served);
        joined(self, &head, "items", |object, body| {
            if stored {
                body.put_slice(&partial(object));
                return Ok(());
            }
            append(body, &table::partial(&shown(&self.served, object)))
        })
    }

    fn rows(&self) -> Result<Bytes, Status> {
        let printer = printer(&self.served);
        let mut head = printer.table(Some(&self.metadata()), [], &self.options);
        head.as_object_mut()
            .and_then(|fields| fields.remove("rows"));
        joined(self, &head, "rows", |object, body| {
            let object = shown(&self.served, object);
            append(
                body,
                &printer.row(&as_printed(&self.served, object), &self.options),
            )
        })
    }

    fn messages(
        &self,
        mut writer: ListWriter,
        form: impl Fn(Value) -> Value,
    ) -> Result<Bytes, Status> {
        for object in &self.list.items {
            writer.push(&form(shown(&self.served, object)));
        }
        Ok(writer.finish().into())
    }

    /// The list as one tree.
    fn whole(&self) -> Result<Answer, Status> {
        let items: Vec<Value> = self
            .list
            .items
            .iter()
            .map(|object| shown(&self.served, object))
            .collect();
        let metadata = self.metadata();
        let value = match &self.media.form {
            Form::Object => {
                let mut list = self.head();
                list["items"] = Value::Array(items);
                list
            }
            Form::Metadata { .. } => table::partial_list(Some(&metadata), &items),
            Form::Table { .. } => {
                let stored: Vec<Value> = items
                    .into_iter()
                    .map(|item| as_printed(&self.served, item))
                    .collect();
                printer(&self.served).table(Some(&metadata), &stored, &self.options)
            }
        };
        Ok(answer::object(200, &self.media, &value))
    }
}

/// Whether objects can be sent as they are encoded.
fn is_ready(served: &Served) -> bool {
    served.is_custom() || is_stored_as_served(served)
}

/// An object as it is asked for. Custom ones came converted.
fn shown(served: &Served, object: &Object) -> Value {
    in_own_version(served, object.value())
}

/// An object's metadata alone, without a tree.
pub(super) fn partial(object: &Object) -> Bytes {
    const HEAD: &[u8] =
        br#"{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":"#;
    let mut body = BytesMut::with_capacity(HEAD.len() + object.metadata().len() + 1);
    body.put_slice(HEAD);
    body.put_slice(object.metadata());
    body.put_u8(b'}');
    body.freeze()
}

/// A head that is an object of fields, and behind them one more: an element for each object of the list.
fn joined(
    shown: &Shown,
    head: &Value,
    field: &str,
    element: impl Fn(&Object, &mut BytesMut) -> Result<(), Status>,
) -> Result<Bytes, Status> {
    let size = match shown.media.form {
        Form::Object => shown
            .list
            .items
            .iter()
            .map(|object| object.json.len() + 1)
            .sum(),
        _ => 0,
    };
    let head = head.to_string();
    let mut body = BytesMut::with_capacity(size + head.len() + 16);
    body.put_slice(
        head.strip_suffix('}')
            .expect("an object ends so")
            .as_bytes(),
    );
    body.put_slice(format!(",\"{field}\":[").as_bytes());
    for (at, object) in shown.list.items.iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        element(object, &mut body)?;
    }
    body.put_slice(b"]}\n");
    Ok(body.freeze())
}

fn append(body: &mut BytesMut, value: &Value) -> Result<(), Status> {
    write!(body.writer(), "{value}").map_err(Status::internal)
}
