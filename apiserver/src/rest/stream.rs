//! Watches as streams of frames: a line of JSON each, or protobuf with its length in front.

use std::sync::Arc;

use bytes::Bytes;
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
use super::media::{Encoding, Form};
use super::objects_api::Call;
use super::verbs::{printer, table_options};
use crate::cache::{EventKind, Object};
use crate::registry::{ListOptions, Registry, Told, Watcher};
use crate::served::Served;

/// What turns events into frames.
struct Encoder {
    served: Arc<Served>,
    encoding: Encoding,
    form: Form,
    /// Whether objects go out as they were encoded for all.
    shared: bool,
    /// Column definitions are told once.
    columns: bool,
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
        shared: call.media.form == Form::Object
            && encoding == Encoding::Json
            && registry.is_stored_as_served(&call.request.served),
        columns: true,
    };
    let content_type = match encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    };
    let frames = stream::unfold((watcher, encoder), |(mut watcher, mut encoder)| async {
        let frame = next(&mut watcher, &mut encoder).await?;
        Some((Ok::<_, Failure>(Frame::data(frame)), (watcher, encoder)))
    });
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, content_type.parse().expect("a media type"));
    Ok(answer)
}

async fn next(watcher: &mut Watcher, encoder: &mut Encoder) -> Option<Bytes> {
    let told = watcher.next().await?;
    Some(match &told {
        Told::Initial(object) if encoder.shared => crate::cache::frame("ADDED", &object.json),
        Told::Initial(object) => encoder.object(EventKind::Added, object).await,
        Told::Change(event, kind) if encoder.shared => event.frame(*kind).clone(),
        Told::Change(event, kind) => encoder.object(*kind, event.told(*kind)).await,
        Told::Bookmark {
            revision,
            initial_end,
        } => encoder.bookmark(*revision, *initial_end),
        Told::Failed(status) => encoder.frame("ERROR", status.to_value()),
    })
}

impl Encoder {
    async fn object(&mut self, kind: EventKind, object: &Object) -> Bytes {
        let shown = match crate::registry::as_served(&self.served, object.value()).await {
            Ok(value) => self.form(value),
            Err(status) => return self.frame("ERROR", status.to_value()),
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
