//! Groups of pods that get their nodes together or not at all.
//!
//! When a member's turn comes, all members that wait are tried one after the other, each with those before it in place. If enough have a
//! node then, with those that had one before, they are bound; else all give their nodes back. Nothing is held while others wait.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Engine, attempt::Rejection};
use crate::{
    cluster::Name,
    cycle::{Decision, Diagnosis},
    framework::{EventKinds, Reserve},
    pod::PodView,
    profile::PluginSet,
    queue::Waiting,
};

/// Most members that are placed in one go.
const MEMBERS_MAX: usize = 5000;

#[derive(Debug, Default)]
struct Members {
    waiting: BTreeSet<Arc<str>>,
    placed: BTreeSet<Arc<str>>,
}

/// Members of groups by UID.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_name: HashMap<Name, Members>,
    of: HashMap<Arc<str>, Name>,
}

impl Groups {
    /// A member waits; one that is gated does not count.
    pub(super) fn wait(&mut self, pod: &PodView, gated: bool) {
        self.remove(&pod.uid);
        if !gated && let Some(members) = self.enter(pod) {
            members.waiting.insert(pod.uid.clone());
        }
    }

    /// A member has a node.
    pub(super) fn place(&mut self, pod: &PodView) {
        self.remove(&pod.uid);
        if let Some(members) = self.enter(pod) {
            members.placed.insert(pod.uid.clone());
        }
    }

    pub(super) fn remove(&mut self, uid: &str) {
        let Some(name) = self.of.remove(uid) else {
            return;
        };
        if let Some(members) = self.by_name.get_mut(&name) {
            members.waiting.remove(uid);
            members.placed.remove(uid);
            if members.waiting.is_empty() && members.placed.is_empty() {
                self.by_name.remove(&name);
            }
        }
    }

    /// The members of a group that wait.
    pub(super) fn waiting(&self, name: &Name) -> impl Iterator<Item = &Arc<str>> {
        let members = self.by_name.get(name).into_iter();
        members.flat_map(|members| &members.waiting)
    }

    /// The members of a pod's group that wait.
    pub(super) fn members(&self, pod: &PodView) -> impl Iterator<Item = &Arc<str>> {
        self.find(pod)
            .into_iter()
            .flat_map(|members| &members.waiting)
    }

    fn placed(&self, pod: &PodView) -> usize {
        self.find(pod).map_or(0, |members| members.placed.len())
    }

    fn find(&self, pod: &PodView) -> Option<&Members> {
        self.by_name
            .get(&(pod.namespace.clone(), pod.group.clone()?))
    }

    fn enter(&mut self, pod: &PodView) -> Option<&mut Members> {
        let name = (pod.namespace.clone(), pod.group.clone()?);
        self.of.insert(pod.uid.clone(), name.clone());
        Some(self.by_name.entry(name).or_default())
    }
}

impl Engine {
    /// How many members of a pod's group must have nodes; `None` for a pod without a group, or with one that asks for nothing.
    pub(super) fn group_min(&self, pod: &PodView) -> Option<usize> {
        let name = (pod.namespace.clone(), pod.group.clone()?);
        let declared = self.snapshot.objects.pod_groups.get(&name).copied();
        declared.or(pod.group_members_min).filter(|min| *min > 1)
    }

    /// How many members a group needs came, changed or (`None`) is declared no longer. Those that wait are tried by what holds now.
    pub fn set_pod_group(&mut self, name: Name, members_min: Option<usize>) {
        let declared = &mut self.snapshot.objects.pod_groups;
        let before = match members_min {
            Some(min) => declared.insert(name.clone(), min),
            None => declared.remove(&name),
        };
        if before != members_min {
            self.groups
                .waiting(&name)
                .for_each(|uid| self.queue.hurry(uid));
        }
    }

    pub(super) fn schedule_group(&mut self, first: Waiting, min: usize, now: Timestamp) {
        let Some(profile) = self.profile_of(&first.pod) else {
            return;
        };
        let pod = first.pod.clone();
        let placed = self.groups.placed(&pod);
        let siblings: Vec<Arc<str>> = self
            .groups
            .members(&pod)
            .filter(|uid| **uid != pod.uid)
            .cloned()
            .collect();
        let all = placed + siblings.len() + 1;
        if all < min {
            let message = too_few_members(self.snapshot.nodes().len(), &pod.name, all, min);
            let (by, events) = (PluginSet::default(), EventKinds::NONE);
            self.reject(
                profile,
                first,
                Rejection {
                    by,
                    events,
                    message,
                    nominated: None,
                },
                now,
            );
            return;
        }
        let mut tried = vec![first];
        let siblings = siblings.iter().take(MEMBERS_MAX);
        tried.extend(siblings.filter_map(|uid| self.queue.take_to_try(uid, now)));
        tried.sort_by_key(|waiting| (std::cmp::Reverse(waiting.pod.priority), waiting.since));
        let (given, refused) = self.try_members(profile, tried);
        if placed + given.len() >= min {
            given.iter().for_each(|uid| self.carry_out(uid, now));
            for (waiting, refusal) in refused {
                self.reject_member(profile, waiting, &refusal, now);
            }
        } else {
            self.undo(profile, (given, refused), min, now);
        }
    }

    /// Gives members nodes one after the other. Those that got one, and those that did not, with the reason.
    fn try_members(
        &mut self,
        profile: usize,
        members: Vec<Waiting>,
    ) -> (Vec<Arc<str>>, Vec<(Waiting, Refusal)>) {
        let (mut given, mut refused) = (Vec::new(), Vec::new());
        for waiting in members {
            let refusal = match self.decide(profile, &waiting) {
                Decision::Unschedulable(diagnosis) => Refusal::of(&diagnosis),
                Decision::Node(node) => match self.reserve(profile, &waiting, node) {
                    Reserve::Granted(preparations) => {
                        given.push(waiting.pod.uid.clone());
                        self.assume(waiting, profile, node, preparations);
                        continue;
                    }
                    Reserve::Rejected(reasons) => Refusal {
                        by: PluginSet::default(),
                        message: reasons
                            .iter()
                            .map(AsRef::as_ref)
                            .collect::<Vec<&str>>()
                            .join(", "),
                    },
                },
            };
            refused.push((waiting, refusal));
        }
        (given, refused)
    }

    /// Too few members have nodes: all give theirs back, and wait for what the refused ones wait for.
    fn undo(
        &mut self,
        profile: usize,
        (given, refused): (Vec<Arc<str>>, Vec<(Waiting, Refusal)>),
        min: usize,
        now: Timestamp,
    ) {
        let mut by = PluginSet::default();
        // What no plugin refused waits for anything, and so does a group with such a member.
        if refused.iter().all(|(_, refusal)| !refusal.by.is_empty()) {
            let plugins = refused.iter().flat_map(|(_, refusal)| refusal.by.iter());
            plugins.for_each(|one| by.insert(one));
        }
        let message = format!(
            "0/{} nodes are available: the pod's group has nodes for {} of the {min} members that it needs.",
            self.snapshot.nodes().len(),
            given.len()
        );
        for uid in given {
            if let Some(waiting) = self.unassume(&uid) {
                let refusal = Refusal {
                    by,
                    message: message.clone(),
                };
                self.reject_member(profile, waiting, &refusal, now);
            }
        }
        for (waiting, refusal) in refused {
            self.reject_member(profile, waiting, &Refusal { by, ..refusal }, now);
        }
    }

    fn reject_member(
        &mut self,
        profile: usize,
        waiting: Waiting,
        refusal: &Refusal,
        now: Timestamp,
    ) {
        let events = if refusal.by.is_empty() {
            EventKinds::ALL
        } else {
            self.profiles[profile].0.events_of(refusal.by)
        };
        let rejection = Rejection {
            by: refusal.by,
            events,
            message: refusal.message.clone(),
            nominated: None,
        };
        self.reject(profile, waiting, rejection, now);
    }
}

/// What is said of a pod whose group has fewer members than it needs.
pub(crate) fn too_few_members(nodes: usize, pod: &str, all: usize, min: usize) -> String {
    format!(
        "0/{nodes} nodes are available: pod {pod} cannot find enough sibling pods, current pods number: {all}, minMember of group: {min}."
    )
}

/// Why a member got no node.
struct Refusal {
    by: PluginSet,
    message: String,
}

impl Refusal {
    fn of(diagnosis: &Diagnosis) -> Refusal {
        Refusal {
            by: diagnosis.plugins(),
            message: diagnosis.message(),
        }
    }
}
