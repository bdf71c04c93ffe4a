//! Deployments: a ReplicaSet for each pod template, and the way from one to the next.

mod collision;
mod history;
mod limits;
mod progress;
mod rollout;
pub(crate) mod run;
mod scaling;
mod sets;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};

use crate::events::Event;
use sets::Sets;

pub(crate) use collision::{Existing, after_failure, existing};

/// What a Deployment's turn looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State<'a> {
    pub(crate) deployment: &'a Deployment,
    /// The ReplicaSets it owns.
    pub(crate) sets: &'a [&'a ReplicaSet],
    /// Uids of those that have pods which have not ended.
    pub(crate) with_pods: &'a [&'a str],
}

/// A write, and what to tell the users when it succeeded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Create {
        set: Box<ReplicaSet>,
        event: Option<Event>,
    },
    Update {
        seen: Box<ReplicaSet>,
        set: Box<ReplicaSet>,
        event: Option<Event>,
    },
    Delete(Box<ReplicaSet>),
    /// The Deployment's own status, and its revision if that changes.
    Status {
        status: Box<DeploymentStatus>,
        revision: Option<String>,
    },
}

/// What a turn does, in this order; the first failure ends it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    /// What is told in any case.
    pub(crate) events: Vec<Event>,
    /// When to look again though nothing changes.
    pub(crate) next_turn: Option<Duration>,
}

/// A turn while it is decided.
#[derive(Debug)]
struct Turn<'a> {
    deployment: &'a Deployment,
    sets: Sets<'a>,
    /// The status as it was seen, with conditions that this turn has set.
    status: DeploymentStatus,
    /// The new set's, if the Deployment does not carry it yet.
    revision: Option<String>,
    /// Sets that are too old to be kept.
    too_old: Vec<&'a ReplicaSet>,
    /// Whether the status tells how far a rollout is.
    is_rollout: bool,
    now: Timestamp,
}

/// Decides on a Deployment's turn.
pub(crate) fn decide(state: &State<'_>, now: Timestamp) -> Plan {
    let deployment = state.deployment;
    if selects_all(deployment) {
        return refuse(deployment);
    }
    let mut turn = Turn {
        deployment,
        sets: Sets::new(deployment, state.sets),
        status: deployment.status.clone().unwrap_or_default(),
        revision: None,
        too_old: Vec::new(),
        is_rollout: false,
        now,
    };
    if deployment.metadata.deletion_timestamp.is_some() {
        turn.renumber();
        return turn.finish();
    }
    let is_paused = is_paused(deployment);
    progress::tell_pause(&mut turn);
    turn.renumber();
    if is_paused || scaling::is_asked_for(&turn.sets) {
        scaling::scale(&mut turn.sets);
        if is_paused {
            turn.too_old = history::too_old(&turn.sets);
        }
    } else {
        turn.is_rollout = true;
        if limits::is_rolling(deployment) {
            rollout::roll(&mut turn);
        } else {
            rollout::recreate(&mut turn, state.with_pods);
        }
    }
    turn.finish()
}

impl Turn<'_> {
    /// Gives the new set, if there is one, its number and annotations, and the Deployment its revision.
    fn renumber(&mut self) {
        let Some(revision) = self.sets.renumber() else {
            return;
        };
        let annotations = self.deployment.metadata.annotations.as_ref();
        let known = annotations.and_then(|all| all.get(sets::REVISION_ANNOTATION));
        self.revision = (known != Some(&revision)).then_some(revision);
        progress::tell_found(self);
    }

    /// Makes the new set if there is none yet.
    fn ensure_new(&mut self) {
        if self.sets.new.is_some() {
            return;
        }
        self.revision = Some(self.sets.create(self.status.collision_count));
        progress::tell_created(self);
    }

    fn finish(self) -> Plan {
        let status = progress::status(&self);
        let is_new_status = Some(&status) != self.deployment.status.as_ref()
            && (self.deployment.status.is_some() || status != DeploymentStatus::default());
        let next_turn = (self.is_rollout && !is_new_status)
            .then(|| progress::next_turn(&self, &status))
            .flatten();
        let mut actions = self.sets.into_actions();
        let too_old = self.too_old.into_iter();
        actions.extend(too_old.map(|set| Action::Delete(Box::new(set.clone()))));
        if is_new_status || self.revision.is_some() {
            actions.push(Action::Status {
                status: Box::new(status),
                revision: self.revision,
            });
        }
        Plan {
            actions,
            events: Vec::new(),
            next_turn,
        }
    }
}

fn is_paused(deployment: &Deployment) -> bool {
    let spec = deployment.spec.as_ref();
    spec.and_then(|spec| spec.paused).unwrap_or(false)
}

fn selects_all(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().is_none_or(|spec| {
        let selector = &spec.selector;
        selector
            .match_labels
            .as_ref()
            .is_none_or(|labels| labels.is_empty())
            && selector
                .match_expressions
                .as_ref()
                .is_none_or(Vec::is_empty)
    })
}

/// Such a Deployment would take every pod of its namespace; it is left alone.
fn refuse(deployment: &Deployment) -> Plan {
    let mut status = deployment.status.clone().unwrap_or_default();
    let is_observed = status.observed_generation >= deployment.metadata.generation;
    status.observed_generation = deployment.metadata.generation;
    let message = "This deployment is selecting all pods. A non-empty selector is required.";
    let tell = Action::Status {
        status: Box::new(status),
        revision: None,
    };
    Plan {
        actions: (!is_observed).then_some(tell).into_iter().collect(),
        events: vec![Event::warning("SelectingAll", message)],
        next_turn: None,
    }
}

#[cfg(test)]
mod tests;
