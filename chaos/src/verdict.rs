//! What a run is worth, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a run is worth. The order is that of gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Faults took hold, there was load, and everything held.
    Held,
    /// Something the judgement rests on is missing. Never counted as a success.
    Inconclusive,
    /// Something did not hold.
    Violated,
}

impl Verdict {
    /// The exit code of the program.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Held => 0,
            Verdict::Violated => 1,
            Verdict::Inconclusive => 2,
        }
    }

    /// From what was found. A violation counts even when something else is missing.
    pub fn of(violations: &[String], doubts: &[String]) -> Verdict {
        if !violations.is_empty() {
            Verdict::Violated
        } else if !doubts.is_empty() {
            Verdict::Inconclusive
        } else {
            Verdict::Held
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Held => "held",
            Verdict::Violated => "VIOLATED",
            Verdict::Inconclusive => "INCONCLUSIVE",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_is_no_success_and_no_violation_is_hidden_by_one() {
        let one = vec!["something".to_owned()];
        assert_eq!(Verdict::of(&[], &[]).exit_code(), 0);
        assert_eq!(Verdict::of(&[], &one).exit_code(), 2);
        assert_eq!(Verdict::of(&one, &one).exit_code(), 1);
    }
}
