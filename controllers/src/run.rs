//! The controllers as a process, or as a part of one: their port, the lease of the one that runs them, and what ends them.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use client::{Client, Config, Informers, Recorder};
use component::{Candidate, Pages, Standing};
use daemon::{CancellationToken, OnFailure, Tasks, Telemetry};
use serde_json::{Value, json};

use crate::context::Context;
use crate::list::CONTROLLERS;
use crate::material::Material;
use crate::monitors::Monitors;
use crate::options::Options;
use crate::queues::Queues;

/// Who the controllers are to the apiserver, and the component of events.
pub(crate) const AGENT: &str = "kube-controller-manager";
/// Where probes and metrics are served.
const PORT: u16 = 10_257;
/// Time for all controllers to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the controllers until a signal, a failure or the end of a term ends them.
pub fn run(options: Options) -> ExitCode {
    let telemetry = Telemetry::of_verbosity(options.verbosity);
    daemon::run("mainstay controllers", &telemetry, |stop| {
        serve(options, stop)
    })
}

/// Runs the controllers until they are told to stop.
///
/// # Errors
/// When they cannot start, one of them fails, or the lease is lost.
pub async fn serve(options: Options, stop: CancellationToken) -> Result<()> {
    let material = Material::load(&options.signing)?;
    let config = Config::from_kubeconfig(&options.kubeconfig)?.with_user_agent(AGENT);
    let client = Client::new(config)?;
    let (tasks, standing, queues) = (Tasks::new(), Standing::default(), Queues::default());
    let settings = options.election();
    let counted = queues.clone();
    let pages = Pages {
        standing: standing.clone(),
        lease: settings.leader_elect.then(|| settings.name.clone()),
        checks: Vec::new(),
        metrics: Box::new(move |page| counted.write(page)),
        configuration: ("kubecontrollermanager.config.k8s.io", told(&options)),
    };
    if let Some(serving) = options.serving.bind((AGENT, PORT), pages).await? {
        tasks.spawn_until_stopped("port", OnFailure::Log, serving);
    }
    let candidate = Candidate {
        tasks: tasks.clone(),
        stop,
        standing,
        grace: GRACE,
    };
    let start = |client: Client| {
        let (recorder, events) = Recorder::new(client.clone(), AGENT);
        let context = Context {
            informers: Informers::new(client.clone()),
            monitors: Monitors::new(client.clone()),
            recorder,
            client,
            tasks,
            options: Arc::new(options),
            material: Arc::new(material),
            queues,
        };
        context.spawn("events", events);
        start(&context);
        Ok(())
    };
    candidate.run(client, &settings, start).await
}

/// The configuration as it is served, as far as flags here have an effect, in the form of a `KubeControllerManagerConfiguration`.
fn told(options: &Options) -> Value {
    let settings = options.election();
    json!({
        "kind": "KubeControllerManagerConfiguration",
        "apiVersion": "kubecontrollermanager.config.k8s.io/v1alpha1",
        "Generic": {
            "Controllers": options.controllers,
            "ClientConnection": {"kubeconfig": options.kubeconfig},
            "LeaderElection": settings.told(),
        },
    })
}

/// Starts the controllers that the options choose.
fn start(context: &Context) {
    for controller in CONTROLLERS {
        if controller.is_chosen(&context.options.controllers) {
            tracing::info!(name = controller.name, "starting a controller");
            (controller.start)(context);
        }
    }
    for (name, informer) in context.informers.run() {
        context.spawn(&name, informer);
    }
    if context.monitors.are_wanted() {
        context.spawn("monitors", context.monitors.clone().run());
    }
}
