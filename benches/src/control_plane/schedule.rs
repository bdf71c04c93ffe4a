//! A load for the scheduler: nodes and pods as upstream's benchmarks have them, and how fast pods get their nodes.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::{MissedTickBehavior, interval};

use crate::control_plane::api::{Api, bytes, core};
use crate::control_plane::cases::{BEFORE, Beside, Load, MEASURED};
use crate::control_plane::figures::{Meter, Phase, latencies, memory, rates};
use crate::control_plane::objects::{self, THE_NODE, Template};
use crate::control_plane::options::Scale;
use crate::control_plane::plane::{Plane, Role};
use crate::control_plane::pods::{Pods, Stage};
use crate::side_by_side::figures::Figure;

/// What upstream's benchmarks leave out too: service accounts, which nobody makes here, taints of new nodes, and the
/// check of a pod's priority.
pub const LEFT_OUT: &str = "ServiceAccount,TaintNodesByCondition,Priority";
/// Of pods that come, wait or go beside those that are measured.
const BESIDE: &str = "beside";
const DELETED: &str = "deleted";
const GATED: &str = "gated";
const MORE_EACH: Duration = Duration::from_millis(200);
const MIXED_EACH: Duration = Duration::from_secs(1);
const DELETED_EACH: Duration = Duration::from_millis(20);
/// Pods of the largest node, as text of an object.
const LARGE: &str = "90000";
const USUAL: &str = "110";

/// Measures a load on a control plane that was just started.
pub async fn measure(load: &Load, plane: &mut Plane, scale: &Scale) -> Result<Vec<Figure>> {
    let api = Api::connect(&plane.addresses).await?;
    for name in [BEFORE, MEASURED, BESIDE, DELETED, GATED] {
        api.create_core("namespaces", &objects::namespace(name))
            .await?;
    }
    nodes(&api, load, scale).await?;
    plane.start_scheduler()?;
    let pods = Pods::watch(&api, plane).await?;
    prepare(&api, load, (&pods, plane), scale).await?;
    let count = scale.pods(load.measured.0);
    let meter = Meter::start(plane)?;
    let measured = async {
        let sent = create(&api, load.measured.1, MEASURED, count).await?;
        pods.wait(MEASURED, (count, Stage::Bound), plane).await?;
        anyhow::Ok(sent)
    };
    let sent = tokio::select! {
        sent = measured => sent?,
        failed = beside(&api, load.beside, scale) => {
            return Err(failed).context("what happens beside the measured pods failed");
        }
    };
    let used = meter.stop(plane, count)?;
    let times = pods.times(MEASURED);
    let mut bound = Vec::with_capacity(count);
    for (number, sent) in sent.into_iter().enumerate() {
        let times = times.get(&name(number)).context("a pod was not seen")?;
        bound.push((sent, times.bound.context("a pod was not bound")?));
    }
    let phase = Phase {
        began: used.began,
        ends: bound.iter().map(|(_, bound)| *bound).collect(),
    };
    let mut figures = rates("bound", &phase);
    figures.push(Figure::new("upstream asks for", "/s", load.threshold));
    figures.push(Figure::new("ratio", "", phase.rate() / load.threshold));
    figures.extend(latencies("bound after", &bound));
    figures.extend(used.figures(&[Role::Store, Role::Apiserver, Role::Scheduler, Role::Bench]));
    figures.extend(memory(
        plane,
        &[Role::Store, Role::Apiserver, Role::Scheduler],
    )?);
    Ok(figures)
}

async fn nodes(api: &Api, load: &Load, scale: &Scale) -> Result<()> {
    if load.large_node {
        api.create_core("nodes", &objects::node(THE_NODE, None, LARGE))
            .await?;
    }
    let count = match load.nodes {
        0 => 0,
        nodes => scale.nodes(nodes),
    };
    let node = |number: usize| {
        let zone = match load.zones {
            [] => None,
            zones => Some(zones[number % zones.len()]),
        };
        bytes(&objects::node(&format!("node-{number}"), zone, USUAL))
    };
    api.create_many(&core("nodes", "", ""), count, node).await?;
    Ok(())
}

/// Makes the pods that are there before, and waits for those that get nodes.
async fn prepare(
    api: &Api,
    load: &Load,
    (pods, plane): (&Pods, &mut Plane),
    scale: &Scale,
) -> Result<()> {
    let before = scale.pods(load.before.0);
    create(api, load.before.1, BEFORE, before).await?;
    pods.wait(BEFORE, (before, Stage::Bound), plane).await?;
    if let Beside::GatedAndDeleted(gated, deleted) = load.beside {
        let (gated, deleted) = (scale.pods(gated), scale.pods(deleted));
        create(api, Template::Gated, GATED, gated).await?;
        create(api, Template::Light, DELETED, deleted).await?;
        pods.wait(DELETED, (deleted, Stage::Bound), plane).await?;
    }
    Ok(())
}

/// Makes pods of one kind. When each was asked for.
async fn create(
    api: &Api,
    template: Template,
    namespace: &str,
    count: usize,
) -> Result<Vec<Instant>> {
    let pod = RefCell::new(template.pod(namespace, ""));
    let named = |number| {
        let mut pod = pod.borrow_mut();
        pod["metadata"]["name"] = name(number).into();
        bytes(&pod)
    };
    api.create_many(&core("pods", namespace, ""), count, named)
        .await
}

fn name(number: usize) -> String {
    format!("pod-{number}")
}

/// Does what happens beside the measured pods, until it is dropped or fails.
async fn beside(api: &Api, what: Beside, scale: &Scale) -> anyhow::Error {
    let outcome = match what {
        Beside::Nothing => Ok(()),
        Beside::More(template) => more(api, template).await,
        Beside::Mixed => mixed(api).await,
        Beside::GatedAndDeleted(_, deleted) => delete(api, scale.pods(deleted)).await,
    };
    match outcome {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

fn ticks(each: Duration) -> tokio::time::Interval {
    let mut ticks = interval(each);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn more(api: &Api, template: Template) -> Result<()> {
    let mut ticks = ticks(MORE_EACH);
    for number in 0_usize.. {
        ticks.tick().await;
        api.create_core("pods", &template.pod(BESIDE, &name(number)))
            .await?;
    }
    Ok(())
}

async fn mixed(api: &Api) -> Result<()> {
    let mut ticks = ticks(MIXED_EACH);
    for number in 0_usize.. {
        ticks.tick().await;
        let name = format!("churn-{number}");
        let pod = Template::TooLarge.pod(BESIDE, &name);
        api.create_core("nodes", &objects::node(&name, None, "0"))
            .await?;
        api.create_core("pods", &pod).await?;
        api.create_core("services", &objects::service(BESIDE, &name))
            .await?;
        ticks.tick().await;
        api.delete(core("nodes", "", &name)).await?;
        api.delete(core("pods", BESIDE, &name)).await?;
        api.delete(core("services", BESIDE, &name)).await?;
    }
    Ok(())
}

async fn delete(api: &Api, count: usize) -> Result<()> {
    let mut ticks = ticks(DELETED_EACH);
    for number in 0..count {
        ticks.tick().await;
        api.delete(core("pods", DELETED, &name(number))).await?;
    }
    Ok(())
}
