//! Pods that were given a node, until they are seen with it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Effect, Engine};
use crate::{
    cluster::NodeIndex,
    framework::{ClusterEvent, Preparation, Progress},
    queue::Waiting,
};

/// Longest that a pod waits for its claims.
const PREPARATION_SECONDS_MAX: u64 = 600;

/// A pod that counts on a node before it is bound.
pub(super) struct Assumed {
    pub(super) waiting: Waiting,
    profile: usize,
    node: Arc<str>,
    preparations: Vec<Preparation>,
    /// Until when its claims may take; `None` once it is being bound.
    deadline: Option<Timestamp>,
    /// Whether it was noted that it is bound.
    pub(super) is_noted: bool,
}

impl Engine {
    /// Counts a pod on its node from now on.
    pub(super) fn assume(
        &mut self,
        waiting: Waiting,
        profile: usize,
        node: NodeIndex,
        preparations: Vec<Preparation>,
    ) {
        let node = self.snapshot.node(node).name.clone();
        for preparation in &preparations {
            let claim = preparation.claim().clone();
            self.snapshot
                .objects
                .prepared
                .insert(claim, preparation.clone());
        }
        self.snapshot.set_pod(waiting.pod.clone(), &node);
        let tried = waiting.tried;
        self.withdraw(&waiting.pod.uid, Some(&node), tried);
        self.groups.place(&waiting.pod);
        let uid = waiting.pod.uid.clone();
        let assumed = Assumed {
            waiting,
            profile,
            node,
            preparations,
            deadline: None,
            is_noted: false,
        };
        self.assumed.insert(uid, assumed);
    }

    /// Binds an assumed pod, after what has to be done first.
    pub(super) fn carry_out(&mut self, uid: &str, now: Timestamp) {
        let Some(assumed) = self.assumed.get_mut(uid) else {
            return;
        };
        let pod = assumed.waiting.pod.clone();
        if !assumed.preparations.is_empty() {
            let longest = Duration::from_secs(PREPARATION_SECONDS_MAX);
            assumed.deadline = Some(now.checked_add(longest).unwrap_or(Timestamp::MAX));
            let preparations = assumed.preparations.clone();
            self.effects.push(Effect::Prepare { pod, preparations });
            return;
        }
        match self.progress(uid) {
            Progress::Ready => self.bind(uid),
            Progress::Waiting => {
                if let Some(assumed) = self.assumed.get_mut(uid) {
                    let longest = Duration::from_secs(PREPARATION_SECONDS_MAX);
                    assumed.deadline = Some(now.checked_add(longest).unwrap_or(Timestamp::MAX));
                }
            }
            Progress::Failed(reasons) => {
                let words: Vec<&str> = reasons.iter().map(AsRef::as_ref).collect();
                let message = words.join(", ");
                self.take_back(uid, message, now);
            }
        }
    }

    /// What came of binding a pod.
    pub fn bound(&mut self, uid: &str, outcome: Result<(), String>, now: Timestamp) {
        match outcome {
            Ok(()) => self.note_bound(uid),
            Err(message) => self.take_back(uid, format!("binding rejected: {message}"), now),
        }
    }

    /// What was to be done for a pod's claims could not be done.
    pub fn preparation_failed(&mut self, uid: &str, message: String, now: Timestamp) {
        self.take_back(uid, message, now);
    }

    /// Claims or volumes changed, or a node is gone: pods that wait for their claims may go on, or wait in vain.
    pub(super) fn check_preparations(&mut self, now: Timestamp) {
        let preparing = self
            .assumed
            .iter()
            .filter(|(_, assumed)| assumed.deadline.is_some());
        for uid in preparing.map(|(uid, _)| uid.clone()).collect::<Vec<_>>() {
            match self.progress(&uid) {
                Progress::Ready => self.bind(&uid),
                Progress::Waiting => {}
                Progress::Failed(reasons) => {
                    let words: Vec<&str> = reasons.iter().map(AsRef::as_ref).collect();
                    let message = words.join(", ");
                    self.take_back(&uid, message, now);
                }
            }
        }
    }

    pub(super) fn expire_preparations(&mut self, now: Timestamp) {
        let late = |assumed: &Assumed| assumed.deadline.is_some_and(|deadline| deadline <= now);
        let expired = self.assumed.iter().filter(|(_, assumed)| late(assumed));
        for uid in expired.map(|(uid, _)| uid.clone()).collect::<Vec<_>>() {
            self.take_back(
                &uid,
                "binding volumes: timed out waiting for the condition".into(),
                now,
            );
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.assumed
            .values()
            .filter_map(|assumed| assumed.deadline)
            .min()
    }

    /// Takes a node back from a pod without a word, as if it had never been given.
    pub(super) fn unassume(&mut self, uid: &str) -> Option<Waiting> {
        let assumed = self.assumed.remove(uid)?;
        self.unprepare(&assumed);
        self.snapshot.remove_pod(uid);
        self.groups.wait(&assumed.waiting.pod, false);
        Some(assumed.waiting)
    }

    /// Takes a node back from a pod, which is tried again after a while.
    fn take_back(&mut self, uid: &str, message: String, now: Timestamp) {
        let Some(waiting) = self.unassume(uid) else {
            return;
        };
        let pod = waiting.pod.clone();
        self.fail(waiting, message, now);
        self.tell(ClusterEvent::PodDeleted(&pod), now);
    }

    /// Forgets what was decided for the claims of a pod that is no longer assumed. For a claim that another assumed pod uses as well,
    /// what was decided for that one still holds.
    pub(super) fn unprepare(&mut self, assumed: &Assumed) {
        for preparation in &assumed.preparations {
            let claim = preparation.claim();
            let mut others = self.assumed.values().flat_map(|other| &other.preparations);
            let other = others.find(|other| other.claim() == claim).cloned();
            let prepared = &mut self.snapshot.objects.prepared;
            match other {
                Some(other) => drop(prepared.insert(claim.clone(), other)),
                None => drop(prepared.remove(claim)),
            }
        }
    }

    fn bind(&mut self, uid: &str) {
        if let Some(assumed) = self.assumed.get_mut(uid) {
            assumed.deadline = None;
            let (pod, node) = (assumed.waiting.pod.clone(), assumed.node.clone());
            self.effects.push(Effect::Bind { pod, node });
        }
    }

    fn progress(&self, uid: &str) -> Progress {
        let Some(assumed) = self.assumed.get(uid) else {
            return Progress::Waiting;
        };
        let node = &assumed.node;
        if self.snapshot.find(node).is_none() {
            let words = format!("failed to get node {node:?}: node {node:?} not found");
            return Progress::Failed(words.into());
        }
        for enabled in self.profiles[assumed.profile]
            .0
            .plugins
            .iter()
            .filter(|one| one.reserves)
        {
            let pod = &assumed.waiting.pod;
            match enabled
                .plugin
                .pre_bind(pod, &self.snapshot.objects, &assumed.node)
            {
                Progress::Ready => {}
                other => return other,
            }
        }
        Progress::Ready
    }
}
