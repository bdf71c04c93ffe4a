//! Creates and deletes that a controller asked for and has not yet seen, so that an old cache never makes it ask twice.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// After this a watch is taken to have lost what was awaited.
const AWAITED_MAX: SignedDuration = SignedDuration::from_mins(5);

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
    since: Timestamp,
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
            since: now,
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
            since: now,
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
            since: now,
        };
        self.awaited.lock().insert(key.clone(), awaited);
    }

    /// A create was seen, or failed and will not be.
    pub(crate) fn created(&self, key: &K) {
        if let Some(awaited) = self.awaited.lock().get_mut(key) {
            awaited.creates -= 1;
        }
    }

    /// A delete was seen, or failed and will not be.
    pub(crate) fn deleted(&self, key: &K, uid: &str) {
        if let Some(awaited) = self.awaited.lock().get_mut(key) {
            awaited.deletes.remove(uid);
        }
    }

    /// Whether all was seen, or the time for it is over.
    pub(crate) fn are_met(&self, key: &K, now: Timestamp) -> bool {
        self.awaited.lock().get(key).is_none_or(|awaited| {
            (awaited.creates <= 0 && awaited.deletes.is_empty())
                || now.duration_since(awaited.since) > AWAITED_MAX
        })
    }

    /// The object of this key is gone.
    pub(crate) fn forget(&self, key: &K) {
        self.awaited.lock().remove(key);
    }
}

#[cfg(test)]
mod tests;
