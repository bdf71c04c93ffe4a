//! The span of a proposal, with one below it for every stage on its way through the log.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::span::{Span, Value};

/// What a proposal has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It left the queue, in a batch.
    Batched,
    /// Its log entry is on this member's disk.
    Appended,
    /// A majority has it, and it is this entry's turn to be applied here.
    Committed,
}

/// When a proposal reached its stages; written by those it comes by.
#[derive(Debug, Default)]
pub(crate) struct Stages([OnceLock<Instant>; 3]);

impl Stages {
    /// Only the first time counts.
    pub(crate) fn reached(&self, stage: Stage) {
        _ = self.0[stage as usize].set(Instant::now());
    }

    fn at(&self, stage: Stage) -> Option<Instant> {
        self.0[stage as usize].get().copied()
    }
}

/// Told, with its stages, when it is dropped.
pub(crate) struct ProposalSpan {
    span: Span,
    pub(crate) stages: Arc<Stages>,
    is_applied: bool,
}

impl ProposalSpan {
    /// None when the request is not traced.
    pub(crate) fn begin() -> Option<ProposalSpan> {
        let span = super::child("mainstay.propose")?;
        Some(ProposalSpan {
            span,
            stages: Arc::default(),
            is_applied: false,
        })
    }

    /// How it ended, and whether this member leads.
    pub(crate) fn end(mut self, failure: Option<String>, leads: bool) {
        self.is_applied = failure.is_none();
        self.span.set("mainstay.leads", Value::Bool(leads));
        if let Some(why) = failure {
            self.span.fail(why);
        }
    }
}

impl Drop for ProposalSpan {
    fn drop(&mut self) {
        let mut from = self.span.began();
        let committed = self.stages.at(Stage::Committed);
        // With a majority of others, an entry may be committed before it is on this member's own disk.
        let appended = self.stages.at(Stage::Appended);
        let appended = appended.filter(|at| committed.is_none_or(|committed| *at <= committed));
        for (name, at) in [
            ("mainstay.propose.queue", self.stages.at(Stage::Batched)),
            ("mainstay.propose.append", appended),
            ("mainstay.propose.commit", committed),
            ("mainstay.propose.apply", self.is_applied.then(Instant::now)),
        ] {
            if let Some(at) = at {
                self.span.past(name, from, at);
                from = at;
            }
        }
    }
}
