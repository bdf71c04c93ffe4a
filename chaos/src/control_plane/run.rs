//! One scenario on a whole control plane, from an empty store to a verdict.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::history::{BROKEN, CALM, End, Record};
use super::judge::SETTLED_SECONDS_MAX;
use super::user::{Done, Setting, User};
use super::{HISTORY_FILE, history, judge_stored, look, read, script, settled};
use crate::clock::Clock;
use crate::cluster::{Cluster, Ground, Setup, parts_program};
use crate::kubernetes::{client::TOKEN, wait_ready};
use crate::nemesis::Nemesis;
use crate::record::Point;
use crate::run::{Plan, prepare_folder};
use crate::summary::{self, Facts, Summary};
use crate::workload::Stop;
use crate::{liveness, observe};

/// What was done to the members, beside the history.
const FAULTS_FILE: &str = "faults.jsonl";
/// Wishes that are acknowledged in ten seconds, on the average, below which there was nothing to speak of.
const WRITES_IN_TEN_SECONDS_MIN: u64 = 5;
/// Apiservers get this many times as long as a store to serve: they wait for it.
const RECOVERY_FACTOR: u32 = 2;

/// What a run has come to.
struct Running<'a> {
    plan: &'a Plan,
    clock: Clock,
    limit: Duration,
    interrupted: watch::Receiver<bool>,
    facts: Facts,
    records: Vec<Record>,
    points: Vec<Point>,
}

/// Runs a scenario on a control plane and judges it. A run that could not be carried out is inconclusive and says why.
///
/// # Errors
/// When not even a folder for the run can be made.
pub async fn run(plan: &Plan, interrupted: watch::Receiver<bool>) -> Result<Summary> {
    prepare_folder(plan)?;
    let clock = Clock::start();
    let (faults, writing_faults) = crate::record::start(&plan.folder.join(FAULTS_FILE), clock)?;
    let mut running = Running {
        plan,
        clock,
        limit: Duration::from_secs(plan.target.recovery_seconds) * RECOVERY_FACTOR,
        interrupted,
        facts: Facts::default(),
        records: Vec::new(),
        points: Vec::new(),
    };
    if let Err(error) = running.carry_out(faults).await {
        let words = format!("the harness failed: {error:#}");
        running.facts.doubts.push(words);
    }
    let Running {
        mut facts,
        records,
        mut points,
        ..
    } = running;
    facts.end_ms = clock.millis();
    writing_faults.finish().await?;
    points.sort_by_key(|point| point.end_ns);
    let path = plan.folder.join(HISTORY_FILE);
    history::write(&path, &records)?;
    summary::put_together(plan, facts, &points, judge_stored(&path))
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
        let observing = observe::run(cluster.urls().to_vec(), self.clock, stop.subscribe());
        let observing = tokio::spawn(observing);
        let started = self.start(&mut cluster).await;
        let done = match started {
            Ok(()) => self.both(cluster, faults).await,
            Err(error) => {
                cluster.end().await;
                Err(error)
            }
        };
        stop.send_replace(true);
        self.facts.looks = observing.await?;
        done
    }

    async fn start(&mut self, cluster: &mut Cluster) -> Result<()> {
        let program = parts_program().context("no mainstay is built")?;
        let ground = Ground {
            program: &program,
            folder: &self.plan.folder,
            elects: !self.plan.scenario.lies,
        };
        cluster.start_all()?;
        let mut interrupted = self.interrupted.clone();
        let starting = async {
            let urls = cluster.urls().to_vec();
            liveness::wait(&urls, self.limit)
                .await
                .context("the cluster did not start")?;
            cluster.start_apiservers(ground, TOKEN).await?;
            wait_ready(&cluster.apiserver_ports(), self.limit).await?;
            cluster.start_components(ground).await?;
            let mut client = crate::client::Client::new(&urls[0])?;
            let version = client.version().await;
            let version = version.map_err(|status| anyhow::anyhow!("{status}"))?;
            self.facts.version = format!("{version} under a control plane");
            Ok(())
        };
        tokio::select! {
            started = starting => started,
            _ = interrupted.wait_for(|stop| *stop) => bail!("interrupted"),
        }
    }

    /// The script without faults, then with them, and everything that was written.
    async fn both(&mut self, mut cluster: Cluster, faults: crate::record::Recorder) -> Result<()> {
        let calm = self.without_faults(&mut cluster).await;
        let (mut cluster, broken) = match calm {
            Ok(()) => self.with_faults(cluster, faults).await,
            Err(error) => (cluster, Err(error)),
        };
        // What was written is kept also when the end was not reached.
        match read::changes(&cluster.urls()[0]).await {
            Ok(changes) => self.records.extend(changes.into_iter().map(Record::Change)),
            Err(error) => {
                let words = format!("the history cannot be read: {error:#}");
                self.facts.doubts.push(words);
            }
        }
        let found = cluster.faults_of_processes();
        self.facts.violations.extend(found);
        cluster.end().await;
        broken
    }

    async fn without_faults(&mut self, cluster: &mut Cluster) -> Result<()> {
        self.prepare(cluster, CALM).await;
        let stop = self.interrupted.clone();
        let users = self.users(cluster, (CALM, false), &stop);
        self.wait_users(users).await?;
        self.wait_settled(cluster, CALM).await?;
        let is_settled = |record: &Record| match record {
            Record::End(end) => settled::complaints(&end.objects).is_empty(),
            _ => true,
        };
        if !self.records.iter().all(is_settled) {
            bail!("without faults it does not come to rest; with them it would show nothing");
        }
        Ok(())
    }

    async fn with_faults(
        &mut self,
        cluster: Cluster,
        faults: crate::record::Recorder,
    ) -> (Cluster, Result<()>) {
        self.prepare(&cluster, BROKEN).await;
        let schedule = &self.plan.schedule;
        let users = self.users(&cluster, (BROKEN, true), &self.interrupted);
        let start_ms = self.clock.millis();
        let nemesis = Nemesis::new(cluster, faults, self.interrupted.clone(), schedule.seed);
        let (mut cluster, outcome) = nemesis.run(schedule, start_ms).await;
        self.facts.load_ms = (start_ms, self.clock.millis());
        self.facts.violations.extend(outcome.violations);
        self.facts.doubts.extend(outcome.doubts);
        let finished = self.wait_users(users).await;
        let (from, to) = self.facts.load_ms;
        let in_time = |point: &&Point| (from..to).contains(&(point.end_ns / 1_000_000));
        let writes = self.points.iter().filter(in_time);
        let writes = writes
            .filter(|point| point.writes && point.class == crate::record::Class::Ok)
            .count() as u64;
        let wanted = WRITES_IN_TEN_SECONDS_MIN * schedule.duration_ms / 10_000;
        let doubts = summary::doubts_of_coverage(schedule, &outcome.injected, writes, wanted);
        self.facts.doubts.extend(doubts);
        self.facts.injected = outcome.injected;
        let settled = self.wait_settled(&mut cluster, BROKEN).await;
        (cluster, finished.and(settled))
    }

    /// One that is interrupted has no end that could be judged.
    async fn wait_settled(&mut self, cluster: &mut Cluster, namespace: &str) -> Result<()> {
        let limit = Duration::from_secs(SETTLED_SECONDS_MAX);
        let stop = Stop::new(self.interrupted.clone());
        let end = look::wait_settled(cluster, namespace, (limit, &stop)).await;
        if stop.is_reached() {
            bail!("interrupted");
        }
        self.say_end(&end);
        self.records.push(Record::End(end));
        Ok(())
    }

    fn setting(&self, cluster: &Cluster) -> Setting {
        Setting {
            ports: cluster.apiserver_ports(),
            clock: self.clock,
        }
    }

    async fn prepare(&mut self, cluster: &Cluster, namespace: &'static str) {
        let done = User::new(namespace, self.setting(cluster), 0)
            .prepare()
            .await;
        self.take(done);
    }

    /// Users at work, each on a workload of its own.
    fn users(
        &self,
        cluster: &Cluster,
        (namespace, has_pauses): (&'static str, bool),
        stop: &watch::Receiver<bool>,
    ) -> JoinSet<Done> {
        let schedule = &self.plan.schedule;
        let scripts = script::draw(schedule.seed, schedule.duration_ms);
        let mut users = JoinSet::new();
        for (number, script) in scripts.into_iter().enumerate() {
            let user = User::new(namespace, self.setting(cluster), number);
            users.spawn(user.run(script, has_pauses, Stop::new(stop.clone())));
        }
        users
    }

    async fn wait_users(&mut self, mut users: JoinSet<Done>) -> Result<()> {
        while let Some(done) = users.join_next().await {
            self.take(done.context("a user panicked")?);
        }
        Ok(())
    }

    fn take(&mut self, done: Done) {
        self.points.extend(done.points);
        let deleted = done.deleted.into_iter().map(|uid| Record::Deleted { uid });
        self.records.extend(deleted);
        let complaints = done.complaints.into_iter();
        self.facts
            .violations
            .extend(complaints.map(|words| format!("a wish was not taken: {words}")));
    }

    fn say_end(&self, end: &End) {
        let complaints = settled::complaints(&end.objects);
        println!(
            "[{:>7.1} s] {}: {} pods, {} after {} ms",
            self.clock.millis() as f64 / 1e3,
            end.namespace,
            settled::active_pods(&end.objects),
            if complaints.is_empty() {
                "as desired"
            } else {
                "NOT AS DESIRED"
            },
            end.took_ms
        );
    }
}
