//! Decides at which nodes a driver's volume is to be attached, and from which it is to be detached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::Key;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Node, PersistentVolume, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;

use crate::events::Event;
use crate::pods;

mod nodes;
mod run;

use nodes::State;
pub(crate) use run::start;

const FAILED: &str = "FailedAttachVolume";
const SUCCEEDED: &str = "SuccessfulAttachVolume";
/// How long a volume that nobody needs stays at a node that is not ready and may still have it mounted.
const UNMOUNT_MAX: SignedDuration = SignedDuration::from_mins(6);
/// How long a driver may take before its silence is told.
const ATTACH_MAX: SignedDuration = SignedDuration::from_mins(2);

/// What is known of a volume when it is decided on.
struct Seen<'a> {
    name: &'a str,
    driver: &'a str,
    handle: &'a str,
    /// Whether several nodes may have it, or nobody knows.
    is_shared: bool,
    /// The pods that need it attached, by their nodes.
    wanted: BTreeMap<String, Vec<Arc<Pod>>>,
    attachments: Vec<Arc<VolumeAttachment>>,
    /// The nodes that have an attachment.
    nodes: BTreeMap<String, State>,
    /// Whether nodes that are not ready lose their volumes after a time.
    is_forced_in_time: bool,
    /// The time as it goes by, whatever is done to the clock.
    now: Timestamp,
}

/// What is remembered of a volume from one look to the next, by node.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Memory {
    /// Since when nobody there needs it.
    unwanted: BTreeMap<String, Timestamp>,
    /// Where it is not attached because another node has it, which was told.
    refused: BTreeSet<String>,
    /// Where its driver is to attach it.
    awaited: BTreeMap<String, Awaited>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Awaited {
    /// Since when, or since its delay was last told.
    since: Timestamp,
    /// The failure that was told last.
    failure: Option<Failure>,
}

/// What a driver said, and when.
type Failure = (Option<Timestamp>, String);

/// What is to be done about a volume.
#[derive(Debug, Clone)]
enum Step {
    Attach {
        node: String,
    },
    /// Detaches it, if need be though the node may use it.
    Detach {
        attachment: Arc<VolumeAttachment>,
        is_forced: bool,
    },
    Tell {
        pod: Arc<Pod>,
        event: Event,
    },
    /// Looks again after a time.
    Look(SignedDuration),
}

/// Decides on a volume. What has to be remembered is left in `memory`.
fn decide(seen: &Seen<'_>, memory: &mut Memory) -> Vec<Step> {
    memory.refused.retain(|node| seen.wanted.contains_key(node));
    memory
        .awaited
        .retain(|node, _| seen.wanted.contains_key(node));
    let is_at = |node: &String| attachment_at(seen, node).is_some();
    memory.unwanted.retain(|node, _| is_at(node));
    let mut steps = Vec::new();
    // What is to move has to leave its old node first.
    for attachment in &seen.attachments {
        steps.extend(detach(seen, attachment, memory));
    }
    let leaving = steps
        .iter()
        .filter(|step| matches!(step, Step::Detach { .. }));
    let leaving = leaving.count()
        + seen
            .attachments
            .iter()
            .filter(|known| is_going(known))
            .count();
    // Those that stay where they are.
    let mut held = seen.attachments.len() - leaving;
    let mut has_any = !seen.attachments.is_empty();
    for (node, pods) in &seen.wanted {
        if let Some(attachment) = attachment_at(seen, node) {
            steps.extend(follow(seen, attachment, pods, memory));
        } else if seen.is_shared || !has_any {
            (held, has_any) = (held + 1, true);
            let awaited = Awaited {
                since: seen.now,
                failure: None,
            };
            memory.awaited.insert(node.clone(), awaited);
            steps.push(Step::Attach { node: node.clone() });
        } else if held > 0 && memory.refused.insert(node.clone()) {
            steps.extend(pods.iter().map(|pod| refusal(seen, node, pod)));
        }
    }
    steps
}

fn attachment_at<'a>(seen: &'a Seen<'_>, node: &str) -> Option<&'a Arc<VolumeAttachment>> {
    let mut all = seen.attachments.iter();
    all.find(|attachment| attachment.spec.node_name == node)
}

fn is_going(attachment: &VolumeAttachment) -> bool {
    attachment.metadata.deletion_timestamp.is_some()
}

fn is_attached(attachment: &VolumeAttachment) -> bool {
    attachment
        .status
        .as_ref()
        .is_some_and(|status| status.attached)
}

/// Detaches a volume where nobody needs it, as soon as the node does not use it or is given up. What kubelets and other people attached is
/// theirs.
fn detach(
    seen: &Seen<'_>,
    attachment: &Arc<VolumeAttachment>,
    memory: &mut Memory,
) -> Option<Step> {
    let node = &attachment.spec.node_name;
    let state = seen.nodes.get(node).copied().unwrap_or(State::GONE);
    let is_others = state.is_on_its_own
        || attachment.metadata.name.as_ref()
            != Some(&nodes::attachment_name(seen.driver, seen.handle, node));
    if seen.wanted.contains_key(node) || is_going(attachment) || is_others {
        memory.unwanted.remove(node);
        return None;
    }
    let since = *memory.unwanted.entry(node.clone()).or_insert(seen.now);
    let left = UNMOUNT_MAX - seen.now.duration_since(since);
    let is_overdue = seen.is_forced_in_time && !left.is_positive();
    let is_given_up = state.is_out_of_service || (is_overdue && !state.is_ready);
    if state.is_mounted && !is_given_up {
        return (seen.is_forced_in_time && left.is_positive()).then_some(Step::Look(left));
    }
    Some(Step::Detach {
        attachment: Arc::clone(attachment),
        is_forced: is_given_up,
    })
}

/// Tells pods what becomes of the volume that they wait for.
fn follow(
    seen: &Seen<'_>,
    attachment: &VolumeAttachment,
    pods: &[Arc<Pod>],
    memory: &mut Memory,
) -> Vec<Step> {
    let node = &attachment.spec.node_name;
    if is_going(attachment) {
        return Vec::new();
    }
    memory.refused.remove(node);
    let name = seen.name;
    if is_attached(attachment) {
        let event = Event::normal(
            SUCCEEDED,
            format!("AttachVolume.Attach succeeded for volume {name:?} "),
        );
        return match memory.awaited.remove(node) {
            Some(_) => tell_all(pods, &event),
            None => Vec::new(),
        };
    }
    let awaited = memory.awaited.entry(node.clone()).or_insert(Awaited {
        since: seen.now,
        failure: None,
    });
    let status = attachment.status.as_ref();
    let failure = status
        .and_then(|status| status.attach_error.as_ref())
        .map(|error| {
            let message = error.message.clone().unwrap_or_default();
            (error.time.as_ref().map(|time| time.0), message)
        });
    let waited = seen.now.duration_since(awaited.since);
    let cause = if failure.is_some() && failure != awaited.failure {
        awaited.failure.clone_from(&failure);
        failure.map(|(_, message)| message)
    } else if waited >= ATTACH_MAX {
        let (driver, handle) = (seen.driver, seen.handle);
        Some(format!(
            "timed out waiting for external-attacher of {driver} CSI driver to attach volume {handle}"
        ))
    } else {
        None
    };
    let Some(cause) = cause else {
        return vec![Step::Look(ATTACH_MAX - waited)];
    };
    awaited.since = seen.now;
    let mut steps = tell_all(pods, &failed_to_attach(name, &cause));
    steps.push(Step::Look(ATTACH_MAX));
    steps
}

/// What pods are told of an attachment that did not come to be.
fn failed_to_attach(volume: &str, cause: &str) -> Event {
    Event::warning(
        FAILED,
        format!("AttachVolume.Attach failed for volume {volume:?} : {cause}"),
    )
}

fn tell_all(pods: &[Arc<Pod>], event: &Event) -> Vec<Step> {
    let tell = |pod: &Arc<Pod>| Step::Tell {
        pod: Arc::clone(pod),
        event: event.clone(),
    };
    pods.iter().map(tell).collect()
}

/// Tells a pod who has its volume. Names of pods in other namespaces are not its business.
fn refusal(seen: &Seen<'_>, node: &str, pod: &Arc<Pod>) -> Step {
    let others = seen
        .wanted
        .iter()
        .filter(|(other, _)| *other != node && attachment_at(seen, other).is_some());
    let users: Vec<Key> = others
        .flat_map(|(_, pods)| pods.iter().map(|pod| Key::of(&**pod)))
        .collect();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let (own, foreign): (Vec<&Key>, Vec<&Key>) =
        users.iter().partition(|user| user.namespace == namespace);
    let own: Vec<&str> = own.iter().map(|user| user.name.as_str()).collect();
    let (own, foreign) = (own.join(", "), foreign.len());
    let elsewhere = format!("{foreign} pod(s) in different namespaces");
    let reason = match (own.as_str(), foreign) {
        ("", 0) => {
            "Volume is already exclusively attached to one node and can't be attached to another"
                .to_owned()
        }
        ("", _) => format!("Volume is already used by {elsewhere}"),
        (own, 0) => format!("Volume is already used by pod(s) {own}"),
        (own, _) => format!("Volume is already used by pod(s) {own} and {elsewhere}"),
    };
    let name = seen.name;
    let message = format!("Multi-Attach error for volume {name:?} {reason}");
    Step::Tell {
        pod: Arc::clone(pod),
        event: Event::warning(FAILED, message),
    }
}

/// Whether the volume may be at several nodes, as far as its access modes tell.
fn is_shared(volume: &PersistentVolume) -> bool {
    let modes = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.access_modes.as_ref());
    let modes = modes.map(Vec::as_slice).unwrap_or_default();
    let is_shared = |mode: &String| matches!(mode.as_str(), "ReadWriteMany" | "ReadOnlyMany");
    modes.is_empty() || modes.iter().any(is_shared)
}

/// Whether a pod needs its volumes no more.
fn is_over(pod: &Pod) -> bool {
    let runs = |statuses: &Option<Vec<ContainerStatus>>| {
        statuses.iter().flatten().any(|status| {
            let state = status.state.as_ref();
            !state.is_some_and(|state| state.terminated.is_some() || state.waiting.is_some())
        })
    };
    let runs = pod.status.as_ref().is_some_and(|status| {
        runs(&status.init_container_statuses)
            || runs(&status.container_statuses)
            || runs(&status.ephemeral_container_statuses)
    });
    pods::is_terminal(pod) || (pod.metadata.deletion_timestamp.is_some() && !runs)
}

/// Whether the volumes of a node are this controller's to attach.
fn is_managed(node: &Node) -> bool {
    let annotations = node.metadata.annotations.as_ref();
    annotations.is_some_and(|all| {
        all.contains_key("volumes.kubernetes.io/controller-managed-attach-detach")
    })
}

#[cfg(test)]
mod tests;
