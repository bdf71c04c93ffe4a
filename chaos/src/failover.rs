//! Kills the leader under load again and again, and measures the time without an acknowledged write.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;

use crate::run::{self, Brought, Plan};
use crate::scenario;
use crate::schedule::{Aim, Fault, Schedule, Step};
use crate::summary::Summary;
use crate::target::Target;
use crate::timeline::percentile;

/// How long each leader is away.
const AWAY: Duration = Duration::from_secs(2);
/// Load between a return and the next kill.
const SETTLE: Duration = Duration::from_secs(3);
/// The scenario that has the load and the judgement.
const SCENARIO: &str = "kill-leader";

/// Kills the leader `trials` times. The history is judged as that of any run.
///
/// # Errors
/// When the run cannot be made.
pub async fn measure(
    (target, target_word): (&Target, &str),
    trials: u64,
    folder: &Path,
    interrupted: watch::Receiver<bool>,
) -> Result<Summary> {
    let (away, settle) = (millis(AWAY), millis(SETTLE));
    let steps = (0..trials).map(|trial| Step {
        at_ms: settle + trial * (away + settle),
        hold_ms: away,
        settle_ms: settle,
        pick: trial,
        fault: Fault::Kill { aim: Aim::Leader },
    });
    let plan = Plan {
        target: target.clone(),
        target_word: target_word.to_owned(),
        schedule: Schedule {
            scenario: SCENARIO.to_owned(),
            seed: 0,
            // Looking for the leader takes time of its own; the last step must not be late for it.
            duration_ms: settle + (trials + 1) * (away + settle),
            steps: steps.collect(),
        },
        scenario: scenario::named(SCENARIO).expect("the table has it"),
        folder: folder.to_owned(),
    };
    let brought = Brought {
        replay: Some(format!(
            "chaos bench-failover --target {target_word} -n {trials}"
        )),
        ..Brought::of(plan.scenario)
    };
    run::run_with(&plan, &brought, interrupted).await
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The gaps in one line: of kills that really hit the leader alone.
pub fn words(summary: &Summary) -> String {
    let fired = summary.injected.iter().zip(&summary.timeline.gaps_ms);
    let mut gaps: Vec<u64> = fired
        .filter(|(one, _)| one.fired)
        .map(|(_, gap)| *gap)
        .collect();
    gaps.sort_unstable();
    format!(
        "{}: leader killed {} times, without an acknowledged write for p50 {} ms, p99 {} ms, max {} ms",
        summary.server,
        gaps.len(),
        percentile(&gaps, 50),
        percentile(&gaps, 99),
        gaps.last().copied().unwrap_or(0)
    )
}
