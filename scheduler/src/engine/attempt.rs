//! One try to give a pod a node.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Effect, Engine, Note, Outcome, Unschedulable};
use crate::{
    cluster::{NodeIndex, Snapshot},
    cycle::{self, Context, Decision, Diagnosis, NotPreempted, Point, Preemption},
    framework::{ClusterEvent, EventKinds, Reserve},
    profile::{PluginSet, Profile},
    queue::{Cause, Waiting},
};

/// Whether an event may help a pod that waits for one. A pod that no plugin rejected is helped by whatever it waits for.
pub(super) fn helps(
    profile: &Profile,
    waiting: &Waiting,
    event: &ClusterEvent<'_>,
    snapshot: &Snapshot,
) -> bool {
    let kinds = event.kinds();
    if waiting.rejected_by.is_empty() {
        return true;
    }
    waiting.rejected_by.iter().any(|place| {
        let plugin = &profile.plugins[place].plugin;
        plugin.events().intersects(kinds) && plugin.may_help(&waiting.pod, event, snapshot)
    })
}

impl Engine {
    /// Tries the next pod. `false` if there is none to try.
    pub fn schedule_next(&mut self, now: Timestamp) -> bool {
        let Some(waiting) = self.queue.pop(now) else {
            return false;
        };
        if let Some(meanwhile) = self.preempting.get_mut(&waiting.pod.uid) {
            *meanwhile = true;
            self.queue.hold(waiting, now);
        } else if let Some(min) = self.group_min(&waiting.pod) {
            self.schedule_group(waiting, min, now);
        } else {
            self.schedule(waiting, now);
        }
        true
    }

    fn schedule(&mut self, waiting: Waiting, now: Timestamp) {
        let Some(profile) = self.profile_of(&waiting.pod) else {
            return;
        };
        match self.decide(profile, &waiting) {
            Decision::Node(node) => match self.reserve(profile, &waiting, node) {
                Reserve::Granted(preparations) => {
                    let uid = waiting.pod.uid.clone();
                    self.assume(waiting, profile, node, preparations);
                    self.carry_out(&uid, now);
                }
                Reserve::Rejected(reasons) => {
                    let words: Vec<&str> = reasons.iter().map(AsRef::as_ref).collect();
                    let message = words.join(", ");
                    self.fail(waiting, message, now);
                }
            },
            Decision::Unschedulable(diagnosis) => self.give_up(profile, waiting, diagnosis, now),
        }
    }

    pub(super) fn decide(&mut self, at: usize, waiting: &Waiting) -> Decision {
        let (profile, start) = &mut self.profiles[at];
        let wants = cycle::wants(profile, &waiting.pod, &self.snapshot);
        self.snapshot.keep(&wants);
        self.snapshot.settle();
        let context = Context {
            profile,
            snapshot: &self.snapshot,
            nominated: &self.nominated,
            laps: self.laps.as_ref(),
        };
        let decision = cycle::decide(context, &waiting.pod, start, &mut self.random);
        self.note_laps(at);
        decision
    }

    /// What has to be done for a pod on its node.
    pub(super) fn reserve(&self, profile: usize, waiting: &Waiting, node: NodeIndex) -> Reserve {
        let mut all = Vec::new();
        for enabled in self.profiles[profile]
            .0
            .plugins
            .iter()
            .filter(|one| one.reserves)
        {
            match enabled.plugin.reserve(&waiting.pod, &self.snapshot, node) {
                Reserve::Granted(preparations) => all.extend(preparations),
                rejected => return rejected,
            }
        }
        Reserve::Granted(all)
    }

    /// A pod fits nowhere: pods of lower priority may have to make room.
    fn give_up(&mut self, profile: usize, waiting: Waiting, diagnosis: Diagnosis, now: Timestamp) {
        let mut message = diagnosis.message();
        let mut nominated = None;
        let limits = self.profiles[profile]
            .0
            .preemption
            .filter(|_| !diagnosis.plugins().is_empty());
        if let Some(limits) = limits {
            let context = Context {
                profile: &self.profiles[profile].0,
                snapshot: &self.snapshot,
                nominated: &self.nominated,
                laps: self.laps.as_ref(),
            };
            let pod = &waiting.pod;
            let random = &mut self.random;
            let preempt = || cycle::preempt(context, pod, &diagnosis, limits, random);
            let found = cycle::timed(context.laps, Point::PostFilter, preempt, Result::is_ok);
            self.note_laps(profile);
            self.notes.push(Note::Preemption {
                victims: found.as_ref().ok().map(|found| found.victims.len()),
            });
            match found {
                Ok(preemption) => nominated = Some(self.preempt(&waiting, preemption, now)),
                Err(NotPreempted {
                    message: why,
                    gives_up_nomination,
                }) => {
                    message = format!("{message} {why}");
                    if gives_up_nomination {
                        self.withdraw(&waiting.pod.uid, None, now);
                        nominated = waiting.pod.nominated_node_name.is_some().then(|| "".into());
                    }
                }
            }
        }
        let by = diagnosis.plugins();
        let events = if by.is_empty() {
            EventKinds::NODE_ADDED
        } else {
            self.profiles[profile].0.events_of(by)
        };
        self.reject(
            profile,
            waiting,
            Rejection {
                by,
                events,
                message,
                nominated,
            },
            now,
        );
    }

    fn preempt(&mut self, waiting: &Waiting, preemption: Preemption, now: Timestamp) -> Arc<str> {
        let pod = &waiting.pod;
        let node = self.snapshot.node(preemption.node).name.clone();
        let lower = self
            .nominated
            .on(&node)
            .iter()
            .filter(|other| other.priority < pod.priority);
        let lower: Vec<_> = lower.cloned().collect();
        self.withdraw(&pod.uid, Some(&node), now);
        self.nominated.set(pod.clone(), node.clone());
        for other in lower {
            // What they were promised goes to this pod: they look for another node at once.
            self.withdraw(&other.uid, None, now);
            self.effects.push(Effect::ClearNomination { pod: other });
        }
        let victims: Vec<_> = preemption
            .victims
            .into_iter()
            .filter(|victim| !victim.terminating)
            .collect();
        if !victims.is_empty() {
            self.preempting.insert(pod.uid.clone(), false);
            self.effects.push(Effect::Preempt {
                pod: pod.clone(),
                node: node.clone(),
                victims,
            });
        }
        node
    }

    /// It was tried to evict the victims of a pod. After a failure the pod is tried again.
    pub fn preempted(&mut self, uid: &str, succeeded: bool, now: Timestamp) {
        if self
            .preempting
            .remove(uid)
            .is_some_and(|meanwhile| meanwhile || !succeeded)
        {
            self.queue.release(uid, Cause::PREEMPTED, now);
        }
    }

    /// Puts a rejected pod back, and says why it was.
    pub(super) fn reject(
        &mut self,
        profile: usize,
        waiting: Waiting,
        rejection: Rejection,
        now: Timestamp,
    ) {
        let Rejection {
            by,
            events,
            message,
            nominated,
        } = rejection;
        tracing::debug!(
            pod = %waiting.pod.key(),
            plugins = ?self.profiles[profile].0.names_of(by).collect::<Vec<_>>(),
            message,
            "no node for a pod"
        );
        self.note_attempt(&waiting, Outcome::Unschedulable);
        self.say(&waiting, "Unschedulable", message, nominated);
        self.groups.wait(&waiting.pod, false);
        self.queue.reject(waiting, by, events, now);
    }

    /// Puts a pod back that failed for a reason that is not its own, and says why.
    pub(super) fn fail(&mut self, waiting: Waiting, message: String, now: Timestamp) {
        self.note_attempt(&waiting, Outcome::Error);
        self.say(&waiting, "SchedulerError", message, None);
        self.groups.wait(&waiting.pod, false);
        self.queue.fail(waiting, now);
    }

    fn say(
        &mut self,
        waiting: &Waiting,
        reason: &'static str,
        message: String,
        nominated: Option<Arc<str>>,
    ) {
        let pod = &waiting.pod;
        let said = pod.unscheduled.as_ref();
        let same = said.is_some_and(|(old, words)| **old == *reason && **words == *message);
        let settled = nominated
            .as_ref()
            .is_none_or(|node| pod.nominated_node_name.as_deref().unwrap_or("") == &**node);
        self.effects.push(Effect::Unschedulable(Unschedulable {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            scheduler_name: pod.scheduler_name.clone(),
            reason,
            message,
            nominated,
            is_known: same && settled,
            was_unscheduled: said.is_some(),
        }));
    }
}

/// How a pod was rejected.
pub(super) struct Rejection {
    pub(super) by: PluginSet,
    /// What it waits for.
    pub(super) events: EventKinds,
    pub(super) message: String,
    pub(super) nominated: Option<Arc<str>>,
}
