//! Where a violation shows: the operations that show it, and their neighbours in time.

use std::fmt::Write;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result};
use check::Violation;
use check::history::{Blob, Operation, Outcome, Reader, Record, Request};
use serde::{Deserialize, Serialize};

/// Violations that are shown of one run.
const SCENES_MAX: usize = 3;
/// Neighbours that are shown of one violation.
const NEIGHBOURS_MAX: usize = 20;
/// How far before and behind the operations neighbours are looked for, in nanoseconds.
const MARGIN_NS: u64 = 3_000_000;
/// Longest words of a request, in characters.
const CHARACTERS_MAX: usize = 60;

/// A violation and what happened around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// The promise that was broken.
    pub promise: String,
    /// How.
    pub words: String,
    /// In the order of their calls.
    pub operations: Vec<Shown>,
}

/// One operation of a scene.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Who called.
    pub client: u32,
    /// Whom.
    pub member: u32,
    /// When it was called, in nanoseconds of the run's clock.
    pub call_ns: u64,
    /// When it returned; none if it never did.
    pub return_ns: Option<u64>,
    /// What was asked and what came of it.
    pub words: String,
    /// It is one of those that show the violation.
    pub involved: bool,
}

/// The first violations that operations show, with what the history has around them.
///
/// # Errors
/// When the history cannot be opened.
pub fn around(history: &Path, violations: &[Violation]) -> Result<Vec<Scene>> {
    let shown: Vec<&Violation> = violations
        .iter()
        .filter(|one| !one.operations.is_empty())
        .take(SCENES_MAX)
        .collect();
    if shown.is_empty() {
        return Ok(Vec::new());
    }
    let windows: Vec<(u64, u64)> = shown.iter().map(|one| window(one)).collect();
    let mut scenes: Vec<Vec<(u64, Shown)>> = vec![Vec::new(); shown.len()];
    let file = File::open(history).with_context(|| format!("opening {}", history.display()))?;
    // A line that cannot be read was a doubt of the judgement already.
    for record in Reader::new(BufReader::new(file)).map_while(Result::ok) {
        let Record::Op(operation) = record else {
            continue;
        };
        let end_ns = operation.return_ns.unwrap_or(operation.call_ns);
        for ((violation, window), scene) in shown.iter().zip(&windows).zip(&mut scenes) {
            let involved = violation
                .operations
                .iter()
                .any(|one| one.id == operation.id);
            if involved || (end_ns >= window.0 && operation.call_ns <= window.1) {
                // From the middle of what is shown: the nearest neighbours say most.
                let middle = window.0.midpoint(window.1);
                let distance = operation.call_ns.midpoint(end_ns).abs_diff(middle);
                let rank = if involved { 0 } else { distance.max(1) };
                scene.push((rank, Shown::of(&operation, involved)));
            }
        }
    }
    Ok(shown
        .iter()
        .zip(scenes)
        .map(|(one, all)| scene(one, all))
        .collect())
}

fn scene(violation: &Violation, mut all: Vec<(u64, Shown)>) -> Scene {
    all.sort_by_key(|(rank, _)| *rank);
    all.truncate(NEIGHBOURS_MAX + violation.operations.len());
    let mut operations: Vec<Shown> = all.into_iter().map(|(_, shown)| shown).collect();
    operations.sort_by_key(|shown| shown.call_ns);
    Scene {
        promise: violation.check.words().to_owned(),
        words: violation.text.clone(),
        operations,
    }
}

/// Where neighbours are looked for.
fn window(violation: &Violation) -> (u64, u64) {
    let operations = violation.operations.iter();
    let calls = operations.clone().map(|one| one.call_ns);
    let ends = operations.map(|one| one.return_ns.unwrap_or(one.call_ns));
    (
        calls.min().unwrap_or(0).saturating_sub(MARGIN_NS),
        ends.max().unwrap_or(0) + MARGIN_NS,
    )
}

impl Shown {
    fn of(operation: &Operation, involved: bool) -> Shown {
        let mut words = asked(&operation.request);
        if let Some((end, _)) = words.char_indices().nth(CHARACTERS_MAX) {
            words.truncate(end);
            words.push('…');
        }
        // Writing to a string cannot fail.
        let _ = match &operation.outcome {
            Outcome::Ok(response) => write!(words, " → revision {}", response.revision),
            Outcome::Failed(_) => write!(words, " → refused"),
            Outcome::Unknown { .. } => write!(words, " → unknown"),
        };
        Shown {
            client: operation.client,
            member: operation.member,
            call_ns: operation.call_ns,
            return_ns: operation.return_ns,
            words,
            involved,
        }
    }
}

/// A request in few words.
fn asked(request: &Request) -> String {
    match request {
        Request::Range(range) => {
            let kind = if range.serializable {
                "serializable read"
            } else {
                "read"
            };
            let at = if range.revision > 0 {
                format!(" at {}", range.revision)
            } else {
                String::new()
            };
            format!("{kind} {}{at}", keys(&range.key, &range.range_end))
        }
        Request::Put(put) => format!("put {} = {}", text(&put.key), text(&put.value)),
        Request::DeleteRange(delete) => format!("delete {}", keys(&delete.key, &delete.range_end)),
        Request::Txn(txn) => {
            let branch =
                |all: &[Request]| all.iter().map(asked).collect::<Vec<String>>().join(", ");
            format!(
                "txn if {} compare: {}; else: {}",
                txn.compare.len(),
                branch(&txn.success),
                branch(&txn.failure)
            )
        }
        Request::Compact(compact) => format!("compact {}", compact.revision),
        Request::LeaseGrant(grant) => format!("grant lease {:x}", grant.id),
        Request::LeaseRevoke(revoke) => format!("revoke lease {:x}", revoke.id),
        Request::LeaseKeepAlive(renew) => format!("renew lease {:x}", renew.id),
        Request::LeaseTimeToLive(ask) => format!("ask for lease {:x}", ask.id),
        Request::HashKv(hash) => format!("hash at {}", hash.revision),
    }
}

fn text(blob: &Blob) -> String {
    String::from_utf8_lossy(blob.as_slice()).into_owned()
}

fn keys(key: &Blob, end: &Blob) -> String {
    if end.is_empty() {
        text(key)
    } else {
        format!("{}…{}", text(key), text(end))
    }
}
