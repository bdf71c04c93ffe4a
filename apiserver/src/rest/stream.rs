//! Watches as streams of frames: a line of JSON each, or protobuf with its length in front.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use objects::codec::protobuf;
use objects::status::Status;
use objects::{Value, table};
use serde_json::json;

use super::answer::{Answer, Failure};
use super::list_body::partial;
use super::media::{Encoding, Form};
use super::objects_api::Call;
use super::verbs::{printer, table_options};
use crate::cache::{EventKind, Object};
use crate::fairness::Begun;
use crate::registry::{ListOptions, Registry, Told, Watcher};
use crate::served::Served;

/// Bytes of events from which on no more are sent together.
const TOGETHER_BYTES_MAX: usize = 64 << 10;

/// What turns events into frames.
struct Encoder {
    served: Arc<Served>,
    encoding: Encoding,
    form: Form,
    /// Whether objects go out in the version that is stored, so that what is encoded for one is for all.
    stored: bool,
    /// Column definitions are told once.
    columns: bool,
    /// Whether the last frame told an error: nothing comes behind it.
    failed: bool,
}

/// Opens a watch and answers with its stream.
pub(super) async fn watch(call: &Call<'_>, options: &ListOptions) -> Result<Answer, Status> {
    let registry: &Registry = &call.front.registry;
    let watcher = registry.watch(&call.request, options).await?;
    let encoding = if call.media.encoding == Encoding::Yaml {
        Encoding::Json
    } else {
        call.media.encoding
    };
    let encoder = Encoder {
        served: call.request.served.clone(),
        encoding,
        form: call.media.form.clone(),
        stored: crate::registry::is_stored_as_served(&call.request.served),
        columns: true,
        failed: false,
    };
    let content_type = match encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    };
    let begun = Begun::default();
    let mark = begun.clone();
    let frames = stream::unfold((watcher, encoder), move |(mut watcher, mut encoder)| {
        if watcher.has_begun() {
            mark.set();
        }
        async {
            let frame = next(&mut watcher, &mut encoder).await?;
            Some((Ok::<_, Failure>(Frame::data(frame)), (watcher, encoder)))
        }
    });
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    answer.extensions_mut().insert(begun);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, content_type.parse().expect("a media type"));
    Ok(answer)
}

/// What comes next, with what can be told at once: many small frames cost more than one.
async fn next(watcher: &mut Watcher, encoder: &mut Encoder) -> Option<Bytes> {
    if encoder.failed {
        return None;
    }
    let first = watcher.next().await?;
    let first = encoder.told(&first).await;
    if encoder.failed {
        return Some(first);
    }
    let Some(second) = watcher.at_hand() else {
        return Some(first);
    };
    let mut together = BytesMut::from(first);
    let mut told = Some(second);
    while let Some(more) = told {
        together.put(encoder.told(&more).await);
        let is_full = encoder.failed || together.len() >= TOGETHER_BYTES_MAX;
        told = if is_full { None } else { watcher.at_hand() };
    }
    Some(together.freeze())
}

impl Encoder {
    async fn told(&mut self, told: &Told) -> Bytes {
        match told {
            Told::Initial(object) => self.object(EventKind::Added, object).await,
            Told::Change(event, kind) if self.stored && self.form == Form::Object => {
                match self.encoding {
                    Encoding::Protobuf => event
                        .protobuf(*kind, || self.stored_object(*kind, event.told(*kind)))
                        .clone(),
                    _ => event.frame(*kind).clone(),
                }
            }
            Told::Change(event, kind) => self.object(*kind, event.told(*kind)).await,
            Told::Bookmark {
                revision,
                initial_end,
            } => self.bookmark(*revision, *initial_end),
            Told::Failed(status) => self.frame("ERROR", status.to_value()),
        }
    }

    /// An object that goes out in the version that is stored.
    fn stored_object(&mut self, kind: EventKind, object: &Object) -> Bytes {
        if self.encoding == Encoding::Json {
            match self.form {
                Form::Object => return crate::cache::frame(kind.name(), &object.json),
                Form::Metadata { .. } => {
                    return crate::cache::frame(kind.name(), &partial(object));
                }
                Form::Table { .. } => {}
            }
        }
        let shown = self.form(object.value());
        self.frame(kind.name(), shown)
    }

    async fn object(&mut self, kind: EventKind, object: &Object) -> Bytes {
        if self.stored {
            return self.stored_object(kind, object);
        }
        let shown = match crate::registry::as_served(&self.served, object.value()).await {
            Ok(value) => self.form(value),
            Err(status) => {
                self.failed = true;
                return self.frame("ERROR", status.to_value());
            }
        };
        self.frame(kind.name(), shown)
    }

    /// The object in the form that was asked for.
    fn form(&mut self, value: Value) -> Value {
        match &self.form {
            Form::Object => value,
            Form::Metadata { .. } => table::partial(&value),
            Form::Table { .. } => {
                let Ok(mut options) = table_options("") else {
                    return value;
                };
                options.headers = std::mem::take(&mut self.columns);
                let stored = crate::registry::as_printed(&self.served, value.clone());
                printer(&self.served).table(value.get("metadata"), [&stored], &options)
            }
        }
    }

    fn bookmark(&self, revision: i64, initial_end: bool) -> Bytes {
        let mut metadata =
            json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let resource = &self.served.resource;
        let object = match &self.form {
            Form::Object => {
                json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": metadata})
            }
            Form::Metadata { version, .. } => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata})
            }
            Form::Table { version } => {
                json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
                    "columnDefinitions": [], "rows": []})
            }
        };
        self.frame("BOOKMARK", object)
    }

    fn frame(&self, kind: &str, object: Value) -> Bytes {
        if self.encoding == Encoding::Protobuf
            && let Ok(frame) = protobuf::watch::write(kind, &object)
        {
            return frame.into();
        }
        let object = serde_json::to_vec(&object).expect("a tree is JSON");
        crate::cache::frame(kind, &object)
    }
}
