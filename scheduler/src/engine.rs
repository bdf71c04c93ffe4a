//! The scheduler without its IO: what it knows, what it waits for, and what it wants done.
//!
//! The owner tells what has happened and what time it is, asks for one decision after the other, and carries out the effects.

mod attempt;
mod binding;
mod group;
mod notes;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
pub use notes::{Attempt, Note, Outcome};

use crate::{
    cluster::{Objects, Snapshot},
    cycle::{Laps, Nominated, Start},
    framework::{ClusterEvent, EventKinds, Preparation},
    node::NodeView,
    pod::PodView,
    profile::Profile,
    queue::{Backoff, Cause, Queue, Waiting},
    random::Random,
    resources::ResourceNames,
    selector::Labels,
};
use binding::Assumed;
use group::Groups;
pub(crate) use group::too_few_members;

/// Something to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// Bind the pod to the node, and say with `Engine::bound` what came of it, once that is certain.
    Bind { pod: Arc<PodView>, node: Arc<str> },
    /// Write this for claims of the pod; a failure is told with `Engine::preparation_failed`. The engine sees by itself when it is done.
    Prepare {
        pod: Arc<PodView>,
        preparations: Vec<Preparation>,
    },
    /// Set the condition `PodScheduled` to `False`, and record the event `FailedScheduling`.
    Unschedulable(Unschedulable),
    /// Clear `status.nominatedNodeName`.
    ClearNomination { pod: Arc<PodView> },
    /// Evict the victims for the pod, and say with `Engine::preempted` that it was tried.
    Preempt {
        pod: Arc<PodView>,
        node: Arc<str>,
        victims: Vec<Arc<PodView>>,
    },
}

/// Why a pod has no node, for its status and its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unschedulable {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub scheduler_name: Arc<str>,
    /// `Unschedulable` or `SchedulerError`.
    pub reason: &'static str,
    pub message: String,
    /// What `status.nominatedNodeName` becomes; `None` leaves it as it is, an empty name takes it away.
    pub nominated: Option<Arc<str>>,
    /// Whether the status says all this already.
    pub is_known: bool,
    /// Whether the condition was `False` before.
    pub was_unscheduled: bool,
}

/// The scheduler's state.
pub struct Engine {
    snapshot: Snapshot,
    profiles: Vec<(Profile, Start)>,
    queue: Queue,
    nominated: Nominated,
    /// Pods that were given a node and are not seen with it yet, by UID.
    assumed: HashMap<Arc<str>, Assumed>,
    groups: Groups,
    /// Pods whose victims are being evicted, with whether they were to be tried meanwhile.
    preempting: HashMap<Arc<str>, bool>,
    random: Random,
    effects: Vec<Effect>,
    notes: Vec<Note>,
    laps: Option<Laps>,
}

impl Engine {
    /// A scheduler that knows of nothing yet.
    #[must_use]
    pub fn new(
        profiles: Vec<Profile>,
        backoff: Backoff,
        names: ResourceNames,
        seed: u64,
    ) -> Engine {
        Engine {
            snapshot: Snapshot::new(names),
            profiles: profiles
                .into_iter()
                .map(|profile| (profile, Start::default()))
                .collect(),
            queue: Queue::new(backoff),
            nominated: Nominated::default(),
            assumed: HashMap::new(),
            groups: Groups::default(),
            preempting: HashMap::new(),
            random: Random::new(seed),
            effects: Vec::new(),
            notes: Vec::new(),
            laps: None,
        }
    }

    /// The same, which notes how long the parts of its cycles take by this clock. Nothing is decided by it.
    #[must_use]
    pub fn timed_by(self, clock: fn() -> Instant) -> Engine {
        Engine {
            laps: Some(Laps::new(clock)),
            ..self
        }
    }

    /// How many pods have a node here and are not seen with it yet.
    #[must_use]
    pub fn assumed_len(&self) -> usize {
        self.assumed.len()
    }

    /// What it knows of the cluster.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The pods that wait.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What is to be done, in order, and from now on no more.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Moves the pods whose time has come, and gives up what takes too long.
    pub fn tick(&mut self, now: Timestamp) {
        self.queue.tick(now);
        self.expire_preparations(now);
    }

    /// When `tick` has something to do next.
    #[must_use]
    pub fn next_tick(&self) -> Option<Timestamp> {
        self.queue
            .next_tick()
            .into_iter()
            .chain(self.next_deadline())
            .min()
    }

    /// A node came or changed.
    pub fn set_node(&mut self, node: Arc<NodeView>, now: Timestamp) {
        let old = self
            .snapshot
            .find(&node.name)
            .map(|index| self.snapshot.node_shared(index));
        self.snapshot.set_node(node.clone());
        match old {
            None => self.tell(ClusterEvent::NodeAdded(&node), now),
            Some(old) => self.tell(
                ClusterEvent::NodeChanged {
                    old: &old,
                    new: &node,
                },
                now,
            ),
        }
    }

    /// A node is gone.
    pub fn remove_node(&mut self, name: &str, now: Timestamp) {
        let old = self
            .snapshot
            .find(name)
            .map(|index| self.snapshot.node_shared(index));
        self.snapshot.remove_node(name);
        self.check_preparations(now);
        if let Some(old) = old {
            self.tell(ClusterEvent::NodeDeleted(&old), now);
        }
    }

    /// A namespace came or changed (`Some`), or is gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>, now: Timestamp) {
        self.snapshot.set_namespace(name, labels);
        let event = ClusterEvent::Object {
            kind: EventKinds::NAMESPACE,
            namespace: "",
            name,
        };
        self.tell(event, now);
    }

    /// Another object came, changed or went: `change` brings it into the maps.
    pub fn change_object(
        &mut self,
        (kind, namespace, name): (EventKinds, &str, &str),
        change: impl FnOnce(&mut Objects),
        now: Timestamp,
    ) {
        change(&mut self.snapshot.objects);
        self.tell(
            ClusterEvent::Object {
                kind,
                namespace,
                name,
            },
            now,
        );
        if kind.intersects(EventKinds::CLAIM | EventKinds::VOLUME) {
            self.check_preparations(now);
        }
    }

    /// A pod came or changed.
    pub fn set_pod(&mut self, pod: Arc<PodView>, now: Timestamp) {
        if pod.node_name.is_some() {
            self.set_assigned(pod, now);
        } else if pod.finished || pod.terminating {
            self.remove_pod(&pod.uid, now);
        } else if self.profile_of(&pod).is_some() {
            self.set_waiting(pod, now);
        }
    }

    /// A pod is gone.
    pub fn remove_pod(&mut self, uid: &str, now: Timestamp) {
        self.queue.remove(uid);
        self.withdraw(uid, None, now);
        self.preempting.remove(uid);
        if let Some(assumed) = self.assumed.remove(uid) {
            self.unprepare(&assumed);
        }
        if let Some(pod) = self.snapshot.pod(uid).map(|(pod, _)| pod.clone()) {
            self.snapshot.remove_pod(uid);
            self.tell(ClusterEvent::PodDeleted(&pod), now);
        }
        self.groups.remove(uid);
    }

    /// All pods that are known, to find those that are gone after contact was lost.
    #[must_use]
    pub fn known_pods(&self) -> HashSet<Arc<str>> {
        self.snapshot
            .pod_uids()
            .chain(self.queue.uids())
            .cloned()
            .collect()
    }

    fn set_assigned(&mut self, pod: Arc<PodView>, now: Timestamp) {
        let node = pod.node_name.clone().expect("the caller has seen a node");
        self.queue.remove(&pod.uid);
        self.withdraw(&pod.uid, Some(&node), now);
        self.preempting.remove(&pod.uid);
        self.note_bound(&pod.uid);
        let confirmed = self.assumed.remove(&pod.uid);
        if let Some(assumed) = &confirmed {
            self.unprepare(assumed);
        }
        let old = self.snapshot.pod(&pod.uid).map(|(pod, _)| pod.clone());
        self.snapshot.set_pod(pod.clone(), &node);
        self.groups.place(&pod);
        match old {
            Some(old) if pod.finished => {
                self.groups.remove(&pod.uid);
                self.tell(ClusterEvent::PodDeleted(&old), now);
            }
            Some(old) if confirmed.is_none() => {
                self.tell(
                    ClusterEvent::AssignedPodChanged {
                        old: &old,
                        new: &pod,
                    },
                    now,
                );
            }
            None if pod.finished => self.groups.remove(&pod.uid),
            None => {
                // A member that another gave a node counts for those that wait.
                self.groups
                    .members(&pod)
                    .for_each(|uid| self.queue.hurry(uid));
                self.tell(ClusterEvent::PodAssigned(&pod), now);
            }
            Some(_) => self.tell(ClusterEvent::PodAssigned(&pod), now),
        }
    }

    fn set_waiting(&mut self, pod: Arc<PodView>, now: Timestamp) {
        if let Some(assumed) = self.assumed.get_mut(&pod.uid) {
            assumed.waiting.pod = pod;
            return;
        }
        let gated = self.is_gated(&pod);
        let old = self.queue.get(&pod.uid).map(|waiting| waiting.pod.clone());
        let promised = old
            .as_ref()
            .and_then(|old| old.nominated_node_name.as_ref());
        if pod.nominated_node_name.as_ref() != promised {
            self.withdraw(&pod.uid, pod.nominated_node_name.as_deref(), now);
            if let Some(node) = &pod.nominated_node_name {
                self.nominated.set(pod.clone(), node.clone());
            }
        }
        let Some(old) = old else {
            self.queue.add(pod.clone(), gated, now);
            self.groups.wait(&pod, gated);
            self.groups
                .members(&pod)
                .for_each(|uid| self.queue.hurry(uid));
            return;
        };
        self.groups.wait(&pod, gated);
        self.queue.update(pod.clone(), gated);
        let event = ClusterEvent::WaitingPodChanged {
            old: &old,
            new: &pod,
        };
        let helps = self.queue.get(&pod.uid).is_some_and(|waiting| {
            self.profile_of(&pod).is_some_and(|profile| {
                attempt::helps(&self.profiles[profile].0, waiting, &event, &self.snapshot)
            })
        });
        if helps {
            self.queue.release(&pod.uid, Cause::CHANGED, now);
        }
    }

    /// A pod is promised nothing any more, and has got this node if any. Those that had to leave room for it elsewhere may have it.
    fn withdraw(&mut self, uid: &str, got: Option<&str>, now: Timestamp) {
        let promised = self.nominated.node_of(uid).cloned();
        if let Some(pod) = self.nominated.remove(uid)
            && promised.as_deref() != got
        {
            // Pods of higher priority have left no room for it.
            let concerns = |waiting: &Waiting| waiting.pod.priority <= pod.priority;
            self.tell_some(ClusterEvent::PodDeleted(&pod), concerns, now);
        }
    }

    fn profile_of(&self, pod: &PodView) -> Option<usize> {
        self.profiles
            .iter()
            .position(|(profile, _)| profile.scheduler_name == pod.scheduler_name)
    }

    fn is_gated(&self, pod: &PodView) -> bool {
        let profile = self.profile_of(pod).map(|at| &self.profiles[at].0);
        profile.is_some_and(|profile| {
            let mut gates = profile.plugins.iter().filter(|one| one.gates);
            gates.any(|one| one.plugin.pre_enqueue(pod).is_err())
        })
    }

    /// Tells an event to the pods that wait for one.
    fn tell(&mut self, event: ClusterEvent<'_>, now: Timestamp) {
        self.tell_some(event, |_| true, now);
    }

    /// Tells an event to those of the pods that wait for one that it concerns.
    fn tell_some(
        &mut self,
        event: ClusterEvent<'_>,
        concerns: impl Fn(&Waiting) -> bool,
        now: Timestamp,
    ) {
        let kinds = event.kinds();
        let (profiles, snapshot) = (&self.profiles, &self.snapshot);
        let helps = |waiting: &Waiting| {
            let name = &waiting.pod.scheduler_name;
            concerns(waiting)
                && profiles.iter().any(|(profile, _)| {
                    profile.scheduler_name == *name
                        && attempt::helps(profile, waiting, &event, snapshot)
                })
        };
        self.queue.happened(kinds, helps, now);
    }
}
