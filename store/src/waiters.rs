//! Who waits for which batch: the applier answers here, wherever in the cluster the batch was appended.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use state_machine::Outcome;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::replica::Unavailable;
use crate::spans::{Stage, Stages};

pub(crate) type Answer = Result<Outcome, Unavailable>;

/// Batches of this process that are not answered yet.
pub(crate) struct Waiters {
    next_number: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// Whether any batch ever held a traced request: where none did, stages cost one load.
    has_traced: AtomicBool,
}

struct Waiting {
    senders: Vec<oneshot::Sender<Answer>>,
    /// Freed when the batch is answered; bounds the batches under way.
    permit: Option<OwnedSemaphorePermit>,
    /// Of its traced requests.
    stages: Vec<Arc<Stages>>,
}

impl Waiters {
    /// `first_number` differs from run to run, so that a batch replayed from an earlier run finds nobody.
    pub(crate) fn new(first_number: u64) -> Self {
        Waiters {
            next_number: AtomicU64::new(first_number),
            waiting: Mutex::default(),
            has_traced: AtomicBool::new(false),
        }
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn register(
        &self,
        number: u64,
        senders: Vec<oneshot::Sender<Answer>>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let waiting = Waiting {
            senders,
            permit,
            stages: Vec::new(),
        };
        self.waiting.lock().insert(number, waiting);
    }

    /// Follows a registered batch through its stages for its traced requests.
    pub(crate) fn trace(&self, number: u64, stages: Vec<Arc<Stages>>) {
        if stages.is_empty() {
            return;
        }
        self.has_traced.store(true, Ordering::Relaxed);
        if let Some(waiting) = self.waiting.lock().get_mut(&number) {
            waiting.stages = stages;
        }
    }

    pub(crate) fn reached(&self, number: u64, stage: Stage) {
        if !self.has_traced.load(Ordering::Relaxed) {
            return;
        }
        if let Some(waiting) = self.waiting.lock().get(&number) {
            for stages in &waiting.stages {
                stages.reached(stage);
            }
        }
    }

    /// Answers a batch with its outcomes, in the order of its commands. Nobody may be waiting any more.
    pub(crate) fn answer(&self, number: u64, outcomes: impl Iterator<Item = Outcome>) {
        let Some(waiting) = self.waiting.lock().remove(&number) else {
            return;
        };
        for (sender, outcome) in waiting.senders.into_iter().zip(outcomes) {
            // A waiter that gave up has dropped its receiver; that is its right.
            _ = sender.send(Ok(outcome));
        }
    }

    /// Tells everyone who waits for the batch why it will not be answered.
    pub(crate) fn fail(&self, number: u64, why: Unavailable) {
        let Some(waiting) = self.waiting.lock().remove(&number) else {
            return;
        };
        for sender in waiting.senders {
            _ = sender.send(Err(why));
        }
    }

    /// Takes back whoever waits for a batch that was never appended, with its place among the batches under way.
    pub(crate) fn take_back(
        &self,
        number: u64,
    ) -> Option<(Vec<oneshot::Sender<Answer>>, Option<OwnedSemaphorePermit>)> {
        let waiting = self.waiting.lock().remove(&number)?;
        Some((waiting.senders, waiting.permit))
    }

    /// Lets another batch go, though this one may still be answered.
    pub(crate) fn release_permit(&self, number: u64) {
        if let Some(waiting) = self.waiting.lock().get_mut(&number) {
            waiting.permit = None;
        }
    }

    /// The same for all: after a change of leader nobody knows which batches will be answered.
    pub(crate) fn release_permits(&self) {
        for waiting in self.waiting.lock().values_mut() {
            waiting.permit = None;
        }
    }

    /// Forgets batches whose waiters have all given up.
    pub(crate) fn drop_abandoned(&self) {
        self.waiting
            .lock()
            .retain(|_, waiting| waiting.senders.iter().any(|s| !s.is_closed()));
    }
}
