//! What the judges of what stands above a store find in a history, and how reports have it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::summary::{Count, Judged};

/// Violations that are named; more are only counted.
const NAMED_MAX: usize = 100;

/// What somebody above the store promises, one by one.
pub trait Promise: Copy + Ord {
    /// What is promised.
    fn words(self) -> &'static str;
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Findings<P, R> {
    /// How often each promise had something to judge.
    pub counts: BTreeMap<P, u64>,
    /// What did not hold.
    pub violations: Vec<(P, String)>,
    /// How often something did not hold; more than is named.
    pub broken: u64,
    /// Why the judgement may be worth nothing.
    pub doubts: Vec<String>,
    /// The newest revision.
    pub revision: R,
}

impl<P, R: Default> Default for Findings<P, R> {
    fn default() -> Self {
        Findings {
            counts: BTreeMap::new(),
            violations: Vec::new(),
            broken: 0,
            doubts: Vec::new(),
            revision: R::default(),
        }
    }
}

impl<P: Promise, R> Findings<P, R> {
    pub(crate) fn check(&mut self, promise: P, holds: bool, words: impl FnOnce() -> String) {
        *self.counts.entry(promise).or_default() += 1;
        if !holds {
            self.broken += 1;
            if self.violations.len() < NAMED_MAX {
                self.violations.push((promise, words()));
            }
        }
    }
}

impl<P: Promise, R> Findings<P, R>
where
    R: TryInto<i64, Error: std::error::Error + Send + Sync + 'static>,
{
    /// As reports have it, when the work on it began then.
    pub(crate) fn told(self, started: Instant) -> Result<Judged> {
        let unnamed = self.broken - self.violations.len() as u64;
        let violations = self.violations.into_iter();
        let mut violations: Vec<String> = violations
            .map(|(promise, words)| format!("{}: {words}", promise.words()))
            .collect();
        if unnamed > 0 {
            violations.push(format!("{unnamed} more that are not named here"));
        }
        let counts = self.counts.into_iter().map(|(promise, count)| Count {
            words: promise.words().to_owned(),
            count,
        });
        Ok(Judged {
            counts: counts.collect(),
            revision: self.revision.try_into()?,
            violations,
            broken: self.broken,
            doubts: self.doubts,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..Judged::default()
        })
    }
}

/// Reads a stored history, a record from each line.
///
/// # Errors
/// When it cannot be opened, or a line is none.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut records = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let record = serde_json::from_str(&line?)
            .with_context(|| format!("line {} of {}", number + 1, path.display()))?;
        records.push(record);
    }
    Ok(records)
}
