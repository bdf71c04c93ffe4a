//! Watch fan-out: puts on a few keys, many watchers on each, and the time from a put's due time to each of its events.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use crate::load::connection::Arrival;
use crate::load::engine::Engine;
use crate::load::messages;
use crate::load::protobuf::fields;
use crate::load::random::{Random, Values};
use crate::load::report;
use crate::load::workload::{Keys, Workload};

/// Tags from here on are watch streams.
pub const FIRST_TAG: u64 = 1 << 40;
/// Bytes in front of each value that carry the put's due time.
const STAMP_BYTES: usize = 8;
const CREATE_DEADLINE: Duration = Duration::from_secs(60);

/// How many watchers there are and where.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub watchers: usize,
    pub streams: usize,
    pub keys: u64,
    pub prev_kv: bool,
    pub value_bytes: usize,
}

/// Puts with a stamp, and the watchers that read it.
pub struct WatchFanOut {
    keys: Keys,
    layout: Layout,
    base: Instant,
    random: Random,
    values: Values,
    key: Vec<u8>,
    value: Vec<u8>,
    /// Of each slot: the key of its running put.
    putting: Vec<u64>,
    /// Of each stream: the newest revision each of its watchers saw, by watch id.
    seen: Vec<Vec<i64>>,
    created: usize,
    measuring: bool,
    expected_events: u64,
    all_events: u64,
    /// Events that arrived within the measured time.
    pub events: u64,
    /// Nanoseconds from a put's due time to each of its events.
    pub delay: Histogram<u64>,
}

impl WatchFanOut {
    pub fn new(keys: Keys, layout: Layout, slots: usize, seed: u64) -> WatchFanOut {
        WatchFanOut {
            keys,
            layout,
            base: Instant::now(),
            random: Random::new(seed),
            values: Values::new(layout.value_bytes.max(STAMP_BYTES), seed),
            key: Vec::new(),
            value: Vec::new(),
            putting: vec![0; slots],
            seen: vec![Vec::new(); layout.streams],
            created: 0,
            measuring: false,
            expected_events: 0,
            all_events: 0,
            events: 0,
            delay: report::histogram(),
        }
    }

    /// Opens the streams over `connections` in turn and creates all watchers.
    pub fn create(&mut self, engine: &mut Engine, connections: &[usize]) -> Result<()> {
        for stream in 0..self.layout.streams {
            let connection = engine.connection(connections[stream % connections.len()]);
            let id = connection.open_stream(messages::WATCH, FIRST_TAG + stream as u64);
            let mut message = Vec::new();
            for watcher in (stream..self.layout.watchers).step_by(self.layout.streams) {
                self.keys
                    .name(watcher as u64 % self.layout.keys, &mut self.key);
                message.clear();
                messages::watch_create(&self.key, self.layout.prev_kv, &mut message);
                connection.send(id, &message, false);
            }
        }
        let deadline = Instant::now() + CREATE_DEADLINE;
        let mut wrong = None;
        while self.created < self.layout.watchers {
            if Instant::now() > deadline {
                bail!(
                    "only {} of {} watches were created",
                    self.created,
                    self.layout.watchers
                );
            }
            engine.flush()?;
            engine.turn(Duration::from_millis(100), &mut |arrival| match arrival {
                Arrival::Message { tag, body } => {
                    if let Err(reason) = self.streamed(tag, body) {
                        wrong = Some(reason);
                    }
                }
                Arrival::Closed { code, reason, .. } => {
                    wrong = Some(format!("a watch stream ended: {code} {reason:?}"));
                }
            })?;
            if let Some(reason) = wrong {
                bail!(reason);
            }
        }
        Ok(())
    }

    /// Events that were due and never came.
    pub fn missing(&self) -> u64 {
        self.expected_events.saturating_sub(self.all_events)
    }

    fn watchers_of(&self, key: u64) -> u64 {
        let (watchers, keys) = (self.layout.watchers as u64, self.layout.keys);
        watchers / keys + u64::from(key < watchers % keys)
    }

    fn event(&mut self, key_value: &[u8], now: u64) -> Option<i64> {
        let mut mod_revision = None;
        for (field, value) in fields(key_value) {
            match field {
                3 => mod_revision = Some(value.integer()),
                5 => {
                    let stamp = u64::from_le_bytes(*value.bytes().first_chunk()?);
                    self.all_events += 1;
                    if self.measuring {
                        self.events += 1;
                        self.delay
                            .saturating_record(now.saturating_sub(stamp).max(1));
                    }
                }
                _ => {}
            }
        }
        mod_revision
    }
}

impl Workload for WatchFanOut {
    fn path(&self) -> &'static str {
        messages::PUT
    }

    fn build(&mut self, slot: usize, due: Instant, out: &mut Vec<u8>) {
        let number = self.random.below(self.layout.keys);
        self.putting[slot] = number;
        self.keys.name(number, &mut self.key);
        self.value.clear();
        let stamp = due.duration_since(self.base).as_nanos() as u64;
        self.value.extend_from_slice(&stamp.to_le_bytes());
        self.value
            .extend_from_slice(&self.values.pick(&mut self.random)[STAMP_BYTES..]);
        messages::put(&self.key, &self.value, out);
    }

    fn answer(&mut self, slot: usize, message: &[u8]) -> Result<(), String> {
        self.expected_events += self.watchers_of(self.putting[slot]);
        messages::header_revision(message)
            .map(drop)
            .ok_or_else(|| "a put without revision".into())
    }

    fn streamed(&mut self, tag: u64, message: &[u8]) -> Result<(), String> {
        let stream = (tag - FIRST_TAG) as usize;
        let now = self.base.elapsed().as_nanos() as u64;
        let mut id = 0;
        let mut newest = 0;
        for (field, value) in fields(message) {
            match field {
                2 => id = value.integer() as usize,
                3 => {
                    self.created += 1;
                    let known = self.seen[stream].len().max(id + 1);
                    self.seen[stream].resize(known, 0);
                }
                4 => return Err(format!("watch {id} was cancelled")),
                11 => {
                    let key_value = fields(value.bytes()).find(|(field, _)| *field == 2);
                    let revision = key_value.and_then(|(_, kv)| self.event(kv.bytes(), now));
                    let revision = revision.ok_or("an event without key and value")?;
                    let seen = self.seen[stream]
                        .get(id)
                        .copied()
                        .ok_or("an unknown watch id")?;
                    if revision <= newest.max(seen) {
                        return Err(format!("event {revision} came after {}", newest.max(seen)));
                    }
                    newest = revision;
                }
                _ => {}
            }
        }
        if newest > 0 {
            self.seen[stream][id] = newest;
        }
        Ok(())
    }

    fn measuring(&mut self, now: bool) {
        self.measuring = now;
    }

    fn settled(&self) -> bool {
        self.missing() == 0
    }
}
