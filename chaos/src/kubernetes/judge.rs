//! Judges a history of apiservers: what was acknowledged stays, reads are not stale, and watches tell everything.

mod answers;
#[cfg(test)]
mod tests;
mod truth;

use std::collections::BTreeMap;

use super::history::{Operation, Record, Sight};
use truth::Truth;

/// Violations that are named; more are only counted.
const NAMED_MAX: usize = 100;

/// What an apiserver promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// An acknowledged write.
    Acknowledged,
    /// A write that was refused.
    Refused,
    /// A write by whoever.
    Once,
    /// A write with a resourceVersion, or of one field.
    Optimistic,
    /// A read.
    Fresh,
    /// A list.
    Snapshot,
    /// A watch.
    Complete,
    /// Events one after the other.
    Ordered,
    /// Events of one object.
    Chain,
}

impl Promise {
    /// What is promised.
    pub fn words(self) -> &'static str {
        match self {
            Promise::Acknowledged => "an acknowledged write is there, as it was acknowledged",
            Promise::Refused => "a refused write is not there, and is refused for a reason",
            Promise::Once => "what is there was asked for, and is done once",
            Promise::Optimistic => {
                "a write replaces the version it was made on, and keeps what it does not name"
            }
            Promise::Fresh => "a read is not older than what was told before it began",
            Promise::Snapshot => "a list is all that was there at its resourceVersion",
            Promise::Complete => "no watch misses an event",
            Promise::Ordered => "events come once and in order, across connections too",
            Promise::Chain => "the events of an object follow from one another",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// How often each promise had something to judge.
    pub counts: BTreeMap<Promise, u64>,
    /// What did not hold.
    pub violations: Vec<(Promise, String)>,
    /// How often something did not hold; more than is named.
    pub broken: u64,
    /// Why the judgement may be worth nothing.
    pub doubts: Vec<String>,
    /// The newest resourceVersion.
    pub revision: u64,
}

impl Findings {
    fn check(&mut self, promise: Promise, holds: bool, words: impl FnOnce() -> String) {
        *self.counts.entry(promise).or_default() += 1;
        if !holds {
            self.broken += 1;
            if self.violations.len() < NAMED_MAX {
                self.violations.push((promise, words()));
            }
        }
    }

    /// Acknowledged writes that are not there, as far as they are named.
    pub fn lost(&self) -> u64 {
        let lost = |(promise, _): &&(Promise, String)| *promise == Promise::Acknowledged;
        self.violations.iter().filter(lost).count() as u64
    }
}

/// Judges a whole history. What really happened is what all watchers together saw.
pub fn judge(records: &[Record]) -> Findings {
    let mut findings = Findings::default();
    let sights: Vec<&Sight> = records
        .iter()
        .filter_map(|record| match record {
            Record::Watch(sight) => Some(sight),
            Record::Op(_) => None,
        })
        .collect();
    let operations: Vec<&Operation> = records
        .iter()
        .filter_map(|record| match record {
            Record::Op(operation) => Some(operation),
            Record::Watch(_) => None,
        })
        .collect();
    let truth = Truth::of(&sights, &mut findings);
    answers::judge(&operations, &truth, &mut findings);
    if sights.is_empty() || operations.is_empty() {
        findings
            .doubts
            .push("nobody asked, or nobody watched".to_owned());
    }
    findings.revision = truth.revision();
    findings
}
