//! ReplicaSets and ReplicationControllers: as many pods of one template as are asked for.

pub(crate) mod run;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;

use crate::conditions::{self, TRUE};
use crate::patches::{count, time};
use crate::pods::{self, ranking};
use crate::selectors;

/// Pods that one turn creates or deletes.
const BURST_MAX: usize = 500;

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// What a turn does about the number of pods.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change<'a> {
    Nothing,
    Create(usize),
    Delete(Vec<&'a Pod>),
}

/// How many pods a set asks for.
pub(crate) fn replicas(set: &ReplicaSet) -> i32 {
    let spec = set.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or(1)
}

fn min_ready_seconds(set: &ReplicaSet) -> i32 {
    let spec = set.spec.as_ref();
    spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
}

/// How far `found` is from what is asked for; below zero when pods are missing.
fn surplus(set: &ReplicaSet, found: usize) -> i64 {
    i64::try_from(found).unwrap_or(i64::MAX) - i64::from(replicas(set))
}

/// Decides on the number of pods.
///
/// `active` are the set's own pods that have not ended and are not going. `related` are all pods of the sets with
/// the same owner: a node that has many of them loses one first.
pub(crate) fn change<'a>(
    set: &ReplicaSet,
    active: &[&'a Pod],
    related: &[&Pod],
    now: Timestamp,
) -> Change<'a> {
    if set.metadata.deletion_timestamp.is_some() {
        return Change::Nothing;
    }
    let surplus = surplus(set, active.len());
    let number = usize::try_from(surplus.unsigned_abs())
        .unwrap_or(usize::MAX)
        .min(BURST_MAX);
    match surplus {
        0 => Change::Nothing,
        ..0 => Change::Create(number),
        1.. => Change::Delete(first_to_go(active, related, number, now)),
    }
}

fn first_to_go<'a>(
    active: &[&'a Pod],
    related: &[&Pod],
    number: usize,
    now: Timestamp,
) -> Vec<&'a Pod> {
    let mut on_node: HashMap<&str, usize> = HashMap::new();
    for pod in related.iter().filter(|pod| pods::is_active(pod)) {
        *on_node.entry(pods::node_name(pod)).or_default() += 1;
    }
    let neighbours = |pod: &Pod| on_node.get(pods::node_name(pod)).copied().unwrap_or(0);
    let mut ranked: Vec<(&Pod, usize)> = active.iter().map(|pod| (*pod, neighbours(pod))).collect();
    ranked.sort_by(|left, right| ranking::compare(*left, *right, now));
    ranked
        .into_iter()
        .take(number)
        .map(|(pod, _)| pod)
        .collect()
}

/// What was seen and done in a turn, as the status tells it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) active: &'a [&'a Pod],
    /// None where the kind does not tell it.
    pub(crate) terminating: Option<usize>,
    /// Whether pods were looked at to be created or deleted. If not, the last failure of that stands.
    pub(crate) is_tried: bool,
    /// Why pods could not be created or deleted.
    pub(crate) failure: Option<&'a str>,
}

/// The status after a turn.
pub(crate) fn status(set: &ReplicaSet, seen: Seen<'_>, now: Timestamp) -> ReplicaSetStatus {
    let number = |of: usize| i32::try_from(of).unwrap_or(i32::MAX);
    let of_those = |is_one: &dyn Fn(&Pod) -> bool| {
        number(seen.active.iter().filter(|pod| is_one(pod)).count())
    };
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let labels = template.and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    let template = selectors::read_map(labels).unwrap_or_default();
    let min_ready_seconds = min_ready_seconds(set);
    let old = set.status.as_ref();
    ReplicaSetStatus {
        replicas: number(seen.active.len()),
        fully_labeled_replicas: count(of_those(&|pod| {
            selectors::selects(&template, &pod.metadata)
        })),
        ready_replicas: count(of_those(&pods::is_ready)),
        available_replicas: count(of_those(&|pod| {
            pods::is_available(pod, min_ready_seconds, now)
        })),
        terminating_replicas: seen.terminating.map(number),
        observed_generation: set.metadata.generation,
        conditions: failure_condition(set, seen, now)
            .or_else(|| old.and_then(|status| status.conditions.clone()))
            .filter(|conditions| !conditions.is_empty()),
    }
}

/// The conditions, if the one about failures comes or goes. While it is there its words stay.
fn failure_condition(
    set: &ReplicaSet,
    seen: Seen<'_>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let status = set.status.as_ref();
    let mut all = status
        .and_then(|status| status.conditions.clone())
        .unwrap_or_default();
    match (seen.failure, conditions::find(&all, REPLICA_FAILURE)) {
        (Some(message), None) => {
            let reason = match surplus(set, seen.active.len()) {
                ..0 => Some("FailedCreate".to_owned()),
                0 => None,
                1.. => Some("FailedDelete".to_owned()),
            };
            all.push(ReplicaSetCondition {
                type_: REPLICA_FAILURE.to_owned(),
                status: TRUE.to_owned(),
                reason,
                message: Some(message.to_owned()),
                last_transition_time: Some(time(now)),
            });
        }
        (None, Some(_)) if seen.is_tried => conditions::remove(&mut all, REPLICA_FAILURE),
        _ => return None,
    }
    Some(all)
}

/// When to look again though nothing changes: when the next of the ready pods becomes available.
pub(crate) fn next_turn(
    set: &ReplicaSet,
    status: &ReplicaSetStatus,
    active: &[&Pod],
    now: Timestamp,
) -> Option<Duration> {
    let min_ready_seconds = u64::try_from(min_ready_seconds(set)).unwrap_or(0);
    if min_ready_seconds == 0 || status.ready_replicas == status.available_replicas {
        return None;
    }
    let active = active.iter().copied();
    let next = pods::next_available(active, self::min_ready_seconds(set), now);
    Some(next.unwrap_or(Duration::from_secs(min_ready_seconds)))
}

/// The same, and no later than when that is given up which has not shown: a pod that came and went unseen shows never.
pub(crate) fn look_again(next: Option<Duration>, given_up: Option<Duration>) -> Option<Duration> {
    next.into_iter().chain(given_up).min()
}

#[cfg(test)]
mod tests;
