//! Whether a node still gives signs of life, by its status or by its lease.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition};

use super::Limits;
use crate::conditions::{self, TRUE, UNKNOWN};
use crate::patches;

const READY: &str = "Ready";

/// The conditions that only the node itself can speak about.
const SPOKEN: [&str; 4] = [READY, "MemoryPressure", "DiskPressure", "PIDPressure"];

/// What is remembered of one node.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    ready: Option<NodeCondition>,
    /// When the last sign of life was seen, by this side's clock.
    seen_at: Timestamp,
    renewed_at: Option<Timestamp>,
}

impl Health {
    /// Takes it that the node gave a sign of life just now.
    pub(crate) fn reset(&mut self, now: Timestamp) {
        self.seen_at = now;
    }

    pub(crate) fn is_unready(&self) -> bool {
        self.ready
            .as_ref()
            .is_some_and(|ready| ready.status != TRUE)
    }
}

/// What a look at a node shows.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// What the node's readiness was, as far as it said.
    pub observed: String,
    /// What it is now, if it is known at all.
    pub current: Option<String>,
    /// The conditions that have to be written.
    pub changed: Vec<NodeCondition>,
}

/// The status of the node's readiness.
pub(crate) fn ready_status(node: &Node) -> Option<&str> {
    find(node, READY).map(|ready| ready.status.as_str())
}

fn find<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    conditions::find(node.status.as_ref()?.conditions.as_deref()?, kind)
}

/// Looks at a node, and calls it unknown if it was silent for too long.
pub(crate) fn look(
    known: &mut BTreeMap<String, Health>,
    node: &Node,
    lease: Option<&Lease>,
    now: Timestamp,
    limits: &Limits,
) -> Look {
    let name = node.metadata.name.clone().unwrap_or_default();
    let created = node
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |time| time.0);
    let ready = find(node, READY);
    let first = Health {
        ready: None,
        seen_at: if ready.is_some() { now } else { created },
        renewed_at: None,
    };
    let health = known.entry(name).or_insert(first);
    let heartbeat = |condition: &NodeCondition| condition.last_heartbeat_time.clone();
    if ready.is_some() && health.ready.as_ref().map(heartbeat) != ready.map(heartbeat) {
        health.seen_at = now;
    }
    health.ready = ready.cloned();
    let renewed = lease
        .and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref())
        .map(|time| time.0);
    if renewed > health.renewed_at {
        health.renewed_at = renewed;
        health.seen_at = now;
    }
    let grace = if ready.is_some() {
        limits.grace
    } else {
        limits.startup_grace
    };
    let observed = ready.map_or(UNKNOWN, |ready| &ready.status).to_owned();
    if now.duration_since(health.seen_at) <= grace {
        return Look {
            observed,
            current: ready.map(|ready| ready.status.clone()),
            changed: Vec::new(),
        };
    }
    let mut changed = Vec::new();
    if ready.is_none_or(|ready| ready.status != UNKNOWN) {
        changed.extend(SPOKEN.iter().filter_map(|kind| silenced(node, kind, now)));
        health.ready = conditions::find(&changed, READY).cloned();
    }
    Look {
        observed,
        current: Some(UNKNOWN.to_owned()),
        changed,
    }
}

/// The condition as it becomes when the node stays silent; none if it is unknown already.
fn silenced(node: &Node, kind: &str, now: Timestamp) -> Option<NodeCondition> {
    let Some(current) = find(node, kind) else {
        return Some(NodeCondition {
            last_heartbeat_time: node.metadata.creation_timestamp.clone(),
            last_transition_time: Some(patches::time(now)),
            message: Some("Kubelet never posted node status.".to_owned()),
            reason: Some("NodeStatusNeverUpdated".to_owned()),
            status: UNKNOWN.to_owned(),
            type_: kind.to_owned(),
        });
    };
    (current.status != UNKNOWN).then(|| NodeCondition {
        last_transition_time: Some(patches::time(now)),
        message: Some("Kubelet stopped posting node status.".to_owned()),
        reason: Some("NodeStatusUnknown".to_owned()),
        status: UNKNOWN.to_owned(),
        ..current.clone()
    })
}
