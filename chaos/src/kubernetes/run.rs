//! One scenario on apiservers, from an empty store to a verdict.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use tokio::time::Instant;

use super::client::TOKEN;
use super::load::{Load, Setting, wait_ready};
use super::record::{self, Recorder};
use super::{HISTORY_FILE, judge_stored};
use crate::clock::Clock;
use crate::cluster::{Cluster, Ground, POLL_INTERVAL, Setup, parts_program};
use crate::nemesis::Nemesis;
use crate::run::{Plan, prepare_folder};
use crate::summary::{self, Facts, Summary};
use crate::{liveness, observe};

/// What was done to the members, beside the history.
const FAULTS_FILE: &str = "faults.jsonl";
/// Acknowledged writes a second, on the average, below which there was no load to speak of.
const WRITES_A_SECOND_MIN: u64 = 5;
/// Acknowledged writes before the first fault, and the time for them.
const WARM_UP_WRITES: u64 = 50;
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(30);
/// Apiservers get this many times as long as a store to serve: they wait for it.
const RECOVERY_FACTOR: u32 = 2;

/// What a run has come to.
struct Running<'a> {
    plan: &'a Plan,
    recorder: Recorder,
    limit: Duration,
    interrupted: watch::Receiver<bool>,
    facts: Facts,
}

/// Runs a scenario on apiservers and judges it. A run that could not be carried out is inconclusive and says why.
///
/// # Errors
/// When not even a folder for the run can be made.
pub async fn run(plan: &Plan, interrupted: watch::Receiver<bool>) -> Result<Summary> {
    prepare_folder(plan)?;
    let clock = Clock::start();
    let history = plan.folder.join(HISTORY_FILE);
    let (recorder, writing) = record::start(&history, clock)?;
    let (faults, writing_faults) = crate::record::start(&plan.folder.join(FAULTS_FILE), clock)?;
    let mut running = Running {
        plan,
        recorder,
        limit: Duration::from_secs(plan.target.recovery_seconds) * RECOVERY_FACTOR,
        interrupted,
        facts: Facts::default(),
    };
    if let Err(error) = running.carry_out(faults).await {
        let words = format!("the harness failed: {error:#}");
        running.facts.doubts.push(words);
    }
    let Running {
        recorder,
        mut facts,
        ..
    } = running;
    facts.end_ms = clock.millis();
    drop(recorder);
    let points = writing.finish().await.unwrap_or_else(|error| {
        let words = format!("the history is incomplete: {error:#}");
        facts.doubts.push(words);
        Vec::new()
    });
    writing_faults.finish().await?;
    summary::put_together(plan, facts, &points, judge_stored(&history))
}

impl Running<'_> {
    /// Everything that needs the cluster. However it goes, the cluster is ended.
    async fn carry_out(&mut self, faults: crate::record::Recorder) -> Result<()> {
        let setup = Setup {
            seed: self.plan.schedule.seed,
            short_log: false,
            shim: false,
        };
        let Plan { target, folder, .. } = self.plan;
        let mut cluster = Cluster::prepare(target, folder, setup).await?;
        let stop = watch::Sender::new(false);
        let urls = cluster.urls().to_vec();
        let observing = observe::run(urls.clone(), self.recorder.clock, stop.subscribe());
        let observing = tokio::spawn(observing);
        let started = self.start(&mut cluster, &urls).await;
        let done = match started {
            Ok(load) => self.under_load(cluster, load, faults).await,
            Err(error) => {
                cluster.end().await;
                Err(error)
            }
        };
        stop.send_replace(true);
        self.facts.looks = observing.await?;
        done
    }

    async fn start(&mut self, cluster: &mut Cluster, urls: &[String]) -> Result<Load> {
        let program = parts_program().context("no mainstay is built")?;
        cluster.start_all()?;
        let mut interrupted = self.interrupted.clone();
        let starting = async {
            liveness::wait(urls, self.limit)
                .await
                .context("the cluster did not start")?;
            let ground = Ground {
                program: &program,
                folder: &self.plan.folder,
                elects: true,
            };
            cluster.start_apiservers(ground, TOKEN).await?;
            let setting = Setting {
                ports: cluster.apiserver_ports(),
                recorder: self.recorder.clone(),
                seed: self.plan.schedule.seed,
            };
            wait_ready(&setting.ports, self.limit).await?;
            let mut client = crate::client::Client::new(&urls[0])?;
            let version = client.version().await;
            let version = version.map_err(|status| anyhow::anyhow!("{status}"))?;
            self.facts.version = format!("{version} under three apiservers");
            Load::prepare(setting, self.limit).await
        };
        tokio::select! {
            load = starting => load,
            _ = interrupted.wait_for(|stop| *stop) => bail!("interrupted"),
        }
    }

    /// Load, faults, and the end of both.
    async fn under_load(
        &mut self,
        cluster: Cluster,
        mut load: Load,
        faults: crate::record::Recorder,
    ) -> Result<()> {
        load.start_clients();
        if let Err(error) = self.warm_up().await {
            cluster.end().await;
            return Err(error);
        }
        let clock = self.recorder.clock;
        let schedule = &self.plan.schedule;
        let (start_ms, before) = (clock.millis(), self.recorder.acknowledged_writes());
        let nemesis = Nemesis::new(cluster, faults, self.interrupted.clone(), schedule.seed);
        let (mut cluster, outcome) = nemesis.run(schedule, start_ms).await;
        let writes = self.recorder.acknowledged_writes() - before;
        self.facts.load_ms = (start_ms, clock.millis());
        self.facts.violations.extend(outcome.violations);
        self.facts.doubts.extend(outcome.doubts);
        let wanted = WRITES_A_SECOND_MIN * schedule.duration_ms / 1000;
        let coverage = summary::doubts_of_coverage(schedule, &outcome.injected, writes, wanted);
        self.facts.doubts.extend(coverage);
        self.facts.injected = outcome.injected;
        if *self.interrupted.borrow() {
            self.facts.doubts.push("interrupted".to_owned());
        }
        let ended = self.end(&cluster, load).await;
        self.look_at_processes(&mut cluster);
        cluster.end().await;
        ended
    }

    async fn warm_up(&self) -> Result<()> {
        let deadline = Instant::now() + WARM_UP_TIMEOUT;
        while self.recorder.acknowledged_writes() < WARM_UP_WRITES {
            if Instant::now() > deadline || *self.interrupted.borrow() {
                bail!(
                    "{} acknowledged writes before the first fault, fewer than {WARM_UP_WRITES}",
                    self.recorder.acknowledged_writes()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// What does not come back in time is a violation: nothing is broken any more.
    async fn end(&mut self, cluster: &Cluster, mut load: Load) -> Result<()> {
        let alive = liveness::wait(cluster.urls(), self.limit).await.map(|_| ());
        let ready = match alive {
            Ok(()) => wait_ready(&cluster.apiserver_ports(), self.limit).await,
            Err(error) => Err(error),
        };
        load.stop_clients().await?;
        match ready {
            Ok(()) => self.facts.violations.extend(load.end(self.limit).await),
            Err(error) => self
                .facts
                .violations
                .push(format!("what was healed does not serve again: {error:#}")),
        }
        load.stop_watchers().await
    }

    fn look_at_processes(&mut self, cluster: &mut Cluster) {
        let found = cluster.faults_of_processes();
        self.facts.violations.extend(found);
    }
}
