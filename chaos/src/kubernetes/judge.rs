//! Judges a history of apiservers: what was acknowledged stays, reads are not stale, and watches tell everything.

mod answers;
#[cfg(test)]
mod tests;
mod truth;

use super::history::{Operation, Record, Sight};
use crate::findings;
use truth::Truth;

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

impl findings::Promise for Promise {
    fn words(self) -> &'static str {
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

/// What was found; the newest resourceVersion with it.
pub type Findings = findings::Findings<Promise, u64>;

impl Findings {
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
