//! The scheduler as a process, or as a part of one: configuration, the lease of the one that schedules, and what ends it.

mod turn;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use client::{Client, Config, Election, ElectionConfig, Informers, Recorder};
use daemon::{CancellationToken, OnFailure, Tasks, Telemetry};

use crate::{
    carrier::Carrier, config::Configuration, engine::Engine, feed, inbox::Inbox, options::Options,
    pod::DEFAULT_SCHEDULER, resources::ResourceNames,
};

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
    let client = Client::new(connection(&options)?)?;
    let tasks = Tasks::new();
    let leads = AtomicBool::new(false);
    let led = lead((&tasks, &leads), client, &options, configuration);
    tokio::pin!(led);
    let ended = tokio::select! {
        ended = &mut led => ended,
        () = stop.cancelled() => {
            if leads.load(Ordering::Relaxed) {
                tasks.ask_stop();
                led.await
            } else {
                Ok(())
            }
        }
    };
    let report = tasks.stop(STOP_GRACE).await;
    ended?;
    report.failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Schedules as long as the lease is held, or until it is asked to stop; then the lease is given back.
async fn lead(
    (tasks, leads): (&Tasks, &AtomicBool),
    client: Client,
    options: &Options,
    configuration: Configuration,
) -> Result<()> {
    let schedule = |client: Client| async move {
        leads.store(true, Ordering::Relaxed);
        start(tasks, client, configuration).await?;
        tasks.stop_asked().await;
        Ok(())
    };
    if !options.leader_elect {
        return schedule(client).await;
    }
    let unique = random_seed()?;
    let election = ElectionConfig {
        namespace: options.leader_elect_resource_namespace.clone(),
        name: options.leader_elect_resource_name.clone(),
        identity: format!("{}_{unique:016x}", reporter()),
        lease: options.leader_elect_lease_duration,
        renew: options.leader_elect_renew_deadline,
        retry: options.leader_elect_retry_period,
    };
    let election = Election::new(client, election)?;
    election.run(|term| schedule(term.client())).await?
}

/// Starts everything that schedules.
async fn start(tasks: &Tasks, client: Client, configuration: Configuration) -> Result<()> {
    let seed = random_seed()?;
    let names = ResourceNames::default();
    let inbox = Arc::new(Inbox::default());
    let informers = Informers::new(client.clone());
    feed::follow(&informers, &inbox, &names);
    feed::follow_groups(&client, &informers, &inbox).await;
    for (name, future) in informers.run() {
        tasks.spawn_until_stopped(name, OnFailure::Stop, future);
    }
    let (recorder, writer) = Recorder::new(client.clone(), DEFAULT_SCHEDULER);
    tasks.spawn_until_stopped(
        "scheduler: events of rejected pods",
        OnFailure::Stop,
        writer,
    );
    let carrier = Carrier::new(client, inbox.clone(), recorder, seed.rotate_left(32));
    carrier.start(tasks);
    let engine = Engine::new(configuration.profiles, configuration.backoff, names, seed);
    let turns = turn::turns(engine, inbox, carrier, informers);
    tasks.spawn_until_stopped("scheduler: decisions", OnFailure::Stop, turns);
    Ok(())
}

/// The name of this machine, as far as it is known.
pub(crate) fn reporter() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    if host.is_empty() {
        "kube-scheduler".to_owned()
    } else {
        host
    }
}

fn configuration(options: &Options) -> Result<Configuration> {
    let Some(path) = &options.config else {
        return Ok(Configuration::standard());
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Configuration::parse(&text).with_context(|| path.display().to_string())
}

fn connection(options: &Options) -> Result<Config> {
    let config = if options.kubeconfig.is_empty() {
        Config::in_cluster().context("there is no --kubeconfig, and this is no pod")?
    } else {
        Config::from_kubeconfig(&options.kubeconfig)?
    };
    let config = if options.master.is_empty() {
        config
    } else {
        config.with_servers(&options.master)
    };
    Ok(config.with_user_agent("kube-scheduler"))
}

fn random_seed() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    Ok(u64::from_ne_bytes(bytes))
}
