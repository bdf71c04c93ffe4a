//! What is worth counting: the engine notes it, and its owner counts.

use std::sync::Arc;

use jiff::Timestamp;

use super::Engine;
use crate::{cycle::Lap, queue::Waiting};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// An attempt to give a pod a node is over.
    Attempt(Attempt),
    /// Pods that could make room were looked for: how many have to go, or `None` if there are none that help.
    Preemption { victims: Option<usize> },
    /// A part of a cycle was done for a pod of this profile.
    Lap { profile: Arc<str>, lap: Lap },
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The pod is bound.
    Scheduled,
    /// No node takes it.
    Unschedulable,
    /// Something else was in its way.
    Error,
}

impl Outcome {
    /// Upstream's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Scheduled => "scheduled",
            Outcome::Unschedulable => "unschedulable",
            Outcome::Error => "error",
        }
    }
}

/// An attempt to give a pod a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub profile: Arc<str>,
    pub outcome: Outcome,
    /// Which of the pod's attempts it is.
    pub attempts: u32,
    pub began: Timestamp,
    /// When the first of them began.
    pub first_began: Timestamp,
}

impl Engine {
    /// What has happened since this was last asked.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    pub(super) fn note_attempt(&mut self, waiting: &Waiting, outcome: Outcome) {
        self.notes.push(Note::Attempt(Attempt {
            profile: waiting.pod.scheduler_name.clone(),
            outcome,
            attempts: waiting.attempts,
            began: waiting.tried,
            first_began: waiting.first_tried.unwrap_or(waiting.tried),
        }));
    }

    /// A pod is bound for certain, which is told twice: by whoever bound it, and by the pod itself.
    pub(super) fn note_bound(&mut self, uid: &str) {
        let Some(assumed) = self.assumed.get_mut(uid) else {
            return;
        };
        if !std::mem::replace(&mut assumed.is_noted, true) {
            let waiting = assumed.waiting.clone();
            self.note_attempt(&waiting, Outcome::Scheduled);
        }
    }

    pub(super) fn note_laps(&mut self, profile: usize) {
        let Some(laps) = &self.laps else {
            return;
        };
        let profile = &self.profiles[profile].0.scheduler_name;
        let laps = laps.take().into_iter().map(|lap| Note::Lap {
            profile: profile.clone(),
            lap,
        });
        self.notes.extend(laps);
    }
}
