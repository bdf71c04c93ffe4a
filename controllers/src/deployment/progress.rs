//! What a Deployment's status tells: its pods, whether enough are available, and how far a rollout is.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentStatus, ReplicaSetCondition,
};

use super::sets::Draft;
use super::{Turn, is_paused, limits};
use crate::conditions::{self, Condition, FALSE, TRUE, UNKNOWN};
use crate::patches::{count, time};

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";

const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// A look at a deadline is taken so much after it, for times are written in whole seconds.
const DEADLINE_SLACK: Duration = Duration::from_secs(1);

fn condition(kind: &str, status: &str, reason: &str, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: None,
        last_update_time: Some(time(now)),
        last_transition_time: Some(time(now)),
    }
}

/// The condition about a rollout.
pub(super) fn progressing(
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        message: Some(message),
        ..condition(PROGRESSING, status, reason, now)
    }
}

fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    conditions::find(status.conditions.as_deref().unwrap_or_default(), kind)
}

fn replace(status: &mut DeploymentStatus, condition: DeploymentCondition) {
    conditions::replace(status.conditions.get_or_insert_default(), condition);
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions::remove(conditions, kind);
    }
}

/// Tells that the Deployment was paused or resumed, so that the time between does not count.
pub(super) fn tell_pause(turn: &mut Turn<'_>) {
    if limits::progress_deadline(turn.deployment).is_none() {
        return;
    }
    let reason = find(&turn.status, PROGRESSING).map(Condition::reason);
    let was_paused = reason == Some(PAUSED);
    if reason == Some(TIMED_OUT) {
        return;
    }
    let (reason, message) = match (is_paused(turn.deployment), was_paused) {
        (true, false) => (PAUSED, "Deployment is paused"),
        (false, true) => ("DeploymentResumed", "Deployment is resumed"),
        _ => return,
    };
    let condition = progressing(UNKNOWN, reason, message.to_owned(), turn.now);
    replace(&mut turn.status, condition);
}

/// Tells that a set for the template was there already, if nothing was told of a rollout yet.
pub(super) fn tell_found(turn: &mut Turn<'_>) {
    if find(&turn.status, PROGRESSING).is_none() {
        tell_new(turn, "FoundNewReplicaSet", "Found");
    }
}

/// Tells that a set for the template is made.
pub(super) fn tell_created(turn: &mut Turn<'_>) {
    tell_new(turn, "NewReplicaSetCreated", "Created");
}

fn tell_new(turn: &mut Turn<'_>, reason: &str, did: &str) {
    let Some(new) = &turn.sets.new else { return };
    if limits::progress_deadline(turn.deployment).is_some() {
        let name = new.set.metadata.name.as_deref().unwrap_or_default();
        let message = format!("{did} new replica set {name:?}");
        let condition = progressing(TRUE, reason, message, turn.now);
        replace(&mut turn.status, condition);
    }
}

/// The status after a turn.
pub(super) fn status(turn: &Turn<'_>) -> DeploymentStatus {
    let mut status = counted(turn);
    if turn.is_rollout {
        judge(turn, &mut status);
        tell_failure(turn, &mut status);
    }
    status.conditions = status
        .conditions
        .filter(|conditions| !conditions.is_empty());
    status
}

fn counted(turn: &Turn<'_>) -> DeploymentStatus {
    let sets = &turn.sets;
    let available = sets.sum(Draft::available);
    let mut status = DeploymentStatus {
        observed_generation: turn.deployment.metadata.generation,
        replicas: count(sets.sum(Draft::actual)),
        updated_replicas: count(sets.new.as_ref().map_or(0, Draft::actual)),
        ready_replicas: count(sets.sum(|draft| {
            let status = draft.set.status.as_ref();
            status.and_then(|status| status.ready_replicas).unwrap_or(0)
        })),
        available_replicas: count(available),
        unavailable_replicas: count((sets.sum(Draft::replicas) - available).max(0)),
        terminating_replicas: terminating(turn),
        collision_count: turn.status.collision_count,
        conditions: turn.status.conditions.clone(),
    };
    let (is_enough, reason, message) = if available >= limits::available_min(turn.deployment) {
        (
            TRUE,
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        (
            FALSE,
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    };
    let mut enough = condition(AVAILABLE, is_enough, reason, turn.now);
    enough.message = Some(message.to_owned());
    replace(&mut status, enough);
    status
}

/// Pods that are going; unknown if a set does not tell. A set that nobody has looked at has none.
fn terminating(turn: &Turn<'_>) -> Option<i32> {
    let mut sum: i32 = 0;
    for draft in turn.sets.all() {
        let Some(status) = &draft.set.status else {
            continue;
        };
        match status.terminating_replicas {
            Some(number) => sum = sum.saturating_add(number),
            None if status.observed_generation.unwrap_or(0) == 0 => {}
            None => return None,
        }
    }
    Some(sum)
}

/// Whether all pods are of the new set and available, and none is left over.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let desired = limits::desired(deployment);
    let counts = [
        status.updated_replicas,
        status.replicas,
        status.available_replicas,
    ];
    counts.iter().all(|count| count.unwrap_or(0) == desired)
        && status.observed_generation >= deployment.metadata.generation
}

/// Whether there are more pods of the new set, ready or available ones, or fewer old ones.
fn has_progressed(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let number = |count: Option<i32>| count.unwrap_or(0);
    let left =
        |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(new.updated_replicas) > number(old.updated_replicas)
        || left(new) < left(old)
        || number(new.ready_replicas) > number(old.ready_replicas)
        || number(new.available_replicas) > number(old.available_replicas)
}

/// Tells whether the rollout is complete, goes on, or has stood still for too long.
fn judge(turn: &Turn<'_>, status: &mut DeploymentStatus) {
    let Some(deadline) = limits::progress_deadline(turn.deployment) else {
        remove(status, PROGRESSING);
        return;
    };
    let current = find(&turn.status, PROGRESSING);
    let was_complete = current.is_some_and(|current| current.reason() == COMPLETE);
    if was_complete && status.replicas.unwrap_or(0) == status.updated_replicas.unwrap_or(0) {
        return;
    }
    let new = turn.sets.new.as_ref();
    let (kind, metadata) = match new {
        Some(new) => ("ReplicaSet", &new.set.metadata),
        None => ("Deployment", &turn.deployment.metadata),
    };
    let name = metadata.name.as_deref().unwrap_or_default();
    let told = |state: &str| format!("{kind} {name:?} {state}");
    if is_complete(turn.deployment, status) {
        let message = told("has successfully progressed.");
        replace(status, progressing(TRUE, COMPLETE, message, turn.now));
    } else if has_progressed(&turn.status, status) {
        let message = told("is progressing.");
        let mut condition = progressing(TRUE, "ReplicaSetUpdated", message, turn.now);
        if let Some(current) = current.filter(|current| current.status == TRUE) {
            condition.set_changed_at(current.changed_at());
        }
        // The time of the last progress changes, though status and reason may stay.
        remove(status, PROGRESSING);
        replace(status, condition);
    } else if has_timed_out(status, deadline, turn.now) {
        let message = told("has timed out progressing.");
        replace(status, progressing(FALSE, TIMED_OUT, message, turn.now));
    }
}

fn has_timed_out(status: &DeploymentStatus, deadline: i32, now: Timestamp) -> bool {
    let Some(condition) = find(status, PROGRESSING) else {
        return false;
    };
    match condition.reason() {
        COMPLETE => false,
        TIMED_OUT => true,
        _ => deadline_of(condition, deadline).is_some_and(|deadline| deadline < now),
    }
}

fn deadline_of(condition: &DeploymentCondition, deadline: i32) -> Option<Timestamp> {
    let last = condition.last_update_time.as_ref()?.0;
    last.checked_add(SignedDuration::from_secs(deadline.into()))
        .ok()
}

/// Passes on that a set cannot create or delete pods, the new one first.
fn tell_failure(turn: &Turn<'_>, status: &mut DeploymentStatus) {
    let sets = turn.sets.new.iter().chain(&turn.sets.old);
    let failure = sets
        .filter_map(|draft| draft.set.status.as_ref()?.conditions.as_deref())
        .find_map(|conditions| conditions::find(conditions, REPLICA_FAILURE));
    match failure {
        Some(failure) => replace(status, of_set(failure)),
        None => remove(status, REPLICA_FAILURE),
    }
}

fn of_set(condition: &ReplicaSetCondition) -> DeploymentCondition {
    DeploymentCondition {
        type_: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_update_time: condition.last_transition_time.clone(),
        last_transition_time: condition.last_transition_time.clone(),
    }
}

/// When to look whether the rollout has stood still for too long.
pub(super) fn next_turn(turn: &Turn<'_>, status: &DeploymentStatus) -> Option<Duration> {
    let deadline = limits::progress_deadline(turn.deployment)?;
    let current = find(&turn.status, PROGRESSING)?;
    if is_complete(turn.deployment, status) || current.reason() == TIMED_OUT {
        return None;
    }
    let left = deadline_of(current, deadline)?.duration_since(turn.now);
    Some(Duration::try_from(left).unwrap_or_default() + DEADLINE_SLACK)
}
