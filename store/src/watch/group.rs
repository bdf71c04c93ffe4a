//! Watchers that ask for the same events: matched once, encoded once, read by each at its own cursor.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use state_machine::{Event, EventKind, KeyRange};

use super::NO_END;
use super::encode::concatenate;
use super::entry::{Entry, Gauge, weight};
use super::hub::Hub;
use super::inbox::Inbox;
use super::slab::Slab;

/// Most revisions in one response. etcd sends a lagging watcher as many at a time.
pub(super) const RESPONSE_REVISIONS_MAX: usize = 1000;
/// A response that holds more than one revision stays within this, since a client that does not read its responses keeps
/// one or two of them in memory. A larger revision is a response of its own.
pub(super) const RESPONSE_BYTES_MAX: usize = 128 << 10;
/// Counted for each matched revision: the log entry and its places in the log and the ring.
const LOG_ENTRY_BYTES: usize = 112;

/// Which events a group wants, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Interest {
    pub(super) keys: KeyRange,
    pub(super) no_put: bool,
    pub(super) no_delete: bool,
    pub(super) prev_kv: bool,
}

impl Interest {
    pub(super) fn wants(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::Put => !self.no_put,
            EventKind::Delete => !self.no_delete,
        }
    }

    pub(super) fn matches(&self, event: &Event) -> bool {
        self.wants(event.kind) && contains(&self.keys, &event.key)
    }
}

fn contains(keys: &KeyRange, key: &Bytes) -> bool {
    if keys.end.is_empty() {
        return keys.start == key;
    }
    keys.start <= key && (keys.end == NO_END || *key < keys.end)
}

/// One distinct [`Interest`] and the streams that have it.
pub(super) struct Group {
    /// Its number in the hub.
    pub(super) number: u32,
    pub(super) interest: Interest,
    /// Whether it is in the dispatcher's list. Changed under the hub's lock.
    pub(super) dirty: AtomicBool,
    pub(super) watchers: AtomicUsize,
    pub(super) members: Mutex<Slab<Member>>,
    log: Mutex<Log>,
    joined: Mutex<Option<Joined>>,
}

/// A stream that has watchers in the group.
pub(super) struct Member {
    pub(super) inbox: Arc<Inbox>,
    /// The number the stream knows the group by.
    pub(super) subscription: u32,
}

/// The matching revisions in order.
struct Log {
    entries: VecDeque<Arc<LogEntry>>,
    /// The log holds every matching revision after this one.
    evicted_through: i64,
}

/// The matching events of one revision.
pub(super) struct LogEntry {
    entry: Arc<Entry>,
    matched: Matched,
    bytes: usize,
    encoded: OnceLock<Bytes>,
}

/// Indexes into the events of a revision.
pub(super) enum Matched {
    One(u32),
    Many(Box<[u32]>),
}

/// Several revisions encoded in one piece, kept for the next watcher that lags equally.
struct Joined {
    first: i64,
    /// Last of the revisions that were to be joined.
    last: i64,
    /// How many of them fit.
    count: usize,
    encoded: Bytes,
    gauge: Arc<Gauge>,
}

/// What a cursor finds in the log.
pub(super) enum Taken {
    /// The log no longer reaches back to the cursor.
    Evicted,
    Nothing,
    One(Arc<LogEntry>),
    /// More than one revision; `more` says that there are still others.
    Many {
        entries: Vec<Arc<LogEntry>>,
        more: bool,
    },
}

impl Group {
    /// A group whose log is complete from the revision after `published` on.
    pub(super) fn new(number: u32, interest: Interest, published: i64) -> Group {
        Group {
            number,
            interest,
            dirty: AtomicBool::new(false),
            watchers: AtomicUsize::new(0),
            members: Mutex::default(),
            log: Mutex::new(Log {
                entries: VecDeque::new(),
                evicted_through: published,
            }),
            joined: Mutex::new(None),
        }
    }

    pub(super) fn append(&self, entry: &Arc<Entry>, matched: Matched) {
        entry.charge(LOG_ENTRY_BYTES);
        let log_entry = Arc::new(LogEntry::new(entry.clone(), matched, self.interest.prev_kv));
        self.log.lock().entries.push_back(log_entry);
    }

    pub(super) fn evict_through(&self, revision: i64) {
        let mut log = self.log.lock();
        while log
            .entries
            .front()
            .is_some_and(|entry| entry.revision() <= revision)
        {
            log.entries.pop_front();
        }
        log.evicted_through = log.evicted_through.max(revision);
        drop(log);
        let mut joined = self.joined.lock();
        if joined
            .as_ref()
            .is_some_and(|joined| joined.first <= revision)
        {
            *joined = None;
        }
    }

    pub(super) fn evicted_through(&self) -> i64 {
        self.log.lock().evicted_through
    }

    /// Empties the log: it is complete again after `revision`.
    pub(super) fn reset(&self, revision: i64) {
        let mut log = self.log.lock();
        log.entries.clear();
        log.evicted_through = revision;
        drop(log);
        *self.joined.lock() = None;
    }

    /// What a watcher whose next revision is `next` is to be sent.
    pub(super) fn take(&self, next: i64) -> Taken {
        let log = self.log.lock();
        if next <= log.evicted_through {
            return Taken::Evicted;
        }
        let start = log.entries.partition_point(|entry| entry.revision() < next);
        match log.entries.len() - start {
            0 => Taken::Nothing,
            1 => Taken::One(log.entries[start].clone()),
            count => {
                let mut bytes = 0;
                let fitting = log
                    .entries
                    .range(start..)
                    .take(RESPONSE_REVISIONS_MAX)
                    .take_while(|entry| {
                        bytes += entry.bytes;
                        bytes <= RESPONSE_BYTES_MAX
                    });
                let entries: Vec<_> = fitting.cloned().collect();
                if entries.is_empty() {
                    return Taken::Many {
                        entries: vec![log.entries[start].clone()],
                        more: true,
                    };
                }
                let more = entries.len() < count;
                Taken::Many { entries, more }
            }
        }
    }

    /// The events of consecutive entries of the log in one piece, and how many entries fit: one at least. Only now are
    /// the values before known.
    pub(super) fn join(&self, entries: &[Arc<LogEntry>], hub: &Hub) -> (Bytes, usize) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return (Bytes::new(), 0);
        };
        let (first, last, gauge) = (first.revision(), last.revision(), last.entry.gauge());
        if let Some(joined) = &*self.joined.lock()
            && joined.first == first
            && joined.last == last
        {
            return (joined.encoded.clone(), joined.count);
        }
        let (mut parts, mut bytes) = (Vec::new(), 0);
        for entry in entries {
            let part = entry.encoded(self.interest.prev_kv, hub);
            bytes += part.len();
            if !parts.is_empty() && bytes > RESPONSE_BYTES_MAX {
                break;
            }
            parts.push(part);
        }
        let count = parts.len();
        let encoded = concatenate(&parts);
        if self.watchers.load(Relaxed) > 1 {
            let mut joined = self.joined.lock();
            if first > self.evicted_through() {
                gauge.add(encoded.len());
                *joined = Some(Joined {
                    first,
                    last,
                    count,
                    encoded: encoded.clone(),
                    gauge: gauge.clone(),
                });
            }
        }
        (encoded, count)
    }

    /// Marks up to `count` members from number `start` on; returns where to go on.
    pub(super) fn mark_members(&self, start: u32, count: u32, revision: i64) -> Option<u32> {
        let members = self.members.lock();
        let end = members.bound().min(start.saturating_add(count));
        for member in (start..end).filter_map(|number| members.get(number)) {
            member.inbox.mark(member.subscription, revision);
        }
        (end < members.bound()).then_some(end)
    }
}

impl LogEntry {
    fn new(entry: Arc<Entry>, matched: Matched, prev_kv: bool) -> LogEntry {
        let events = matched
            .indexes()
            .iter()
            .map(|index| weight(&entry.events()[*index as usize]));
        // The values before are not known yet; as a guess they are as large as those after.
        let bytes = events.sum::<usize>() * if prev_kv { 2 } else { 1 };
        LogEntry {
            entry,
            matched,
            bytes,
            encoded: OnceLock::new(),
        }
    }

    pub(super) fn revision(&self) -> i64 {
        self.entry.revision()
    }

    pub(super) fn event_count(&self) -> usize {
        self.matched.indexes().len()
    }

    pub(super) fn encoded(&self, prev_kv: bool, hub: &Hub) -> Bytes {
        match &self.matched {
            Matched::One(index) => self.entry.encoded(*index as usize, prev_kv, hub).clone(),
            Matched::Many(indexes) => {
                let encoded = self.encoded.get_or_init(|| {
                    let encoded = self.entry.encode_all(indexes, prev_kv, hub);
                    self.entry.charge(encoded.len());
                    encoded
                });
                encoded.clone()
            }
        }
    }
}

impl Matched {
    /// Takes the indexes out of `matched`, which must not be empty.
    pub(super) fn take(matched: &mut Vec<u32>) -> Matched {
        let taken = match matched[..] {
            [index] => Matched::One(index),
            _ => Matched::Many(matched[..].into()),
        };
        matched.clear();
        taken
    }

    fn indexes(&self) -> &[u32] {
        match self {
            Matched::One(index) => std::slice::from_ref(index),
            Matched::Many(indexes) => indexes,
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.gauge.subtract(self.encoded.len());
    }
}
