//! What a run came to, as a file that reports are made from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result};
use check::history::{Reader, Record};
use check::{Check, Checker, Settings};
use serde::{Deserialize, Serialize};

use crate::nemesis::Injected;
use crate::observe::Look;
use crate::record::{Class, Point};
use crate::run::{HISTORY_FILE, Plan, write_json};
use crate::scene::{self, Scene};
use crate::schedule::Schedule;
use crate::timeline::{self, Timeline};
use crate::verdict::Verdict;

/// Name of the summary in a run's folder.
pub const SUMMARY_FILE: &str = "report.json";

/// What the harness saw, beside the history.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The server's version.
    pub version: String,
    /// When load and schedule began and ended, in milliseconds of the run's clock.
    pub load_ms: (u64, u64),
    /// When everything ended.
    pub end_ms: u64,
    /// Step by step.
    pub injected: Vec<Injected>,
    /// Who led when.
    pub looks: Vec<Look>,
    /// Why the run may have shown nothing.
    pub doubts: Vec<String>,
    /// What did not hold, beside what the checker finds.
    pub violations: Vec<String>,
    /// The line that runs it again, when it is not that of `chaos run`.
    pub replay: Option<String>,
}

/// How often one check had something to judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The invariant in words.
    pub words: String,
    /// How often.
    pub count: u64,
}

/// What a checker made of a history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Check by check.
    pub counts: Vec<Count>,
    /// What could not be judged, and how often.
    pub unjudged: Vec<Count>,
    /// Not wrong, but worth knowing.
    pub notes: Vec<String>,
    /// The newest revision.
    pub revision: i64,
    /// What did not hold.
    pub violations: Vec<String>,
    /// How often something did not hold; more than is named.
    #[serde(default)]
    pub broken: u64,
    /// Acknowledged writes that are not where they were acknowledged, as far as they are named; none if that could not be
    /// judged.
    #[serde(default)]
    pub lost: Option<u64>,
    /// What happened around the first violations.
    #[serde(default)]
    pub scenes: Vec<Scene>,
    /// Why the judgement may be worth nothing.
    pub doubts: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The scenario's name.
    pub scenario: String,
    /// The target as the command line names it.
    pub target: String,
    /// The server's name and version.
    pub server: String,
    /// What was drawn from.
    pub seed: u64,
    /// How long the schedule was, in milliseconds.
    pub duration_ms: u64,
    /// What the run is worth.
    pub verdict: Verdict,
    /// What did not hold, in words.
    pub violations: Vec<String>,
    /// Why the run may have shown nothing.
    pub doubts: Vec<String>,
    /// Operations by outcome: answered, failed, unknown.
    pub operations: [u64; 3],
    /// Acknowledged writes among them.
    pub acknowledged_writes: u64,
    /// What the checker said.
    pub judged: Judged,
    /// Step by step.
    pub injected: Vec<Injected>,
    /// When load and schedule began and ended, in milliseconds of the run's clock.
    pub load_ms: (u64, u64),
    /// When everything ended.
    pub end_ms: u64,
    /// Who led when.
    pub looks: Vec<Look>,
    /// What the clients saw over time.
    pub timeline: Timeline,
    /// The line that runs it again.
    #[serde(default)]
    pub replay: String,
}

/// Judges the history of a run and puts everything together.
///
/// # Errors
/// When the summary cannot be written.
pub fn make(plan: &Plan, facts: Facts, points: &[Point]) -> Result<Summary> {
    let judged = judge(&plan.folder.join(HISTORY_FILE));
    put_together(plan, facts, points, judged)
}

/// Puts everything together with what a judge said.
///
/// # Errors
/// When the summary cannot be written.
pub(crate) fn put_together(
    plan: &Plan,
    facts: Facts,
    points: &[Point],
    judged: Result<Judged>,
) -> Result<Summary> {
    let mut doubts = facts.doubts;
    let mut violations = facts.violations;
    let judged = judged.unwrap_or_else(|error| {
        doubts.push(format!("the history could not be judged: {error:#}"));
        Judged::default()
    });
    // Without any operation the judge's doubts only repeat what the harness knows better.
    if doubts.is_empty() || !points.is_empty() {
        doubts.extend(judged.doubts.iter().cloned());
    }
    violations.extend(judged.violations.iter().cloned());
    let count = |class| points.iter().filter(|point| point.class == class).count() as u64;
    let acknowledged = points
        .iter()
        .filter(|point| point.writes && point.class == Class::Ok);
    let replay = facts.replay.unwrap_or_else(|| {
        format!(
            "chaos run --target {} --scenario {} --duration {}s --seed {}",
            plan.target_word,
            plan.schedule.scenario,
            plan.schedule.duration_ms / 1000,
            plan.schedule.seed
        )
    });
    let summary = Summary {
        replay,
        scenario: plan.schedule.scenario.clone(),
        target: plan.target_word.clone(),
        server: format!("{} {}", plan.target.name, facts.version),
        seed: plan.schedule.seed,
        duration_ms: plan.schedule.duration_ms,
        verdict: Verdict::of(&violations, &doubts),
        violations,
        doubts,
        operations: [Class::Ok, Class::Failed, Class::Unknown].map(count),
        acknowledged_writes: acknowledged.count() as u64,
        judged,
        timeline: timeline::draw(points, &facts.injected, facts.load_ms),
        injected: facts.injected,
        load_ms: facts.load_ms,
        end_ms: facts.end_ms,
        looks: facts.looks,
    };
    write_json(&plan.folder.join(SUMMARY_FILE), &summary)?;
    Ok(summary)
}

/// Why a run has shown nothing: its faults did not take hold, or it had hardly any load.
pub(crate) fn doubts_of_coverage(
    schedule: &Schedule,
    injected: &[Injected],
    writes: u64,
    wanted: u64,
) -> Vec<String> {
    let silent = injected.iter().filter(|one| !one.fired);
    let mut doubts: Vec<String> = silent
        .map(|one| {
            format!(
                "fault {} ({}) did not fire: {}",
                one.number, one.fault, one.evidence
            )
        })
        .collect();
    if injected.is_empty() && !schedule.steps.is_empty() {
        doubts.push("no fault was reached".to_owned());
    }
    if writes < wanted {
        doubts.push(format!(
            "{writes} acknowledged writes under faults, fewer than {wanted}"
        ));
    }
    doubts
}

/// The line of a log that tells of a panic.
pub(crate) fn panic_in(log: &str) -> Option<&str> {
    log.lines()
        .find(|line| line.contains("panicked at") || line.starts_with("panic:"))
}

/// Reads a stored history; the doubts say why it may not be whole.
///
/// # Errors
/// When it cannot be opened.
pub fn read(path: &Path, mut take: impl FnMut(Record)) -> Result<Vec<String>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut doubts = Vec::new();
    for record in Reader::new(BufReader::new(file)) {
        match record {
            Ok(record) => take(record),
            Err(error) => doubts.push(format!("the history cannot be read to its end: {error}")),
        }
    }
    Ok(doubts)
}

/// Has a stored history judged.
///
/// # Errors
/// When the history cannot be read. One that was cut off is judged as far as it goes, with a doubt.
pub fn judge(path: &Path) -> Result<Judged> {
    let started = std::time::Instant::now();
    let mut checker = Checker::new(Settings::default());
    let mut doubts = read(path, |record| checker.feed(record))?;
    let report = checker.finish();
    let mut violations = Vec::new();
    let (mut broken, mut lost) = (0, None);
    match &report.verdict {
        check::Verdict::Held { .. } => lost = Some(0),
        check::Verdict::Violated {
            violations: found,
            total,
        } => {
            violations.extend(found.iter().map(ToString::to_string));
            broken = *total;
            let writes = found.iter().filter(|one| one.check == Check::AnsweredWrite);
            lost = Some(writes.count() as u64);
            let unnamed = total - found.len() as u64;
            if unnamed > 0 {
                violations.push(format!("{unnamed} more that are not named here"));
            }
        }
        check::Verdict::Inconclusive { why, suspected } => {
            doubts.extend(why.iter().cloned());
            doubts.extend(suspected.iter().map(|one| format!("suspected: {one}")));
        }
    }
    Ok(Judged {
        counts: counts(report.counts.iter().map(|(check, n)| (check.words(), *n))),
        unjudged: counts(report.unjudged.iter().map(|(words, n)| (*words, *n))),
        notes: report.notes,
        revision: report.revision,
        scenes: scene::around(path, report.verdict.violations())?,
        broken,
        lost,
        violations,
        doubts,
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

fn counts<'a>(all: impl Iterator<Item = (&'a str, u64)>) -> Vec<Count> {
    all.map(|(words, count)| Count {
        words: words.to_owned(),
        count,
    })
    .collect()
}

/// Gaps by fault, so that each kind can be told from the others.
pub fn gaps_by_fault(summaries: &[Summary]) -> BTreeMap<(String, String), Vec<u64>> {
    let mut gaps: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
    for summary in summaries {
        for (one, gap) in summary.injected.iter().zip(&summary.timeline.gaps_ms) {
            if one.fired {
                let role = one
                    .role
                    .map(|role| format!(" ({role})"))
                    .unwrap_or_default();
                let key = (summary.scenario.clone(), format!("{}{role}", one.fault));
                gaps.entry(key).or_default().push(*gap);
            }
        }
    }
    for all in gaps.values_mut() {
        all.sort_unstable();
    }
    gaps
}
