//! Simulated histories, whole and damaged in every known way, spread over the machine's cores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use check::history::{Outcome, Record};
use check::mutate::{self, Mutator};
use check::simulate::{Plan, history};
use check::{Check, Violation};

use super::matrix::{Found, Row};

/// Name of the row of histories that nothing was done to.
const WHOLE: &str = "simulated histories";

/// What came of one look.
#[derive(Clone)]
enum Came {
    /// It was as it should be, after so many operations; of a whole history, all.
    Right(u64),
    Wrong(String),
    /// The history has nothing of the kind that the mutator damages.
    NoPlace,
}

/// One look at one history.
struct Look {
    name: &'static str,
    came: Came,
    named: Vec<Check>,
    took: Duration,
}

/// A row for each mutator, and one for histories that are whole.
///
/// # Errors
/// When a thread panicked.
pub(super) async fn rows(seed: u64, histories: u64, only: &[String]) -> Result<Vec<Row>> {
    let only = only.to_vec();
    let looking = tokio::task::spawn_blocking(move || {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..cores)
                .map(|_| scope.spawn(|| look_at_many(seed, (&next, histories), &only)))
                .collect();
            let looks = workers.into_iter().map(|worker| worker.join().ok());
            looks.collect::<Option<Vec<_>>>()
        })
    });
    let looks = looking
        .await?
        .context("a thread that judges histories panicked")?;
    Ok(gather(looks.into_iter().flatten()))
}

/// Takes one history after the other until none is left.
fn look_at_many(seed: u64, (next, histories): (&AtomicU64, u64), only: &[String]) -> Vec<Look> {
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let mut looks = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= histories {
            return looks;
        }
        let seed = seed.wrapping_add(number);
        let records = history(&Plan {
            seed,
            ..Plan::default()
        });
        if is_wanted(WHOLE) {
            looks.push(look_at_whole(&records, seed));
        }
        let mutators = mutate::all().filter(|mutator| is_wanted(mutator.name));
        looks.extend(mutators.map(|mutator| look_at_damaged(mutator, &records, seed)));
    }
}

fn look_at_whole(records: &[Record], seed: u64) -> Look {
    let started = Instant::now();
    let report = check::check(records.iter().cloned());
    let operations = report.operations;
    let came = if report.verdict.is_held() {
        Came::Right(operations.ok + operations.failed + operations.unknown)
    } else {
        Came::Wrong(format!("seed {seed}: {report}"))
    };
    Look {
        name: WHOLE,
        came,
        named: Vec::new(),
        took: started.elapsed(),
    }
}

fn look_at_damaged(mutator: &'static Mutator, records: &[Record], seed: u64) -> Look {
    let started = Instant::now();
    let mut records = records.to_vec();
    if !mutator.apply(&mut records, seed) {
        return Look {
            name: mutator.name,
            came: Came::NoPlace,
            named: Vec::new(),
            took: started.elapsed(),
        };
    }
    let report = check::check(records.iter().cloned());
    let found = report.verdict.violations();
    let meant = found
        .iter()
        .filter(|violation| mutator.breaks.contains(&violation.check));
    let operations = meant
        .map(|violation| operations_until(&records, violation))
        .min();
    Look {
        name: mutator.name,
        came: match operations {
            Some(operations) => Came::Right(operations),
            None => Came::Wrong(format!("seed {seed}: {report}")),
        },
        named: found.iter().map(|violation| violation.check).collect(),
        took: started.elapsed(),
    }
}

/// How many operations a history has up to the one that shows a violation, or up to the revision that does.
pub(super) fn operations_until(records: &[Record], violation: &Violation) -> u64 {
    let mut operations = 0;
    for record in records {
        let Record::Op(operation) = record else {
            continue;
        };
        operations += 1;
        let mut involved = violation.operations.iter();
        let reached = match &operation.outcome {
            Outcome::Ok(response) if violation.operations.is_empty() => violation
                .revision
                .is_some_and(|revision| response.revision >= revision),
            _ => involved.any(|one| one.id == operation.id),
        };
        if reached {
            break;
        }
    }
    operations
}

/// One row for all looks of a name.
fn gather(looks: impl Iterator<Item = Look>) -> Vec<Row> {
    let mut by_name: BTreeMap<&str, Vec<Look>> = BTreeMap::new();
    for look in looks {
        by_name.entry(look.name).or_default().push(look);
    }
    by_name
        .into_iter()
        .map(|(name, looks)| row(name, &looks))
        .collect()
}

fn row(name: &str, looks: &[Look]) -> Row {
    let mut operations = Vec::new();
    let mut failures = Vec::new();
    for look in looks {
        match &look.came {
            Came::Right(until) => operations.push(*until),
            Came::Wrong(why) => failures.push(why),
            Came::NoPlace => {}
        }
    }
    operations.sort_unstable();
    let tries = operations.len() + failures.len();
    let found = match (failures.first(), name == WHOLE) {
        (Some(why), _) => Found::Failed(format!("in {} of {tries}; {why}", failures.len())),
        (None, _) if tries == 0 => Found::Unknown(format!("no place in {} histories", looks.len())),
        (None, true) => Found::Passed,
        (None, false) => Found::Caught,
    };
    let checks = looks.iter().flat_map(|look| look.named.iter().copied());
    Row {
        name: name.to_owned(),
        place: "damaged history".to_owned(),
        found,
        // The middle one.
        operations: operations.get(operations.len() / 2).copied().unwrap_or(0),
        named: names(checks),
        tries: tries as u64,
        took: looks.iter().map(|look| look.took).sum(),
    }
}

/// Each invariant once, the one that was named most first.
pub(super) fn names(checks: impl Iterator<Item = Check>) -> String {
    let mut counts: BTreeMap<Check, usize> = BTreeMap::new();
    for check in checks {
        *counts.entry(check).or_default() += 1;
    }
    let mut counts: Vec<(Check, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(check, count)| (std::cmp::Reverse(*count), *check));
    let names: Vec<String> = counts
        .iter()
        .map(|(check, _)| format!("{check:?}"))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(came: Came) -> Look {
        Look {
            name: "late-read",
            came,
            named: vec![Check::RealTime],
            took: Duration::ZERO,
        }
    }

    fn rows_of(came: [Came; 3]) -> Vec<Row> {
        gather(came.map(look).into_iter())
    }

    #[test]
    fn a_mutator_that_one_history_hides_is_not_caught() {
        let missed = Came::Wrong("held".to_owned());
        let rows = rows_of([Came::Right(3), missed, Came::Right(5)]);
        assert_eq!(rows.len(), 1);
        assert!(matches!(&rows[0].found, Found::Failed(why) if why.contains("1 of 3")));
        let rows = rows_of([Came::Right(3), Came::Right(5), Came::Right(9)]);
        assert_eq!((&rows[0].found, rows[0].operations), (&Found::Caught, 5));
    }

    #[test]
    fn a_history_without_a_place_is_no_try_and_only_such_ones_prove_nothing() {
        let rows = rows_of([Came::Right(3), Came::NoPlace, Came::Right(5)]);
        assert_eq!((&rows[0].found, rows[0].tries), (&Found::Caught, 2));
        let rows = rows_of([Came::NoPlace, Came::NoPlace, Came::NoPlace]);
        assert!(matches!(&rows[0].found, Found::Unknown(_)));
    }
}
