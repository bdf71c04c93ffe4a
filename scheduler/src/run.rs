//! The scheduler as a process: flags, configuration, log output, signals, and an exit code.

mod turn;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use client::{Client, Config, Informers};
use daemon::{Format, OnFailure, Output, Signals, Tasks, Telemetry};

use crate::{
    carrier::Carrier, config::Configuration, engine::Engine, feed, inbox::Inbox, options::Options,
    resources::ResourceNames,
};

/// Longest that tasks may take to end.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Schedules until a signal or a failure ends it.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(serve(options)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mainstay scheduler: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: &Options) -> Result<()> {
    let level = if options.verbosity >= 4 {
        tracing::Level::DEBUG
    } else {
        tracing::Level::INFO
    };
    Telemetry {
        level,
        format: Format::Console,
        outputs: vec![Output::Stderr],
    }
    .install()?;
    let mut signals = Signals::install().context("cannot handle signals")?;
    let configuration = configuration(options)?;
    let client = Client::new(connection(options)?)?;
    let tasks = Tasks::new();
    start(&tasks, client, configuration).await?;
    tokio::select! {
        signal = signals.next() => tracing::info!(signal = signal.name(), "stopping"),
        () = tasks.stop_asked() => {}
    }
    let report = tasks.stop(STOP_GRACE).await;
    report.failure.map_or(Ok(()), |failure| Err(failure.into()))
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
        tasks.spawn(name, OnFailure::Stop, |stop| async move {
            tokio::select! {
                () = future => {}
                () = stop.cancelled() => {}
            }
            Ok::<(), std::convert::Infallible>(())
        });
    }
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    let reporter = if host.is_empty() {
        "kube-scheduler".to_owned()
    } else {
        host
    };
    let carrier = Carrier::new(client, inbox.clone(), reporter, seed.rotate_left(32));
    carrier.start(tasks);
    let engine = Engine::new(configuration.profiles, configuration.backoff, names, seed);
    tasks.spawn("scheduler: decisions", OnFailure::Stop, |stop| async move {
        tokio::select! {
            () = turn::turns(engine, inbox, carrier, informers) => {}
            () = stop.cancelled() => {}
        }
        Ok::<(), std::convert::Infallible>(())
    });
    Ok(())
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
