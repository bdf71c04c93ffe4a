//! The scheduler as a process, or as a part of one: configuration, its port, the lease of the one that schedules, and what ends it.

pub(crate) mod groups;
mod turn;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use client::{Client, Config, Informers, Recorder};
use component::{Candidate, Check, Pages, Standing};
use daemon::{CancellationToken, OnFailure, Tasks, Telemetry};
use serde_json::json;

use crate::{
    carrier::Carrier,
    config::{AGENT, Configuration},
    engine::Engine,
    feed,
    figures::Figures,
    inbox::Inbox,
    options::Options,
    pod::DEFAULT_SCHEDULER,
    random::Random,
    resources::ResourceNames,
};

/// Where probes and metrics are served.
const PORT: u16 = 10_259;
/// Longest that tasks may take to end.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Schedules until a signal or a failure ends it.
#[must_use]
pub fn run(options: Options) -> ExitCode {
    let telemetry = Telemetry::of_verbosity(options.verbosity);
    daemon::run("mainstay scheduler", &telemetry, |stop| {
        serve(options, stop)
    })
}

/// Schedules until it is told to stop.
///
/// # Errors
/// When it cannot start, a part of it fails, or the lease is lost.
pub async fn serve(options: Options, stop: CancellationToken) -> Result<()> {
    let configuration = configuration(&options)?;
    let client = Client::new(connection(&options, &configuration)?)?;
    let (tasks, standing) = (Tasks::new(), Standing::default());
    let synced = Arc::new(AtomicBool::new(false));
    let figures = Arc::new(Figures::default());
    let counted = figures.clone();
    let pages = Pages {
        standing: standing.clone(),
        lease: configuration
            .election
            .leader_elect
            .then(|| configuration.election.name.clone()),
        checks: checks(&tasks, &standing, &synced),
        metrics: Box::new(move |page| counted.write(page)),
        configuration: ("componentconfig", told(&configuration)),
    };
    if let Some(serving) = options.serving.bind((AGENT, PORT), pages).await? {
        tasks.spawn_until_stopped("scheduler: port", OnFailure::Log, serving);
    }
    let candidate = Candidate {
        tasks: tasks.clone(),
        stop,
        standing,
        grace: STOP_GRACE,
    };
    let election = configuration.election.clone();
    let start = |client| start((&tasks, client), configuration, figures, synced);
    candidate.run(client, &election, start).await
}

/// What has to be well for the process to be ready.
fn checks(tasks: &Tasks, standing: &Standing, synced: &Arc<AtomicBool>) -> Vec<Check> {
    let (stop, standing, synced) = (tasks.stop_token(), standing.clone(), synced.clone());
    vec![
        Check {
            name: "shutdown",
            is_of_readiness: true,
            is_well: Box::new(move || !stop.is_cancelled()),
        },
        Check {
            name: "informer-sync",
            is_of_readiness: true,
            // One that waits for its turn knows nothing yet, and is ready to.
            is_well: Box::new(move || !standing.leads() || synced.load(Ordering::Relaxed)),
        },
    ]
}

/// The configuration as it is served, as far as it has an effect here.
fn told(configuration: &Configuration) -> serde_json::Value {
    let profiles = configuration.profiles.iter();
    let profiles = profiles.map(|profile| json!({"schedulerName": &*profile.scheduler_name}));
    json!({
        "kind": "KubeSchedulerConfiguration",
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "clientConnection": {"kubeconfig": configuration.kubeconfig},
        "leaderElection": configuration.election.told(),
        "podInitialBackoffSeconds": configuration.backoff.initial.as_secs(),
        "podMaxBackoffSeconds": configuration.backoff.max.as_secs(),
        "profiles": profiles.collect::<Vec<_>>(),
    })
}

/// Starts everything that schedules.
fn start(
    (tasks, client): (&Tasks, Client),
    configuration: Configuration,
    figures: Arc<Figures>,
    synced: Arc<AtomicBool>,
) -> Result<()> {
    let seed = random_seed()?;
    let names = ResourceNames::default();
    let inbox = Arc::new(Inbox::default());
    let informers = Informers::new(client.clone());
    feed::follow(&informers, &inbox, &names);
    for (name, future) in informers.run() {
        tasks.spawn_until_stopped(name, OnFailure::Stop, future);
    }
    let (following, known) = groups::follow(client.clone(), inbox.clone());
    tasks.spawn_until_stopped("scheduler: groups of pods", OnFailure::Stop, following);
    let (recorder, writer) = Recorder::new(client.clone(), DEFAULT_SCHEDULER);
    tasks.spawn_until_stopped(
        "scheduler: events of rejected pods",
        OnFailure::Stop,
        writer,
    );
    let random = Random::new(seed.rotate_left(32));
    let carrier = Carrier::new(client, inbox.clone(), recorder, (random, figures.clone()));
    carrier.start(tasks);
    let engine = Engine::new(configuration.profiles, configuration.backoff, names, seed);
    let engine = engine.timed_by(Instant::now);
    let turns = async move {
        informers.synced().await;
        known.await;
        synced.store(true, Ordering::Relaxed);
        tracing::info!("scheduling");
        turn::turns(engine, inbox, carrier, figures).await;
    };
    tasks.spawn_until_stopped("scheduler: decisions", OnFailure::Stop, turns);
    Ok(())
}

/// The name of this machine, as far as it is known.
pub(crate) fn reporter() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    if host.is_empty() {
        AGENT.to_owned()
    } else {
        host
    }
}

/// What the file says, and flags where they win over it.
fn configuration(options: &Options) -> Result<Configuration> {
    let configuration = match &options.config {
        None => Configuration {
            kubeconfig: options.kubeconfig.clone(),
            ..Configuration::standard()
        },
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            if !options.kubeconfig.is_empty() {
                tracing::warn!("--kubeconfig is not looked at: --config says where apiservers are");
            }
            Configuration::parse(&text).with_context(|| path.display().to_string())?
        }
    };
    let election = configuration.election.with(&options.election);
    election.check()?;
    Ok(Configuration {
        election,
        ..configuration
    })
}

fn connection(options: &Options, configuration: &Configuration) -> Result<Config> {
    let config = if configuration.kubeconfig.is_empty() {
        Config::in_cluster().context(
            "neither --kubeconfig nor clientConnection.kubeconfig in --config is given, and this is no pod",
        )?
    } else {
        Config::from_kubeconfig(&configuration.kubeconfig)?
    };
    let config = if options.master.is_empty() {
        config
    } else {
        config.with_servers(&options.master)
    };
    Ok(config.with_user_agent(AGENT))
}

fn random_seed() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    Ok(u64::from_ne_bytes(bytes))
}
