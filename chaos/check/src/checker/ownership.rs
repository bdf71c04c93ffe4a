//! Whose write a revision is, if no answered operation says so.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::history::{Blob, Event, Operation, Outcome, Request};
use crate::model::{Ending, Model, State};

use super::judge::same_changes;

/// A write without an answer, or a refused one, which must not show up.
#[derive(Debug)]
struct Candidate {
    operation: Arc<Operation>,
    /// The newest revision known to be there when it was called; none while its call has not been taken.
    floor: Option<i64>,
    /// The revision it made.
    revision: Option<i64>,
}

/// Writes without an answer, and the revisions given to them.
///
/// A written value names its operation. Deletes, and puts that keep the value, do not: for them any operation fits that was
/// called before the revision was known to be there and would have done just this. If the one that fits has been given
/// another revision, operations are shifted along, so that one is found whenever there is one.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    candidates: HashMap<u64, Candidate>,
    by_value: HashMap<Blob, BTreeSet<u64>>,
    /// Operations that may do something to this key without a value of their own.
    by_key: HashMap<Blob, BTreeSet<(u64, u64)>>,
    /// The same, for ranges of keys and leases.
    by_range: BTreeSet<(u64, u64)>,
    /// What revisions were given to.
    given: Vec<(i64, u64)>,
}

impl Ownership {
    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Notes an operation that has no answer or was refused.
    pub(super) fn add(&mut self, operation: &Arc<Operation>) {
        let place = (operation.call_ns, operation.id);
        let mut values = Vec::new();
        values_written(&operation.request, &mut values);
        let mut silent = Silent::default();
        silent.collect(&operation.request);
        let refused = matches!(operation.outcome, Outcome::Failed(_));
        if values.is_empty() && (silent.is_empty() || refused) {
            return;
        }
        for (_, value) in values {
            self.by_value
                .entry(value.clone())
                .or_default()
                .insert(operation.id);
        }
        if !refused {
            for key in silent.keys {
                self.by_key.entry(key.clone()).or_default().insert(place);
            }
            if silent.ranges {
                self.by_range.insert(place);
            }
        }
        self.candidates.insert(
            operation.id,
            Candidate {
                operation: Arc::clone(operation),
                floor: None,
                revision: None,
            },
        );
    }

    /// The operation was called when this was the newest revision known.
    pub(super) fn called(&mut self, id: u64, newest: i64) {
        if let Some(candidate) = self.candidates.get_mut(&id) {
            candidate.floor = Some(newest);
        }
    }

    /// Gives `revision` to an operation that may have made it.
    pub(super) fn claim(&mut self, model: &Model, revision: i64) -> Option<Arc<Operation>> {
        let free = |id: &u64| self.candidates[id].revision.is_none();
        let mut named = self.named(model, revision);
        named.sort_by_key(|id| self.is_refused(*id));
        let silent = || self.silent(model, revision);
        let id = match named
            .into_iter()
            .find(free)
            .or_else(|| silent().into_iter().find(free))
        {
            Some(id) => id,
            None => {
                let mut tried = HashSet::new();
                self.fitting(model, revision)
                    .into_iter()
                    .find(|id| self.set_free(model, *id, &mut tried))?
            }
        };
        self.give(id, revision);
        self.candidates
            .get(&id)
            .map(|candidate| Arc::clone(&candidate.operation))
    }

    fn is_refused(&self, id: u64) -> bool {
        let candidate = self.candidates.get(&id);
        candidate.is_some_and(|it| matches!(it.operation.outcome, Outcome::Failed(_)))
    }

    fn give(&mut self, id: u64, revision: i64) {
        if let Some(candidate) = self.candidates.get_mut(&id) {
            candidate.revision = Some(revision);
            self.given.push((revision, id));
        }
    }

    /// Moves the revision an operation was given to another that fits.
    fn set_free(&mut self, model: &Model, id: u64, tried: &mut HashSet<u64>) -> bool {
        if !tried.insert(id) {
            return false;
        }
        let Some(revision) = self.candidates.get(&id).and_then(|it| it.revision) else {
            return true;
        };
        for other in self.fitting(model, revision) {
            if other != id && self.set_free(model, other, tried) {
                self.give(other, revision);
                return true;
            }
        }
        false
    }

    /// Operations that would have done just what `revision` shows, and were called early enough.
    fn fitting(&self, model: &Model, revision: i64) -> Vec<u64> {
        let mut fitting = self.named(model, revision);
        fitting.extend(self.silent(model, revision));
        fitting
    }

    /// Those of them that have a value the revision shows.
    fn named(&self, model: &Model, revision: i64) -> Vec<u64> {
        let Some(entry) = model.revision(revision) else {
            return Vec::new();
        };
        let by_value: BTreeSet<u64> = entry
            .events
            .iter()
            .filter_map(|event| self.by_value.get(&event.kv.value))
            .flatten()
            .copied()
            .collect();
        by_value
            .into_iter()
            .filter(|id| self.fits(model, *id, revision))
            .collect()
    }

    /// Those of them that need no value for it; the earliest first.
    fn silent(&self, model: &Model, revision: i64) -> Vec<u64> {
        let first = model
            .revision(revision)
            .and_then(|entry| entry.events.first());
        let Some(first) = first else {
            return Vec::new();
        };
        let places: BTreeSet<&(u64, u64)> = self
            .by_key
            .get(&first.kv.key)
            .into_iter()
            .flatten()
            .chain(&self.by_range)
            .collect();
        places
            .into_iter()
            .map(|(_, id)| *id)
            .filter(|id| self.fits(model, *id, revision))
            .collect()
    }

    fn fits(&self, model: &Model, id: u64, revision: i64) -> bool {
        let (Some(candidate), Some(entry)) = (self.candidates.get(&id), model.revision(revision))
        else {
            return false;
        };
        if candidate.floor.is_none_or(|floor| floor >= revision) || !model.has_state(revision - 1) {
            return false;
        }
        if let Request::LeaseRevoke(revoke) = &candidate.operation.request {
            return entry.ending == Ending::Whole(revoke.id);
        }
        would_do(model, &candidate.operation.request, revision, &entry.events)
    }

    /// An operation that has this value but did not do, or could not have done, what the revision shows.
    pub(super) fn suspect(&self, events: &[Event]) -> Option<(Arc<Operation>, Option<i64>)> {
        let id = events
            .iter()
            .filter_map(|event| self.by_value.get(&event.kv.value))
            .flatten()
            .next()?;
        let candidate = self.candidates.get(id)?;
        Some((Arc::clone(&candidate.operation), candidate.revision))
    }

    /// Forgets operations whose effect lies before `first`, so that they can no longer be shifted.
    pub(super) fn trim(&mut self, first: i64) {
        let (old, kept) = std::mem::take(&mut self.given)
            .into_iter()
            .partition::<Vec<_>, _>(|(revision, _)| *revision < first);
        self.given = kept;
        for (revision, id) in old {
            if self
                .candidates
                .get(&id)
                .is_some_and(|candidate| candidate.revision == Some(revision))
            {
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(candidate) = self.candidates.remove(&id) else {
            return;
        };
        let operation = candidate.operation;
        let place = (operation.call_ns, id);
        let mut values = Vec::new();
        values_written(&operation.request, &mut values);
        for (_, value) in values {
            if let Some(ids) = self.by_value.get_mut(value) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_value.remove(value);
                }
            }
        }
        let mut silent = Silent::default();
        silent.collect(&operation.request);
        for key in silent.keys {
            if let Some(places) = self.by_key.get_mut(key) {
                places.remove(&place);
            }
        }
        self.by_range.remove(&place);
    }
}

/// Whether the request, done right before `revision`, gives these events.
fn would_do(model: &Model, request: &Request, revision: i64, events: &[Event]) -> bool {
    let mut state = State::new(model, revision - 1);
    state.apply(request, None).is_ok() && same_changes(&state.into_events(), events)
}

/// The keys and values that puts of a request write.
pub(super) fn values_written<'a>(request: &'a Request, values: &mut Vec<(&'a Blob, &'a Blob)>) {
    match request {
        Request::Put(put) if !put.ignore_value => values.push((&put.key, &put.value)),
        Request::Txn(txn) => {
            for request in txn.success.iter().chain(&txn.failure) {
                values_written(request, values);
            }
        }
        _ => {}
    }
}

/// What a request may change without a value of its own.
#[derive(Default)]
struct Silent<'a> {
    keys: Vec<&'a Blob>,
    ranges: bool,
}

impl<'a> Silent<'a> {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.ranges
    }

    fn collect(&mut self, request: &'a Request) {
        match request {
            Request::Put(put) if put.ignore_value => self.keys.push(&put.key),
            Request::DeleteRange(delete) if delete.range_end.is_empty() => {
                self.keys.push(&delete.key);
            }
            Request::DeleteRange(_) | Request::LeaseRevoke(_) => self.ranges = true,
            Request::Txn(txn) => {
                for request in txn.success.iter().chain(&txn.failure) {
                    self.collect(request);
                }
            }
            _ => {}
        }
    }
}
