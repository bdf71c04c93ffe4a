//! A history judged while it is written: the same verdict, and memory that does not grow with it.

use check::simulate::{Plan, Simulation, TIMEOUT_NS, history};
use check::{Checker, Settings, check, mutate};

const KEPT_REVISIONS: usize = 2000;

fn settings() -> Settings {
    Settings {
        kept_revisions: KEPT_REVISIONS,
        ..Settings::streaming(TIMEOUT_NS)
    }
}

#[test]
fn a_stream_holds_and_what_is_kept_stays_bounded() {
    let plan = Plan {
        seed: 7,
        operations: 40_000,
        ..Plan::default()
    };
    let mut checker = Checker::new(settings());
    let mut kept_max = 0;
    for record in Simulation::new(plan.clone()) {
        checker.feed(record);
        kept_max = kept_max.max(checker.kept());
    }
    let report = checker.finish();
    assert!(report.verdict.is_held(), "{report}");
    assert!(report.revision > 9 * 2000, "{report}");
    assert!(kept_max < 3 * KEPT_REVISIONS, "{kept_max} kept: {report}");
    assert!(report.unjudged.is_empty(), "{report}");
    assert_eq!(report.counts, check(history(&plan)).counts);
}

#[test]
fn bugs_are_found_in_a_stream_too() {
    let history = history(&Plan {
        seed: 3,
        ..Plan::default()
    });
    for mutator in mutate::all() {
        let mut records = history.clone();
        assert!(mutator.apply(&mut records, 3), "{}", mutator.name);
        let mut checker = Checker::new(settings());
        for record in records {
            checker.feed(record);
        }
        let report = checker.finish();
        let found = report
            .verdict
            .violations()
            .iter()
            .any(|violation| mutator.breaks.contains(&violation.check));
        assert!(found, "{}: {report}", mutator.name);
    }
}

#[test]
fn an_operation_longer_than_the_bound_makes_the_verdict_inconclusive() {
    let mut checker = Checker::new(Settings::streaming(1));
    for record in Simulation::new(Plan::default()) {
        checker.feed(record);
    }
    let report = checker.finish();
    assert!(
        matches!(report.verdict, check::Verdict::Inconclusive { .. }),
        "{report}"
    );
}
