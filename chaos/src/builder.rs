//! A run from Rust: what is broken and how, under which load, and what came of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::{Mutex, watch};

use crate::judgement::Judgement;
use crate::random::Random;
use crate::report;
use crate::run::{self, Brought, Plan, WRITES_A_SECOND_MIN};
use crate::scenario;
use crate::schedule::{FaultKind, Schedule, Wanted};
use crate::target::Target;
use crate::workload::{Kind, Mix, Shared, Workload};

/// The variable that gives a seed back, unless another is named.
const SEED_VARIABLE: &str = "CHAOS_SEED";
/// How long faults go on, unless it is said.
const BUDGET: Duration = Duration::from_secs(30);
/// Less leaves no time for a fault.
const BUDGET_MIN: Duration = Duration::from_secs(2);
/// Load of a run that brings none.
const LOAD: &[Kind] = &[Kind::Registers, Kind::Txn, Kind::Ranges];
/// The scenario that lends a run its row of the table: it breaks nothing by itself.
const ROW: &str = "calm";
/// Folder of all runs.
pub(crate) const RUNS: &str = "chaos-runs";

/// A run keeps a machine busy: one at a time in each process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A run in the making.
#[derive(Debug)]
#[must_use = "nothing is broken before `run`"]
pub struct Chaos {
    target: Target,
    name: Option<String>,
    workload: Shared,
    faults: Vec<FaultKind>,
    every: Option<Duration>,
    budget: Duration,
    seed: Option<u64>,
    seed_variable: String,
    writes_a_second_min: u64,
    has_run: Arc<AtomicBool>,
}

impl Chaos {
    /// Breaks this, under the harness's own load, without any fault yet.
    pub fn on(target: Target) -> Chaos {
        Chaos {
            target,
            name: None,
            workload: Shared::new(Mix(LOAD.to_vec())),
            faults: Vec::new(),
            every: None,
            budget: BUDGET,
            seed: None,
            seed_variable: SEED_VARIABLE.to_owned(),
            writes_a_second_min: WRITES_A_SECOND_MIN,
            has_run: Arc::default(),
        }
    }

    /// What the run is called in reports; the name of the test if none is given.
    pub fn named(mut self, name: &str) -> Chaos {
        self.name = Some(name.to_owned());
        self
    }

    /// What clients do.
    pub fn workload(mut self, workload: impl Workload) -> Chaos {
        self.workload = Shared::new(workload);
        self
    }

    /// What is broken: each once, in this order, then by chance.
    pub fn faults(mut self, faults: impl IntoIterator<Item = FaultKind>) -> Chaos {
        self.faults = faults.into_iter().collect();
        self
    }

    /// Time from one fault to the next; a fault that takes longer is followed by a second of quiet.
    pub fn every(mut self, time: Duration) -> Chaos {
        self.every = Some(time);
        self
    }

    /// How long faults go on. The start, the end and the judgement come on top.
    pub fn budget(mut self, time: Duration) -> Chaos {
        self.budget = time;
        self
    }

    /// Draws from this seed, whatever the environment says.
    pub fn seed(mut self, seed: u64) -> Chaos {
        self.seed = Some(seed);
        self
    }

    /// Takes the seed from this variable, if it is set. Without a word on it that is `CHAOS_SEED`.
    pub fn seed_from(mut self, variable: &str) -> Chaos {
        variable.clone_into(&mut self.seed_variable);
        self
    }

    /// Fewer acknowledged writes a second than this make a run inconclusive; 20 unless it is said.
    pub fn writes_a_second_min(mut self, writes: u64) -> Chaos {
        self.writes_a_second_min = writes;
        self
    }

    /// Notes there that a run was made.
    pub(crate) fn noting(mut self, has_run: Arc<AtomicBool>) -> Chaos {
        self.has_run = has_run;
        self
    }

    /// Starts the cluster, breaks it, ends it and judges what was seen.
    ///
    /// # Errors
    /// When the run cannot be made: no such server, a seed that is no number, no folder.
    pub async fn run(self) -> Result<Judgement> {
        let _alone = ONE_AT_A_TIME.lock().await;
        self.has_run.store(true, Ordering::Relaxed);
        self.target.check()?;
        ensure!(
            self.budget >= BUDGET_MIN,
            "a budget of {:?} is below {BUDGET_MIN:?}",
            self.budget
        );
        let seed = self.drawn_seed()?;
        let name = self.name.clone().unwrap_or_else(own_name);
        let replay = self.replay(&name, seed);
        println!(
            "chaos: {name} on {}, seed {seed}; again with: {replay}",
            self.target.name
        );
        let wanted = Wanted {
            name: &name,
            faults: &self.faults,
            every_ms: self.every.map(millis),
        };
        let plan = Plan {
            schedule: Schedule::draw_wanted(&wanted, seed, millis(self.budget)),
            target_word: self.target.name.clone(),
            target: self.target,
            scenario: scenario::named(ROW).context("the table has no row for a calm run")?,
            folder: free_folder(&runs(), &format!("{}-{seed}", name.replace("::", "."))),
        };
        let brought = Brought {
            workload: self.workload,
            writes_a_second_min: self.writes_a_second_min,
            replay: Some(replay),
            talks: false,
        };
        // Kept to the end: a run takes a sender that is gone for an interruption.
        let (_interrupt, interrupted) = watch::channel(false);
        let summary = run::run_with(&plan, &brought, interrupted).await?;
        report::write(&plan.folder, std::slice::from_ref(&summary))?;
        Ok(Judgement::new(summary, plan.folder))
    }

    fn drawn_seed(&self) -> Result<u64> {
        if let Some(seed) = self.seed {
            return Ok(seed);
        }
        match std::env::var(&self.seed_variable) {
            Ok(text) => text
                .trim()
                .parse()
                .with_context(|| format!("{}={text} is no seed: a number is", self.seed_variable)),
            Err(_) => Ok(Random::fresh_seed()),
        }
    }

    /// The line that makes the run again. A test knows its name, another program its command line.
    fn replay(&self, name: &str, seed: u64) -> String {
        let is_test = self.name.is_some() || test_name().is_some();
        let line = if is_test {
            format!("cargo test {name}")
        } else {
            std::env::args().collect::<Vec<String>>().join(" ")
        };
        match self.seed {
            Some(_) => line,
            None => format!("{}={seed} {line}", self.seed_variable),
        }
    }
}

/// Tests run on threads that have their names.
fn test_name() -> Option<String> {
    let name = std::thread::current().name()?.to_owned();
    (name != "main" && !name.starts_with("tokio")).then_some(name)
}

fn own_name() -> String {
    let program = || {
        let own = std::env::current_exe().ok()?;
        Some(own.file_stem()?.to_string_lossy().into_owned())
    };
    test_name()
        .or_else(program)
        .unwrap_or_else(|| "run".to_owned())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Tests and examples lie two folders below the target folder, which is where what they leave belongs.
fn runs() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.parent().filter(|folder| {
        folder
            .file_name()
            .is_some_and(|name| name == "deps" || name == "examples")
    });
    match beside.and_then(Path::parent).and_then(Path::parent) {
        Some(target) => target.join(RUNS),
        None => PathBuf::from(RUNS),
    }
}

/// The first name in a folder that nothing has: a run never touches what another has left.
pub(crate) fn free_folder(parent: &Path, name: &str) -> PathBuf {
    let names = (2_u64..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(names)
        .map(|name| parent.join(name))
        .find(|folder| !folder.exists())
        .expect("a folder holds fewer names than there are numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chaos() -> Chaos {
        Chaos::on(Target::etcd())
    }

    #[test]
    fn a_run_is_called_as_its_test_and_says_how_to_make_it_again() {
        let name = own_name();
        assert!(name.ends_with("a_run_is_called_as_its_test_and_says_how_to_make_it_again"));
        let line = chaos().seed_from("MY_SEED").replay(&name, 7);
        assert_eq!(line, format!("MY_SEED=7 cargo test {name}"));
    }

    #[test]
    fn a_second_run_of_a_name_gets_another_folder() {
        let parent = tempfile::tempdir().unwrap();
        let first = free_folder(parent.path(), "lock-7");
        std::fs::create_dir(&first).unwrap();
        let second = free_folder(parent.path(), "lock-7");
        assert_eq!(second, parent.path().join("lock-7-2"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_and_a_budget_without_room_are_errors() {
        let absent = Target::etcd_at(Path::new("/nowhere/etcd"));
        let error = Chaos::on(absent).run().await.unwrap_err().to_string();
        assert!(error.contains("/nowhere/etcd"), "{error}");
        let short = Chaos::on(Target::etcd_at(&std::env::current_exe().unwrap()));
        let short = short.budget(Duration::from_millis(10));
        let error = short.run().await.unwrap_err().to_string();
        assert!(error.contains("budget"), "{error}");
    }
}
