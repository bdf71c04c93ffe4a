//! Changing the snapshot: nodes and pods come, change and go, and what is counted follows.

use std::{collections::BTreeMap, sync::Arc};

use super::{Carries, NodeFlags, NodeIndex, Snapshot, Wants, terms};
use crate::{node::NodeView, pod::PodView, resources::ResourceId, selector::Labels, taint::Effect};

/// Most sets of nodes and topologies that are kept; beyond it all are made anew when they are wanted.
const SETS_MAX: usize = 4096;

impl Snapshot {
    /// Keeps the answers to these questions from now on.
    pub fn keep(&mut self, wants: &Wants) {
        for query in &wants.pods {
            if !self.tallies.touch(query) {
                let counts = self.count_matching(query);
                self.tallies.add(query.clone(), counts);
            }
        }
        for query in &wants.nodes {
            if !self.node_sets.contains_key(query) {
                if self.node_sets.len() >= SETS_MAX {
                    self.node_sets.clear();
                }
                self.node_sets
                    .insert(query.clone(), self.find_matching(query));
            }
        }
        wants
            .topologies
            .iter()
            .for_each(|key| self.keep_topology(key));
    }

    fn keep_topology(&mut self, key: &Arc<str>) {
        if !self.topologies.contains_key(key) {
            if self.topologies.len() >= SETS_MAX {
                self.topologies.clear();
            }
            self.topologies.insert(key.clone(), self.make_topology(key));
        }
    }

    /// Every pod meets the terms that pods on nodes carry.
    fn keep_topologies_of(&mut self, pod: &PodView) {
        for kind in Carries::ALL {
            terms(pod, kind).for_each(|(_, term)| self.keep_topology(&term.topology_key));
        }
    }

    /// Puts the order of nodes right after nodes came or changed: zones in turn. Before a decision, not after every change.
    pub fn settle(&mut self) {
        if !std::mem::take(&mut self.order_is_stale) {
            return;
        }
        let mut zones: BTreeMap<_, Vec<NodeIndex>> = BTreeMap::new();
        self.order.sort_unstable();
        for index in &self.order {
            zones
                .entry(&self.node(*index).zone)
                .or_default()
                .push(*index);
        }
        let longest = zones.values().map(Vec::len).max().unwrap_or(0);
        let turns =
            (0..longest).flat_map(|turn| zones.values().filter_map(move |zone| zone.get(turn)));
        self.order = turns.copied().collect();
        let crowded = |topology: &super::Topology| topology.abandoned() > self.order.len() + 64;
        self.topologies.retain(|_, topology| !crowded(topology));
    }

    /// A node came or changed.
    pub fn set_node(&mut self, node: Arc<NodeView>) -> NodeIndex {
        let index = match self.find(&node.name) {
            Some(index) => {
                self.count_images(index, false);
                index
            }
            None => self.place(&node.name),
        };
        self.order_is_stale |= self.nodes[index.slot()]
            .as_ref()
            .is_none_or(|old| old.zone != node.zone);
        self.write_columns(index, &node);
        for (query, set) in &mut self.node_sets {
            if query.matches(&node) {
                set.insert(index)
            } else {
                set.remove(index)
            }
        }
        for (key, topology) in &mut self.topologies {
            topology.set(index, node.labels.get(key));
        }
        let name = node.name.clone();
        self.nodes[index.slot()] = Some(node);
        self.count_images(index, true);
        for uid in self.homeless.remove(&name).unwrap_or_default() {
            if let Some((pod, place)) = self.pods.get_mut(&uid) {
                *place = Some(index);
                let pod = pod.clone();
                self.count_pod(&pod, index, true);
            }
        }
        index
    }

    /// A node is gone. Its pods count nowhere until a node of that name comes.
    pub fn remove_node(&mut self, name: &str) {
        let Some(index) = self.by_name.remove(name) else {
            return;
        };
        self.count_images(index, false);
        for pod in self.pods_on[index.slot()].clone() {
            self.count_pod(&pod, index, false);
            if let Some((_, place)) = self.pods.get_mut(&pod.uid) {
                *place = None;
            }
            self.homeless
                .entry(name.into())
                .or_default()
                .push(pod.uid.clone());
        }
        self.nodes[index.slot()] = None;
        self.node_sets
            .values_mut()
            .for_each(|set| set.remove(index));
        self.topologies
            .values_mut()
            .for_each(|topology| topology.set(index, None));
        self.order.retain(|other| *other != index);
        self.order_is_stale = true;
        self.vacant.push(index);
    }

    /// A pod is on a node, or was given one, or changed. A pod that has finished counts no more.
    pub fn set_pod(&mut self, pod: Arc<PodView>, node: &str) {
        self.remove_pod(&pod.uid);
        if pod.finished {
            return;
        }
        let index = self.find(node);
        match index {
            Some(index) => self.count_pod(&pod, index, true),
            None => self
                .homeless
                .entry(node.into())
                .or_default()
                .push(pod.uid.clone()),
        }
        self.pods.insert(pod.uid.clone(), (pod, index));
    }

    /// A pod is on no node any more.
    pub fn remove_pod(&mut self, uid: &str) {
        let Some((pod, index)) = self.pods.remove(uid) else {
            return;
        };
        if let Some(index) = index {
            self.count_pod(&pod, index, false);
        } else {
            self.homeless
                .values_mut()
                .for_each(|uids| uids.retain(|other| **other != *uid));
            self.homeless.retain(|_, uids| !uids.is_empty());
        }
    }

    /// A namespace came or changed (`Some`), or is gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        let old = match labels.clone() {
            Some(labels) => self.objects.namespaces.insert(name.into(), labels),
            None => self.objects.namespaces.remove(name),
        };
        if old.unwrap_or_default() != labels.unwrap_or_default() {
            self.tallies.namespaces_changed();
        }
    }

    fn place(&mut self, name: &Arc<str>) -> NodeIndex {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.scored.push([0; 2]);
            self.pods_max.push(0);
            self.flags.push(NodeFlags::default());
            self.pods_on.push(Vec::new());
            self.ports_on.push(Vec::new());
            NodeIndex(self.nodes.len() as u32 - 1)
        });
        self.by_name.insert(name.clone(), index);
        self.order.push(index);
        index
    }

    fn write_columns(&mut self, index: NodeIndex, node: &NodeView) {
        let slot = index.slot();
        for column in &mut self.allocatable {
            if let Some(amount) = column.get_mut(slot) {
                *amount = 0;
            }
        }
        for (id, amount) in node
            .allocatable
            .iter()
            .filter(|(id, _)| self.names.is_known(*id))
        {
            *cell(&mut self.allocatable, id, slot) = amount;
        }
        self.pods_max[slot] = node.pods_max;
        self.flags[slot] = NodeFlags {
            unschedulable: node.unschedulable,
            hard_taints: node.taints.iter().any(|taint| taint.effect.is_hard()),
            soft_taints: node
                .taints
                .iter()
                .any(|taint| taint.effect == Effect::PreferNoSchedule),
        };
    }

    fn count_images(&mut self, index: NodeIndex, added: bool) {
        let node = self.nodes[index.slot()].clone();
        for image in node.iter().flat_map(|node| node.images.keys()) {
            let count = self.image_nodes.entry(image.clone()).or_default();
            *count = if added {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            if *count == 0 {
                self.image_nodes.remove(image);
            }
        }
    }

    fn count_pod(&mut self, pod: &Arc<PodView>, index: NodeIndex, added: bool) {
        let slot = index.slot();
        let sign = if added { 1 } else { -1 };
        for (id, amount) in pod.requests.iter() {
            let cell = cell(&mut self.used, id, slot);
            *cell = cell.saturating_add(sign * amount);
        }
        for (sum, amount) in self.scored[slot].iter_mut().zip(pod.scored) {
            *sum = sum.saturating_add(sign * amount);
        }
        let at = (index, self.nodes.len());
        self.tallies.count(pod, at, added, &self.objects.namespaces);
        self.carried.count(pod, at, added);
        if added && !pod.affinities.is_empty() {
            self.keep_topologies_of(pod);
        }
        for claim in pod.claims() {
            let key = (pod.namespace.clone(), claim.into());
            let users = self.claim_users.entry(key.clone()).or_default();
            *users = if added {
                *users + 1
            } else {
                users.saturating_sub(1)
            };
            if *users == 0 {
                self.claim_users.remove(&key);
            }
        }
        let (pods, ports) = (&mut self.pods_on[slot], &mut self.ports_on[slot]);
        if added {
            pods.push(pod.clone());
            ports.extend(pod.host_ports.iter().cloned());
            return;
        }
        if let Some(at) = pods.iter().position(|other| other.uid == pod.uid) {
            pods.swap_remove(at);
        }
        for port in &pod.host_ports {
            if let Some(at) = ports.iter().position(|other| other == port) {
                ports.swap_remove(at);
            }
        }
    }
}

fn cell(columns: &mut Vec<Vec<i64>>, id: ResourceId, slot: usize) -> &mut i64 {
    if columns.len() <= id.index() {
        columns.resize_with(id.index() + 1, Vec::new);
    }
    let column = &mut columns[id.index()];
    if column.len() <= slot {
        column.resize(slot + 1, 0);
    }
    &mut column[slot]
}
