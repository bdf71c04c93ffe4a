//! What controllers ask about pods, and the pods that they make of templates.

pub(crate) mod ranking;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::conditions::{self, TRUE};

/// A name of a pod may have as many characters.
const NAME_LENGTH_MAX: usize = 253;

/// The phase, or nothing if it has none yet.
pub(crate) fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// The node it is bound to, or nothing.
pub(crate) fn node_name(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.node_name.as_deref())
        .unwrap_or_default()
}

/// The condition of this type.
pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    conditions::find(conditions, kind)
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == TRUE)
}

/// When it became ready, if it is and that is known.
pub(crate) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|ready| ready.status == TRUE)?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

/// Whether it has been ready for so long.
pub(crate) fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    is_ready(pod)
        && (min_ready_seconds == 0
            || available_at(pod, min_ready_seconds).is_some_and(|at| at <= now))
}

/// When it will have been ready for so long, if it stays ready.
pub(crate) fn available_at(pod: &Pod, min_ready_seconds: i32) -> Option<Timestamp> {
    let needed = SignedDuration::from_secs(min_ready_seconds.into());
    ready_since(pod)?.checked_add(needed).ok()
}

/// How long it is until the first of the pods that are ready becomes available.
pub(crate) fn next_available<'a>(
    pods: impl IntoIterator<Item = &'a Pod>,
    min_ready_seconds: i32,
    now: Timestamp,
) -> Option<Duration> {
    pods.into_iter()
        .filter_map(|pod| available_at(pod, min_ready_seconds))
        .filter(|at| *at > now)
        .min()
        .map(|at| at.duration_since(now).unsigned_abs())
}

/// Whether all its containers are done for good.
pub(crate) fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_none()
}

pub(crate) fn is_terminating(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_some()
}

/// A pod of a template, for the owner that `reference` points at. The server makes its name out of the owner's.
pub(crate) fn from_template(
    template: &PodTemplateSpec,
    namespace: &str,
    reference: OwnerReference,
) -> Pod {
    let metadata = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(name_prefix(&reference.name)),
            namespace: Some(namespace.to_owned()),
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            owner_references: Some(vec![reference]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// What the names of an owner's pods begin with.
pub(crate) fn name_prefix(owner: &str) -> String {
    if owner.len() < NAME_LENGTH_MAX {
        format!("{owner}-")
    } else {
        owner.to_owned()
    }
}

#[cfg(test)]
mod tests;
