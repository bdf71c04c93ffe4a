//! Simulated histories without a fault must pass.

use check::check;
use check::simulate::{Plan, history};

#[test]
fn fifty_histories_without_a_fault_hold() {
    for seed in 0..50 {
        let report = check(history(&Plan {
            seed,
            ..Plan::default()
        }));
        assert!(report.verdict.is_held(), "seed {seed}: {report}");
    }
}
