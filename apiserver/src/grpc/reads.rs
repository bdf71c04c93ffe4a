//! Reading and watching. Streams are made as they are taken: what a slow client has not taken is not there yet.

use std::sync::Arc;
use std::vec;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use objects::Value;
use objects::status::Status;
use proto::api::{self, EventType};

use super::caller::{Caller, Selectors};
use super::failure::Failed;
use super::options;
use crate::audit::Record;
use crate::cache::{EventKind, Object};
use crate::fairness::{Asked, Place};
use crate::registry::{List, Told, Watcher, as_served};
use crate::rest::not_served;
use crate::served::Served;
use crate::usage;

/// Most bytes of objects in one message of a stream, if there is more than one object in it.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Most objects or events of one message.
const MESSAGE_ITEMS_MAX: usize = 8_192;

/// One object.
pub(super) async fn get(
    caller: &Caller<'_>,
    message: &api::GetRequest,
) -> Result<api::GetResponse, Failed> {
    let request = caller
        .request(message.target.as_ref(), "get", Selectors::default())
        .await?;
    let registry = caller.registry();
    let object = match request.subresource.as_str() {
        "" if request.served.is_measured() => {
            let measuring = usage::get(caller.front(), &request);
            caller.in_time(&request, measuring).await?
        }
        "" | "status" => {
            caller
                .in_time(&request, registry.get(&request, &message.resource_version))
                .await?
        }
        "scale" => {
            caller
                .in_time(&request, registry.get_scale(&request))
                .await?
        }
        _ => {
            caller
                .in_time(&request, async { Err::<Value, _>(not_served()) })
                .await?
        }
    };
    Ok(api::GetResponse {
        object: encoded(&object),
    })
}

/// An object in JSON.
pub(super) fn encoded(object: &Value) -> Bytes {
    serde_json::to_vec(object).expect("a tree is JSON").into()
}

/// How the objects of one resource are sent.
struct Encoder {
    served: Arc<Served>,
    /// Whether objects go out as they were encoded for all.
    shared: bool,
}

impl Encoder {
    fn new(served: &Arc<Served>) -> Encoder {
        Encoder {
            shared: crate::registry::is_stored_as_served(served),
            served: served.clone(),
        }
    }

    async fn object(&self, object: &Object) -> Result<Bytes, Status> {
        if self.shared {
            return Ok(object.json.clone());
        }
        Ok(encoded(&as_served(&self.served, object.value()).await?))
    }

    /// The objects of a list, converted together.
    async fn objects(&self, list: &List) -> Result<Vec<Bytes>, Status> {
        if self.shared {
            return Ok(list
                .items
                .iter()
                .map(|object| object.json.clone())
                .collect());
        }
        let values = list.values(&self.served).await?;
        Ok(values.iter().map(encoded).collect())
    }
}

/// A list in chunks.
pub(super) async fn list(
    caller: &Caller<'_>,
    message: &api::ListRequest,
) -> Result<BoxStream<'static, Result<api::ListChunk, tonic::Status>>, Failed> {
    let mut target = message.target.clone();
    if let Some(target) = &mut target {
        target.name.clear();
    }
    let selectors = Selectors {
        labels: &message.label_selector,
        fields: &message.field_selector,
        asked: Asked {
            limit: usize::try_from(message.limit).unwrap_or_default(),
            initial: false,
        },
    };
    let mut request = caller.request(target.as_ref(), "list", selectors).await?;
    let encoder = Encoder::new(&request.served);
    let listing = async {
        let options = options::list(message)?;
        if request.served.is_measured() {
            let told = usage::list(caller.front(), &request, &options).await?;
            return Ok((List::default(), told.iter().map(encoded).collect()));
        }
        let list = caller.registry().list(&request, &options).await?;
        let objects = encoder.objects(&list).await?;
        Ok((list, objects))
    };
    let (list, objects) = caller.in_time(&request, listing).await?;
    let chunks = Chunks {
        objects: objects.into_iter(),
        behind: None,
        resource_version: list.revision.to_string(),
        continuation: list.continuation,
        remaining: list.remaining.and_then(|count| i64::try_from(count).ok()),
        done: false,
        _place: request.take_place(),
    };
    Ok(stream::iter(chunks.map(Ok)).boxed())
}

/// The chunks of a list that are still to be made.
struct Chunks {
    objects: vec::IntoIter<Bytes>,
    /// An object that the last chunk had no room for.
    behind: Option<Bytes>,
    resource_version: String,
    continuation: String,
    remaining: Option<i64>,
    done: bool,
    /// Kept until all is sent.
    _place: Option<Place>,
}

impl Iterator for Chunks {
    type Item = api::ListChunk;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.done).then(|| self.chunk())
    }
}

impl Chunks {
    fn chunk(&mut self) -> api::ListChunk {
        let mut chunk = api::ListChunk {
            resource_version: self.resource_version.clone(),
            ..api::ListChunk::default()
        };
        let mut size = 0;
        loop {
            let Some(object) = self.behind.take().or_else(|| self.objects.next()) else {
                break;
            };
            let full =
                size + object.len() > MESSAGE_BYTES_MAX || chunk.objects.len() == MESSAGE_ITEMS_MAX;
            if full && !chunk.objects.is_empty() {
                self.behind = Some(object);
                return chunk;
            }
            size += object.len();
            chunk.objects.push(object);
        }
        self.done = true;
        chunk.continue_token = std::mem::take(&mut self.continuation);
        chunk.remaining = self.remaining;
        chunk
    }
}

/// A watch.
pub(super) async fn watch(
    caller: &Caller<'_>,
    message: &api::WatchRequest,
) -> Result<BoxStream<'static, Result<api::WatchResponse, tonic::Status>>, Failed> {
    let selectors = Selectors {
        labels: &message.label_selector,
        fields: &message.field_selector,
        asked: Asked {
            limit: 0,
            initial: message.initial_events == Some(true)
                || matches!(message.resource_version.as_str(), "" | "0"),
        },
    };
    let mut request = caller
        .request(message.target.as_ref(), "watch", selectors)
        .await?;
    let watching = async {
        let mut options = options::watch(message)?;
        options.watch = true;
        caller.registry().watch(&request, &options).await
    };
    let watcher = caller.begun(&request, watching).await?;
    let events = Events {
        encoder: Encoder::new(&request.served),
        watcher,
        behind: None,
        failed: false,
        place: request.take_place(),
        _audit: request.audit.clone(),
    };
    let messages = stream::unfold(events, |mut events| async {
        let message = events.next().await?;
        Some((Ok(message), events))
    });
    Ok(messages.boxed())
}

/// The events of a watch that are still to be told.
struct Events {
    encoder: Encoder,
    watcher: Watcher,
    /// An event that the last message had no room for.
    behind: Option<api::Event>,
    failed: bool,
    /// Kept until all was told that was there in the beginning.
    place: Option<Place>,
    /// The event in the audit log, which ends with the stream.
    _audit: Record,
}

impl Events {
    /// The events that are there, at least one; none at the end.
    async fn next(&mut self) -> Option<api::WatchResponse> {
        if self.watcher.has_begun() {
            self.place = None;
        }
        let first = match self.behind.take() {
            Some(event) => event,
            None if self.failed => return None,
            None => {
                let told = self.watcher.next().await?;
                self.event(told).await
            }
        };
        let mut size = first.object.len();
        let mut events = vec![first];
        while events.len() < MESSAGE_ITEMS_MAX && !self.failed {
            // A watcher loses nothing when it is not waited for.
            let Some(Some(told)) = self.watcher.next().now_or_never() else {
                break;
            };
            let event = self.event(told).await;
            size += event.object.len();
            if size > MESSAGE_BYTES_MAX {
                self.behind = Some(event);
                break;
            }
            events.push(event);
        }
        Some(api::WatchResponse { events })
    }

    async fn event(&mut self, told: Told) -> api::Event {
        match told {
            Told::Initial(object) => self.object(EventKind::Added, &object).await,
            Told::Change(event, kind) => self.object(kind, event.told(kind)).await,
            Told::Bookmark {
                revision,
                initial_end,
            } => api::Event {
                r#type: EventType::Bookmark.into(),
                resource_version: revision.to_string(),
                initial_events_end: initial_end,
                ..api::Event::default()
            },
            Told::Failed(status) => self.fail(status),
        }
    }

    async fn object(&mut self, kind: EventKind, object: &Object) -> api::Event {
        let kind = match kind {
            EventKind::Added => EventType::Added,
            EventKind::Modified => EventType::Modified,
            EventKind::Deleted => EventType::Deleted,
        };
        match self.encoder.object(object).await {
            Ok(json) => api::Event {
                r#type: kind.into(),
                object: json,
                resource_version: object.revision.to_string(),
                ..api::Event::default()
            },
            Err(status) => self.fail(status),
        }
    }

    fn fail(&mut self, status: Status) -> api::Event {
        self.failed = true;
        api::Event {
            r#type: EventType::Error.into(),
            failure: Some(Failed::from(status).into()),
            ..api::Event::default()
        }
    }
}
