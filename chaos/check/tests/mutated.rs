//! Every planted bug must be found, in every history.

use std::collections::BTreeMap;

use check::check;
use check::history::Record;
use check::mutate::{self, Mutator};
use check::simulate::{Plan, history};

const SEEDS: u64 = 50;
/// Histories in which a put that keeps its key's value repeats the write that a mutator takes a cause from.
const REPEATING_SEEDS: [u64; 2] = [71, 294];

/// Why the bug was not found, if it was not.
fn missed(mutator: &Mutator, history: &[Record], seed: u64) -> Option<String> {
    let mut records = history.to_vec();
    if !mutator.apply(&mut records, seed) {
        return Some(format!("seed {seed} has no place for it"));
    }
    let report = check(records);
    let violations = report.verdict.violations();
    let found = violations
        .iter()
        .any(|violation| mutator.breaks.contains(&violation.check));
    (!found).then(|| format!("seed {seed}: {report}"))
}

#[test]
fn every_bug_is_found_in_every_history() {
    let mut caught: BTreeMap<&str, u64> = BTreeMap::new();
    let mut first_missed = None;
    for seed in (0..SEEDS).chain(REPEATING_SEEDS) {
        let history = history(&Plan {
            seed,
            ..Plan::default()
        });
        for mutator in mutate::all() {
            let count = caught.entry(mutator.name).or_default();
            match missed(mutator, &history, seed) {
                None => *count += 1,
                Some(why) => {
                    first_missed.get_or_insert(format!("{}: {why}", mutator.name));
                }
            }
        }
    }
    for (name, count) in &caught {
        println!("{count} {name}");
    }
    assert_eq!(first_missed, None, "caught: {caught:#?}");
}

#[test]
fn a_mutator_is_found_by_its_name_and_no_two_share_one() {
    for mutator in mutate::all() {
        let named = Mutator::named(mutator.name).map(|found| found.imitates);
        assert_eq!(named, Some(mutator.imitates));
    }
    assert!(mutate::all().count() >= 20);
}
