//! What a request does and answers at a revision.

use std::collections::BTreeMap;

use crate::history::{
    Answer, Blob, DeleteRange, Deleted, Event, EventKind, KeyValue, Put, Range, Ranged,
    RefusalKind, Request, Txn, TxnAnswer,
};

use super::{Keys, Model, compare, range, signed, tombstone};

/// Why an answer cannot be, or that a request would have been refused.
#[derive(Clone, Debug)]
pub(crate) struct Mismatch {
    /// What should have been, in words.
    pub(crate) expected: String,
    /// What was answered, in words.
    pub(crate) answered: String,
}

/// The store at a revision, and what one request has changed on top of it.
pub(crate) struct State<'a> {
    model: &'a Model,
    /// The revision the request found.
    before: i64,
    changed: BTreeMap<Blob, Option<KeyValue>>,
    events: Vec<Event>,
}

impl<'a> State<'a> {
    /// The store at `before`, which the model must have.
    pub(crate) fn new(model: &'a Model, before: i64) -> Self {
        Self {
            model,
            before,
            changed: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// What has changed, in order.
    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }

    /// Does the request and compares what it answers with `answer`, if there is one.
    pub(crate) fn apply(
        &mut self,
        request: &Request,
        answer: Option<&Answer>,
    ) -> Result<(), Mismatch> {
        match (request, answer) {
            (Request::Range(range), Some(Answer::Range(answer))) => self.range(range, Some(answer)),
            (Request::Range(range), None) => self.range(range, None),
            (Request::Put(put), Some(Answer::Put { prev_kv })) => self.put(put, Some(prev_kv)),
            (Request::Put(put), None) => self.put(put, None),
            (Request::DeleteRange(delete), Some(Answer::DeleteRange(answer))) => {
                self.delete(delete, Some(answer))
            }
            (Request::DeleteRange(delete), None) => self.delete(delete, None),
            (Request::Txn(txn), Some(Answer::Txn(answer))) => self.txn(txn, Some(answer)),
            (Request::Txn(txn), None) => self.txn(txn, None),
            (_, None) => Ok(()),
            (request, Some(answer)) => mismatch(format!("an answer to {request:?}"), answer),
        }
    }

    fn get(&self, key: &Blob) -> Option<KeyValue> {
        match self.changed.get(key) {
            Some(changed) => changed.clone(),
            None => self.model.get(key.as_slice(), self.before).cloned(),
        }
    }

    fn range(&self, request: &Range, answer: Option<&Ranged>) -> Result<(), Mismatch> {
        let Some(answer) = answer else {
            return Ok(());
        };
        let keys = Keys::new(&request.key, &request.range_end);
        let current = self.before + i64::from(!self.events.is_empty());
        if request.revision > current {
            return mismatch(refusal(RefusalKind::FutureRevision), answer);
        }
        // A state that is no longer kept cannot be judged; the caller has looked.
        let at = if request.revision > 0 {
            request.revision
        } else {
            self.before
        };
        let mut found = self.model.scan(&keys, at);
        if !self.changed.is_empty() && (request.revision == 0 || request.revision > self.before) {
            found.retain(|kv| !self.changed.contains_key(&kv.key));
            found.extend(
                self.changed
                    .iter()
                    .filter(|(key, _)| keys.contains(key.as_slice()))
                    .filter_map(|(_, state)| state.as_ref()),
            );
            found.sort_by(|a, b| a.key.cmp(&b.key));
        }
        if range::is_right(request, &found, answer) {
            return Ok(());
        }
        mismatch(
            format!("{request:?} over {found:?} at revision {at}"),
            answer,
        )
    }

    fn put(&mut self, put: &Put, answer: Option<&Option<KeyValue>>) -> Result<(), Mismatch> {
        let before = self.get(&put.key);
        if before.is_none() && (put.ignore_value || put.ignore_lease) {
            return mismatch(refusal(RefusalKind::KeyNotFound), &answer);
        }
        let revision = self.before + 1;
        let old = before.clone().unwrap_or_default();
        let kv = KeyValue {
            key: put.key.clone(),
            create_revision: before.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: old.version + 1,
            value: if put.ignore_value {
                old.value
            } else {
                put.value.clone()
            },
            lease: if put.ignore_lease {
                old.lease
            } else {
                put.lease
            },
        };
        self.changed.insert(put.key.clone(), Some(kv.clone()));
        self.events.push(Event {
            kind: EventKind::Put,
            kv,
            prev_kv: before.clone(),
        });
        let expected = before.filter(|_| put.prev_kv);
        match answer {
            Some(answer) if *answer != expected => {
                mismatch(format!("a put with prev_kv {expected:?}"), answer)
            }
            _ => Ok(()),
        }
    }

    fn delete(&mut self, delete: &DeleteRange, answer: Option<&Deleted>) -> Result<(), Mismatch> {
        let keys = Keys::new(&delete.key, &delete.range_end);
        let mut found: Vec<KeyValue> = self
            .model
            .scan(&keys, self.before)
            .into_iter()
            .filter(|kv| !self.changed.contains_key(&kv.key))
            .cloned()
            .collect();
        found.extend(
            self.changed
                .iter()
                .filter(|(key, _)| keys.contains(key.as_slice()))
                .filter_map(|(_, state)| state.clone()),
        );
        found.sort_by(|a, b| a.key.cmp(&b.key));
        for kv in &found {
            self.changed.insert(kv.key.clone(), None);
            self.events.push(Event {
                kind: EventKind::Delete,
                kv: tombstone(&kv.key, self.before + 1),
                prev_kv: Some(kv.clone()),
            });
        }
        let expected = Deleted {
            deleted: signed(found.len()),
            prev_kvs: if delete.prev_kv { found } else { Vec::new() },
        };
        match answer {
            Some(answer) if *answer != expected => mismatch(format!("{expected:?}"), answer),
            _ => Ok(()),
        }
    }

    /// All conditions, those of nested txns too, look at the state before the whole request.
    fn txn(&mut self, txn: &Txn, answer: Option<&TxnAnswer>) -> Result<(), Mismatch> {
        let succeeded = compare::all_hold(self.model, &txn.compare, self.before);
        let branch = if succeeded {
            &txn.success
        } else {
            &txn.failure
        };
        let Some(answer) = answer else {
            return branch
                .iter()
                .try_for_each(|request| self.apply(request, None));
        };
        if answer.succeeded != succeeded || answer.answers.len() != branch.len() {
            let name = if succeeded { "success" } else { "failure" };
            return mismatch(
                format!("the {name} list of the txn, {} answers", branch.len()),
                answer,
            );
        }
        branch
            .iter()
            .zip(&answer.answers)
            .try_for_each(|(request, answer)| self.apply(request, Some(answer)))
    }
}

/// Whether an answer says that something was written.
pub(crate) fn answer_writes(answer: &Answer) -> bool {
    match answer {
        Answer::Put { .. } => true,
        Answer::DeleteRange(deleted) => deleted.deleted != 0,
        Answer::Txn(txn) => txn.answers.iter().any(answer_writes),
        _ => false,
    }
}

fn refusal(kind: RefusalKind) -> String {
    format!("a refusal: {kind:?}")
}

fn mismatch(expected: String, answered: &impl std::fmt::Debug) -> Result<(), Mismatch> {
    Err(Mismatch {
        expected,
        answered: format!("{answered:?}"),
    })
}
