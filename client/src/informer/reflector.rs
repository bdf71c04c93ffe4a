//! Follows the changes of a query, and resumes where it was after whatever cuts it off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use objects::codec::outline;
use proto::api::{Event, EventType, WatchRequest};

use super::Informer;
use crate::client::Client;
use crate::error::{Error, Failure};
use crate::kind::Key;
use crate::object::{DynamicObject, Object};
use crate::pause::Pauses;

/// Pauses between two watches, of which the first failed.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A server that tells bookmarks is heard once a minute. After this time it is asked anew.
const SILENCE_MAX: Duration = Duration::from_secs(180);

pub(crate) type Decode<K> = fn(&[u8]) -> Result<K, Error>;

/// Keeps an informer up to date.
pub(crate) struct Reflector<K> {
    client: Client,
    state: State<K>,
}

/// What was heard so far.
pub(super) struct State<K> {
    informer: Informer<K>,
    decode: Decode<K>,
    /// What is resumed from; empty if all is to be told anew.
    resource_version: String,
    /// What was told of a beginning that has not been told in whole.
    fresh: Option<BTreeMap<Key, Arc<K>>>,
}

impl<K: Object> Reflector<K> {
    pub(crate) fn new(client: Client, informer: Informer<K>, decode: Decode<K>) -> Reflector<K> {
        Reflector {
            client,
            state: State::new(informer, decode),
        }
    }

    /// Runs for ever.
    pub(crate) async fn run(mut self) {
        let mut pauses = Pauses::new(PAUSE_FIRST, PAUSE_MAX);
        let resource = self.state.informer.resource().clone();
        loop {
            match self.watch(&mut pauses).await {
                Ok(()) => tracing::debug!(%resource, "a watch has ended"),
                Err(error) if self.state.begins_anew_after(&error) => {
                    tracing::info!(%resource, %error, "all is told anew");
                }
                Err(error) => tracing::warn!(%resource, %error, "a watch has failed"),
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    /// One watch, to its end.
    async fn watch(&mut self, pauses: &mut Pauses) -> Result<(), Error> {
        let request = self.state.begin();
        let mut stream = self.client.watch(request).await?;
        loop {
            let message = tokio::time::timeout(SILENCE_MAX, stream.message())
                .await
                .map_err(|_elapsed| Error::TimedOut(SILENCE_MAX))?
                .map_err(|status| Error::of_status(&status, SILENCE_MAX))?;
            let Some(message) = message else {
                return Ok(());
            };
            for event in message.events {
                self.state.take(event)?;
            }
            pauses.reset();
            // Many changes at once are much work, and others wait for their turn.
            tokio::task::yield_now().await;
        }
    }
}

impl<K: Object> State<K> {
    pub(super) fn new(informer: Informer<K>, decode: Decode<K>) -> State<K> {
        State {
            informer,
            decode,
            resource_version: String::new(),
            fresh: None,
        }
    }

    /// What is asked for: the changes since the last one, or all.
    pub(super) fn begin(&mut self) -> WatchRequest {
        let anew = self.resource_version.is_empty();
        self.fresh = anew.then(BTreeMap::new);
        let query = self.informer.query();
        let within = Key::new(&*query.namespace, "");
        WatchRequest {
            target: Some(self.informer.resource().target(&within, "")),
            label_selector: query.labels.clone(),
            field_selector: query.fields.clone(),
            resource_version: self.resource_version.clone(),
            initial_events: Some(anew),
            bookmarks: true,
            timeout_seconds: 0,
        }
    }

    /// Forgets where it was if no server can go on from there: that is long ago, or lies before the servers, whose store was set back.
    pub(super) fn begins_anew_after(&mut self, error: &Error) -> bool {
        let is_lost = error.is_expired() || error.is_ahead();
        if is_lost {
            self.resource_version.clear();
        }
        is_lost
    }

    pub(super) fn take(&mut self, event: Event) -> Result<(), Error> {
        match event.r#type() {
            EventType::Added | EventType::Modified => {
                if let Some(object) = self.object(&event.object) {
                    match &mut self.fresh {
                        Some(fresh) => {
                            fresh.insert(object.key(), object);
                        }
                        None => self.informer.set(object),
                    }
                }
            }
            EventType::Deleted => {
                if let Some(object) = self.object(&event.object) {
                    match &mut self.fresh {
                        Some(fresh) => {
                            fresh.remove(&object.key());
                        }
                        None => self.informer.remove(object),
                    }
                }
            }
            EventType::Bookmark => {
                if event.initial_events_end
                    && let Some(fresh) = self.fresh.take()
                {
                    self.informer.replace(fresh);
                }
            }
            EventType::Error => return Err(Failure::of(event.failure.unwrap_or_default()).into()),
            EventType::Unspecified => {}
        }
        if self.fresh.is_none() && !event.resource_version.is_empty() {
            self.resource_version = event.resource_version;
        }
        Ok(())
    }

    /// The object of an event. One that is not of its kind stays as it was known, and is otherwise left out.
    fn object(&self, text: &[u8]) -> Option<Arc<K>> {
        // What is forgotten below is not made first.
        let shorter = outline::without_managers(text);
        match (self.decode)(shorter.as_deref().unwrap_or(text)) {
            Ok(mut object) => {
                object.forget_managers();
                Some(Arc::new(object))
            }
            Err(error) => {
                let resource = self.informer.resource();
                let head = DynamicObject::decode_metadata(text).ok();
                let key = head.map(|head| head.key()).unwrap_or_default();
                tracing::warn!(%resource, %key, %error, "an object is not of its kind");
                self.informer.store().get(&key)
            }
        }
    }
}
