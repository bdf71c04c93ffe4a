//! What each call, return and sighting says, taken in the order of time.

use std::sync::Arc;

use crate::history::{Operation, Outcome, RefusalKind, Request};
use crate::verdict::{Check, Violation};

use super::compaction::{revisions_answered, revisions_asked};
use super::judge::{answered, is_local};
use super::order::{Evidence, Moment, OpenRefusal};
use super::{Checker, Waiting};

impl Checker {
    /// Takes everything up to the horizon, in nanoseconds.
    pub(super) fn advance(&mut self, horizon_ns: u64) {
        while let Some((time_ns, moment)) = self.order.pop(horizon_ns) {
            match moment {
                Moment::Call(operation) => self.call(&operation),
                Moment::Return(operation) => self.returned(&operation, time_ns),
                Moment::Seen { watch, revision } => {
                    self.order
                        .saw(revision, time_ns, || Evidence::Watch { watch, time_ns });
                }
                Moment::Canceled {
                    watch,
                    compact_revision,
                } => self.watch_canceled(watch, compact_revision),
                Moment::WithoutPrevious { watch, revision } => {
                    self.without_previous(watch, revision);
                }
            }
        }
        self.order.swept(horizon_ns);
        self.order.date(&mut self.model);
        self.gathered.ended |= horizon_ns == u64::MAX;
        self.settle();
    }

    fn call(&mut self, operation: &Arc<Operation>) {
        let newest = self.order.newest;
        self.compactions.call(operation);
        match &operation.outcome {
            Outcome::Ok(_) => self.call_answered(operation),
            Outcome::Failed(refusal) => {
                self.ownership.called(operation.id, newest);
                if refusal.kind == RefusalKind::KeyNotFound {
                    self.order.at_call.insert(operation.id, newest);
                }
                if refusal.kind == RefusalKind::FutureRevision {
                    self.refused_as_future(operation);
                }
            }
            Outcome::Unknown { .. } => self.ownership.called(operation.id, newest),
        }
    }

    fn call_answered(&mut self, operation: &Arc<Operation>) {
        let Some((revision, writes)) = answered(operation) else {
            return;
        };
        let newest = self.order.newest;
        if is_local(operation) {
            if let Request::Range(_) | Request::Txn(_) = &operation.request {
                self.ledger.count(Check::Serializable);
                self.look_back(operation, revision);
            }
            return;
        }
        self.ledger.count(Check::RealTime);
        if revision < newest + i64::from(writes) {
            let violation = self.inverted(operation, revision, writes);
            self.ledger.violation(violation);
        }
        for open in self.order.narrow(revision, writes) {
            self.wait_absent(open);
        }
        self.look_at_compacted(operation);
    }

    /// A serializable read may be old, but a member that goes back in time is worth a note.
    fn look_back(&mut self, operation: &Operation, revision: i64) {
        let seen = self.order.by_member.get(&operation.member).copied();
        if seen.is_some_and(|seen| revision < seen) {
            self.ledger.note("members that went back in time", || {
                format!(
                    "member {} answered operation {} from revision {revision} after {}",
                    operation.member,
                    operation.id,
                    seen.unwrap_or(0)
                )
            });
        }
    }

    fn inverted(&self, operation: &Operation, revision: i64, writes: bool) -> Violation {
        let newest = self.order.newest;
        let what = if writes {
            "a write that was called after revision"
        } else {
            "what was called after revision"
        };
        let text = |how: String| {
            format!("{what} {newest} was there ({how}) was answered with revision {revision}")
        };
        match &self.order.evidence {
            Some(Evidence::Operation(other)) => {
                let how = format!("operation {} had returned with it", other.id);
                Violation::new(Check::RealTime, text(how))
                    .by(other)
                    .by(operation)
            }
            Some(Evidence::Watch { watch, time_ns }) => {
                let how = format!("watch {watch} had got an event of it at {time_ns} ns");
                Violation::new(Check::RealTime, text(how))
                    .by(operation)
                    .watch(*watch)
            }
            None => {
                Violation::new(Check::RealTime, text("it is the first".to_owned())).by(operation)
            }
        }
        .at(revision)
    }

    /// What was answered must not have been compacted before the call.
    fn look_at_compacted(&mut self, operation: &Arc<Operation>) {
        let Outcome::Ok(response) = &operation.outcome else {
            return;
        };
        let done = self.compactions.done();
        let mut revisions = Vec::new();
        revisions_answered(&operation.request, &response.answer, &mut revisions);
        let least = match &operation.request {
            Request::Compact(compact) => Some(compact.revision - 1),
            _ => revisions.into_iter().min(),
        };
        let Some(least) = least else {
            return;
        };
        self.ledger.count(Check::Compacted);
        if least < done {
            let text = format!("answered, although revisions before {done} had been compacted");
            self.ledger
                .violation(Violation::new(Check::Compacted, text).by(operation));
        }
        if let Request::Compact(compact) = &operation.request
            && compact.revision > response.revision
        {
            let text = "answered, although the revision was not there yet";
            self.ledger
                .violation(Violation::new(Check::Compacted, text).by(operation));
        }
    }

    fn refused_as_future(&mut self, operation: &Operation) {
        let mut revisions = Vec::new();
        revisions_asked(&operation.request, &mut revisions);
        if let Request::Compact(compact) = &operation.request {
            revisions.push(compact.revision);
        }
        self.ledger.count(Check::Refusal);
        // Who asks for no revision cannot be refused for one.
        let greatest = revisions.into_iter().max().unwrap_or(0);
        let newest = self.order.newest;
        if greatest <= newest {
            let text = format!("refused as of the future, although revision {newest} was there");
            self.ledger.violation(
                Violation::new(Check::Refusal, text)
                    .at(newest)
                    .by(operation),
            );
        }
    }

    fn returned(&mut self, operation: &Arc<Operation>, time_ns: u64) {
        self.compactions.returned(operation);
        match &operation.outcome {
            Outcome::Ok(response) => {
                let revision = response.revision;
                self.order.saw(revision, time_ns, || {
                    Evidence::Operation(Arc::clone(operation))
                });
                let reads = matches!(operation.request, Request::Range(_) | Request::Txn(_));
                if reads && is_local(operation) {
                    let seen = self.order.by_member.entry(operation.member).or_default();
                    *seen = (*seen).max(revision);
                }
                self.leases.returned(operation, time_ns, &mut self.ledger);
            }
            Outcome::Failed(refusal) => match refusal.kind {
                RefusalKind::Compacted => self.refused_as_compacted(operation),
                RefusalKind::KeyNotFound => {
                    if let Some(first) = self.order.at_call.remove(&operation.id) {
                        self.order.open_refusals.push(OpenRefusal {
                            operation: Arc::clone(operation),
                            first,
                            last: i64::MAX,
                        });
                    }
                }
                RefusalKind::LeaseNotFound | RefusalKind::LeaseExists => {
                    self.leases.returned(operation, time_ns, &mut self.ledger);
                }
                RefusalKind::FutureRevision | RefusalKind::Other => {}
            },
            Outcome::Unknown { .. } => {}
        }
    }

    fn refused_as_compacted(&mut self, operation: &Operation) {
        let mut revisions = Vec::new();
        revisions_asked(&operation.request, &mut revisions);
        let needed = match &operation.request {
            Request::Compact(compact) => Some(compact.revision),
            _ => revisions.into_iter().min().map(|least| least + 1),
        };
        self.ledger.count(Check::Compacted);
        // Who asks for no revision cannot be refused for one.
        if !needed.is_some_and(|needed| self.compactions.may_have_reached(needed)) {
            let text = format!("refused as compacted, but nothing was compacted up to {needed:?}");
            self.ledger
                .violation(Violation::new(Check::Compacted, text).by(operation));
        }
    }

    fn watch_canceled(&mut self, watch: u64, compact_revision: i64) {
        self.ledger.count(Check::WatchCanceled);
        if !self.compactions.may_be_at(compact_revision) {
            let text = format!("ended as compacted at {compact_revision}, where no compaction was");
            self.ledger
                .violation(Violation::new(Check::WatchCanceled, text).watch(watch));
        }
    }

    fn without_previous(&mut self, watch: u64, revision: i64) {
        if !self.compactions.may_have_reached(revision) {
            let text = "an event without what was there before, although it was not compacted";
            self.ledger.violation(
                Violation::new(Check::WatchPrevKv, text)
                    .at(revision)
                    .watch(watch),
            );
        }
    }

    fn wait_absent(&mut self, open: OpenRefusal) {
        let OpenRefusal {
            operation,
            first,
            last,
        } = open;
        self.wait(last, Waiting::Absent { operation, first });
    }

    /// Nothing more is called, so open refusals may be of any revision there is.
    pub(super) fn end_open_refusals(&mut self) {
        let top = self.model.top();
        for mut open in std::mem::take(&mut self.order.open_refusals) {
            open.last = open.last.min(top);
            self.wait_absent(open);
        }
    }

    /// Operations that were answered with a revision no witness showed.
    pub(super) fn judge_leftovers(&mut self) {
        let top = self.model.top();
        let reached = self.barrier.is_some_and(|barrier| barrier.revision <= top);
        for (revision, waiting) in std::mem::take(&mut self.waiting) {
            for waiting in waiting {
                let Waiting::Operation(operation) = waiting else {
                    continue;
                };
                let text = format!("answered with revision {revision}; the witnesses end at {top}");
                if !reached {
                    self.ledger.uncovered(text);
                } else if !is_local(&operation) {
                    self.ledger.violation(
                        Violation::new(Check::AnsweredWrite, text)
                            .at(revision)
                            .by(&operation),
                    );
                }
            }
        }
    }
}
