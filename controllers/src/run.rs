//! The controllers as a process: log output, signals, the lease of the one that runs them, and an exit code.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use client::{Client, Config, Election, ElectionConfig, Informers, Recorder};
use daemon::{OnFailure, Signals, Tasks, Telemetry};

use crate::context::Context;
use crate::list::CONTROLLERS;
use crate::material::Material;
use crate::monitors::Monitors;
use crate::options::{self, Options};
use crate::page::Page;

/// Who the controllers are to the apiserver, and the component of events.
const AGENT: &str = "kube-controller-manager";
/// Time for all controllers to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the controllers until a signal, a failure or the end of a term ends them.
///
/// A process whose lease is lost exits with a failure, as upstream's does: whoever started it starts it again, and all that it knew is
/// read anew.
pub fn run(options: &Options) -> ExitCode {
    daemon::run("mainstay controllers", serve(options))
}

async fn serve(options: &Options) -> Result<()> {
    Telemetry::of_verbosity(options.verbosity).install()?;
    let mut signals = Signals::install().context("cannot handle signals")?;
    let material = Material::load(&options.signing)?;
    let config = Config::from_kubeconfig(&options.kubeconfig)?.with_user_agent(AGENT);
    let client = Client::new(config)?;
    let tasks = Tasks::new();
    if options.secure_port != 0 {
        let page = Page::bind(options.bind_address, options.secure_port).await?;
        tasks.spawn_until_stopped("page", OnFailure::Log, page.serve());
    }
    let leads = AtomicBool::new(false);
    let lead = |client: Client| {
        leads.store(true, Ordering::Relaxed);
        start(client, tasks.clone(), options, material);
        async {
            tasks.stop_asked().await;
            tasks.stop(GRACE).await
        }
    };
    let run = async {
        if !options.election.leader_elect {
            return Ok(lead(client).await);
        }
        let election = Election::new(client, election(&options.election)?)?;
        let led = election.run(|term| lead(term.client())).await;
        if led.is_err() {
            tasks.stop(GRACE).await;
        }
        anyhow::Ok(led?)
    };
    tokio::pin!(run);
    loop {
        tokio::select! {
            ended = &mut run => return match ended?.failure {
                Some(failure) => Err(failure.into()),
                None => Ok(()),
            },
            signal = signals.next() => {
                tracing::info!(signal = signal.name(), "stopping");
                if !leads.load(Ordering::Relaxed) {
                    return Ok(());
                }
                tasks.ask_stop();
            }
        }
    }
}

/// The lease, and who this process is among those that want it.
fn election(flags: &options::Election) -> Result<ElectionConfig> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(ElectionConfig {
        namespace: flags.leader_elect_resource_namespace.clone(),
        name: flags.leader_elect_resource_name.clone(),
        identity: format!("{}_{random}", host.trim()),
        lease: flags.leader_elect_lease_duration,
        renew: flags.leader_elect_renew_deadline,
        retry: flags.leader_elect_retry_period,
    })
}

/// Starts the controllers that the options choose.
fn start(client: Client, tasks: Tasks, options: &Options, material: Material) {
    let (recorder, events) = Recorder::new(client.clone(), AGENT);
    let context = Context {
        informers: Informers::new(client.clone()),
        monitors: Monitors::new(client.clone()),
        recorder,
        client,
        tasks,
        options: Arc::new(options.clone()),
        material: Arc::new(material),
    };
    context.spawn("events", events);
    for controller in CONTROLLERS {
        if controller.is_chosen(&context.options.controllers) {
            tracing::info!(name = controller.name, "starting a controller");
            (controller.start)(&context);
        }
    }
    for (name, informer) in context.informers.run() {
        context.spawn(&name, informer);
    }
    if context.monitors.are_wanted() {
        context.spawn("monitors", context.monitors.clone().run());
    }
}
