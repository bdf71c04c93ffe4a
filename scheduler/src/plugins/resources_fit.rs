//! `NodeResourcesFit`: a node must have what the pod asks for, and is ranked by what is left or used of it.

mod strategy;

use std::borrow::Cow;

pub use strategy::{ResourceWeight, Strategy};

use crate::{
    cluster::{NodeIndex, Site, Snapshot},
    framework::{
        ClusterEvent, EventKinds, Filter, Plugin, PreFilter, Reason, Reasons, Score, Verdict,
    },
    node::NodeView,
    pod::PodView,
    resources::{ResourceId, ResourceNames},
};

/// Rejects nodes that have not enough left, and ranks the others by a strategy.
#[derive(Debug)]
pub struct NodeResourcesFit {
    /// Extended resources that are not looked at.
    pub ignored: Vec<String>,
    /// Domains of extended resources that are not looked at: `example.com`.
    pub ignored_groups: Vec<String>,
    pub strategy: Strategy,
    /// The resources that are ranked.
    pub ranked: Vec<ResourceWeight>,
}

impl Default for NodeResourcesFit {
    fn default() -> NodeResourcesFit {
        NodeResourcesFit {
            ignored: Vec::new(),
            ignored_groups: Vec::new(),
            strategy: Strategy::LeastAllocated,
            ranked: ResourceWeight::cpu_and_memory(),
        }
    }
}

impl NodeResourcesFit {
    fn ignores(&self, name: &str) -> bool {
        let Some((domain, _)) = name.split_once('/') else {
            return false;
        };
        !domain.ends_with("kubernetes.io")
            && (self.ignored.iter().any(|ignored| ignored == name)
                || self.ignored_groups.iter().any(|group| group == domain))
    }

    fn asked(&self, pod: &PodView, names: &ResourceNames) -> Vec<Asked> {
        let nothing_is_ignored = self.ignored.is_empty() && self.ignored_groups.is_empty();
        pod.requests
            .iter()
            .filter(|(id, _)| nothing_is_ignored || !self.ignores(&names.name(*id)))
            .map(|(id, amount)| Asked {
                id,
                amount,
                reason: reason(id, names),
            })
            .collect()
    }
}

fn reason(id: ResourceId, names: &ResourceNames) -> Reason {
    match id {
        ResourceId::CPU => Cow::Borrowed("Insufficient cpu"),
        ResourceId::MEMORY => Cow::Borrowed("Insufficient memory"),
        ResourceId::EPHEMERAL_STORAGE => Cow::Borrowed("Insufficient ephemeral-storage"),
        other => Cow::Owned(format!("Insufficient {}", names.name(other))),
    }
}

/// What the pod asks of one resource, and the words where there is less.
#[derive(Clone)]
struct Asked {
    id: ResourceId,
    amount: i64,
    reason: Reason,
}

#[derive(Clone)]
struct Room(Vec<Asked>);

impl Room {
    /// Whether this much is left on a node.
    fn has(asked: &Asked, site: &Site<'_>) -> bool {
        asked.amount
            <= site
                .allocatable(asked.id)
                .saturating_sub(site.used(asked.id))
    }

    fn explain(&self, site: &Site<'_>) -> Verdict {
        let mut reasons: Vec<Reason> = Vec::new();
        if site.pods_count() >= site.pods_max() {
            reasons.push(Cow::Borrowed("Too many pods"));
        }
        let short: Vec<&Asked> = self
            .0
            .iter()
            .filter(|asked| !Room::has(asked, site))
            .collect();
        reasons.extend(short.iter().map(|asked| asked.reason.clone()));
        let reasons = match <[Reason; 1]>::try_from(reasons) {
            Ok([one]) => Reasons::One(one),
            Err(many) => Reasons::Many(many.into_boxed_slice()),
        };
        if short
            .iter()
            .any(|asked| asked.amount > site.allocatable(asked.id))
        {
            return Verdict::Unresolvable(reasons);
        }
        Verdict::Unschedulable(reasons)
    }
}

impl Filter for Room {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        let has_all = self.0.iter().all(|asked| Room::has(asked, site));
        if has_all && site.pods_count() < site.pods_max() {
            return Verdict::Fits;
        }
        self.explain(site)
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(self.clone())
    }
}

struct Ranked<'a> {
    strategy: &'a Strategy,
    resources: Vec<RankedResource>,
}

#[derive(Clone, Copy)]
struct RankedResource {
    id: ResourceId,
    weight: i64,
    /// What the pod asks for; a default of CPU and memory where it does not say.
    asked: i64,
}

impl Score for Ranked<'_> {
    fn score(&self, site: &Site<'_>) -> i64 {
        let [cpu, memory] = site.scored();
        let usages = self.resources.iter().map(|resource| {
            let used = match resource.id {
                ResourceId::CPU => cpu,
                ResourceId::MEMORY => memory,
                other => site.used(other),
            };
            let capacity = site.allocatable(resource.id);
            (
                used.saturating_add(resource.asked),
                capacity,
                resource.weight,
            )
        });
        self.strategy
            .rank(usages.filter(|(_, capacity, _)| *capacity > 0))
    }

    fn is_local(&self) -> bool {
        true
    }
}

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED
            | EventKinds::NODE_ALLOCATABLE
            | EventKinds::POD_DELETED
            | EventKinds::POD_SCALED_DOWN
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, snapshot: &Snapshot) -> bool {
        let asked = self.asked(pod, snapshot.resource_names());
        let is_large_enough = |node: &NodeView| {
            node.pods_max > 0
                && asked
                    .iter()
                    .all(|asked| asked.amount <= node.allocatable.get(asked.id))
        };
        match event {
            ClusterEvent::NodeAdded(node) => is_large_enough(node),
            ClusterEvent::NodeChanged { old, new } => {
                let has_grown =
                    |asked: &Asked| new.allocatable.get(asked.id) > old.allocatable.get(asked.id);
                let has_more = new.pods_max > old.pods_max || asked.iter().any(has_grown);
                has_more && is_large_enough(new)
            }
            ClusterEvent::AssignedPodChanged { old, new } => {
                let is_less =
                    |asked: &Asked| new.requests.get(asked.id) < old.requests.get(asked.id);
                asked.iter().any(is_less)
            }
            _ => true,
        }
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, snapshot: &'a Snapshot) -> PreFilter<'a> {
        PreFilter::judge(Room(self.asked(pod, snapshot.resource_names())))
    }

    fn pre_score<'a>(
        &'a self,
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        _: &[NodeIndex],
    ) -> Option<Box<dyn Score + 'a>> {
        let names = snapshot.resource_names();
        let resource = |ranked: &ResourceWeight| {
            let id = names.id(&ranked.name);
            let asked = match id {
                ResourceId::CPU => pod.scored[0],
                ResourceId::MEMORY => pod.scored[1],
                other => pod.requests.get(other),
            };
            RankedResource {
                id,
                weight: ranked.weight,
                asked,
            }
        };
        // An extended resource that the pod does not ask for says nothing about where it should be.
        let counts =
            |one: &RankedResource| one.asked != 0 || one.id <= ResourceId::EPHEMERAL_STORAGE;
        let resources = self.ranked.iter().map(resource).filter(counts).collect();
        Some(Box::new(Ranked {
            strategy: &self.strategy,
            resources,
        }))
    }
}

#[cfg(test)]
mod tests;
