//! What the store must hold at every revision, worked out from the events the witnesses saw: plain, and written for this
//! crate alone.

mod compare;
mod evaluate;
mod range;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::history::{Blob, Event, EventKind, KeyValue, Operation};

pub(crate) use evaluate::{Mismatch, State, answer_writes};
pub(crate) use range::Keys;

/// The revision of an empty store.
pub(crate) const REVISION_EMPTY: i64 = 1;

/// For how many revisions a deleted key is kept among the others. Ranges at revisions younger than that pass over older
/// deleted keys, of which a long history has far more than keys that are there.
const WARM_REVISIONS: i64 = 4096;

/// A key's states, oldest first, each with the revision it began at.
type Versions = Vec<(i64, Option<KeyValue>)>;

/// The whole known past of the store.
#[derive(Debug)]
pub(crate) struct Model {
    keys: BTreeMap<Blob, Versions>,
    /// Keys that were deleted long ago and not written since.
    cold: BTreeMap<Blob, Versions>,
    log: VecDeque<Revision>,
    /// The newest revision known.
    top: i64,
    /// The keys of each lease at the newest revision.
    attached: HashMap<i64, BTreeSet<Blob>>,
    /// The keys each lease ever had, while it is remembered.
    touched: HashMap<i64, BTreeSet<Blob>>,
}

/// One revision and what is known of it.
#[derive(Debug, Default)]
pub(crate) struct Revision {
    /// What changed, in order, with what was there before.
    pub(crate) events: Vec<Event>,
    /// When it was certainly there, in nanoseconds; none while that is not known.
    pub(crate) observed_ns: Option<u64>,
    /// The answered operation that made it.
    pub(crate) owner: Option<Arc<Operation>>,
    /// How it looks as the end of a lease.
    pub(crate) ending: Ending,
}

/// How a revision looks as the end of a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It deletes no leased key, or more than one lease's.
    #[default]
    No,
    /// It deletes all keys of this lease and nothing else.
    Whole(i64),
    /// It deletes some keys of this lease and nothing else.
    Part(i64),
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            keys: BTreeMap::new(),
            cold: BTreeMap::new(),
            log: VecDeque::new(),
            top: REVISION_EMPTY,
            attached: HashMap::new(),
            touched: HashMap::new(),
        }
    }

    /// The newest revision known.
    pub(crate) fn top(&self) -> i64 {
        self.top
    }

    /// The oldest revision whose events are kept. States are kept from the one before it.
    pub(crate) fn first(&self) -> i64 {
        self.top + 1 - signed(self.log.len())
    }

    /// Whether the state at `revision` is known in full.
    pub(crate) fn has_state(&self, revision: i64) -> bool {
        revision >= self.first() - 1 && revision <= self.top
    }

    pub(crate) fn revision(&self, revision: i64) -> Option<&Revision> {
        let index = usize::try_from(revision - self.first()).ok()?;
        self.log.get(index)
    }

    pub(crate) fn revision_mut(&mut self, revision: i64) -> Option<&mut Revision> {
        let index = usize::try_from(revision - self.first()).ok()?;
        self.log.get_mut(index)
    }

    /// The key as it stood at `revision`.
    pub(crate) fn get(&self, key: &[u8], revision: i64) -> Option<&KeyValue> {
        at(self.versions(key)?, revision)
    }

    fn versions(&self, key: &[u8]) -> Option<&Versions> {
        self.keys.get(key).or_else(|| self.cold.get(key))
    }

    /// The keys of a range as they stood at `revision`, in order.
    pub(crate) fn scan(&self, keys: &Keys<'_>, revision: i64) -> Vec<&KeyValue> {
        let mut found = scan_in(&self.keys, keys, revision);
        if revision < self.top - WARM_REVISIONS {
            found.extend(scan_in(&self.cold, keys, revision));
            found.sort_by(|a, b| a.key.cmp(&b.key));
        }
        found
    }

    /// The key's other revisions with this value, among those kept.
    pub(crate) fn revisions_of(&self, key: &[u8], value: &Blob) -> Vec<i64> {
        self.versions(key)
            .into_iter()
            .flatten()
            .filter(|(_, state)| state.as_ref().is_some_and(|state| state.value == *value))
            .map(|(revision, _)| *revision)
            .collect()
    }

    /// Whether the lease has keys at the newest revision.
    pub(crate) fn has_keys(&self, lease: i64) -> bool {
        self.attached.contains_key(&lease)
    }

    /// The keys of a lease as they stood at `revision`.
    pub(crate) fn keys_of_lease(&self, lease: i64, revision: i64) -> Vec<&Blob> {
        let attached = |key: &&Blob| {
            self.get(key.as_slice(), revision)
                .is_some_and(|kv| kv.lease == lease)
        };
        let touched = self.touched.get(&lease);
        touched.into_iter().flatten().filter(attached).collect()
    }

    /// Forgets which keys a lease had.
    pub(crate) fn forget_lease(&mut self, lease: i64) {
        self.touched.remove(&lease);
    }

    /// The revisions from `first` to `last` that changed the key.
    pub(crate) fn revisions_between(
        &self,
        key: &[u8],
        first: i64,
        last: i64,
    ) -> impl Iterator<Item = i64> {
        let versions: &[(i64, Option<KeyValue>)] = self.versions(key).map_or(&[], Vec::as_slice);
        let begin = versions.partition_point(|(revision, _)| *revision < first);
        versions[begin..]
            .iter()
            .map(|(revision, _)| *revision)
            .take_while(move |revision| *revision <= last)
    }

    /// How many revisions are kept.
    pub(crate) fn kept(&self) -> usize {
        self.log.len()
    }

    /// Takes the next revision. Of the events only key, kind, value and lease are believed; create_revision, version and
    /// what was there before are worked out here.
    pub(crate) fn append(&mut self, events: &[Event]) {
        let ending = self.ending(events);
        self.top += 1;
        let revision = self.top;
        let events = events
            .iter()
            .map(|event| self.change(event, revision))
            .collect();
        self.log.push_back(Revision {
            events,
            ending,
            ..Revision::default()
        });
        self.cool(revision - WARM_REVISIONS);
    }

    /// Sets aside what was deleted at `revision` and not written since.
    fn cool(&mut self, revision: i64) {
        let Ok(index) = usize::try_from(revision - self.first()) else {
            return;
        };
        let Some(entry) = self.log.get(index) else {
            return;
        };
        for event in &entry.events {
            let key = &event.kv.key;
            let gone = self
                .keys
                .get(key)
                .and_then(|versions| versions.last())
                .is_some_and(|(began, state)| *began == revision && state.is_none());
            if gone && let Some((key, versions)) = self.keys.remove_entry(key) {
                self.cold.insert(key, versions);
            }
        }
    }

    fn change(&mut self, event: &Event, revision: i64) -> Event {
        let key = &event.kv.key;
        let before = self.get(key.as_slice(), revision).cloned();
        if let Some(before) = &before {
            self.detach(before);
        }
        let (kv, state) = match event.kind {
            EventKind::Put => {
                let kv = KeyValue {
                    mod_revision: revision,
                    create_revision: before.as_ref().map_or(revision, |kv| kv.create_revision),
                    version: before.as_ref().map_or(0, |kv| kv.version) + 1,
                    ..event.kv.clone()
                };
                if kv.lease != 0 {
                    for keys in [&mut self.attached, &mut self.touched] {
                        keys.entry(kv.lease).or_default().insert(key.clone());
                    }
                }
                (kv.clone(), Some(kv))
            }
            EventKind::Delete => (tombstone(key, revision), None),
        };
        if let Some((key, versions)) = self.cold.remove_entry(key) {
            self.keys.insert(key, versions);
        }
        self.keys
            .entry(key.clone())
            .or_default()
            .push((revision, state));
        Event {
            kind: event.kind,
            kv,
            prev_kv: before,
        }
    }

    fn detach(&mut self, kv: &KeyValue) {
        if let Some(keys) = self.attached.get_mut(&kv.lease) {
            keys.remove(&kv.key);
            if keys.is_empty() {
                self.attached.remove(&kv.lease);
            }
        }
    }

    fn ending(&self, events: &[Event]) -> Ending {
        let lease_of = |event: &Event| match event.kind {
            EventKind::Put => 0,
            EventKind::Delete => self
                .get(event.kv.key.as_slice(), self.top)
                .map_or(0, |kv| kv.lease),
        };
        let Some(lease) = events.first().map(lease_of) else {
            return Ending::No;
        };
        if lease == 0 || events.iter().any(|event| lease_of(event) != lease) {
            return Ending::No;
        }
        let deleted: BTreeSet<&Blob> = events.iter().map(|event| &event.kv.key).collect();
        let attached = self.attached.get(&lease).map_or(0, BTreeSet::len);
        if deleted.len() == attached {
            Ending::Whole(lease)
        } else {
            Ending::Part(lease)
        }
    }

    /// Forgets the oldest revisions until `kept` are left.
    pub(crate) fn trim(&mut self, kept: usize) {
        while self.log.len() > kept {
            let Some(oldest) = self.log.pop_front() else {
                return;
            };
            let base = self.first() - 1;
            for event in oldest.events {
                self.trim_key(&event.kv.key, base);
            }
        }
    }

    fn trim_key(&mut self, key: &Blob, base: i64) {
        let map = if self.cold.contains_key(key) {
            &mut self.cold
        } else {
            &mut self.keys
        };
        let Some(versions) = map.get_mut(key) else {
            return;
        };
        let begun = versions.partition_point(|(revision, _)| *revision <= base);
        versions.drain(..begun.saturating_sub(1));
        if versions.len() == 1 && versions[0].1.is_none() && versions[0].0 <= base {
            map.remove(key);
        }
    }
}

/// What a delete leaves of a key.
pub(crate) fn tombstone(key: &Blob, revision: i64) -> KeyValue {
    KeyValue {
        key: key.clone(),
        mod_revision: revision,
        ..KeyValue::default()
    }
}

fn scan_in<'a>(
    map: &'a BTreeMap<Blob, Versions>,
    keys: &Keys<'_>,
    revision: i64,
) -> Vec<&'a KeyValue> {
    map.range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>(keys.bounds())
        .filter_map(|(_, versions)| at(versions, revision))
        .collect()
}

fn at(versions: &Versions, revision: i64) -> Option<&KeyValue> {
    let begun = versions.partition_point(|(began, _)| *began <= revision);
    versions.get(begun.checked_sub(1)?)?.1.as_ref()
}

pub(crate) fn signed(count: usize) -> i64 {
    i64::try_from(count).expect("nothing in memory counts beyond 63 bits")
}

#[cfg(test)]
mod tests;
