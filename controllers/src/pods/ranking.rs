//! Which of several pods goes first when there are too many.

use std::cmp::{Ordering, Reverse};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{is_ready, node_name, phase, ready_since};

/// A user's word on how dear a pod is; the cheapest go first.
const DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Compares two pods with the count of pods of the same workload on their nodes; the lesser goes first.
///
/// Times count by the power of two of their age, so that the choice between pods of about one age is no matter of
/// their order of creation; the uid decides then.
pub(crate) fn compare(left: (&Pod, usize), right: (&Pod, usize), now: Timestamp) -> Ordering {
    let ((left, left_neighbours), (right, right_neighbours)) = (left, right);
    let by_placement = is_assigned(left)
        .cmp(&is_assigned(right))
        .then_with(|| stage(left).cmp(&stage(right)))
        .then_with(|| is_ready(left).cmp(&is_ready(right)))
        .then_with(|| deletion_cost(left).cmp(&deletion_cost(right)))
        .then_with(|| Reverse(left_neighbours).cmp(&Reverse(right_neighbours)));
    by_placement
        .then_with(|| ready_age(left, now).cmp(&ready_age(right, now)))
        .then_with(|| Reverse(restarts(left)).cmp(&Reverse(restarts(right))))
        .then_with(|| created_age(left, now).cmp(&created_age(right, now)))
        .then_with(|| left.metadata.uid.cmp(&right.metadata.uid))
}

fn is_assigned(pod: &Pod) -> bool {
    !node_name(pod).is_empty()
}

/// How far it got.
fn stage(pod: &Pod) -> u8 {
    match phase(pod) {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    let text = annotations
        .and_then(|annotations| annotations.get(DELETION_COST_ANNOTATION))
        .map_or("0", String::as_str);
    let is_plain = text == "0" || text.starts_with(|first: char| matches!(first, '-' | '1'..='9'));
    if is_plain {
        text.parse().unwrap_or(0)
    } else {
        0
    }
}

/// The power of two of an age in nanoseconds. What has no time is the youngest.
fn age(since: Option<Timestamp>, now: Timestamp) -> i64 {
    let Some(since) = since else { return -2 };
    let nanoseconds = now.duration_since(since).as_nanos();
    if nanoseconds <= 0 {
        -1
    } else {
        nanoseconds.ilog2().into()
    }
}

/// Pods that are not ready have all the same.
fn ready_age(pod: &Pod, now: Timestamp) -> i64 {
    if is_ready(pod) {
        age(ready_since(pod), now)
    } else {
        0
    }
}

fn created_age(pod: &Pod, now: Timestamp) -> i64 {
    let created = pod.metadata.creation_timestamp.as_ref();
    age(created.map(|time| time.0), now)
}

/// The most restarts of one container, and of one sidecar.
fn restarts(pod: &Pod) -> (i32, i32) {
    let Some(status) = &pod.status else {
        return (0, 0);
    };
    let containers = status.container_statuses.iter().flatten();
    let regular = containers.map(|container| container.restart_count).max();
    let is_sidecar = |name: &str| {
        let declared = pod
            .spec
            .iter()
            .flat_map(|spec| spec.init_containers.iter().flatten());
        declared.into_iter().any(|container| {
            container.name == name && container.restart_policy.as_deref() == Some("Always")
        })
    };
    let sidecars = status.init_container_statuses.iter().flatten();
    let sidecar = sidecars
        .filter(|container| is_sidecar(&container.name))
        .map(|container| container.restart_count)
        .max();
    (regular.unwrap_or(0), sidecar.unwrap_or(0))
}
