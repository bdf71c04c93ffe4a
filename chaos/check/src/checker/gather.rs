//! The witnesses' events into the model, revision by revision.

use std::collections::BTreeMap;

use crate::history::Event;
use crate::model::REVISION_EMPTY;
use crate::verdict::{Check, Violation};

use super::Checker;

/// The most revisions that may wait for one before them while a history is judged as it is written; then the gap is taken
/// for one.
const AHEAD_MAX: usize = 100_000;

/// The widest gap that is stepped over. Wider ones are a damaged record.
const GAP_MAX: i64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Gathered {
    /// Revisions that came before one below them.
    ahead: BTreeMap<i64, Vec<Event>>,
    /// The newest revision whose cause is settled.
    pub(super) settled: i64,
    /// Nothing more will come.
    pub(super) ended: bool,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            ahead: BTreeMap::new(),
            settled: REVISION_EMPTY,
            ended: false,
        }
    }
}

impl Checker {
    /// Takes what a witness saw in one response.
    pub(super) fn gather(&mut self, events: &[Event]) {
        for events in events.chunk_by(|a, b| a.kv.mod_revision == b.kv.mod_revision) {
            let revision = events[0].kv.mod_revision;
            if revision == self.model.top() + 1 {
                self.take(events);
            } else if revision > self.model.top() {
                self.gathered
                    .ahead
                    .entry(revision)
                    .or_insert_with(|| events.to_vec());
            }
        }
        if self.gathered.ahead.len() > AHEAD_MAX {
            self.close_gaps();
        }
    }

    fn take(&mut self, events: &[Event]) {
        self.ledger.count(Check::Witness);
        self.model.append(events);
        while let Some(first) = self.gathered.ahead.first_entry() {
            if *first.key() > self.model.top() + 1 {
                break;
            }
            let revision = *first.key();
            let events = first.remove();
            if revision == self.model.top() + 1 {
                self.ledger.count(Check::Witness);
                self.model.append(&events);
            }
        }
        self.order.date(&mut self.model);
    }

    /// Steps over revisions that no witness saw.
    pub(super) fn close_gaps(&mut self) {
        while let Some((next, _)) = self.gathered.ahead.first_key_value() {
            let (top, next) = (self.model.top(), *next);
            let text = format!("no witness saw anything between revisions {top} and {next}");
            let covered = self.watches.witness_began_by(top + 1);
            if covered {
                self.ledger
                    .violation(Violation::new(Check::Witness, text).at(top + 1));
            } else {
                self.ledger.unsound(|| text);
            }
            if next - top > GAP_MAX {
                self.gathered.ahead.clear();
                return;
            }
            for _ in top + 1..next {
                self.model.append(&[]);
            }
            if let Some(events) = self.gathered.ahead.remove(&next) {
                self.take(&events);
            }
        }
    }
}
