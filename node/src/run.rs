//! Simulated nodes as a process, or as a part of one.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use client::{Client, Config, Informers, Query, Recorder};
use daemon::{CancellationToken, OnFailure, Tasks, Telemetry};
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::agent::Agents;
use crate::behaviour::BY;
use crate::fleet::Fleet;
use crate::heartbeats;
use crate::options::Options;
use crate::pods::Pods;

/// Who nodes are to the apiserver, and the component of events.
const AGENT: &str = "kubelet";
/// Time for everything to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Simulates nodes until a signal or a failure ends it. The nodes stay as objects: to the cluster they have failed then.
pub fn run(options: Options) -> ExitCode {
    let telemetry = Telemetry::of_verbosity(options.verbosity);
    daemon::run("mainstay node", &telemetry, |stop| serve(options, stop))
}

/// Simulates nodes until it is told to stop.
///
/// # Errors
/// When it cannot start, or a part of it fails.
pub async fn serve(options: Options, stop: CancellationToken) -> Result<()> {
    let config = Config::from_kubeconfig(&options.kubeconfig)?.with_user_agent(AGENT);
    let client = Client::new(config)?;
    let tasks = Tasks::new();
    start(&client, &tasks, Arc::new(options))?;
    tokio::select! {
        () = stop.cancelled() => {}
        () = tasks.stop_asked() => {}
    }
    match tasks.stop(GRACE).await.failure {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

fn start(client: &Client, tasks: &Tasks, options: Arc<Options>) -> Result<()> {
    let informers = Informers::new(client.clone());
    let nodes = informers.with::<Node>(Query {
        labels: format!("{BY}={}", options.by),
        ..Query::default()
    });
    let pods = informers.with::<Pod>(Query {
        fields: "spec.nodeName!=".to_owned(),
        ..Query::default()
    });
    let fleet = Arc::new(Fleet::new(nodes.store(), options.first));
    let recorder = options.events.then(|| {
        let (recorder, events) = Recorder::new(client.clone(), AGENT);
        tasks.spawn_until_stopped("events", OnFailure::Stop, events);
        recorder
    });
    let pods = Pods::new(client.clone(), (&pods, &nodes), fleet.clone(), recorder);
    if options.has_agents() {
        let agents = Agents::new(pods.clone(), fleet.clone(), options.agent_port)?;
        tasks.spawn_until_stopped("agents", OnFailure::Stop, agents.run(nodes.clone()));
    }
    for (name, informer) in informers.run() {
        tasks.spawn_until_stopped(name, OnFailure::Stop, informer);
    }
    let (registering, first) = (client.clone(), options.clone());
    let client = client.clone();
    let known = informers.clone();
    tasks.spawn_until_stopped("heartbeats", OnFailure::Stop, async move {
        let register = async {
            heartbeats::register(&registering, &first).await;
            tracing::info!(nodes = first.nodes, "nodes are registered");
        };
        // Nodes that are there do not wait for one that cannot be made.
        let beat = async {
            informers.synced().await;
            heartbeats::beat(client, options, fleet).await;
        };
        tokio::join!(register, beat);
    });
    tasks.spawn_until_stopped("pods", OnFailure::Stop, async move {
        known.synced().await;
        pods.run().await;
    });
    Ok(())
}
