//! What happens in a cluster that may make a pod schedulable.

use std::ops::BitOr;

use crate::{node::NodeView, pod::PodView};

/// Kinds of events, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventKinds(u32);

impl EventKinds {
    pub const NONE: EventKinds = EventKinds(0);
    pub const NODE_ADDED: EventKinds = EventKinds(1);
    pub const NODE_ALLOCATABLE: EventKinds = EventKinds(1 << 1);
    pub const NODE_LABELS: EventKinds = EventKinds(1 << 2);
    /// Taints, and `spec.unschedulable`.
    pub const NODE_TAINTS: EventKinds = EventKinds(1 << 3);
    pub const NODE_ANNOTATIONS: EventKinds = EventKinds(1 << 4);
    pub const NODE_DECLARED_FEATURES: EventKinds = EventKinds(1 << 5);
    /// A pod got a node, here or by another scheduler.
    pub const POD_ASSIGNED: EventKinds = EventKinds(1 << 6);
    /// Labels of a pod with a node, or of the waiting pod.
    pub const POD_LABELS: EventKinds = EventKinds(1 << 7);
    /// Requests of a pod with a node, or of the waiting pod, became less.
    pub const POD_SCALED_DOWN: EventKinds = EventKinds(1 << 8);
    /// A pod with a node is gone or finished, or gave its node back before it was bound; or a pod that was promised a node needs it no more.
    pub const POD_DELETED: EventKinds = EventKinds(1 << 9);
    /// The waiting pod lost a scheduling gate.
    pub const POD_GATES: EventKinds = EventKinds(1 << 10);
    /// The waiting pod got a toleration.
    pub const POD_TOLERATIONS: EventKinds = EventKinds(1 << 11);
    /// The waiting pod changed in some other way.
    pub const POD_OTHER: EventKinds = EventKinds(1 << 12);
    pub const CLAIM: EventKinds = EventKinds(1 << 13);
    pub const VOLUME: EventKinds = EventKinds(1 << 14);
    pub const STORAGE_CLASS: EventKinds = EventKinds(1 << 15);
    pub const CSI_NODE: EventKinds = EventKinds(1 << 16);
    pub const CSI_DRIVER: EventKinds = EventKinds(1 << 17);
    pub const CSI_CAPACITY: EventKinds = EventKinds(1 << 18);
    pub const VOLUME_ATTACHMENT: EventKinds = EventKinds(1 << 19);
    pub const NAMESPACE: EventKinds = EventKinds(1 << 20);
    pub const NODE_DELETED: EventKinds = EventKinds(1 << 21);
    /// Anything.
    pub const ALL: EventKinds = EventKinds(u32::MAX);

    /// Whether both have a kind in common.
    #[must_use]
    pub fn intersects(self, other: EventKinds) -> bool {
        self.0 & other.0 != 0
    }

    /// The kinds by their numbers.
    pub fn bits(self) -> impl Iterator<Item = usize> {
        (0..32).filter(move |bit| self.0 >> bit & 1 == 1)
    }
}

impl BitOr for EventKinds {
    type Output = EventKinds;

    fn bitor(self, other: EventKinds) -> EventKinds {
        EventKinds(self.0 | other.0)
    }
}

/// One event. The snapshot has it already.
#[derive(Debug, Clone, Copy)]
pub enum ClusterEvent<'a> {
    NodeAdded(&'a NodeView),
    NodeChanged {
        old: &'a NodeView,
        new: &'a NodeView,
    },
    NodeDeleted(&'a NodeView),
    /// A pod got a node.
    PodAssigned(&'a PodView),
    /// A pod with a node changed.
    AssignedPodChanged {
        old: &'a PodView,
        new: &'a PodView,
    },
    /// A pod with a node is gone, or has given it back, or needs it no more that was promised one.
    PodDeleted(&'a PodView),
    /// The waiting pod itself changed.
    WaitingPodChanged {
        old: &'a PodView,
        new: &'a PodView,
    },
    /// An object of another kind came, changed or went: one of the kinds from `CLAIM` to `NAMESPACE`, its namespace and name.
    Object {
        kind: EventKinds,
        namespace: &'a str,
        name: &'a str,
    },
}

impl ClusterEvent<'_> {
    /// The kinds that it is of. None for a change that matters to nobody.
    #[must_use]
    pub fn kinds(&self) -> EventKinds {
        match self {
            ClusterEvent::NodeAdded(_) => EventKinds::NODE_ADDED,
            ClusterEvent::NodeChanged { old, new } => node_kinds(old, new),
            ClusterEvent::NodeDeleted(_) => EventKinds::NODE_DELETED,
            ClusterEvent::PodAssigned(_) => EventKinds::POD_ASSIGNED,
            ClusterEvent::AssignedPodChanged { old, new } => pod_kinds(old, new),
            ClusterEvent::PodDeleted(_) => EventKinds::POD_DELETED,
            ClusterEvent::WaitingPodChanged { old, new } => {
                let kinds = pod_kinds(old, new);
                if kinds == EventKinds::NONE {
                    EventKinds::POD_OTHER
                } else {
                    kinds
                }
            }
            ClusterEvent::Object { kind, .. } => *kind,
        }
    }
}

fn when(changed: bool, kind: EventKinds) -> EventKinds {
    if changed { kind } else { EventKinds::NONE }
}

fn node_kinds(old: &NodeView, new: &NodeView) -> EventKinds {
    let allocatable = old.allocatable != new.allocatable || old.pods_max != new.pods_max;
    let taints = old.taints != new.taints || old.unschedulable != new.unschedulable;
    when(allocatable, EventKinds::NODE_ALLOCATABLE)
        | when(old.labels != new.labels, EventKinds::NODE_LABELS)
        | when(taints, EventKinds::NODE_TAINTS)
        | when(
            old.annotations != new.annotations,
            EventKinds::NODE_ANNOTATIONS,
        )
        | when(
            old.declared_features != new.declared_features,
            EventKinds::NODE_DECLARED_FEATURES,
        )
}

fn pod_kinds(old: &PodView, new: &PodView) -> EventKinds {
    let less = old
        .requests
        .iter()
        .any(|(id, amount)| new.requests.get(id) < amount);
    when(old.labels != new.labels, EventKinds::POD_LABELS)
        | when(less, EventKinds::POD_SCALED_DOWN)
        | when(old.gates.len() > new.gates.len(), EventKinds::POD_GATES)
        | when(
            old.tolerations.len() != new.tolerations.len(),
            EventKinds::POD_TOLERATIONS,
        )
}
