//! Real clusters: each case is run on its own, judged like every run, and compared with what it should have come to.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use check::history::Record;
use check::{Check, Verdict as Judgement};
use tokio::sync::watch;

use super::BUG_VARIABLE;
use super::cases::{CASES, Case, On, Wanted};
use super::histories::{names, operations_until};
use super::matrix::{Found, Row};
use crate::cluster;
use crate::run::{self, HISTORY_FILE, Plan};
use crate::scenario;
use crate::schedule::Schedule;
use crate::summary::{self, Summary};
use crate::target::Target;
use crate::verdict::Verdict;

/// Runs that a planted bug gets to show itself, each with a seed of its own.
const TRIES_MAX: u64 = 6;
/// Time for a cluster with a bug to serve again, in seconds.
const BUG_RECOVERY_SECONDS: u64 = 9;

/// Where cases are run.
pub(super) struct Bench<'a> {
    folder: PathBuf,
    seed: u64,
    planted: Option<&'a Path>,
    interrupted: watch::Receiver<bool>,
}

/// What one run came to, beside its summary.
struct Judged {
    summary: Summary,
    /// Invariants that the checker found broken.
    checks: Vec<Check>,
    /// Operations until one that was meant was broken; all, if none was.
    operations: u64,
    /// What the harness itself saw, besides the history.
    seen: usize,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        folder: PathBuf,
        seed: u64,
        planted: Option<&'a Path>,
        interrupted: watch::Receiver<bool>,
    ) -> Bench<'a> {
        Bench {
            folder,
            seed,
            planted,
            interrupted,
        }
    }

    /// A row when the planted program is missing, or has other bugs than there are cases for.
    pub(super) fn look_at_planted(&self) -> Option<Row> {
        let looked = match self.planted {
            None => Err(anyhow::anyhow!(
                "there is no program with planted bugs: build it and name it with --planted"
            )),
            Some(program) => bugs_of(program).and_then(|bugs| compare(&bugs)),
        };
        let error = looked.err()?;
        Some(Row::of(
            "planted bugs",
            Found::Unknown(format!("{error:#}")),
        ))
    }

    /// Runs a case until it comes to what it should, as often as it may.
    pub(super) async fn prove(&self, case: &Case) -> Row {
        let started = Instant::now();
        let mut row = Row::of(case.name, Found::Unknown("not run".to_owned()));
        while row.tries < TRIES_MAX {
            row.tries += 1;
            println!("\n{} ({}), try {}", case.name, case.place(), row.tries);
            match self.run(case, row.tries).await {
                Ok(judged) => {
                    row.found = compare_with(case.wanted, &judged);
                    row.operations = judged.operations;
                    row.named = names(judged.checks.iter().copied());
                    if judged.seen > 0 {
                        row.named = format!("{} (and the harness)", row.named);
                    }
                }
                Err(error) => row.found = Found::Unknown(format!("{error:#}")),
            }
            // A control that is found wrong is wrong once and for all.
            let is_accused =
                matches!(case.wanted, Wanted::Held) && matches!(row.found, Found::Failed(_));
            if is_accused || matches!(row.found, Found::Caught | Found::Passed) {
                break;
            }
            if *self.interrupted.borrow() {
                break;
            }
        }
        row.place = case.place();
        row.took = started.elapsed();
        row
    }

    async fn run(&self, case: &Case, number: u64) -> Result<Judged> {
        let scenario = scenario::named(case.scenario)
            .with_context(|| format!("there is no scenario {}", case.scenario))?;
        let seed = self.seed.wrapping_add(number);
        let mut schedule = Schedule::draw(scenario, seed, case.seconds * 1000);
        if !case.steps.is_empty() {
            schedule.steps = case.steps.to_vec();
        }
        let plan = Plan {
            target: self.target(case)?,
            target_word: case.name.to_owned(),
            schedule,
            scenario,
            folder: self.folder.join(format!("{}-{number}", case.name)),
        };
        let summary = run::run(&plan, self.interrupted.clone()).await?;
        let judged = judge(&plan.folder, case.wanted, summary)?;
        if matches!(
            compare_with(case.wanted, &judged),
            Found::Caught | Found::Passed
        ) {
            cluster::remove_data(&plan.folder);
        }
        Ok(judged)
    }

    fn target(&self, case: &Case) -> Result<Target> {
        let mut target = match case.on {
            On::Etcd => Target::parse("etcd")?,
            On::Ours => Target::parse("ours")?,
            On::Planted => self.planted_target(case.bug)?,
        };
        if let Some(program) = &mut target.program {
            program
                .flags
                .extend(case.flags.iter().map(|flag| (*flag).to_owned()));
        }
        Ok(target)
    }

    fn planted_target(&self, bug: Option<&str>) -> Result<Target> {
        let path = self
            .planted
            .context("there is no program with planted bugs")?;
        let mut target = Target::of_store("planted", path.to_owned())?;
        if let (Some(bug), Some(program)) = (bug, &mut target.program) {
            let variable = (BUG_VARIABLE.to_owned(), bug.to_owned());
            program.environment.extend([variable]);
            // Members that a bug has led apart never agree again: that is not waited for as long.
            target.recovery_seconds = BUG_RECOVERY_SECONDS;
        }
        Ok(target)
    }
}

/// The names that the planted program prints.
fn bugs_of(program: &Path) -> Result<Vec<String>> {
    let listed = Command::new(program)
        .arg("--list")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    ensure!(
        listed.status.success(),
        "{} --list failed",
        program.display()
    );
    let text = String::from_utf8(listed.stdout).context("its list is no text")?;
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// The planted program and the cases must have the same bugs: one without a case would never be looked for.
fn compare(bugs: &[String]) -> Result<()> {
    let cases: Vec<&str> = CASES.iter().filter_map(|case| case.bug).collect();
    let missing: Vec<&str> = bugs
        .iter()
        .map(String::as_str)
        .filter(|bug| !cases.contains(bug))
        .collect();
    let unknown: Vec<&&str> = cases
        .iter()
        .filter(|case| !bugs.iter().any(|bug| bug == *case))
        .collect();
    ensure!(
        missing.is_empty() && unknown.is_empty(),
        "bugs of the program without a case: {missing:?}; cases without a bug in the program: {unknown:?}"
    );
    Ok(())
}

/// The checker's own words on a run that was summed up already.
fn judge(folder: &Path, wanted: Wanted, summary: Summary) -> Result<Judged> {
    let mut records: Vec<Record> = Vec::new();
    summary::read(&folder.join(HISTORY_FILE), |record| records.push(record))?;
    let report = check::check(records.iter().cloned());
    let found = match &report.verdict {
        Judgement::Violated { violations, .. } => violations.as_slice(),
        Judgement::Held { .. } | Judgement::Inconclusive { .. } => &[],
    };
    let meant = found
        .iter()
        .filter(|violation| wanted.names(violation.check));
    let operations = meant.map(|violation| operations_until(&records, violation));
    let all = records
        .iter()
        .filter(|record| matches!(record, Record::Op(_)));
    Ok(Judged {
        operations: operations.min().unwrap_or(all.count() as u64),
        checks: found.iter().map(|violation| violation.check).collect(),
        seen: summary.violations.len() - summary.judged.violations.len(),
        summary,
    })
}

fn compare_with(wanted: Wanted, judged: &Judged) -> Found {
    let Judged {
        summary, checks, ..
    } = judged;
    let first = summary.violations.iter().chain(&summary.doubts).next();
    let first = first.cloned().unwrap_or_default();
    match (wanted, summary.verdict) {
        (_, Verdict::Inconclusive) => Found::Unknown(first),
        (Wanted::Held, Verdict::Held) => Found::Passed,
        (Wanted::Held, Verdict::Violated) => Found::Failed(first),
        (_, Verdict::Held) => Found::Failed("it held".to_owned()),
        (_, Verdict::Violated) if checks.iter().any(|check| wanted.names(*check)) => Found::Caught,
        (_, Verdict::Violated) if summary.violations.iter().any(|one| wanted.notices(one)) => {
            Found::Caught
        }
        (_, Verdict::Violated) => Found::Failed(format!("found, but not for what it is: {first}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_without_a_case_and_a_case_without_a_bug_are_named() {
        let mut bugs: Vec<String> = CASES
            .iter()
            .filter_map(|case| case.bug)
            .map(str::to_owned)
            .collect();
        compare(&bugs).unwrap();
        let gone = bugs.pop().unwrap();
        bugs.push("new-bug".to_owned());
        let error = compare(&bugs).unwrap_err().to_string();
        assert!(
            error.contains("new-bug") && error.contains(&gone),
            "{error}"
        );
    }
}
