//! Creates and deletes that a controller asked for and has not yet seen, so that an old cache never makes it ask twice.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// After this a watch is taken to have lost what was awaited.
const AWAITED_MAX: SignedDuration = SignedDuration::from_mins(5);
/// After this a create whose outcome is unknown is taken not to have happened: no server is still at it, and a watch would have shown it.
const DOUBTED_MAX: SignedDuration = SignedDuration::from_secs(30);

/// What is awaited, by the key of the object whose turn caused it.
#[derive(Debug)]
pub(crate) struct Expectations<K> {
    awaited: Mutex<HashMap<K, Awaited>>,
}

#[derive(Debug)]
struct Awaited {
    /// Below zero when more was seen than was awaited.
    creates: i64,
    /// By uid: a delete shows first as a time of deletion and then as a removal, and counts once.
    deletes: HashSet<String>,
    /// From then on it is awaited no longer.
    until: Timestamp,
}

impl<K> Default for Expectations<K> {
    fn default() -> Self {
        Expectations {
            awaited: Mutex::new(HashMap::new()),
        }
    }
}

impl<K: Hash + Eq + Clone> Expectations<K> {
    /// Awaits so many creates, in place of what was awaited before. It is said before the creates are sent.
    pub(crate) fn await_creates(&self, key: &K, count: usize, now: Timestamp) {
        let awaited = Awaited {
            creates: i64::try_from(count).unwrap_or(i64::MAX),
            deletes: HashSet::new(),
            until: after(now, AWAITED_MAX),
        };
        self.awaited.lock().insert(key.clone(), awaited);
    }

    /// Awaits the deletes of these uids, in place of what was awaited before. It is said before the deletes are sent.
    pub(crate) fn await_deletes(
        &self,
        key: &K,
        uids: impl IntoIterator<Item = String>,
        now: Timestamp,
    ) {
        let awaited = Awaited {
            creates: 0,
            deletes: uids.into_iter().collect(),
            until: after(now, AWAITED_MAX),
        };
        self.awaited.lock().insert(key.clone(), awaited);
    }

    /// Awaits creates and deletes of one turn together.
    pub(crate) fn await_both(
        &self,
        key: &K,
        creates: usize,
        uids: impl IntoIterator<Item = String>,
        now: Timestamp,
    ) {
        let awaited = Awaited {
            creates: i64::try_from(creates).unwrap_or(i64::MAX),
            deletes: uids.into_iter().collect(),
            until: after(now, AWAITED_MAX),
        };
        self.awaited.lock().insert(key.clone(), awaited);
    }

    /// A create was seen, or failed and will not be.
    pub(crate) fn created(&self, key: &K) {
        if let Some(awaited) = self.awaited.lock().get_mut(key) {
            awaited.creates -= 1;
        }
    }

    /// A create may have failed: it is still awaited, but what is awaited is given up soon.
    pub(crate) fn doubt(&self, key: &K, now: Timestamp) {
        if let Some(awaited) = self.awaited.lock().get_mut(key) {
            awaited.until = awaited.until.min(after(now, DOUBTED_MAX));
        }
    }

    /// A delete was seen, or failed and will not be.
    pub(crate) fn deleted(&self, key: &K, uid: &str) {
        if let Some(awaited) = self.awaited.lock().get_mut(key) {
            awaited.deletes.remove(uid);
        }
    }

    /// The time after which what is awaited is given up; none if all was seen, or that time is over.
    pub(crate) fn left(&self, key: &K, now: Timestamp) -> Option<Duration> {
        let awaited = self.awaited.lock();
        let awaited = awaited.get(key)?;
        let is_seen = awaited.creates <= 0 && awaited.deletes.is_empty();
        let left = Duration::try_from(awaited.until.duration_since(now)).unwrap_or_default();
        (!is_seen && !left.is_zero()).then_some(left)
    }

    /// The object of this key is gone.
    pub(crate) fn forget(&self, key: &K) {
        self.awaited.lock().remove(key);
    }
}

fn after(now: Timestamp, time: SignedDuration) -> Timestamp {
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
