//! Watches over nodes: who stays silent is called unknown, tainted, and its pods are not ready any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};

use crate::conditions::{FALSE, TRUE, UNKNOWN};
use crate::events::Event;

pub(crate) mod health;
mod run;
pub(crate) mod taints;
pub(crate) mod zones;

pub(crate) use run::start;

use health::{Health, Look};
use zones::{Disruption, Zone};

/// A node with this label does not count when the state of its zone is judged.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";

/// How patient the controller is.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// How long a node that never said anything is waited for.
    pub startup_grace: SignedDuration,
    /// How long a node may stay silent.
    pub grace: SignedDuration,
    /// Nodes of a zone that are tainted in a second at most.
    pub evictions_per_second: f64,
    /// The same in a large zone of which a large part is unhealthy.
    pub evictions_per_second_secondary: f64,
    /// Nodes from which on a zone is large.
    pub large_zone_nodes: usize,
    /// The part of a zone that has to be unhealthy for the zone to be called so.
    pub unhealthy_zone_threshold: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            startup_grace: SignedDuration::from_secs(60),
            grace: SignedDuration::from_secs(50),
            evictions_per_second: 0.1,
            evictions_per_second_secondary: 0.01,
            large_zone_nodes: 50,
            unhealthy_zone_threshold: 0.55,
        }
    }
}

/// What has to be done about a node. The actions on one node are carried out in order, up to the first that fails.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Sets these conditions in the node's status.
    Conditions {
        node: Arc<Node>,
        changed: Vec<NodeCondition>,
    },
    /// Gives the node these taints in place of all it has.
    Taints { node: Arc<Node>, taints: Vec<Taint> },
    /// Says of the node's pods that they are not ready.
    PodsNotReady { node: String },
    /// Tells about the node, which may be gone.
    Tell {
        node: String,
        uid: String,
        event: Event,
    },
}

impl Action {
    /// The node that it is about.
    pub(crate) fn node(&self) -> &str {
        match self {
            Action::Conditions { node, .. } | Action::Taints { node, .. } => name(node),
            Action::PodsNotReady { node } | Action::Tell { node, .. } => node,
        }
    }
}

/// What the controller remembers of the nodes between two looks.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    limits: Limits,
    health: BTreeMap<String, Health>,
    /// The uids of the nodes that were seen.
    known: BTreeMap<String, String>,
    zones: BTreeMap<String, Zone>,
    /// Nodes whose pods could not be said to be not ready.
    retry: BTreeSet<String>,
}

impl Lifecycle {
    pub(crate) fn new(limits: Limits) -> Lifecycle {
        Lifecycle {
            limits,
            ..Lifecycle::default()
        }
    }

    /// Looks at all nodes.
    pub(crate) fn monitor(
        &mut self,
        nodes: &[Arc<Node>],
        lease: &dyn Fn(&str) -> Option<Arc<Lease>>,
        now: Timestamp,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        self.forget_deleted(nodes, &mut actions);
        for node in nodes {
            let key = zones::key(node);
            let rate = self.limits.evictions_per_second;
            self.zones
                .entry(key)
                .or_insert_with(|| Zone::new(rate, now));
        }
        let mut statuses: BTreeMap<String, Vec<bool>> = BTreeMap::new();
        for node in nodes {
            let look = health::look(
                &mut self.health,
                node,
                lease(name(node)).as_deref(),
                now,
                &self.limits,
            );
            let is_excluded = node
                .metadata
                .labels
                .as_ref()
                .is_some_and(|labels| labels.contains_key(EXCLUDED));
            if !is_excluded {
                let is_ready = look.current.as_deref() == Some(TRUE);
                statuses.entry(zones::key(node)).or_default().push(is_ready);
            }
            self.act(node, look, now, &mut actions);
        }
        self.handle_disruption(nodes, &statuses, now, &mut actions);
        actions
    }

    fn forget_deleted(&mut self, nodes: &[Arc<Node>], actions: &mut Vec<Action>) {
        let present: BTreeSet<&str> = nodes.iter().map(|node| name(node)).collect();
        let gone = self
            .known
            .keys()
            .filter(|node| !present.contains(node.as_str()));
        for node in gone.cloned().collect::<Vec<_>>() {
            let uid = self.known.remove(&node).unwrap_or_default();
            self.health.remove(&node);
            self.retry.remove(&node);
            self.zones.values_mut().for_each(|zone| zone.remove(&node));
            let event = Event::normal(
                "RemovingNode",
                format!("Node {node} event: Removing Node {node} from Controller"),
            );
            actions.push(Action::Tell { node, uid, event });
        }
        let zones: BTreeSet<String> = nodes.iter().map(|node| zones::key(node)).collect();
        self.zones.retain(|key, _| zones.contains(key));
    }

    fn act(&mut self, node: &Arc<Node>, look: Look, now: Timestamp, actions: &mut Vec<Action>) {
        let node_name = name(node).to_owned();
        let uid = node.metadata.uid.clone().unwrap_or_default();
        let is_new = self.known.insert(node_name.clone(), uid.clone()).is_none();
        if is_new {
            let message =
                format!("Node {node_name} event: Registered Node {node_name} in Controller");
            let event = Event::normal("RegisteredNode", message);
            actions.push(Action::Tell {
                node: node_name.clone(),
                uid: uid.clone(),
                event,
            });
        }
        if !look.changed.is_empty() {
            actions.push(Action::Conditions {
                node: Arc::clone(node),
                changed: look.changed,
            });
        }
        let Some(current) = look.current else { return };
        self.taint(node, if is_new { TRUE } else { &current }, now, actions);
        let fell = current != TRUE && look.observed == TRUE;
        if fell {
            let event = Event::normal(
                "NodeNotReady",
                format!("Node {node_name} status is now: NodeNotReady"),
            );
            actions.push(Action::Tell {
                node: node_name.clone(),
                uid,
                event,
            });
        }
        if fell || (self.retry.contains(&node_name) && look.observed != TRUE) {
            actions.push(Action::PodsNotReady {
                node: node_name.clone(),
            });
        }
        self.retry.remove(&node_name);
    }

    /// Sees to the taints that drive pods away. A node that has the other one of the two gets the right one at once,
    /// one that has none waits for its turn, and one that is ready loses both.
    fn taint(&mut self, node: &Arc<Node>, status: &str, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(zone) = self.zones.get_mut(&zones::key(node)) else {
            return;
        };
        let (wanted, other) = match status {
            FALSE => (taints::NOT_READY, taints::UNREACHABLE),
            UNKNOWN => (taints::UNREACHABLE, taints::NOT_READY),
            _ => {
                zone.remove(name(node));
                let both = [taints::NOT_READY, taints::UNREACHABLE];
                actions.extend(
                    taints::swap(node, None, &both, now).map(|taints| taint_action(node, taints)),
                );
                return;
            }
        };
        if taints::drives_away(node, other) {
            let swapped = taints::swap(node, Some(wanted), &[other], now);
            actions.extend(swapped.map(|taints| taint_action(node, taints)));
        } else if !taints::drives_away(node, wanted) {
            zone.add(name(node));
        }
    }

    /// Judges the zones. If no node anywhere is ready, the fault is likely on this side, and nobody is driven away.
    fn handle_disruption(
        &mut self,
        nodes: &[Arc<Node>],
        statuses: &BTreeMap<String, Vec<bool>>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let threshold = self.limits.unhealthy_zone_threshold;
        let states: BTreeMap<&String, Disruption> = statuses
            .iter()
            .map(|(key, ready)| (key, zones::judge(ready, threshold)))
            .collect();
        let is_total = states.values().all(|state| *state == Disruption::Full);
        let judged = self
            .zones
            .iter()
            .filter(|(key, _)| states.contains_key(key));
        let was_total = judged
            .map(|(_, zone)| zone.state)
            .all(|state| state == Disruption::Full);
        if states.is_empty() || (is_total && was_total) {
            return;
        }
        if is_total {
            for node in nodes {
                self.taint(node, TRUE, now, actions);
            }
            for zone in self.zones.values_mut() {
                zone.state = Disruption::Full;
                zone.limit(0.0, now);
            }
            return;
        }
        if was_total {
            self.health
                .values_mut()
                .for_each(|health| health.reset(now));
        }
        for (key, state) in states {
            let Some(zone) = self.zones.get_mut(key) else {
                continue;
            };
            if zone.state != state || was_total {
                let nodes = statuses.get(key).map_or(0, Vec::len);
                zone.limit(self.limits.rate(state, nodes), now);
                zone.state = state;
            }
        }
    }

    /// Taints the nodes whose turn it is.
    pub(crate) fn taint_pass(
        &mut self,
        node: &dyn Fn(&str) -> Option<Arc<Node>>,
        now: Timestamp,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        for zone in self.zones.values_mut() {
            while let Some(next) = zone.next(now) {
                let Some(node) = node(&next) else { continue };
                let (wanted, other) = match health::ready_status(&node) {
                    Some(FALSE) => (taints::NOT_READY, taints::UNREACHABLE),
                    Some(UNKNOWN) => (taints::UNREACHABLE, taints::NOT_READY),
                    _ => continue,
                };
                let taints = taints::swap(&node, Some(wanted), &[other], now);
                actions.extend(taints.map(|taints| taint_action(&node, taints)));
            }
        }
        actions
    }

    /// Whether a pod that comes to the node has to be told that it is not ready there.
    pub(crate) fn is_known_unready(&self, node: &str) -> bool {
        self.health.get(node).is_some_and(Health::is_unready)
    }

    /// The node's pods could not all be said to be not ready; it is tried again at the next look.
    pub(crate) fn retry_pods(&mut self, node: &str) {
        self.retry.insert(node.to_owned());
    }
}

impl Limits {
    /// Nodes of a zone in this state that are tainted in a second.
    fn rate(&self, state: Disruption, nodes: usize) -> f64 {
        match state {
            Disruption::Partial if nodes > self.large_zone_nodes => {
                self.evictions_per_second_secondary
            }
            Disruption::Partial => 0.0,
            _ => self.evictions_per_second,
        }
    }
}

fn taint_action(node: &Arc<Node>, taints: Vec<Taint>) -> Action {
    Action::Taints {
        node: Arc::clone(node),
        taints,
    }
}

fn name(node: &Node) -> &str {
    node.metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests;
