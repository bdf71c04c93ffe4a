//! A node as a place for a pod: as it is, or as it would be with some pods taken away and others added.

use std::sync::Arc;

use super::{NodeFlags, NodeIndex, Snapshot};
use crate::{
    node::NodeView,
    pod::{HostPort, PodView},
    resources::ResourceId,
};

/// What is tried on a node: preemption takes pods away, nominated pods are added.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    /// Pods of the node that are thought away.
    pub removed: Vec<Arc<PodView>>,
    /// Pods that are thought onto the node.
    pub added: Vec<Arc<PodView>>,
}

impl Trial {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }
}

/// A node that filters and scores judge. What depends on the pods of this node must be asked here and not of the snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    snapshot: &'a Snapshot,
    index: NodeIndex,
    trial: Option<&'a Trial>,
}

impl<'a> Site<'a> {
    /// The node as it is.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, index: NodeIndex) -> Site<'a> {
        Site {
            snapshot,
            index,
            trial: None,
        }
    }

    /// The node as it would be.
    #[must_use]
    pub fn with(snapshot: &'a Snapshot, index: NodeIndex, trial: &'a Trial) -> Site<'a> {
        Site {
            snapshot,
            index,
            trial: (!trial.is_empty()).then_some(trial),
        }
    }

    /// The snapshot it is in.
    #[must_use]
    pub fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    /// Which node.
    #[must_use]
    pub fn index(&self) -> NodeIndex {
        self.index
    }

    /// What is tried on it; `None` for the node as it is.
    #[must_use]
    pub fn trial(&self) -> Option<&'a Trial> {
        self.trial
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &'a NodeView {
        self.snapshot.node(self.index)
    }

    /// What can be said about it in a byte.
    #[must_use]
    pub fn flags(&self) -> NodeFlags {
        self.snapshot.flags(self.index)
    }

    /// How much of a resource it has for pods.
    #[must_use]
    pub fn allocatable(&self, id: ResourceId) -> i64 {
        self.snapshot
            .allocatable(id)
            .get(self.index.slot())
            .copied()
            .unwrap_or(0)
    }

    /// How much of a resource its pods ask for.
    #[must_use]
    pub fn used(&self, id: ResourceId) -> i64 {
        let used = self
            .snapshot
            .used(id)
            .get(self.index.slot())
            .copied()
            .unwrap_or(0);
        self.tried(used, |pod| pod.requests.get(id))
    }

    /// CPU and memory that its pods ask for, as scores count them.
    #[must_use]
    pub fn scored(&self) -> [i64; 2] {
        let [cpu, memory] = self.snapshot.scored(self.index);
        [
            self.tried(cpu, |pod| pod.scored[0]),
            self.tried(memory, |pod| pod.scored[1]),
        ]
    }

    /// How many pods are on it.
    #[must_use]
    pub fn pods_count(&self) -> i64 {
        self.tried(self.snapshot.pods_on(self.index).len() as i64, |_| 1)
    }

    /// How many pods may be on it.
    #[must_use]
    pub fn pods_max(&self) -> i64 {
        self.snapshot.pods_max(self.index)
    }

    /// The pods on it.
    pub fn pods(&self) -> impl Iterator<Item = &'a Arc<PodView>> + use<'a> {
        let trial = self.trial;
        let there = self.snapshot.pods_on(self.index).iter().filter(move |pod| {
            trial.is_none_or(|trial| trial.removed.iter().all(|gone| gone.uid != pod.uid))
        });
        there.chain(trial.into_iter().flat_map(|trial| &trial.added))
    }

    /// Whether one of these ports cannot be used because a pod here has it.
    #[must_use]
    pub fn has_port_conflict(&self, wanted: &[HostPort]) -> bool {
        let conflicts = |used: &HostPort| wanted.iter().any(|port| port.conflicts(used));
        if self.trial.is_none() {
            return self.snapshot.ports_on(self.index).iter().any(conflicts);
        }
        self.pods().any(|pod| pod.host_ports.iter().any(conflicts))
    }

    fn tried(&self, value: i64, of: impl Fn(&PodView) -> i64) -> i64 {
        self.trial.map_or(value, |trial| {
            let sum = |pods: &[Arc<PodView>]| pods.iter().map(|pod| of(pod)).sum::<i64>();
            value - sum(&trial.removed) + sum(&trial.added)
        })
    }
}
