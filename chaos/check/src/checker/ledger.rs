//! What a checker has found so far.

use std::collections::BTreeMap;

use crate::verdict::{Check, NOTES_MAX, VIOLATIONS_MAX, Verdict, Violation};

/// How many broken preconditions are named.
const BROKEN_MAX: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    counts: BTreeMap<Check, u64>,
    unjudged: BTreeMap<&'static str, u64>,
    violations: Vec<Violation>,
    violations_total: u64,
    /// By kind, how often and the first of them.
    notes: BTreeMap<&'static str, (u64, Vec<String>)>,
    /// What makes violations doubtful.
    unsound: Vec<String>,
    /// What makes a clean result doubtful.
    uncovered: Vec<String>,
}

impl Ledger {
    pub(super) fn count(&mut self, check: Check) {
        *self.counts.entry(check).or_default() += 1;
    }

    pub(super) fn count_of(&self, check: Check) -> u64 {
        self.counts.get(&check).copied().unwrap_or(0)
    }

    pub(super) fn violations_total(&self) -> u64 {
        self.violations_total
    }

    pub(super) fn violation(&mut self, violation: Violation) {
        self.violations_total += 1;
        let same = |other: &&Violation| other.check == violation.check;
        if self.violations.iter().filter(same).count() < VIOLATIONS_MAX {
            self.violations.push(violation);
        }
    }

    /// Counts something that was not judged.
    pub(super) fn unjudged(&mut self, what: &'static str) {
        *self.unjudged.entry(what).or_default() += 1;
    }

    pub(super) fn note(&mut self, kind: &'static str, text: impl FnOnce() -> String) {
        let (count, texts) = self.notes.entry(kind).or_default();
        *count += 1;
        if texts.len() < NOTES_MAX {
            texts.push(text());
        }
    }

    /// A precondition is broken: what looks like a violation may not be one.
    pub(super) fn unsound(&mut self, why: impl FnOnce() -> String) {
        if self.unsound.len() < BROKEN_MAX {
            self.unsound.push(why());
        }
    }

    /// Something is missing: what looks clean may not be.
    pub(super) fn uncovered(&mut self, why: impl Into<String>) {
        if self.uncovered.len() < BROKEN_MAX {
            self.uncovered.push(why.into());
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<Check, u64> {
        Check::ALL
            .into_iter()
            .map(|check| (check, self.count_of(check)))
            .collect()
    }

    pub(super) fn all_unjudged(&self) -> BTreeMap<&'static str, u64> {
        self.unjudged.clone()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.notes
            .iter()
            .flat_map(|(kind, (count, texts))| {
                std::iter::once(format!("{kind}: {count}")).chain(texts.iter().cloned())
            })
            .collect()
    }

    pub(super) fn verdict(&self) -> Verdict {
        if !self.unsound.is_empty() {
            return Verdict::Inconclusive {
                why: self.unsound.clone(),
                suspected: self.violations.clone(),
            };
        }
        if self.violations_total > 0 {
            return Verdict::Violated {
                violations: self.violations.clone(),
                total: self.violations_total,
            };
        }
        if !self.uncovered.is_empty() {
            return Verdict::Inconclusive {
                why: self.uncovered.clone(),
                suspected: Vec::new(),
            };
        }
        Verdict::Held {
            counts: self.counts(),
        }
    }
}
