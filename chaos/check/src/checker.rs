//! The checker: takes a history record by record and judges everything by the order its revisions give.
//!
//! etcd's answers carry the order of all writes: the revision. So a history is linearizable if, and only if, replaying the
//! operations in the order of their revisions gives every answer in full, and no operation that was called after another had
//! returned comes before it. Both are looked at in one pass. Writes without an answer are found by what they wrote.

mod compaction;
mod gather;
mod hash;
mod judge;
mod leases;
mod ledger;
mod moments;
mod order;
mod ownership;
mod settings;
mod settle;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::history::{Barrier, Fault, Operation, Outcome, Record, Run};
use crate::model::Model;
use crate::verdict::{Report, Tally};

pub use settings::Settings;

use compaction::Compactions;
use gather::Gathered;
use hash::Hashes;
use leases::Leases;
use ledger::Ledger;
use order::{Moment, Order};
use ownership::Ownership;
use watch::Watches;

/// Most faults a report carries.
const FAULTS_MAX: usize = 100_000;

/// How many revisions more than have to be are kept before some are forgotten.
const TRIM_STEP: usize = 1024;

/// Judges a whole history.
pub fn check(records: impl IntoIterator<Item = Record>) -> Report {
    let mut checker = Checker::new(Settings::default());
    for record in records {
        checker.feed(record);
    }
    checker.finish()
}

/// Judges a history record by record.
///
/// Operations are judged as soon as nothing that is still to come can change the judgement; [`Settings`] says what that is.
#[derive(Debug)]
pub struct Checker {
    settings: Settings,
    ledger: Ledger,
    model: Model,
    order: Order,
    gathered: Gathered,
    ownership: Ownership,
    leases: Leases,
    compactions: Compactions,
    watches: Watches,
    hashes: Hashes,
    /// What waits for a revision that no witness has shown yet.
    waiting: BTreeMap<i64, Vec<Waiting>>,
    run: Run,
    faults: Vec<Fault>,
    barrier: Option<Barrier>,
    tally: Tally,
    /// The latest time of any record.
    now_ns: u64,
}

/// What waits for a revision.
#[derive(Debug)]
enum Waiting {
    /// An answered operation.
    Operation(Arc<Operation>),
    /// A request that was refused because a key was not there; it must be so at some revision from `first` on.
    Absent {
        operation: Arc<Operation>,
        first: i64,
    },
    /// The next response of a watch.
    Watch(u64),
}

impl Checker {
    /// A checker that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            ledger: Ledger::default(),
            model: Model::new(),
            order: Order::default(),
            gathered: Gathered::default(),
            ownership: Ownership::default(),
            leases: Leases::default(),
            compactions: Compactions::default(),
            watches: Watches::default(),
            hashes: Hashes::default(),
            waiting: BTreeMap::new(),
            run: Run::default(),
            faults: Vec::new(),
            barrier: None,
            tally: Tally::default(),
            now_ns: 0,
            settings,
        }
    }

    /// How many violations have been found so far.
    #[must_use]
    pub fn violations_so_far(&self) -> u64 {
        self.ledger.violations_total()
    }

    /// How many revisions and moments are in memory: bounded by the settings, not by the length of the history.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.model.kept() + self.order.len()
    }

    /// Takes the next record.
    pub fn feed(&mut self, record: Record) {
        let time_ns = record.time_ns();
        self.now_ns = self.now_ns.max(time_ns);
        match record {
            Record::Run(run) => {
                self.compactions.automatic = run.automatic_compaction;
                self.run = run;
            }
            Record::Op(operation) => self.operation(operation),
            Record::WatchOpened(opened) => self.watches.open(opened, &mut self.ledger),
            Record::Watch(response) => self.watch_response(response),
            Record::WatchClosed(closed) => self.watches.close(closed.watch),
            Record::Fault(fault) => {
                if self.faults.len() < FAULTS_MAX {
                    self.faults.push(fault);
                }
            }
            Record::Barrier(barrier) => self.barrier = Some(barrier),
        }
        if let Some(horizon_ns) = self.settings.horizon_ns(self.now_ns) {
            self.advance(horizon_ns);
            self.trim();
        }
    }

    /// Judges what is left and says what came out.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.close_gaps();
        self.drain_waiting();
        self.advance(u64::MAX);
        self.end_open_refusals();
        self.drain_waiting();
        self.judge_leftovers();
        let barrier = self.barrier.map(|barrier| barrier.revision);
        self.watches.finish(&self.model, barrier, &mut self.ledger);
        self.leases.finish(
            &self.model,
            (self.now_ns, self.settings.lease_slack_ns),
            &mut self.ledger,
        );
        self.look_at_coverage();
        Report {
            verdict: self.ledger.verdict(),
            run: self.run,
            counts: self.ledger.counts(),
            unjudged: self.ledger.all_unjudged(),
            notes: self.ledger.notes(),
            operations: self.tally,
            revision: self.model.top(),
            faults: self.faults,
        }
    }

    fn operation(&mut self, operation: Operation) {
        self.look_at_bounds(&operation);
        let operation = Arc::new(operation);
        self.order
            .push(operation.call_ns, Moment::Call(Arc::clone(&operation)));
        if let Some(return_ns) = operation.return_ns {
            self.order
                .push(return_ns, Moment::Return(Arc::clone(&operation)));
        }
        self.leases.note(&operation, &mut self.ledger);
        match &operation.outcome {
            Outcome::Ok(response) => {
                self.tally.ok += 1;
                self.hashes.note(&operation, &mut self.ledger);
                let revision = response.revision;
                if revision <= self.model.top() {
                    self.judge(&operation);
                } else {
                    self.wait(revision, Waiting::Operation(operation));
                }
            }
            Outcome::Failed(_) => {
                self.tally.failed += 1;
                self.ownership.add(&operation);
            }
            Outcome::Unknown { .. } => {
                self.tally.unknown += 1;
                self.ownership.add(&operation);
                let kept = self.ownership.len();
                let kept_max = self.settings.kept_unknown;
                if kept > kept_max {
                    self.ledger.unsound(|| {
                        format!("more than {kept_max} operations without an effect yet")
                    });
                }
            }
        }
    }

    /// The promises of whoever wrote the history.
    fn look_at_bounds(&mut self, operation: &Operation) {
        let Operation {
            id,
            call_ns,
            return_ns,
            ..
        } = operation;
        let ends_ns = return_ns.unwrap_or(*call_ns);
        if ends_ns < *call_ns {
            self.ledger
                .unsound(|| format!("operation {id} returned before it was called"));
        }
        if return_ns.is_none() && !matches!(operation.outcome, Outcome::Unknown { .. }) {
            self.ledger
                .unsound(|| format!("operation {id} has an outcome and no time of return"));
        }
        if ends_ns - (*call_ns).min(ends_ns) > self.settings.operation_ns {
            self.ledger
                .unsound(|| format!("operation {id} took longer than the bound"));
        }
        if self.order.is_past(*call_ns) {
            self.ledger
                .unsound(|| format!("operation {id} was recorded later than the bounds allow"));
        }
    }

    fn wait(&mut self, revision: i64, what: Waiting) {
        self.waiting.entry(revision).or_default().push(what);
    }

    /// Judges what waited for revisions that are there now.
    fn drain_waiting(&mut self) {
        while let Some(entry) = self.waiting.first_entry() {
            let revision = *entry.key();
            if revision > self.model.top() {
                return;
            }
            for waiting in entry.remove() {
                match waiting {
                    Waiting::Operation(operation) => self.judge(&operation),
                    Waiting::Absent { operation, first } => {
                        self.judge_absent(&operation, first, revision);
                    }
                    Waiting::Watch(watch) => self.judge_watch(watch),
                }
            }
        }
    }

    /// Forgets what is no longer kept, now and then.
    fn trim(&mut self) {
        let kept = self.settings.kept_revisions;
        if self.model.kept() < kept.saturating_add(TRIM_STEP) {
            return;
        }
        self.model.trim(kept);
        let first = self.model.first();
        for lease in self.leases.trim(first, self.now_ns) {
            self.model.forget_lease(lease);
        }
        self.ownership.trim(first);
        self.hashes.trim(first);
    }

    /// What a clean result rests on.
    fn look_at_coverage(&mut self) {
        if self.tally.ok == 0 {
            self.ledger.uncovered("no operation was answered");
        }
        if !self.watches.has_witness() {
            self.ledger.uncovered("there is no witness");
        }
        let top = self.model.top();
        match self.barrier {
            None => self.ledger.uncovered("there is no barrier"),
            Some(barrier) if barrier.revision > top => self.ledger.uncovered(format!(
                "the witnesses end at revision {top}, before the barrier at {}",
                barrier.revision
            )),
            Some(_) => {}
        }
    }
}
