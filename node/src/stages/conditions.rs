//! The conditions of a pod as a kubelet writes them, and why they do not hold.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use serde_json::{Value, json};

use super::text;
use crate::behaviour::is_sidecar;

/// The reason of a pod some of whose containers are not ready.
pub(super) const CONTAINERS_NOT_READY: &str = "ContainersNotReady";
/// The reason of a pod that is not ready though its containers are.
pub(super) const GATES_NOT_READY: &str = "ReadinessGatesNotReady";

pub(super) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

fn is_true(pod: &Pod, kind: &str) -> bool {
    condition(pod, kind).is_some_and(|condition| condition.status == "True")
}

/// A condition as the node of the pod writes it now, with the time of its last change.
pub(super) fn written(
    pod: &Pod,
    now: Timestamp,
    (kind, holds): (&str, bool),
    (reason, message): (Option<&str>, Option<&str>),
) -> Value {
    let status = if holds { "True" } else { "False" };
    let old = condition(pod, kind).filter(|old| old.status == status);
    let since = old
        .and_then(|old| old.last_transition_time.as_ref())
        .map_or(now, |time| time.0);
    let mut written = json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastProbeTime": null,
        "lastTransitionTime": text(since),
    });
    if let Some(generation) = pod.metadata.generation {
        written["observedGeneration"] = json!(generation);
    }
    written
}

/// Whether the conditions of a pod that runs say what holds, and why what does not hold does not.
pub(super) fn are_told(pod: &Pod, containers_are_ready: bool) -> bool {
    let why = if containers_are_ready {
        closed_gates(pod)
    } else {
        Some(unready(pod, false))
    };
    let told = condition(pod, "Ready").and_then(|ready| ready.message.as_deref());
    is_true(pod, "Ready") == why.is_none()
        && is_true(pod, "ContainersReady") == containers_are_ready
        && told == why.as_deref()
}

/// What is told of a pod whose containers are not ready; its sidecars are ready as soon as they run.
pub(super) fn unready(pod: &Pod, sidecars_wait: bool) -> String {
    let first = pod.spec.iter().flat_map(|spec| &spec.init_containers);
    let sidecars = first
        .flatten()
        .filter(|container| sidecars_wait && is_sidecar(container));
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let names: Vec<&str> = sidecars
        .chain(containers)
        .map(|container| container.name.as_str())
        .collect();
    format!("containers with unready status: [{}]", names.join(" "))
}

/// What is told of the conditions that others have to give before the pod is ready; nothing if all of them hold.
pub(super) fn closed_gates(pod: &Pod) -> Option<String> {
    let gates = pod.spec.iter().flat_map(|spec| &spec.readiness_gates);
    let closed = gates.flatten().filter_map(|gate| {
        let kind = &gate.condition_type;
        match condition(pod, kind) {
            None => Some(format!(
                "corresponding condition of pod readiness gate {kind:?} does not exist."
            )),
            Some(given) if given.status == "True" => None,
            Some(given) => Some(format!(
                "the status of pod readiness gate {kind:?} is not \"True\", but {}",
                given.status
            )),
        }
    });
    let closed: Vec<String> = closed.collect();
    (!closed.is_empty()).then(|| closed.join(", "))
}
