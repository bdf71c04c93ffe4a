//! Every planted bug must be found, in every history.

use check::mutate::{self, Mutator};
use check::simulate::{Plan, history};
use check::{Check, check};

const SEEDS: u64 = 50;

/// The checks that were found broken, or none if there was no place for the bug.
fn found(mutator: &Mutator, seed: u64) -> Option<Vec<Check>> {
    let mut records = history(&Plan {
        seed,
        ..Plan::default()
    });
    if !mutator.apply(&mut records, seed) {
        return None;
    }
    let report = check(records);
    let violations = report.verdict.violations();
    Some(violations.iter().map(|violation| violation.check).collect())
}

#[test]
fn every_bug_is_found_in_every_history() {
    let mut missed = Vec::new();
    for mutator in mutate::all() {
        let mut caught = 0;
        let mut example = String::new();
        for seed in 0..SEEDS {
            match found(mutator, seed) {
                None => example = format!("seed {seed} has no place"),
                Some(checks) if checks.iter().any(|it| mutator.breaks.contains(it)) => caught += 1,
                Some(checks) => example = format!("seed {seed} gave {checks:?}"),
            }
        }
        println!("{caught}/{SEEDS} {}", mutator.name);
        if caught < SEEDS {
            missed.push(format!("{}: {caught}/{SEEDS}, {example}", mutator.name));
        }
    }
    assert!(missed.is_empty(), "not found: {missed:#?}");
}

#[test]
fn a_mutator_is_found_by_its_name_and_no_two_share_one() {
    for mutator in mutate::all() {
        let named = Mutator::named(mutator.name).map(|found| found.imitates);
        assert_eq!(named, Some(mutator.imitates));
    }
    assert!(mutate::all().count() >= 20);
}
