//! The cluster as decisions see it: nodes by dense index, their pods, and sums and counts that are kept as both change.
//!
//! One loop owns the snapshot and changes it between decisions. A decision reads it, and so do plugins.

mod carried;
mod change;
mod counts;
mod objects;
mod site;
mod tallies;
mod topology;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

pub use carried::{CarriedTerm, Carries, terms};
pub use counts::{Counts, NodeSet};
pub use objects::{Name, Objects};
pub use site::{Site, Trial};
pub use topology::{Domain, Topology};

use crate::{
    node::NodeView,
    pod::{HostPort, PodView},
    query::{NodeQuery, PodQuery},
    resources::{ResourceId, ResourceNames},
};

/// Number of a node: where its values are in columns. The number of a node that is gone is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// Its place in columns.
    #[must_use]
    pub fn slot(self) -> usize {
        self.0 as usize
    }
}

/// What most filters need to know of a node, in a byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeFlags {
    pub unschedulable: bool,
    /// Has a taint `NoSchedule` or `NoExecute`.
    pub hard_taints: bool,
    /// Has a taint `PreferNoSchedule`.
    pub soft_taints: bool,
}

/// Questions that plugins are going to ask in a cycle: the snapshot then keeps the answers up to date from pod to pod.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    pub pods: Vec<Arc<PodQuery>>,
    pub nodes: Vec<Arc<NodeQuery>>,
    pub topologies: Vec<Arc<str>>,
}

/// The cluster.
#[derive(Debug, Default)]
pub struct Snapshot {
    names: ResourceNames,
    nodes: Vec<Option<Arc<NodeView>>>,
    /// Slots without a node.
    vacant: Vec<NodeIndex>,
    by_name: HashMap<Arc<str>, NodeIndex>,
    order: Vec<NodeIndex>,
    order_is_stale: bool,
    /// By resource, by slot.
    allocatable: Vec<Vec<i64>>,
    used: Vec<Vec<i64>>,
    scored: Vec<[i64; 2]>,
    pods_max: Vec<i64>,
    flags: Vec<NodeFlags>,
    pods_on: Vec<Vec<Arc<PodView>>>,
    ports_on: Vec<Vec<HostPort>>,
    /// Pods by UID, with the node that they count on. Pods whose node is not known count nowhere.
    pods: HashMap<Arc<str>, (Arc<PodView>, Option<NodeIndex>)>,
    /// UIDs of pods whose node is not known, by its name.
    homeless: HashMap<Arc<str>, Vec<Arc<str>>>,
    claim_users: HashMap<Name, u32>,
    image_nodes: HashMap<Arc<str>, u32>,
    topologies: HashMap<Arc<str>, Topology>,
    node_sets: HashMap<Arc<NodeQuery>, NodeSet>,
    tallies: tallies::Tallies,
    carried: carried::Carried,
    /// Everything else. Namespaces change through `set_namespace`.
    pub objects: Objects,
}

impl Snapshot {
    /// An empty cluster with these names of resources.
    #[must_use]
    pub fn new(names: ResourceNames) -> Snapshot {
        Snapshot {
            names,
            ..Snapshot::default()
        }
    }

    /// Names of resources.
    #[must_use]
    pub fn resource_names(&self) -> &ResourceNames {
        &self.names
    }

    /// How long arrays by node have to be.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes there are, with zones in turn.
    #[must_use]
    pub fn nodes(&self) -> &[NodeIndex] {
        &self.order
    }

    /// A node out of `nodes`.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> &NodeView {
        self.nodes[index.slot()]
            .as_ref()
            .expect("an index names a node that is there")
    }

    /// A node out of `nodes`, to keep.
    #[must_use]
    pub fn node_shared(&self, index: NodeIndex) -> Arc<NodeView> {
        self.nodes[index.slot()]
            .clone()
            .expect("an index names a node that is there")
    }

    /// UIDs of the pods that were added.
    pub fn pod_uids(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.pods.keys()
    }

    /// The node of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<NodeIndex> {
        self.by_name.get(name).copied()
    }

    /// A node as it is, as a place for a pod.
    #[must_use]
    pub fn site(&self, index: NodeIndex) -> Site<'_> {
        Site::new(self, index)
    }

    /// How much of a resource each node has for pods, by slot. Shorter, or empty, if the rest have none.
    #[must_use]
    pub fn allocatable(&self, id: ResourceId) -> &[i64] {
        self.allocatable.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// How much of a resource the pods of each node ask for, by slot. Shorter, or empty, if the rest ask for none.
    #[must_use]
    pub fn used(&self, id: ResourceId) -> &[i64] {
        self.used.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// CPU and memory that a node's pods ask for, as scores count them.
    #[must_use]
    pub fn scored(&self, index: NodeIndex) -> [i64; 2] {
        self.scored[index.slot()]
    }

    /// How many pods may be on a node.
    #[must_use]
    pub fn pods_max(&self, index: NodeIndex) -> i64 {
        self.pods_max[index.slot()]
    }

    /// What can be said about a node in a byte.
    #[must_use]
    pub fn flags(&self, index: NodeIndex) -> NodeFlags {
        self.flags[index.slot()]
    }

    /// The pods that count on a node: those with a node that have not finished, and those that were given it and are being bound.
    #[must_use]
    pub fn pods_on(&self, index: NodeIndex) -> &[Arc<PodView>] {
        &self.pods_on[index.slot()]
    }

    /// The host ports that pods use on a node.
    #[must_use]
    pub fn ports_on(&self, index: NodeIndex) -> &[HostPort] {
        &self.ports_on[index.slot()]
    }

    /// A pod that was added, with the node that it counts on.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<(&Arc<PodView>, Option<NodeIndex>)> {
        self.pods.get(uid).map(|(pod, node)| (pod, *node))
    }

    /// How many pods on nodes use a claim.
    #[must_use]
    pub fn claim_users(&self, claim: &Name) -> u32 {
        self.claim_users.get(claim).copied().unwrap_or(0)
    }

    /// How many nodes have an image of this name.
    #[must_use]
    pub fn image_nodes(&self, image: &str) -> u32 {
        self.image_nodes.get(image).copied().unwrap_or(0)
    }

    /// The domains of a label. Kept if it was wanted, else made now, in time that grows with the nodes.
    #[must_use]
    pub fn topology(&self, key: &str) -> Cow<'_, Topology> {
        self.topologies
            .get(key)
            .map_or_else(|| Cow::Owned(self.make_topology(key)), Cow::Borrowed)
    }

    /// How many pods match a query, by node. Kept if it was wanted, else counted now, in time that grows with the pods.
    #[must_use]
    pub fn matching_pods(&self, query: &PodQuery) -> Cow<'_, Counts> {
        self.tallies
            .get(query)
            .map_or_else(|| Cow::Owned(self.count_matching(query)), Cow::Borrowed)
    }

    /// Which nodes match a query. Kept if it was wanted, else looked for now, in time that grows with the nodes.
    #[must_use]
    pub fn matching_nodes(&self, query: &NodeQuery) -> Cow<'_, NodeSet> {
        self.node_sets
            .get(query)
            .map_or_else(|| Cow::Owned(self.find_matching(query)), Cow::Borrowed)
    }

    /// The terms of a kind that pods on nodes carry, in no order. Terms of the same kind, words and weight are one.
    pub fn carried(&self, kind: Carries) -> impl Iterator<Item = &CarriedTerm> {
        self.carried.of(kind)
    }

    fn make_topology(&self, key: &str) -> Topology {
        let mut topology = Topology::default();
        for index in &self.order {
            topology.set(*index, self.node(*index).labels.get(key));
        }
        topology
    }

    fn count_matching(&self, query: &PodQuery) -> Counts {
        let mut counts = Counts::default();
        for index in &self.order {
            let pods = self.pods_on[index.slot()].iter();
            for _ in pods.filter(|pod| query.matches(pod, &self.objects.namespaces)) {
                counts.increment(*index, self.slots());
            }
        }
        counts
    }

    fn find_matching(&self, query: &NodeQuery) -> NodeSet {
        self.order
            .iter()
            .copied()
            .filter(|index| query.matches(self.node(*index)))
            .collect()
    }
}
