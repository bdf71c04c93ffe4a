//! Events, which tell people what a program does: what repeats is counted, and what floods is left out.

mod correlate;
mod recent;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use tokio::sync::mpsc;

use self::correlate::{Action, Correlator, Happened};
use crate::batch::Write;
use crate::client::Client;
use crate::error::{Error, Failure};
use crate::kind::Kind;
use crate::pause::Pauses;

/// Events that wait to be written. More are dropped.
const QUEUE_MAX: usize = 4096;
/// Most events in one request.
const BATCH_MAX: usize = 256;
/// Most attempts of a request, and the pauses between them.
const ATTEMPTS_MAX: usize = 12;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What an event means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// Writes events of one part of a program. Clones share its queue.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Happened>,
    dropped: Arc<AtomicU64>,
    component: Arc<str>,
    host: Arc<str>,
}

impl Recorder {
    /// A recorder, and what writes its events, which ends when there are no recorders any more.
    pub fn new(
        client: Client,
        component: &str,
    ) -> (Recorder, impl Future<Output = ()> + Send + use<>) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let recorder = Recorder {
            sender,
            dropped: Arc::default(),
            component: Arc::from(component),
            host: Arc::from(""),
        };
        (recorder, write_all(client, receiver))
    }

    /// The same for another part of the program: `deployment-controller`.
    #[must_use]
    pub fn named(&self, component: &str) -> Recorder {
        Recorder {
            component: Arc::from(component),
            ..self.clone()
        }
    }

    /// The same for a part of the program that acts on one node: `kubelet` and the node's name.
    #[must_use]
    pub fn on_host(&self, component: &str, host: &str) -> Recorder {
        Recorder {
            component: Arc::from(component),
            host: Arc::from(host),
            ..self.clone()
        }
    }

    /// Tells that something happened to an object. It never waits.
    pub fn event(
        &self,
        about: &ObjectReference,
        r#type: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let happened = Happened {
            about: about.clone(),
            r#type,
            reason: reason.to_owned(),
            message: message.into(),
            component: self.component.clone(),
            host: self.host.clone(),
            at: Timestamp::now(),
        };
        if self.sender.try_send(happened).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Now and then, not for each.
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "events are dropped: too many wait to be written");
            }
        }
    }

    /// How many events were dropped because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// What an event of an object refers to.
#[must_use]
pub fn reference<K: Kind>(object: &K) -> ObjectReference {
    let metadata = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

async fn write_all(client: Client, mut receiver: mpsc::Receiver<Happened>) {
    let mut correlator = Correlator::default();
    let mut waiting = Vec::new();
    while receiver.recv_many(&mut waiting, BATCH_MAX).await > 0 {
        let happened = waiting.drain(..);
        let actions = happened.filter_map(|happened| correlator.take(happened));
        for batch in apart(actions) {
            write(&client, batch).await;
        }
    }
}

/// Actions in batches, none of which has two for the same event: writes of a batch have no order.
fn apart(actions: impl Iterator<Item = Action>) -> Vec<Vec<Action>> {
    let mut batches: Vec<Vec<Action>> = Vec::new();
    let mut names = HashSet::new();
    for action in actions {
        if !names.insert(action.key()) || batches.is_empty() {
            names.clear();
            names.insert(action.key());
            batches.push(Vec::new());
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(action);
        }
    }
    batches
}

/// Writes events, and makes those anew that were to be counted and are gone.
async fn write(client: &Client, batch: Vec<Action>) {
    let writes = batch.iter().map(Action::write).collect();
    let outcomes = match attempt(client, writes).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            tracing::warn!(events = batch.len(), %error, "events are not written");
            return;
        }
    };
    let mut anew = Vec::new();
    for (action, failure) in batch.into_iter().zip(outcomes) {
        match failure {
            Some(failure) if failure.is_not_found() && !action.is_new() => {
                anew.push(Write::create::<Event>(&action.into_event()));
            }
            // An earlier attempt has made it.
            Some(failure) if failure.is_already_exists() => {}
            Some(failure) => {
                tracing::debug!(event = %action.key(), %failure, "an event is not written");
            }
            None => {}
        }
    }
    if !anew.is_empty()
        && let Err(error) = attempt(client, anew).await
    {
        tracing::warn!(%error, "events are not written");
    }
}

/// Sends writes until they arrive: to make an event of the same name again, or to set its count again, does no harm.
async fn attempt(client: &Client, writes: Vec<Write>) -> Result<Vec<Option<Failure>>, Error> {
    let mut pauses = Pauses::new(PAUSE_FIRST, PAUSE_MAX);
    let mut attempts = 1;
    loop {
        match client.batch(writes.clone()).await {
            Ok(outcomes) => return Ok(outcomes.into_iter().map(Result::err).collect()),
            Err(error) if attempts == ATTEMPTS_MAX || is_final(&error) => return Err(error),
            Err(_) => attempts += 1,
        }
        tokio::time::sleep(pauses.next()).await;
    }
}

/// Whether another attempt would come to the same.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Failed(failure) => failure.code < 500 && !failure.is_too_many_requests(),
        Error::Invalid(_) | Error::TermOver => true,
        _ => false,
    }
}
