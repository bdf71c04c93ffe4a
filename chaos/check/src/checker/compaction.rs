//! How far history may have been, and must have been, given up.

use std::collections::BTreeSet;

use crate::history::{Answer, Operation, Outcome, Request};

#[derive(Debug, Default)]
pub(super) struct Compactions {
    /// The server compacts by itself.
    pub(super) automatic: bool,
    /// The revisions of compactions that were called and may have been done.
    called: BTreeSet<i64>,
    /// The greatest revision of a compaction that was answered.
    done: i64,
}

impl Compactions {
    pub(super) fn call(&mut self, operation: &Operation) {
        if let Request::Compact(compact) = &operation.request
            && !matches!(operation.outcome, Outcome::Failed(_))
        {
            self.called.insert(compact.revision);
        }
    }

    pub(super) fn returned(&mut self, operation: &Operation) {
        if let (Request::Compact(compact), Outcome::Ok(_)) =
            (&operation.request, &operation.outcome)
        {
            self.done = self.done.max(compact.revision);
        }
    }

    /// Whether what was before `revision` may have been given up.
    pub(super) fn may_have_reached(&self, revision: i64) -> bool {
        self.automatic || self.called.last().is_some_and(|called| *called >= revision)
    }

    /// Whether `revision` itself may be the oldest there is.
    pub(super) fn may_be_at(&self, revision: i64) -> bool {
        self.automatic || self.called.contains(&revision)
    }

    /// The oldest revision there can be.
    pub(super) fn done(&self) -> i64 {
        self.done
    }
}

/// The revisions that ranges of a request ask for, both lists of a txn included.
pub(super) fn revisions_asked(request: &Request, revisions: &mut Vec<i64>) {
    match request {
        Request::Range(range) if range.revision > 0 => revisions.push(range.revision),
        Request::Txn(txn) => {
            for request in txn.success.iter().chain(&txn.failure) {
                revisions_asked(request, revisions);
            }
        }
        _ => {}
    }
}

/// The revisions that ranges were answered for, in the list of the txn that was done.
pub(super) fn revisions_answered(request: &Request, answer: &Answer, revisions: &mut Vec<i64>) {
    match (request, answer) {
        (Request::Range(range), _) if range.revision > 0 => revisions.push(range.revision),
        (Request::Txn(txn), Answer::Txn(answer)) => {
            let branch = if answer.succeeded {
                &txn.success
            } else {
                &txn.failure
            };
            for (request, answer) in branch.iter().zip(&answer.answers) {
                revisions_answered(request, answer, revisions);
            }
        }
        _ => {}
    }
}
