//! A history that is a plain list, its publisher, and a reader of deliveries.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use parking_lot::Mutex;
use state_machine::{
    EncodedKeyValue, Event, EventKind, KeyRange, Rejection, Revision, RevisionEvents,
};

use crate::watch::{Delivery, History, Hub, HubOptions, WatchSpec, WatchStream};

#[derive(Default)]
struct State {
    /// Index 0 is revision 2.
    revisions: Vec<RevisionEvents>,
    live: HashMap<Bytes, (Revision, EncodedKeyValue)>,
    values: HashMap<Revision, EncodedKeyValue>,
    compact_revision: i64,
}

/// Everything that ever happened; compaction only hides it from [`History`].
#[derive(Default)]
pub(super) struct Fake {
    state: Mutex<State>,
    pub(super) history_reads: AtomicUsize,
    pub(super) value_reads: AtomicUsize,
    /// Reads of history from below this revision find nothing.
    pub(super) blind_below: AtomicI64,
}

/// A change to make.
pub(super) enum Change {
    Put(Bytes, usize),
    Delete(Bytes),
}

pub(super) fn put(key: &str) -> Change {
    Change::Put(Bytes::copy_from_slice(key.as_bytes()), 8)
}

pub(super) fn delete(key: &str) -> Change {
    Change::Delete(Bytes::copy_from_slice(key.as_bytes()))
}

impl Fake {
    /// Applies `changes` as one revision; none when nothing changed.
    pub(super) fn apply(&self, changes: &[Change]) -> Option<RevisionEvents> {
        let mut state = self.state.lock();
        let main = i64::try_from(state.revisions.len()).unwrap() + 2;
        let mut events = Vec::new();
        for change in changes {
            let at = Revision {
                main,
                sub: i64::try_from(events.len()).unwrap(),
            };
            events.extend(state.change(change, at));
        }
        if events.is_empty() {
            return None;
        }
        let revision = RevisionEvents {
            revision: main,
            events: events.into(),
        };
        state.revisions.push(revision.clone());
        Some(revision)
    }

    pub(super) fn compact(&self, revision: i64) {
        self.state.lock().compact_revision = revision;
    }

    /// The events of a revision, compacted or not.
    pub(super) fn events_of(&self, revision: i64) -> Arc<[Event]> {
        self.state.lock().revisions[usize::try_from(revision - 2).unwrap()]
            .events
            .clone()
    }

    /// The value written at `at`, compacted or not.
    pub(super) fn value_of(&self, at: Revision) -> EncodedKeyValue {
        self.state.lock().values[&at].clone()
    }
}

impl State {
    fn change(&mut self, change: &Change, at: Revision) -> Option<Event> {
        match change {
            Change::Put(key, length) => {
                let text = format!("{}@{}.{}", String::from_utf8_lossy(key), at.main, at.sub);
                let padding = ".".repeat(length.saturating_sub(text.len()));
                let kv = EncodedKeyValue(Bytes::from(text + &padding));
                let prev = self.live.insert(key.clone(), (at, kv.clone()));
                self.values.insert(at, kv.clone());
                let prev = prev.map(|(revision, _)| revision);
                Some(Event {
                    kind: EventKind::Put,
                    key: key.clone(),
                    kv,
                    created: prev.is_none(),
                    prev,
                })
            }
            Change::Delete(key) => {
                let (revision, _) = self.live.remove(key)?;
                let kv = EncodedKeyValue(Bytes::from(format!(
                    "-{}@{}",
                    String::from_utf8_lossy(key),
                    at.main
                )));
                Some(Event {
                    kind: EventKind::Delete,
                    key: key.clone(),
                    kv,
                    created: false,
                    prev: Some(revision),
                })
            }
        }
    }
}

impl History for Fake {
    fn history(
        &self,
        from: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<RevisionEvents>, Rejection> {
        self.history_reads.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock();
        if from < state.compact_revision {
            return Err(Rejection::Compacted {
                compact_revision: state.compact_revision,
            });
        }
        if from < self.blind_below.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let mut bytes = 0;
        let start = usize::try_from((from - 2).max(0)).unwrap();
        let revisions = state
            .revisions
            .iter()
            .skip(start)
            .take(max_revisions)
            .take_while(|revision| {
                let first = bytes == 0;
                bytes += revision
                    .events
                    .iter()
                    .map(|event| event.kv.0.len())
                    .sum::<usize>();
                first || bytes <= max_bytes
            });
        Ok(revisions.cloned().collect())
    }

    fn key_value_at(&self, at: Revision) -> Option<EncodedKeyValue> {
        self.value_reads.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock();
        if at.main < state.compact_revision {
            return None;
        }
        state.values.get(&at).cloned()
    }

    fn revision(&self) -> i64 {
        i64::try_from(self.state.lock().revisions.len()).unwrap() + 1
    }

    fn compact_revision(&self) -> i64 {
        self.state.lock().compact_revision
    }
}

/// A hub, its history, and the task that dispatches.
pub(super) struct Setup {
    pub(super) fake: Arc<Fake>,
    pub(super) hub: Arc<Hub>,
    dispatcher: tokio::task::JoinHandle<()>,
}

impl Setup {
    pub(super) fn new() -> Setup {
        Setup::with(HubOptions::default())
    }

    pub(super) fn with(options: HubOptions) -> Setup {
        let fake = Arc::<Fake>::default();
        let hub = Hub::new(options, fake.clone());
        let dispatching = hub.clone();
        let dispatcher = tokio::spawn(async move { dispatching.dispatch().await });
        Setup {
            fake,
            hub,
            dispatcher,
        }
    }

    /// A hub whose ring holds only the newest revision.
    pub(super) fn with_tiny_ring() -> Setup {
        Setup::with(HubOptions {
            ring_bytes: 1,
            ..HubOptions::default()
        })
    }

    /// Applies one revision and publishes it; returns its number.
    pub(super) fn write(&self, changes: &[Change]) -> i64 {
        let events = self
            .fake
            .apply(changes)
            .expect("the change changes something");
        let revision = events.revision;
        self.hub.publish(vec![events]);
        revision
    }

    pub(super) fn put(&self, key: &str) -> i64 {
        self.write(&[put(key)])
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.dispatcher.abort();
    }
}

pub(super) fn spec(start: &str, end: &str) -> WatchSpec {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    WatchSpec {
        keys: KeyRange {
            start: bytes(start),
            end: bytes(end),
        },
        ..WatchSpec::default()
    }
}

/// The next delivery, or none when nothing will come until something is written.
pub(super) async fn next(stream: &mut WatchStream) -> Option<Delivery> {
    loop {
        while !stream.hub.is_quiet() {
            tokio::task::yield_now().await;
        }
        if let Poll::Ready(delivery) = futures::poll!(std::pin::pin!(stream.next())) {
            return Some(delivery);
        }
        if !stream.is_busy() {
            return None;
        }
        tokio::task::yield_now().await;
    }
}

/// One event as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) delete: bool,
    pub(super) kv: Vec<u8>,
    pub(super) prev_kv: Option<Vec<u8>>,
}

impl Received {
    /// The revision that [`Fake`] wrote into the key-value.
    pub(super) fn revision(&self) -> i64 {
        let text = std::str::from_utf8(&self.kv).unwrap();
        let (_, at) = text.split_once('@').unwrap();
        at.split('.').next().unwrap().parse().unwrap()
    }
}

/// Reads `events` fields with code that shares nothing with the writer.
pub(super) fn decode(mut events: &[u8]) -> Vec<Received> {
    let mut all = Vec::new();
    while !events.is_empty() {
        let (tag, mut body) = field(&mut events);
        assert_eq!(tag, 11 << 3 | 2, "only events fields");
        let mut received = Received {
            delete: false,
            kv: Vec::new(),
            prev_kv: None,
        };
        while !body.is_empty() {
            match body[0] {
                0x08 => {
                    received.delete = body[1] == 1;
                    body = &body[2..];
                }
                0x12 => received.kv = field(&mut body).1.to_vec(),
                0x1a => received.prev_kv = Some(field(&mut body).1.to_vec()),
                other => panic!("unknown tag {other}"),
            }
        }
        all.push(received);
    }
    all
}

fn field<'a>(input: &mut &'a [u8]) -> (u64, &'a [u8]) {
    let tag = varint(input);
    let length = usize::try_from(varint(input)).unwrap();
    let (body, rest) = input.split_at(length);
    *input = rest;
    (tag, body)
}

fn varint(input: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = input[0];
        *input = &input[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// Watch id, header revision and keys with revisions of an events delivery: `"0 5: a@5.0"`, or the delivery's name.
pub(super) fn show(delivery: Option<Delivery>) -> String {
    match delivery {
        None => "nothing".to_owned(),
        Some(Delivery::Progress { watch_id, revision }) => {
            format!("{watch_id} {revision}: progress")
        }
        Some(Delivery::Compacted {
            watch_id,
            compact_revision,
        }) => format!("{watch_id}: compacted {compact_revision}"),
        Some(Delivery::Events {
            watch_id,
            revision,
            events,
            fragment,
        }) => {
            let mut text = format!("{watch_id} {revision}:");
            for event in decode(&events) {
                text += &format!(" {}", String::from_utf8_lossy(&event.kv));
                if let Some(prev) = event.prev_kv {
                    text += &format!("<{}", String::from_utf8_lossy(&prev));
                }
            }
            text + if fragment { " ..." } else { "" }
        }
    }
}

/// The next delivery as text.
pub(super) async fn shown(stream: &mut WatchStream) -> String {
    show(next(stream).await)
}
