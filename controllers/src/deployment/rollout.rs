//! The steps of a rollout, from the old sets to the new one.

use super::sets::{Draft, Sets};
use super::{Turn, history, limits, progress};

/// One step of a rolling update: the new set grows, or the old ones shrink, within the Deployment's limits.
pub(super) fn roll(turn: &mut Turn<'_>) {
    turn.ensure_new();
    if grow_new(&mut turn.sets) || shrink_old(&mut turn.sets) {
        return;
    }
    clean_up(turn);
}

/// One step of a replacement: the new set gets its pods when no old pod runs any more.
pub(super) fn recreate(turn: &mut Turn<'_>, with_pods: &[&str]) {
    let deployment = turn.deployment;
    let mut is_shrinking = false;
    for old in turn.sets.old.iter_mut().filter(|old| old.replicas() > 0) {
        old.resize(deployment, 0);
        is_shrinking = true;
    }
    if is_shrinking || old_pods_run(&turn.sets, with_pods) {
        return;
    }
    turn.ensure_new();
    if let Some(new) = &mut turn.sets.new
        && new.replicas() != limits::desired(deployment)
    {
        new.resize(deployment, limits::desired(deployment));
    }
    clean_up(turn);
}

fn clean_up(turn: &mut Turn<'_>) {
    let seen = turn.deployment.status.as_ref();
    if seen.is_some_and(|seen| progress::is_complete(turn.deployment, seen)) {
        turn.too_old = history::too_old(&turn.sets);
    }
}

fn old_pods_run(sets: &Sets<'_>, with_pods: &[&str]) -> bool {
    let new = sets
        .new
        .as_ref()
        .and_then(|new| new.set.metadata.uid.as_deref());
    sets.old.iter().any(|old| old.actual() > 0) || with_pods.iter().any(|uid| Some(*uid) != new)
}

/// Grows the new set as far as the surge lets it, or shrinks it to what is wanted.
fn grow_new(sets: &mut Sets<'_>) -> bool {
    let desired = limits::desired(sets.deployment);
    let Some(size) = sets.new.as_ref().map(Draft::replicas) else {
        return false;
    };
    let wanted = if size > desired {
        desired
    } else {
        sets.size_of_new(size)
    };
    let deployment = sets.deployment;
    let Some(new) = sets.new.as_mut().filter(|_| wanted != size) else {
        return false;
    };
    new.resize(deployment, wanted);
    true
}

/// Shrinks the old sets, first by pods that are not available, then as far as enough pods stay available.
///
/// Pods of the new set that are not available yet hold the old ones back, for they may never be.
fn shrink_old(sets: &mut Sets<'_>) -> bool {
    let deployment = sets.deployment;
    let available_min = limits::available_min(deployment);
    let waiting = sets
        .new
        .as_ref()
        .map_or(0, |new| new.replicas() - new.available());
    let spare = sets
        .sum(Draft::replicas)
        .saturating_sub(available_min)
        .saturating_sub(waiting);
    if spare <= 0 || sets.old.iter().all(|old| old.replicas() == 0) {
        return false;
    }
    let mut left = spare;
    for old in &mut sets.old {
        let unavailable = old.replicas().saturating_sub(old.available());
        let fewer = unavailable.min(left).max(0);
        left -= fewer;
        shrink(old, deployment, fewer);
    }
    let is_healed = left < spare;
    let mut left = sets
        .sum(Draft::available)
        .saturating_sub(available_min)
        .max(0);
    let before = left;
    for old in &mut sets.old {
        let fewer = old.replicas().min(left);
        left -= fewer;
        shrink(old, deployment, fewer);
    }
    is_healed || left < before
}

fn shrink(draft: &mut Draft<'_>, deployment: &k8s_openapi::api::apps::v1::Deployment, by: i32) {
    if by > 0 {
        draft.resize(deployment, draft.replicas() - by);
    }
}
