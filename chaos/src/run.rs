//! One scenario from an empty folder to a verdict.

mod ending;

pub(crate) use ending::CORRUPT_ALARM;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use check::history::{Record, Run};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::Client;
use crate::clock::Clock;
use crate::cluster::{Cluster, POLL_INTERVAL, Setup};
use crate::control_plane;
use crate::kubernetes;
use crate::liveness;
use crate::load::{Load, Setting};
use crate::nemesis::Nemesis;
use crate::observe::{self, Look};
use crate::record::{self, Recorder, Totals};
use crate::scenario::{Above, Scenario};
use crate::schedule::Schedule;
use crate::summary::{self, Summary};
use crate::target::Target;
use crate::workload::{Mix, Shared};

/// Name of the history in a run's folder.
pub const HISTORY_FILE: &str = "history.jsonl";
/// Name of the schedule in a run's folder.
pub const SCHEDULE_FILE: &str = "schedule.json";
/// Seconds' worth of acknowledged writes before the first fault: less is no load to speak of.
const WARM_UP_SECONDS: u64 = 10;
/// Time for that.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(20);
/// Acknowledged writes for each second of the schedule, on the average: less is no load to speak of.
pub const WRITES_A_SECOND_MIN: u64 = 20;
/// The revision of a store that nobody has written to.
const EMPTY_REVISION: i64 = 1;
/// Time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// On what.
    pub target: Target,
    /// As the command line names the target.
    pub target_word: String,
    /// What is broken, and when.
    pub schedule: Schedule,
    /// The load.
    pub scenario: &'static Scenario,
    /// Where everything goes.
    pub folder: PathBuf,
}

/// What a run's user may bring: by itself a run has the load of its scenario.
#[derive(Debug, Clone)]
pub struct Brought {
    /// What clients do.
    pub workload: Shared,
    /// Acknowledged writes a second, on the average, below which there was no load to speak of.
    pub writes_a_second_min: u64,
    /// The line that runs it again, when it is not that of `chaos run`.
    pub replay: Option<String>,
    /// Says now and then how far the run is.
    pub talks: bool,
}

impl Brought {
    /// Nothing but the load of a scenario.
    pub fn of(scenario: &Scenario) -> Brought {
        Brought {
            workload: Shared::new(Mix(scenario.load.to_vec())),
            writes_a_second_min: WRITES_A_SECOND_MIN,
            replay: None,
            talks: true,
        }
    }
}

/// What the parts of a run share, and what it has come to.
struct Running<'a> {
    plan: &'a Plan,
    brought: &'a Brought,
    urls: Vec<String>,
    recorder: Recorder,
    doubts: Vec<String>,
    violations: Vec<String>,
    interrupted: watch::Receiver<bool>,
}

/// Runs a scenario and judges it. A run that could not be carried out is inconclusive and says why.
///
/// # Errors
/// When not even a folder for the run can be made.
pub async fn run(plan: &Plan, interrupted: watch::Receiver<bool>) -> Result<Summary> {
    match plan.scenario.above {
        Above::Apiservers => kubernetes::run(plan, interrupted).await,
        Above::ControlPlane => control_plane::run(plan, interrupted).await,
        Above::Nothing => run_with(plan, &Brought::of(plan.scenario), interrupted).await,
    }
}

/// Runs what was brought in place of the scenario's load, and judges it as any run.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    plan: &Plan,
    brought: &Brought,
    interrupted: watch::Receiver<bool>,
) -> Result<Summary> {
    prepare_folder(plan)?;
    let clock = Clock::start();
    let (recorder, writing) = record::start(&plan.folder.join(HISTORY_FILE), clock)?;
    let mut running = Running {
        plan,
        brought,
        urls: Vec::new(),
        recorder,
        doubts: Vec::new(),
        violations: Vec::new(),
        interrupted,
    };
    let mut facts = summary::Facts {
        replay: brought.replay.clone(),
        ..summary::Facts::default()
    };
    if let Err(error) = running.carry_out(&mut facts).await {
        running
            .doubts
            .push(format!("the harness failed: {error:#}"));
    }
    let Running {
        recorder,
        mut doubts,
        violations,
        ..
    } = running;
    facts.end_ms = clock.millis();
    drop(recorder);
    let points = writing.finish().await.unwrap_or_else(|error| {
        doubts.push(format!("the history is incomplete: {error:#}"));
        Vec::new()
    });
    facts.doubts = doubts;
    facts.violations = violations;
    summary::make(plan, facts, &points)
}

/// Makes the folder of a run, with what is needed to run it again.
pub(crate) fn prepare_folder(plan: &Plan) -> Result<()> {
    let folder = &plan.folder;
    refuse_used(folder)?;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    write_json(&folder.join(SCHEDULE_FILE), &plan.schedule)?;
    // With the schedule and the target the run can be made again.
    write_json(&folder.join("target.json"), &plan.target)
}

/// A folder that holds a run is left as it is.
pub(crate) fn refuse_used(folder: &Path) -> Result<()> {
    let holds = |name: &str| folder.join(name).exists();
    ensure!(
        !holds(HISTORY_FILE)
            && !holds(kubernetes::HISTORY_FILE)
            && !holds(control_plane::HISTORY_FILE),
        "{} holds a run already: remove it, or choose another folder with --out",
        folder.display()
    );
    Ok(())
}

/// Writes something as JSON that people can read.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

impl Running<'_> {
    /// Everything that needs the cluster. However it goes, the cluster is ended.
    async fn carry_out(&mut self, facts: &mut summary::Facts) -> Result<()> {
        let Plan {
            target,
            schedule,
            folder,
            ..
        } = self.plan;
        let setup = Setup {
            seed: schedule.seed,
            short_log: self.plan.scenario.short_log,
            shim: self.plan.scenario.needs_libc(),
        };
        let mut cluster = Cluster::prepare(target, folder, setup).await?;
        self.urls = cluster.urls().to_vec();
        cluster.start_all()?;
        let started = self.wait_started().await;
        let version = self.begin_history(&cluster, started).await;
        let version = match version {
            Ok(version) => version,
            Err(error) => {
                cluster.end().await;
                return Err(error);
            }
        };
        facts.version = version;
        let stop = watch::Sender::new(false);
        let mut observing = JoinSet::new();
        let clock = self.recorder.clock();
        observing.spawn(observe::run(self.urls.clone(), clock, stop.subscribe()));
        if self.brought.talks {
            observing.spawn(progress(self.recorder.totals(), clock, stop.subscribe()));
        }
        let cluster = self.under_load(cluster, facts).await;
        stop.send_replace(true);
        while let Some(looks) = observing.join_next().await {
            facts.looks.extend(looks?);
        }
        cluster?.end().await;
        Ok(())
    }

    async fn wait_started(&mut self) -> Result<()> {
        let limit = Duration::from_secs(self.plan.target.recovery_seconds);
        let mut interrupted = self.interrupted.clone();
        tokio::select! {
            ready = liveness::wait(&self.urls, limit) => {
                ready.context("the cluster did not start")?;
                Ok(())
            }
            _ = interrupted.wait_for(|stop| *stop) => bail!("interrupted"),
        }
    }

    /// The first line of the history; the server's version.
    async fn begin_history(&self, cluster: &Cluster, started: Result<()>) -> Result<String> {
        started?;
        let mut client = Client::new(&self.urls[0])?;
        let revision = liveness::reads(&mut client).await?;
        ensure!(
            revision == EMPTY_REVISION,
            "the cluster is not empty: its revision is {revision} and not {EMPTY_REVISION}. What others have written cannot be judged: take a fresh one"
        );
        let version = client
            .version()
            .await
            .map_err(|status| anyhow::anyhow!("{status}"))?;
        let Plan {
            target, schedule, ..
        } = self.plan;
        let run = Run {
            server: format!("{} {version}", target.name),
            seed: schedule.seed,
            members: u32::try_from(cluster.size())?,
            automatic_compaction: false,
            notes: [("scenario".to_owned(), schedule.scenario.clone())].into(),
        };
        self.recorder.add(Record::Run(run)).await;
        Ok(version)
    }

    /// Load, faults, and the end of both.
    async fn under_load(
        &mut self,
        cluster: Cluster,
        facts: &mut summary::Facts,
    ) -> Result<Cluster> {
        let Plan {
            schedule, scenario, ..
        } = self.plan;
        let setting = Setting {
            scenario,
            workload: &self.brought.workload,
            urls: &self.urls,
            seed: schedule.seed,
            asks_progress: self.plan.target.answers_progress_truly(),
            recorder: self.recorder.clone(),
        };
        let mut load = Load::start(&setting)?;
        if let Err(error) = self.warm_up().await {
            // What clients have found by then counts all the same.
            let found = load.stop_clients().await;
            self.violations.extend(found.unwrap_or_default());
            cluster.end().await;
            return Err(error);
        }
        let clock = self.recorder.clock();
        let start_ms = clock.millis();
        let before = self.recorder.totals().acknowledged_writes();
        let recorder = self.recorder.clone();
        let nemesis = Nemesis::new(cluster, recorder, self.interrupted.clone(), schedule.seed);
        let (mut cluster, outcome) = nemesis.run(schedule, start_ms).await;
        facts.load_ms = (start_ms, clock.millis());
        let writes = self.recorder.totals().acknowledged_writes() - before;
        self.look_at_coverage(&outcome.injected, writes);
        facts.injected = outcome.injected;
        self.violations.extend(outcome.violations);
        self.doubts.extend(outcome.doubts);
        if *self.interrupted.borrow() {
            self.doubts.push("interrupted".to_owned());
        }
        let ended = self.end(&mut cluster, load).await;
        self.look_at_logs(&cluster);
        match ended {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.end().await;
                Err(error)
            }
        }
    }

    /// Waits for enough writes to call it load.
    async fn warm_up(&mut self) -> Result<()> {
        let totals = self.recorder.totals();
        let deadline = Instant::now() + WARM_UP_TIMEOUT;
        let wanted = WARM_UP_SECONDS * self.brought.writes_a_second_min;
        while totals.acknowledged_writes() < wanted {
            if Instant::now() > deadline || *self.interrupted.borrow() {
                bail!(
                    "{} acknowledged writes before the first fault, fewer than {wanted}",
                    totals.acknowledged_writes()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// A run whose faults did not take hold, or that had hardly any load, has shown nothing.
    fn look_at_coverage(&mut self, injected: &[crate::nemesis::Injected], writes: u64) {
        let schedule = &self.plan.schedule;
        let wanted = self.brought.writes_a_second_min * schedule.duration_ms / 1000;
        let doubts = summary::doubts_of_coverage(schedule, injected, writes, wanted);
        self.doubts.extend(doubts);
    }

    fn look_at_logs(&mut self, cluster: &Cluster) {
        for member in 0..cluster.size() {
            let log = cluster.log_since_start(member).unwrap_or_default();
            if let Some(line) = summary::panic_in(&log) {
                let name = cluster.name(member);
                self.violations
                    .push(format!("{name} has logged a panic: {line}"));
            }
        }
    }
}

/// Says now and then how far the run is.
async fn progress(
    totals: std::sync::Arc<Totals>,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) -> Vec<Look> {
    let mut before = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(PROGRESS_INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return Vec::new(),
        }
        let operations = totals.operations();
        println!(
            "[{:>7.1} s] {operations} operations ({}/s), {} acknowledged writes, {} unknown, {} events",
            clock.millis() as f64 / 1e3,
            (operations - before) / PROGRESS_INTERVAL.as_secs(),
            totals.acknowledged_writes(),
            totals.unknown(),
            totals.events()
        );
        before = operations;
    }
}
