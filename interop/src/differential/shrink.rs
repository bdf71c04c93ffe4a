//! Looks for a shorter list of steps that shows the same kind of mismatch.

use std::collections::BTreeSet;

use anyhow::Result;
use tokio::time::Instant;

use super::step::Step;
use super::{Mismatch, Pair, replay};

/// Fresh servers are started for every attempt, so there are few.
const ATTEMPTS_MAX: usize = 60;
const SECONDS_MAX: u64 = 120;

/// Shortens `steps`, the last of which showed `mismatch`. What is left still shows it.
pub(super) async fn shrink(
    pair: &Pair,
    steps: Vec<Step>,
    mismatch: Mismatch,
) -> (Vec<Step>, Mismatch) {
    let start = Instant::now();
    let mut best = (steps, mismatch);
    let mut attempts = 0;
    // Whole kinds first: most play no part.
    let kinds: BTreeSet<&str> = best.0.iter().map(Step::kind).collect();
    for kind in kinds {
        let last = best.0.len() - 1;
        let kept = |(at, step): &(usize, &Step)| *at == last || step.kind() != kind;
        let shorter: Vec<Step> = best
            .0
            .iter()
            .enumerate()
            .filter(kept)
            .map(|(_, step)| step.clone())
            .collect();
        attempts += 1;
        if let Ok(Some((steps, mismatch))) = attempt(pair, &shorter, best.1.kind).await {
            best = (steps, mismatch);
        }
    }
    // Cut away ever smaller parts, from the front to the back.
    let mut part = best.0.len().next_power_of_two() / 2;
    while part > 0 {
        let mut from = 0;
        while from + 1 < best.0.len() {
            if attempts == ATTEMPTS_MAX || start.elapsed().as_secs() > SECONDS_MAX {
                return best;
            }
            attempts += 1;
            // The last step stays: it shows the mismatch.
            let to = (from + part).min(best.0.len() - 1);
            let mut shorter = best.0.clone();
            shorter.drain(from..to);
            match attempt(pair, &shorter, best.1.kind).await {
                Ok(Some((steps, mismatch))) => best = (steps, mismatch),
                Ok(None) => from += part,
                Err(error) => {
                    println!("shrinking stopped: {error:#}");
                    return best;
                }
            }
        }
        part /= 2;
    }
    best
}

async fn attempt(
    pair: &Pair,
    steps: &[Step],
    kind: &'static str,
) -> Result<Option<(Vec<Step>, Mismatch)>> {
    let found = replay(pair, steps).await?;
    Ok(found
        .filter(|(_, mismatch)| mismatch.kind == kind)
        .map(|(at, mismatch)| {
            // It may show earlier than before.
            (steps[..=at].to_vec(), mismatch)
        }))
}
