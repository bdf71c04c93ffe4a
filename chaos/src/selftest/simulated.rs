//! The simulation of our replicas: a bug must be found by one of a few seeds, and without a bug all of them must hold.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::process::Command;
use tokio::sync::watch;

use super::BUG_VARIABLE;
use super::matrix::{Found, Row};
use crate::verdict::Verdict;

/// Lies beside the program with planted bugs.
const PROGRAM: &str = "simulation-planted";
const PLACE: &str = "simulation";
/// Simulated time of a run.
const DURATION: &str = "60s";
/// Seeds that a bug gets to show itself: the hardest to find needs five in the middle.
const TRIES_MAX: u64 = 30;
/// Seeds that hold without one.
const CONTROL_RUNS: u64 = 3;
const CONTROL: &str = "no bug: simulation";
/// Of a reason, what fits into the matrix.
const WORDS_MAX: usize = 80;

/// Bugs that show in what the simulation has: neither clients' connections, watches nor the log's own thread.
const BUGS: &[&str] = &[
    "tail-lost",
    "vote-in-memory",
    "mark-behind",
    "sync-skipped",
    "read-without-quorum",
    "forwarded-again",
];

/// Where it is run.
pub(super) struct Simulation {
    program: PathBuf,
    seed: u64,
    interrupted: watch::Receiver<bool>,
}

/// What one seed came to.
struct Came {
    verdict: Verdict,
    /// Writes and reads with an answer, until it was violated or to its end.
    operations: u64,
    /// The first thing that did not hold, or why it shows nothing.
    reason: String,
}

impl Simulation {
    pub(super) fn new(planted: &Path, seed: u64, interrupted: watch::Receiver<bool>) -> Self {
        Simulation {
            program: planted.with_file_name(PROGRAM),
            seed,
            interrupted,
        }
    }

    /// A row for each bug and one for none, of those that are wanted.
    pub(super) async fn rows(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Row> {
        let mut rows = Vec::new();
        if is_wanted(CONTROL) {
            rows.push(self.row(CONTROL, None).await);
        }
        for bug in BUGS {
            let name = format!("{bug}, simulated");
            if is_wanted(&name) {
                rows.push(self.row(&name, Some(bug)).await);
            }
        }
        rows
    }

    async fn row(&self, name: &str, bug: Option<&str>) -> Row {
        let started = Instant::now();
        let mut row = Row::of(name, Found::Unknown("interrupted".to_owned()));
        row.place = PLACE.to_owned();
        let runs = if bug.is_some() {
            TRIES_MAX
        } else {
            CONTROL_RUNS
        };
        while row.tries < runs && !*self.interrupted.borrow() {
            let came = self.run(bug, self.seed.wrapping_add(row.tries)).await;
            row.tries += 1;
            let came = match came {
                Ok(came) => came,
                Err(error) => {
                    row.found = Found::Unknown(format!("{error:#}"));
                    break;
                }
            };
            row.operations = came.operations;
            row.found = compare(bug.is_some(), &came);
            if came.verdict == Verdict::Violated {
                row.named = came.reason.chars().take(WORDS_MAX).collect();
                break;
            }
        }
        row.took = started.elapsed();
        row
    }

    async fn run(&self, bug: Option<&str>, seed: u64) -> Result<Came> {
        let output = Command::new(&self.program)
            .args(["--seed", &seed.to_string(), "--duration", DURATION])
            .envs(bug.map(|bug| (BUG_VARIABLE, bug)))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("starting {}", self.program.display()))?;
        Ok(read(
            output.status.code(),
            &String::from_utf8_lossy(&output.stdout),
        ))
    }
}

/// What the simulation printed: a line of names and numbers, then reasons.
fn read(code: Option<i32>, text: &str) -> Came {
    let words = text.lines().next().unwrap_or_default().split_whitespace();
    let operations = words
        .filter_map(|word| word.split_once('='))
        .filter(|(name, _)| matches!(*name, "acknowledged" | "reads"))
        .filter_map(|(_, number)| number.parse::<u64>().ok())
        .sum();
    let mut reasons = text
        .lines()
        .filter_map(|line| line.strip_prefix("reason: "));
    Came {
        verdict: match code {
            Some(0) => Verdict::Held,
            Some(1) => Verdict::Violated,
            _ => Verdict::Inconclusive,
        },
        operations,
        reason: reasons.next().unwrap_or(text).to_owned(),
    }
}

fn compare(has_bug: bool, came: &Came) -> Found {
    match (has_bug, came.verdict) {
        (true, Verdict::Violated) => Found::Caught,
        (true, Verdict::Held) => Found::Failed("it held".to_owned()),
        (false, Verdict::Held) => Found::Passed,
        (false, Verdict::Violated) => Found::Failed(came.reason.clone()),
        (_, Verdict::Inconclusive) => Found::Unknown(came.reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_has_to_be_violated_and_the_store_as_it_is_has_to_hold() {
        let text = "seed=7 verdict=Held acknowledged=40 refused=1 reads=2 wall_seconds=1.0\n";
        let held = read(Some(0), text);
        assert_eq!(held.operations, 42);
        assert_eq!(compare(false, &held), Found::Passed);
        assert!(matches!(compare(true, &held), Found::Failed(_)));
        let violated = read(Some(1), "seed=7 acknowledged=1\nreason: a write is gone\n");
        assert_eq!(compare(true, &violated), Found::Caught);
        assert_eq!(
            compare(false, &violated),
            Found::Failed("a write is gone".to_owned())
        );
        let nothing = read(
            Some(2),
            "seed=7 acknowledged=0\nreason: no fault took hold\n",
        );
        assert!(matches!(compare(true, &nothing), Found::Unknown(_)));
        assert!(matches!(compare(false, &nothing), Found::Unknown(_)));
    }
}
