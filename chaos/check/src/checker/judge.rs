//! Answered operations against the model.

use std::sync::Arc;

use crate::history::{Answer, Event, EventKind, Operation, Outcome, Request, Response};
use crate::model::{Ending, Mismatch, State, answer_writes};
use crate::verdict::{Check, Violation};

use super::Checker;
use super::compaction::revisions_asked;
use super::ownership::values_written;

/// At how many revisions a refusal is looked for.
const REVISIONS_TRIED_MAX: i64 = 10_000;

/// What a judgement missed.
const TOO_OLD: &str = "operations at revisions that are no longer kept";

impl Checker {
    /// Judges an answered operation whose revision the model has.
    pub(super) fn judge(&mut self, operation: &Arc<Operation>) {
        let Outcome::Ok(response) = &operation.outcome else {
            return;
        };
        match &operation.request {
            Request::Range(_) | Request::Put(_) | Request::DeleteRange(_) | Request::Txn(_) => {
                let writes = answer_writes(&response.answer);
                let before = response.revision - i64::from(writes);
                let mut needed = vec![before];
                revisions_asked(&operation.request, &mut needed);
                // A revision from the future is for the replay to find.
                let kept = |revision: &i64| {
                    *revision > self.model.top() || self.model.has_state(*revision)
                };
                if !needed.iter().all(kept) {
                    self.ledger.unjudged(TOO_OLD);
                } else if writes {
                    self.judge_write(operation, response);
                } else {
                    self.judge_read(operation, response);
                }
            }
            Request::LeaseRevoke(revoke) => {
                let lease = revoke.id;
                self.judge_revoke(operation, response.revision, lease);
            }
            _ => {}
        }
    }

    fn judge_write(&mut self, operation: &Arc<Operation>, response: &Response) {
        let Some(revision) = self.model.revision(response.revision) else {
            self.ledger.unjudged(TOO_OLD);
            return;
        };
        let check = check_of(&operation.request);
        self.ledger.count(check);
        self.ledger.count(Check::AnsweredWrite);
        self.ledger.count(Check::RevisionUnique);
        let mut state = State::new(&self.model, response.revision - 1);
        let replayed = state.apply(&operation.request, Some(&response.answer));
        let events = state.into_events();
        let violation = match replayed {
            Ok(()) if same_changes(&events, &revision.events) => None,
            Ok(()) => Some(self.misplaced(operation, response.revision)),
            Err(mismatch) => {
                let found = wrote(&operation.request, &revision.events) || {
                    let mut state = State::new(&self.model, response.revision - 1);
                    let done = state.apply(&operation.request, None).is_ok();
                    let events = state.into_events();
                    done && !events.is_empty() && same_changes(&events, &revision.events)
                };
                Some(if found {
                    Violation::new(check, disagreement(&mismatch)).by(operation)
                } else {
                    self.misplaced(operation, response.revision)
                })
            }
        };
        let owns = violation.as_ref().is_none_or(|found| found.check == check);
        if let Some(violation) = violation {
            self.ledger.violation(violation.at(response.revision));
        }
        if owns {
            self.own(operation, response.revision);
        }
    }

    /// Makes an answered operation the one cause of its revision.
    fn own(&mut self, operation: &Arc<Operation>, revision: i64) {
        let Some(entry) = self.model.revision_mut(revision) else {
            return;
        };
        if let Some(other) = &entry.owner {
            let text = format!("revision {revision} was answered to two writes");
            self.ledger.violation(
                Violation::new(Check::RevisionUnique, text)
                    .at(revision)
                    .by(other)
                    .by(operation),
            );
            return;
        }
        entry.owner = Some(Arc::clone(operation));
    }

    /// A write that its revision does not show: where it is, if it is anywhere.
    fn misplaced(&self, operation: &Arc<Operation>, revision: i64) -> Violation {
        let mut values = Vec::new();
        values_written(&operation.request, &mut values);
        let found: Vec<i64> = values
            .iter()
            .flat_map(|(key, value)| self.model.revisions_of(key.as_slice(), value))
            .collect();
        let entry = self.model.revision(revision);
        let shown: &[Event] = entry.map_or(&[], |entry| &entry.events);
        let place = match found.as_slice() {
            [] => "its effect is nowhere: the write is lost".to_owned(),
            found => format!("its effect is at {found:?}"),
        };
        let text = format!("answered with revision {revision}, which shows {shown:?}; {place}");
        let violation = Violation::new(Check::AnsweredWrite, text).by(operation);
        match entry.and_then(|entry| entry.owner.as_ref()) {
            Some(owner) if owner.id != operation.id => violation.by(owner),
            _ => violation,
        }
    }

    fn judge_read(&mut self, operation: &Arc<Operation>, response: &Response) {
        let check = check_of(&operation.request);
        self.ledger.count(check);
        let mut state = State::new(&self.model, response.revision);
        if let Err(mismatch) = state.apply(&operation.request, Some(&response.answer)) {
            let violation = Violation::new(check, disagreement(&mismatch))
                .at(response.revision)
                .by(operation);
            self.ledger.violation(violation);
            return;
        }
        let events = state.into_events();
        if !events.is_empty() {
            let text = format!("answered as if nothing was to do, but this was: {events:?}");
            self.ledger.violation(
                Violation::new(check, text)
                    .at(response.revision)
                    .by(operation),
            );
        }
    }

    fn judge_revoke(&mut self, operation: &Arc<Operation>, revision: i64, lease: i64) {
        self.ledger.count(Check::LeaseAnswer);
        if self
            .model
            .revision(revision)
            .is_some_and(|entry| entry.ending == Ending::Whole(lease) && entry.owner.is_none())
        {
            self.own(operation, revision);
        }
        if !self.model.has_state(revision) {
            self.ledger.unjudged(TOO_OLD);
            return;
        }
        let left = self.model.keys_of_lease(lease, revision);
        if !left.is_empty() {
            let text = format!("lease {lease} was revoked and keys of it are there: {left:?}");
            self.ledger.violation(
                Violation::new(Check::LeaseAtomic, text)
                    .at(revision)
                    .by(operation),
            );
        }
    }

    /// A request refused because a key was not there.
    pub(super) fn judge_absent(&mut self, operation: &Arc<Operation>, first: i64, last: i64) {
        let last = last.max(first);
        if !self.model.has_state(first) || last - first > REVISIONS_TRIED_MAX {
            self.ledger.unjudged(TOO_OLD);
            return;
        }
        self.ledger.count(Check::Refusal);
        let refused = |revision: i64| {
            let mut state = State::new(&self.model, revision);
            state.apply(&operation.request, None).is_err()
        };
        if !(first..=last).any(refused) {
            let text = format!(
                "refused for want of a key, which was there, or not needed, at all revisions from {first} to {last}"
            );
            self.ledger
                .violation(Violation::new(Check::Refusal, text).at(first).by(operation));
        }
    }
}

fn disagreement(mismatch: &Mismatch) -> String {
    format!(
        "the model has {}; answered was {}",
        mismatch.expected, mismatch.answered
    )
}

/// The check that an answer of this request falls under.
fn check_of(request: &Request) -> Check {
    match request {
        Request::Range(range) if range.serializable => Check::Serializable,
        Request::Range(range) if range.revision > 0 => Check::PastAnswer,
        Request::Range(_) => Check::RangeAnswer,
        Request::Txn(_) => Check::TxnAnswer,
        _ => Check::WriteAnswer,
    }
}

/// Whether two revisions change the same keys in the same way and order.
pub(super) fn same_changes(a: &[Event], b: &[Event]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.kind == b.kind && a.kv == b.kv)
}

/// Whether one of the events carries a value of the request.
fn wrote(request: &Request, events: &[Event]) -> bool {
    let mut values = Vec::new();
    values_written(request, &mut values);
    events.iter().any(|event| {
        event.kind == EventKind::Put
            && values
                .iter()
                .any(|(key, value)| event.kv.key == **key && event.kv.value == **value)
    })
}

/// Whether an operation is answered from the member's own state, which may be old.
pub(super) fn is_local(operation: &Operation) -> bool {
    let range_is_local =
        |request: &Request| matches!(request, Request::Range(range) if range.serializable);
    match &operation.request {
        Request::Range(range) => range.serializable,
        // A txn without requests counts as well: etcd answers it at once.
        Request::Txn(txn) => txn.success.iter().chain(&txn.failure).all(range_is_local),
        Request::HashKv(_) | Request::LeaseKeepAlive(_) | Request::LeaseTimeToLive(_) => true,
        _ => false,
    }
}

/// The revision of an answer, and whether it says that it wrote.
pub(super) fn answered(operation: &Operation) -> Option<(i64, bool)> {
    match &operation.outcome {
        Outcome::Ok(response) => Some((response.revision, answer_writes(&response.answer))),
        Outcome::Failed(_) | Outcome::Unknown { .. } => None,
    }
}

/// Whether an answer is one to a keep-alive that found a lease.
pub(super) fn renewed(answer: &Answer) -> Option<(i64, i64)> {
    match answer {
        Answer::LeaseKeepAlive(lease) if lease.ttl > 0 => Some((lease.id, lease.ttl)),
        _ => None,
    }
}
