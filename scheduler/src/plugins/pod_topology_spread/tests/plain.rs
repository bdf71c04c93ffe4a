//! Spreading as it is defined: every constraint counted over all pods of all nodes, by the text of labels.

use std::collections::{BTreeMap, BTreeSet};

use super::{HOSTNAME, NO_KEY, REJECTED, World};
use crate::{
    cluster::NodeIndex,
    pod::{PodView, SpreadConstraint, WhenUnsatisfiable},
    taint,
};

fn value<'a>(world: &'a World, node: NodeIndex, rule: &SpreadConstraint) -> Option<&'a str> {
    world.snapshot.node(node).labels.get(&rule.topology_key)
}

fn pods(world: &World, node: NodeIndex, pod: &PodView, rule: &SpreadConstraint) -> i64 {
    let counts = |other: &PodView| {
        !rule.selector.is_everything()
            && !other.terminating
            && other.namespace == pod.namespace
            && rule.selector.matches(&other.labels)
    };
    world
        .snapshot
        .pods_on(node)
        .iter()
        .filter(|other| counts(other))
        .count() as i64
}

fn is_included(world: &World, node: NodeIndex, pod: &PodView, rule: &SpreadConstraint) -> bool {
    let view = world.snapshot.node(node);
    (!rule.honors_affinity || pod.node_query.matches(view))
        && (!rule.honors_taints || taint::untolerated(&view.taints, &pod.tolerations).is_none())
}

fn rules(pod: &PodView, when: WhenUnsatisfiable) -> Vec<&SpreadConstraint> {
    pod.spread.iter().filter(|rule| rule.when == when).collect()
}

fn sums<'a>(
    world: &'a World,
    pod: &PodView,
    rules: &[&SpreadConstraint],
    rule: &SpreadConstraint,
) -> BTreeMap<&'a str, i64> {
    let mut sums = BTreeMap::new();
    for node in world.sorted() {
        let is_whole = rules.iter().all(|rule| value(world, node, rule).is_some());
        if is_whole && is_included(world, node, pod, rule) {
            let value = value(world, node, rule).unwrap();
            *sums.entry(value).or_default() += pods(world, node, pod, rule);
        }
    }
    sums
}

pub(super) fn judge(world: &World, pod: &PodView) -> Vec<String> {
    let rules = rules(pod, WhenUnsatisfiable::DoNotSchedule);
    let judge = |node| {
        for rule in &rules {
            let Some(value) = value(world, node, rule) else {
                return NO_KEY.to_owned();
            };
            let sums = sums(world, pod, &rules, rule);
            let is_short = (sums.len() as i64) < i64::from(rule.domains_min);
            let least = sums.values().min().copied().unwrap_or(i64::MAX);
            let least = if is_short { 0 } else { least };
            let there = sums.get(value).copied().unwrap_or(0);
            let itself = i64::from(rule.selector.matches(&pod.labels));
            if there + itself - least > i64::from(rule.skew_max) {
                return REJECTED.to_owned();
            }
        }
        String::new()
    };
    world.sorted().into_iter().map(judge).collect()
}

pub(super) fn score(world: &World, pod: &PodView) -> Option<Vec<i64>> {
    let rules = rules(pod, WhenUnsatisfiable::ScheduleAnyway);
    if rules.is_empty() {
        return None;
    }
    let nodes = world.sorted();
    let is_whole = |node: NodeIndex| rules.iter().all(|rule| value(world, node, rule).is_some());
    let cost = |node: NodeIndex| {
        let mut cost = 0.0;
        for rule in &rules {
            let whole = nodes.iter().filter(|node| is_whole(**node));
            let domains: BTreeSet<_> = whole
                .clone()
                .map(|node| value(world, *node, rule))
                .collect();
            let is_hostname = &*rule.topology_key == HOSTNAME;
            let size = if is_hostname {
                whole.count()
            } else {
                domains.len()
            };
            let count = if is_hostname {
                pods(world, node, pod, rule)
            } else {
                let sums = sums(world, pod, &rules, rule);
                sums.get(value(world, node, rule).unwrap())
                    .copied()
                    .unwrap_or(0)
            };
            cost += count as f64 * (size as f64 + 2.0).ln() + f64::from(rule.skew_max - 1);
        }
        cost.round() as i64
    };
    let costs: Vec<Option<i64>> = nodes
        .iter()
        .map(|node| is_whole(*node).then(|| cost(*node)))
        .collect();
    let most = costs.iter().flatten().max().copied().unwrap_or(0);
    let least = costs.iter().flatten().min().copied().unwrap_or(0);
    let score = |cost: &Option<i64>| match cost {
        None => 0,
        Some(_) if most == 0 => 100,
        Some(cost) => 100 * (most + least - cost) / most,
    };
    Some(costs.iter().map(score).collect())
}
