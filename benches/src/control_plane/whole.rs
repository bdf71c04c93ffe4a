//! All parts together: deployments and jobs until their pods have run, and what everything takes that does nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use proto::api::Target;
use serde::Deserialize;

use crate::control_plane::api::{Api, bytes};
use crate::control_plane::cases::MEASURED;
use crate::control_plane::figures::{Meter, Phase, latencies, memory, rates};
use crate::control_plane::objects;
use crate::control_plane::options::Scale;
use crate::control_plane::plane::{Plane, Role};
use crate::control_plane::pods::{Pods, Stage};
use crate::side_by_side::figures::Figure;

const NODES: usize = 5000;
const DEPLOYED: usize = 10_000;
const EACH_DEPLOYMENT: usize = 500;
const JOBBED: usize = 5000;
const EACH_JOB: usize = 100;
const READY_MAX: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);
/// Nodes that have told nothing for so long have told all.
const QUIET: Duration = Duration::from_secs(2);
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases?limit=1";
const EVENTS: &str = "/api/v1/namespaces/default/events?limit=1";
const PROGRESS_EACH: Duration = Duration::from_secs(5);
const ALL: [Role; 6] = [
    Role::Store,
    Role::Apiserver,
    Role::Controllers,
    Role::Scheduler,
    Role::Nodes,
    Role::Bench,
];
const SERVERS: [Role; 4] = [
    Role::Store,
    Role::Apiserver,
    Role::Controllers,
    Role::Scheduler,
];

/// Makes many pods through deployments, or through jobs, and waits until all run or are done.
pub async fn loaded(plane: &mut Plane, scale: &Scale, jobs: bool) -> Result<Vec<Figure>> {
    let nodes = scale.nodes(NODES);
    plane.start_controllers()?;
    plane.start_scheduler()?;
    plane.start_nodes(nodes)?;
    let api = Api::connect(&plane.addresses).await?;
    let made = Instant::now();
    ready(plane, "nodes", async || {
        Ok(count(&api, "/api/v1/nodes?limit=1").await? >= nodes)
    })
    .await?;
    let mut figures = vec![Figure::new("nodes made", "/s", {
        nodes as f64 / made.elapsed().as_secs_f64()
    })];
    settle(plane, &api, nodes).await?;
    api.create_core("namespaces", &objects::namespace(MEASURED))
        .await?;
    ready(plane, "the service account", async || {
        has_account(&api, MEASURED).await
    })
    .await?;
    let pods = Pods::watch(&api, plane).await?;
    let (total, each, end) = if jobs {
        (scale.pods(JOBBED), EACH_JOB, Stage::Succeeded)
    } else {
        (scale.pods(DEPLOYED), EACH_DEPLOYMENT, Stage::Ran)
    };
    let meter = Meter::start(plane)?;
    let sizes = (0..total).step_by(each).map(|from| each.min(total - from));
    let sizes: Vec<usize> = sizes.collect();
    let target = owners(jobs);
    let make = |number: usize| {
        let name = format!("load-{number}");
        let object = if jobs {
            objects::job
        } else {
            objects::deployment
        };
        bytes(&object(MEASURED, &name, sizes[number]))
    };
    api.create_many(&target, sizes.len(), make).await?;
    pods.wait(MEASURED, (total, end), plane).await?;
    let used = meter.stop(plane, total)?;
    let times: Vec<_> = pods.times(MEASURED).into_values().collect();
    let stages = [
        (Stage::Added, "created"),
        (Stage::Bound, "bound"),
        (end, if jobs { "done" } else { "running" }),
    ];
    for (stage, what) in stages {
        let phase = Phase {
            began: used.began,
            ends: times.iter().filter_map(|times| times.of(stage)).collect(),
        };
        figures.extend(rates(what, &phase));
    }
    let spans: Vec<_> = times
        .iter()
        .filter_map(|times| Some((times.added, times.ran?)))
        .collect();
    figures.extend(latencies("created to running", &spans));
    figures.extend(used.figures(&ALL));
    figures.extend(memory(plane, &ALL[..5])?);
    Ok(figures)
}

/// Waits until new nodes make no more work than old ones: their leases are there, and their events have been told.
async fn settle(plane: &mut Plane, api: &Api, nodes: usize) -> Result<()> {
    ready(plane, "the leases of the nodes", async || {
        Ok(count(api, LEASES).await? >= nodes)
    })
    .await?;
    let told = Cell::new((0, Instant::now()));
    ready(plane, "the events of the nodes", async || {
        let now = count(api, EVENTS).await?;
        if now > told.get().0 {
            told.set((now, Instant::now()));
        }
        Ok(told.get().1.elapsed() > QUIET)
    })
    .await
}

fn owners(jobs: bool) -> Target {
    let (group, resource) = if jobs {
        ("batch", "jobs")
    } else {
        ("apps", "deployments")
    };
    Target {
        group: group.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        namespace: MEASURED.to_owned(),
        ..Default::default()
    }
}

/// How long everything takes until it works, and what it uses when it has nothing to do.
pub async fn idle(plane: &mut Plane, scale: &Scale) -> Result<Vec<Figure>> {
    let began = Instant::now();
    plane.start_controllers()?;
    plane.start_scheduler()?;
    plane.start_nodes(1)?;
    let api = Api::connect(&plane.addresses).await?;
    ready(plane, "the service account", async || {
        has_account(&api, "default").await
    })
    .await?;
    let accounts = began.elapsed();
    let pods = Pods::watch(&api, plane).await?;
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first", "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10.2"}]},
    });
    api.create_core("pods", &pod).await?;
    pods.wait("default", (1, Stage::Ran), plane).await?;
    let running = began.elapsed();
    let seconds = |name: &str, time: Duration| Figure::new(name, "s", time.as_secs_f64());
    let mut figures = vec![
        seconds("stores ready", plane.stores_ready),
        seconds("apiserver ready after them", plane.apiservers_ready),
        seconds("service accounts after it", accounts),
        seconds("first pod runs after it", running),
    ];
    let meter = Meter::start(plane)?;
    tokio::time::sleep(Duration::from_secs_f64(scale.idle_seconds)).await;
    figures.extend(meter.stop(plane, 1)?.shares(&SERVERS));
    let held = memory(plane, &SERVERS)?;
    let all = held.iter().map(|figure| figure.value).sum();
    figures.extend(held);
    figures.push(Figure::new("memory of all", "MB", all));
    Ok(figures)
}

/// Asks again and again until it is so.
async fn ready(plane: &mut Plane, what: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let (began, mut told) = (Instant::now(), Instant::now());
    while !is_so().await? {
        plane.check()?;
        if began.elapsed() > READY_MAX {
            let words = plane.last_words();
            bail!("{what}: not ready after {READY_MAX:?}\n{words}");
        }
        if told.elapsed() > PROGRESS_EACH {
            eprintln!("  waiting for {what}");
            told = Instant::now();
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn has_account(api: &Api, namespace: &str) -> Result<bool> {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
    Ok(api.get(&path).await?.status.is_success())
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
    items: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "remainingItemCount")]
    remaining: usize,
}

/// How many objects a list has, by its first page.
async fn count(api: &Api, path: &str) -> Result<usize> {
    let answer = api.get(path).await?;
    if !answer.status.is_success() {
        bail!("GET {path}: {}", answer.status);
    }
    let page: Page = serde_json::from_slice(&answer.body)?;
    Ok(page.items.len() + page.metadata.remaining)
}
