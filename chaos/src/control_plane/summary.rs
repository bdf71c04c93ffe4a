//! What the judge says, as reports have it.

use std::path::Path;

use anyhow::Result;

use super::history;
use super::judge::{Findings, judge};
use crate::summary::{Count, Judged};

/// Has a stored history of a control plane judged.
///
/// # Errors
/// When it cannot be read.
pub fn judge_stored(path: &Path) -> Result<Judged> {
    let started = std::time::Instant::now();
    let Findings {
        counts,
        violations,
        broken,
        doubts,
        revision,
    } = judge(&history::read(path)?);
    let unnamed = broken - violations.len() as u64;
    let mut words: Vec<String> = violations
        .into_iter()
        .map(|(promise, words)| format!("{}: {words}", promise.words()))
        .collect();
    if unnamed > 0 {
        words.push(format!("{unnamed} more that are not named here"));
    }
    let counts = counts.into_iter().map(|(promise, count)| Count {
        words: promise.words().to_owned(),
        count,
    });
    Ok(Judged {
        counts: counts.collect(),
        revision,
        violations: words,
        broken,
        doubts,
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..Judged::default()
    })
}
