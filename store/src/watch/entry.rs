//! One revision in memory: its events, and what was already encoded of them.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use planted::Bug;
use state_machine::{EncodedKeyValue, Event, RevisionEvents};

use super::encode::{event_length, write_event};
use super::hub::Hub;

/// Counted for each event besides its key and key-value: the event itself and its share of the entry.
const EVENT_OVERHEAD_BYTES: usize = 192;

/// Bytes held by all the entries that were made with it.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicUsize);

impl Gauge {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Relaxed);
    }

    pub(super) fn subtract(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}

/// All events of one revision.
pub(super) struct Entry {
    revision: i64,
    events: Arc<[Event]>,
    /// One for each event, made when the first is wanted.
    caches: OnceLock<Box<[Cache]>>,
    bytes: AtomicUsize,
    gauge: Arc<Gauge>,
}

#[derive(Default)]
struct Cache {
    prev: OnceLock<Option<EncodedKeyValue>>,
    plain: OnceLock<Bytes>,
    with_prev: OnceLock<Bytes>,
}

impl Entry {
    pub(super) fn new(events: RevisionEvents, gauge: &Arc<Gauge>) -> Arc<Entry> {
        let bytes = events.events.iter().map(weight).sum();
        gauge.add(bytes);
        Arc::new(Entry {
            revision: events.revision,
            events: events.events,
            caches: OnceLock::new(),
            bytes: AtomicUsize::new(bytes),
            gauge: gauge.clone(),
        })
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(super) fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }

    /// Notes that more memory lives as long as this entry.
    pub(super) fn charge(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.gauge.add(bytes);
    }

    /// The value before event `index`; none when there was none or it is compacted. Read once.
    pub(super) fn prev(&self, index: usize, hub: &Hub) -> Option<&EncodedKeyValue> {
        let at = self.events[index].prev?;
        let shared = planted::is_on(Bug::SharedPrevious);
        let place = if shared { 0 } else { index };
        let prev = self.cache(place).prev.get_or_init(|| {
            let prev = hub.history().key_value_at(at);
            self.charge(prev.as_ref().map_or(0, |prev| prev.0.len()));
            prev
        });
        prev.as_ref()
    }

    /// Event `index` as an `events` field, made once for all who want it.
    pub(super) fn encoded(&self, index: usize, prev_kv: bool, hub: &Hub) -> &Bytes {
        let cache = self.cache(index);
        let place = if prev_kv {
            &cache.with_prev
        } else {
            &cache.plain
        };
        place.get_or_init(|| {
            let event = &self.events[index];
            let prev = if prev_kv { self.prev(index, hub) } else { None };
            let mut out = BytesMut::with_capacity(event_length(event, prev));
            write_event(&mut out, event, prev);
            self.charge(out.len());
            out.freeze()
        })
    }

    /// Some of the events as `events` fields, in one piece.
    pub(super) fn encode_all(&self, indexes: &[u32], prev_kv: bool, hub: &Hub) -> Bytes {
        let with_prev = || {
            indexes.iter().map(|index| {
                let index = *index as usize;
                (
                    &self.events[index],
                    if prev_kv { self.prev(index, hub) } else { None },
                )
            })
        };
        let mut out = BytesMut::with_capacity(
            with_prev()
                .map(|(event, prev)| event_length(event, prev))
                .sum(),
        );
        with_prev().for_each(|(event, prev)| write_event(&mut out, event, prev));
        out.freeze()
    }

    fn cache(&self, index: usize) -> &Cache {
        let caches = self.caches.get_or_init(|| {
            self.charge(self.events.len() * size_of::<Cache>());
            self.events.iter().map(|_| Cache::default()).collect()
        });
        &caches[index]
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.gauge.subtract(*self.bytes.get_mut());
    }
}

/// What an event adds to the memory of its entry before anything is encoded.
pub(super) fn weight(event: &Event) -> usize {
    event.key.len() + event.kv.0.len() + EVENT_OVERHEAD_BYTES
}
