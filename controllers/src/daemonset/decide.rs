//! What a DaemonSet needs next: pods on nodes without one, no pods where none belong, and old ones renewed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};

use super::backoff::Backoff;
use super::eligible::{self, Fit};
use super::{pod, rolling};
use crate::events::Event;
use crate::patches::count;
use crate::pod_writes::PodId;
use crate::pods::{self, phase};

/// The most pods that one turn makes, and the most that it deletes.
pub(super) const PODS_PER_TURN_MAX: usize = 250;

/// Everything a decision about a DaemonSet rests on. The pods are as recent as the last write to them.
pub(super) struct Seen<'a> {
    pub(super) set: &'a DaemonSet,
    pub(super) nodes: &'a [Arc<Node>],
    /// The pods that the set controls.
    pub(super) pods: &'a [Arc<Pod>],
    /// The name of the template the set has now.
    pub(super) hash: &'a str,
    pub(super) backoff: &'a Backoff,
    pub(super) now: Timestamp,
}

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) create: Vec<Pod>,
    pub(super) delete: Vec<PodId>,
    pub(super) status: DaemonSetStatus,
    pub(super) backoff: Backoff,
    pub(super) events: Vec<Event>,
    pub(super) next: Option<Duration>,
}

/// Nodes that get a pod and pods that go.
#[derive(Default)]
pub(super) struct Changes<'a> {
    pub(super) nodes: Vec<&'a str>,
    pub(super) pods: Vec<&'a Pod>,
}

/// The pods of a set by their nodes.
pub(super) struct View<'a> {
    pub(super) seen: &'a Seen<'a>,
    pub(super) spec: &'a DaemonSetSpec,
    pub(super) fits: BTreeMap<&'a str, Fit>,
    pub(super) pods: BTreeMap<&'a str, Vec<&'a Pod>>,
}

pub(super) fn decide(seen: &Seen<'_>) -> Plan {
    let mut plan = Plan {
        backoff: seen.backoff.clone(),
        ..Plan::default()
    };
    let Some(spec) = &seen.set.spec else {
        return plan;
    };
    let view = View::of(seen, spec);
    let mut changes = view.manage(&mut plan);
    if changes.nodes.is_empty() && changes.pods.is_empty() {
        changes = rolling::update(&view);
    }
    let nodes = changes.nodes.iter().take(PODS_PER_TURN_MAX);
    plan.create = nodes
        .map(|node| pod::pod(seen.set, seen.hash, node))
        .collect();
    plan.delete = changes
        .pods
        .iter()
        .take(PODS_PER_TURN_MAX)
        .map(|pod| PodId::of(pod))
        .collect();
    plan.status = view.status();
    let wait = pods::next_available(
        seen.pods.iter().map(|pod| &**pod),
        view.min_ready_seconds(),
        seen.now,
    );
    plan.next = plan.next.into_iter().chain(wait).min();
    plan
}

impl<'a> View<'a> {
    fn of(seen: &'a Seen<'a>, spec: &'a DaemonSetSpec) -> View<'a> {
        let name = |node: &'a Arc<Node>| node.metadata.name.as_deref().unwrap_or_default();
        let fits = seen
            .nodes
            .iter()
            .map(|node| (name(node), eligible::fit(seen.set, node)))
            .collect();
        let mut pods: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        for pod in seen.pods.iter().map(|pod| &**pod) {
            let is_over = pods::is_terminal(pod) && pod.metadata.deletion_timestamp.is_some();
            if let Some(node) = pod::target(pod).filter(|_| !is_over) {
                pods.entry(node).or_default().push(pod);
            }
        }
        for pods in pods.values_mut() {
            pods.sort_by_key(|pod| {
                let created = pod.metadata.creation_timestamp.as_ref().map(|at| at.0);
                (
                    pods::node_name(pod).is_empty(),
                    created,
                    pod.metadata.name.clone(),
                )
            });
        }
        View {
            seen,
            spec,
            fits,
            pods,
        }
    }

    pub(super) fn min_ready_seconds(&self) -> i32 {
        self.spec.min_ready_seconds.unwrap_or(0)
    }

    pub(super) fn is_available(&self, pod: &Pod) -> bool {
        pods::is_available(pod, self.min_ready_seconds(), self.seen.now)
    }

    pub(super) fn is_updated(&self, pod: &Pod) -> bool {
        pod::is_updated(self.seen.set, pod, self.seen.hash)
    }

    /// One pod where one is to run, and none where none belongs.
    fn manage(&self, plan: &mut Plan) -> Changes<'a> {
        let mut changes = Changes::default();
        for (node, fit) in &self.fits {
            let pods = self.pods.get(node);
            match (fit, pods) {
                (Fit::Runs, None) => changes.nodes.push(node),
                (Fit::Runs | Fit::Stays, Some(pods)) => {
                    let running = self.clear_ended(node, pods, &mut changes, plan);
                    self.thin(node, *fit, running, &mut changes);
                }
                (Fit::Unfit, Some(pods)) => {
                    let pods = pods.iter().copied();
                    changes
                        .pods
                        .extend(pods.filter(|pod| pod.metadata.deletion_timestamp.is_none()));
                }
                (Fit::Stays | Fit::Unfit, None) => {}
            }
        }
        let lost = self
            .pods
            .iter()
            .filter(|(node, _)| !self.fits.contains_key(**node));
        let unbound = lost
            .flat_map(|(_, pods)| pods.iter().copied())
            .filter(|pod| pods::node_name(pod).is_empty());
        changes
            .pods
            .extend(unbound.filter(|pod| pod.metadata.deletion_timestamp.is_none()));
        changes
    }

    /// Deletes the pods of a node that ended, and returns the others.
    fn clear_ended(
        &self,
        node: &str,
        pods: &[&'a Pod],
        changes: &mut Changes<'a>,
        plan: &mut Plan,
    ) -> Vec<&'a Pod> {
        let mut running = Vec::new();
        for pod in pods
            .iter()
            .copied()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        {
            let meta = &pod.metadata;
            let text = |field: &'a Option<String>| field.as_deref().unwrap_or_default();
            let (namespace, name) = (text(&meta.namespace), text(&meta.name));
            match phase(pod) {
                "Failed" => {
                    if let Some(left) = self.seen.backoff.left(node, self.seen.now) {
                        plan.next = plan.next.into_iter().chain([duration(left)]).min();
                        continue;
                    }
                    plan.backoff.fail(node, self.seen.now);
                    let message = format!(
                        "Found failed daemon pod {namespace}/{name} on node {node}, will try to kill it"
                    );
                    plan.events.push(Event::warning("FailedDaemonPod", message));
                    changes.pods.push(pod);
                }
                "Succeeded" => {
                    let message = format!(
                        "Found succeeded daemon pod {namespace}/{name} on node {node}, will try to delete it"
                    );
                    plan.events
                        .push(Event::normal("SucceededDaemonPod", message));
                    changes.pods.push(pod);
                }
                _ => running.push(pod),
            }
        }
        running
    }

    /// Leaves one pod on a node, or one of each template while a new one comes up beside the old one.
    fn thin(&self, node: &'a str, fit: Fit, running: Vec<&'a Pod>, changes: &mut Changes<'a>) {
        if !rolling::surges(self.spec) {
            changes.pods.extend(running.into_iter().skip(1));
            return;
        }
        if running.is_empty() && fit == Fit::Runs {
            changes.nodes.push(node);
            return;
        }
        if running.len() < 2 {
            return;
        }
        let (mut new, mut old) = (None, None);
        for pod in running {
            let place = if self.has_hash(pod) {
                &mut new
            } else {
                &mut old
            };
            match place {
                None => *place = Some(pod),
                Some(_) => changes.pods.push(pod),
            }
        }
        if let (Some(new), Some(old)) = (new, old)
            && (!pods::is_ready(old) || self.is_available(new))
        {
            changes.pods.push(old);
        }
    }

    fn has_hash(&self, pod: &Pod) -> bool {
        let labels = pod.metadata.labels.as_ref();
        let label = labels.and_then(|labels| labels.get(crate::revisions::REVISION_LABEL));
        label.is_some_and(|label| label == self.seen.hash)
    }

    fn status(&self) -> DaemonSetStatus {
        let old = self.seen.set.status.as_ref();
        let mut status = DaemonSetStatus {
            collision_count: old.and_then(|status| status.collision_count),
            conditions: old.and_then(|status| status.conditions.clone()),
            observed_generation: self.seen.set.metadata.generation,
            ..DaemonSetStatus::default()
        };
        let (mut available, mut updated) = (0, 0);
        for (node, fit) in &self.fits {
            let pod = self.pods.get(node).and_then(|pods| pods.first());
            match (fit, pod) {
                (Fit::Runs, pod) => {
                    status.desired_number_scheduled += 1;
                    let Some(pod) = pod else { continue };
                    status.current_number_scheduled += 1;
                    status.number_ready += i32::from(pods::is_ready(pod));
                    available += i32::from(self.is_available(pod));
                    updated += i32::from(self.is_updated(pod));
                }
                (Fit::Stays | Fit::Unfit, Some(_)) => status.number_misscheduled += 1,
                (Fit::Stays | Fit::Unfit, None) => {}
            }
        }
        status.number_available = count(available);
        status.number_unavailable = count(status.desired_number_scheduled - available);
        status.updated_number_scheduled = count(updated);
        status
    }
}

/// The hashes of the templates that pods are made of.
pub(super) fn used_hashes(pods: &[Arc<Pod>]) -> BTreeSet<&str> {
    let labels = pods.iter().filter_map(|pod| pod.metadata.labels.as_ref());
    labels
        .filter_map(|labels| labels.get(crate::revisions::REVISION_LABEL))
        .map(String::as_str)
        .collect()
}

fn duration(left: SignedDuration) -> Duration {
    left.max(SignedDuration::ZERO).unsigned_abs()
}

#[cfg(test)]
mod tests;
