//! The rows: upstream's scheduler benchmarks with their numbers and thresholds, and what they do not have.

use anyhow::{Result, bail};

use crate::control_plane::objects::Template;
use crate::control_plane::up::Shape;

/// The namespaces of pods that are there before, and of those that are measured.
pub const BEFORE: &str = "sched-0";
pub const MEASURED: &str = "sched-1";

/// A row of the table.
pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    pub work: Work,
}

#[derive(Clone, Copy)]
pub enum Work {
    Schedule(Load),
    Deployments,
    Jobs,
    Idle,
    /// `mainstay up`, left alone.
    Up(Shape),
}

/// What the scheduler has to do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub nodes: usize,
    /// Nodes are spread over these.
    pub zones: &'static [&'static str],
    /// Whether there is also one node that holds very many pods.
    pub large_node: bool,
    pub before: (usize, Template),
    pub measured: (usize, Template),
    pub beside: Beside,
    /// Pods a second that upstream's own runs must reach.
    pub threshold: f64,
}

/// What happens while pods are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    /// Five more pods a second.
    More(Template),
    /// Each second a node, a pod that fits nowhere and a service come, or go.
    Mixed,
    /// So many pods wait behind gates, and of so many others fifty a second are deleted.
    GatedAndDeleted(usize, usize),
}

const fn load(before: (usize, Template), measured: (usize, Template), threshold: f64) -> Load {
    Load {
        nodes: 5000,
        zones: &[],
        large_node: false,
        before,
        measured,
        beside: Beside::Nothing,
        threshold,
    }
}

/// The same kind of pods before and measured.
const fn both(template: Template, before: usize, measured: usize, threshold: f64) -> Load {
    load((before, template), (measured, template), threshold)
}

const ONE_ZONE: &[&str] = &["zone1"];
const MOONS: &[&str] = &["moon-1", "moon-2", "moon-3"];

const fn in_zones(load: Load, zones: &'static [&'static str]) -> Load {
    Load { zones, ..load }
}

const fn beside(load: Load, beside: Beside) -> Load {
    Load { beside, ..load }
}

const fn on_one_node(load: Load, others: usize) -> Load {
    Load {
        nodes: others,
        large_node: true,
        ..load
    }
}

const fn row(name: &'static str, title: &'static str, work: Work) -> Row {
    Row { name, title, work }
}

const fn up(one_process: bool, nodes: usize) -> Work {
    Work::Up(Shape { one_process, nodes })
}

const fn schedule(name: &'static str, title: &'static str, load: Load) -> Row {
    row(name, title, Work::Schedule(load))
}

/// All rows, in the order they run. Numbers are those of the largest run that upstream has a threshold for.
pub const ROWS: &[Row] = &[
    row("idle", "one process of each, without work", Work::Idle),
    row(
        "up-one-process",
        "one of everything in one process, without work or nodes",
        up(true, 0),
    ),
    row(
        "up-one-process-nodes",
        "the same with six simulated nodes",
        up(true, 6),
    ),
    row(
        "up",
        "processes of three of everything with six simulated nodes, without work",
        up(false, 6),
    ),
    schedule(
        "basic",
        "SchedulingBasic",
        both(Template::Default, 1000, 10_000, 680.0),
    ),
    schedule(
        "pod-affinity",
        "SchedulingPodAffinity",
        in_zones(both(Template::PodAffinity, 5000, 5000, 35.0), ONE_ZONE),
    ),
    schedule(
        "pod-anti-affinity",
        "SchedulingPodAntiAffinity",
        both(Template::PodAntiAffinity, 1000, 2000, 60.0),
    ),
    schedule(
        "pod-matching-anti-affinity",
        "SchedulingPodMatchingAntiAffinity",
        load(
            (1000, Template::PodAntiAffinity),
            (5000, Template::Avoided),
            540.0,
        ),
    ),
    schedule(
        "preferred-pod-affinity",
        "SchedulingPreferredPodAffinity",
        both(Template::PreferredPodAffinity, 5000, 5000, 90.0),
    ),
    schedule(
        "preferred-pod-anti-affinity",
        "SchedulingPreferredPodAntiAffinity",
        both(Template::PreferredPodAntiAffinity, 5000, 5000, 90.0),
    ),
    schedule(
        "node-affinity",
        "SchedulingNodeAffinity",
        in_zones(both(Template::NodeAffinity, 5000, 10_000, 220.0), ONE_ZONE),
    ),
    schedule(
        "topology-spreading",
        "TopologySpreading",
        in_zones(
            load((5000, Template::Default), (5000, Template::Spread), 460.0),
            MOONS,
        ),
    ),
    schedule(
        "preferred-topology-spreading",
        "PreferredTopologySpreading",
        in_zones(
            load(
                (5000, Template::Default),
                (5000, Template::PreferredSpread),
                340.0,
            ),
            MOONS,
        ),
    ),
    schedule(
        "mixed-churn",
        "SchedulingWithMixedChurn",
        beside(both(Template::Default, 0, 10_000, 710.0), Beside::Mixed),
    ),
    schedule(
        "unschedulable",
        "Unschedulable",
        beside(
            both(Template::Default, 100, 10_000, 590.0),
            Beside::More(Template::TooLarge),
        ),
    ),
    schedule(
        "gated",
        "SchedulingWhileGated",
        beside(
            on_one_node(both(Template::Light, 0, 20_000, 910.0), 0),
            Beside::GatedAndDeleted(10_000, 20_000),
        ),
    ),
    schedule(
        "preemption-async",
        "PreemptionAsync",
        beside(
            load(
                (20_000, Template::LowPriority),
                (5000, Template::Default),
                570.0,
            ),
            Beside::More(Template::HighPriority),
        ),
    ),
    schedule(
        "daemonset",
        "SchedulingDaemonset",
        on_one_node(both(Template::Daemon, 0, 30_000, 1100.0), 15_000),
    ),
    row(
        "end-to-end",
        "deployments of 500 pods until all run",
        Work::Deployments,
    ),
    row("jobs", "jobs of 100 pods until all are done", Work::Jobs),
];

/// What a smoke runs.
const SMOKE: [&str; 4] = ["idle", "basic", "mixed-churn", "end-to-end"];

/// The rows of these names; without names all, or a few for a smoke.
pub fn select(names: &[String], smoke: bool) -> Result<Vec<&'static Row>> {
    let names: Vec<&str> = match names {
        [] if smoke => SMOKE.to_vec(),
        [] => return Ok(ROWS.iter().collect()),
        names => names.iter().map(String::as_str).collect(),
    };
    let find = |name: &str| match ROWS.iter().find(|row| row.name == name) {
        Some(row) => Ok(row),
        None => bail!("there is no row {name}; --list shows all"),
    };
    names.into_iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_names_alone() {
        assert_eq!(select(&[], false).unwrap().len(), ROWS.len());
        assert_eq!(select(&[], true).unwrap().len(), SMOKE.len());
        for row in ROWS {
            let found = select(&[row.name.to_owned()], true).unwrap();
            assert_eq!(found[0].title, row.title);
        }
        assert!(select(&["other".to_owned()], false).is_err());
    }
}
