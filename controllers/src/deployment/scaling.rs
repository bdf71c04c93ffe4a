//! A Deployment whose size changes while several of its sets have pods: each gets its part.

use std::cmp::Reverse;

use super::limits;
use super::sets::{DESIRED_REPLICAS_ANNOTATION, Draft, MAX_REPLICAS_ANNOTATION, Sets, age, number};

/// Whether a set was last sized for another size of the Deployment.
pub(super) fn is_asked_for(sets: &Sets<'_>) -> bool {
    let desired = limits::desired(sets.deployment);
    let mut active = sets.all().filter(|draft| draft.replicas() > 0);
    active.any(|draft| {
        let noted = number(draft.annotation(DESIRED_REPLICAS_ANNOTATION));
        noted.is_some_and(|noted| noted != desired)
    })
}

/// Sizes the sets for the Deployment's size with no step of a rollout.
pub(super) fn scale(sets: &mut Sets<'_>) {
    let deployment = sets.deployment;
    let desired = limits::desired(deployment);
    let active = sets.all().filter(|draft| draft.replicas() > 0).count();
    if active <= 1 {
        if let Some(only) = active_or_latest(sets)
            && only.replicas() != desired
        {
            only.resize(deployment, desired);
        }
    } else if is_saturated(sets) {
        for old in sets.old.iter_mut().filter(|old| old.replicas() > 0) {
            old.resize(deployment, 0);
        }
    } else if limits::is_rolling(deployment) {
        share(sets);
    }
}

/// The one set that has pods, or the new one, or the youngest.
fn active_or_latest<'s, 'a>(sets: &'s mut Sets<'a>) -> Option<&'s mut Draft<'a>> {
    let Sets { new, old, .. } = sets;
    match old.iter().position(|draft| draft.replicas() > 0) {
        Some(place) => old.get_mut(place),
        None => new.as_mut().or(old.last_mut()),
    }
}

/// Whether the new set is the whole Deployment.
fn is_saturated(sets: &Sets<'_>) -> bool {
    let desired = limits::desired(sets.deployment);
    sets.new.as_ref().is_some_and(|new| {
        new.replicas() == desired
            && new.available() == desired
            && number(new.annotation(DESIRED_REPLICAS_ANNOTATION)) == Some(desired)
    })
}

/// Gives each set that has pods a part of what is added or taken, as large as its part of the whole.
/// The first, and largest, gets the rest: of equal ones the youngest when growing, the oldest when shrinking.
fn share(sets: &mut Sets<'_>) {
    let deployment = sets.deployment;
    let allowed = match limits::desired(deployment) {
        0 => 0,
        _ => limits::total_max(deployment),
    };
    let difference = i64::from(allowed) - i64::from(sets.sum(Draft::replicas));
    let Sets { new, old, .. } = sets;
    let mut active: Vec<&mut Draft<'_>> = old.iter_mut().chain(new).collect();
    active.retain(|draft| draft.replicas() > 0);
    active.sort_by(|left, right| {
        let by_size = Reverse(left.replicas()).cmp(&Reverse(right.replicas()));
        let by_age = age(&left.set).cmp(&age(&right.set));
        by_size.then(if difference > 0 {
            by_age.reverse()
        } else {
            by_age
        })
    });
    let mut left = difference;
    let mut sizes = Vec::new();
    for draft in &active {
        let part = part(draft, sets.deployment);
        let part = if difference > 0 {
            part.min(left)
        } else {
            part.max(left)
        };
        let part = if left == 0 { 0 } else { part };
        left -= part;
        sizes.push(i64::from(draft.replicas()) + part);
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + left).max(0);
    }
    for (draft, size) in active.into_iter().zip(sizes) {
        draft.resize(deployment, i32::try_from(size).unwrap_or(i32::MAX));
    }
}

/// By how many pods a set should change so that its part of the whole stays.
fn part(draft: &Draft<'_>, deployment: &k8s_openapi::api::apps::v1::Deployment) -> i64 {
    let size = i64::from(draft.replicas());
    if limits::desired(deployment) == 0 {
        return -size;
    }
    let counted = deployment
        .status
        .as_ref()
        .and_then(|status| status.replicas);
    let noted = number(draft.annotation(MAX_REPLICAS_ANNOTATION)).filter(|noted| *noted != 0);
    let before = i64::from(noted.or(counted).unwrap_or(0));
    if before == 0 {
        return 0;
    }
    let after = i64::from(limits::total_max(deployment));
    // Half and more is rounded up.
    (2 * size * after + before) / (2 * before) - size
}
