//! Which pods a Job makes or withdraws to have as many active ones as it wants.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use super::backoff;
use super::decide::Plan;
use super::template;
use super::view::{View, completion_index, failures_of};
use crate::pod_writes::PodId;
use crate::pods;

/// The most pods that one decision makes or withdraws.
pub(super) const PODS_PER_SYNC_MAX: usize = 500;

pub(super) fn pods(view: &View<'_>, plan: &mut Plan) {
    let active = view.active.len();
    if view.suspended() {
        plan.withdraw = view.active.iter().map(|pod| PodId::of(pod)).collect();
        return;
    }
    let wanted = wanted(view);
    let surplus = surplus(view, active.saturating_sub(wanted));
    if !surplus.is_empty() {
        plan.withdraw = surplus
            .into_iter()
            .take(PODS_PER_SYNC_MAX)
            .map(PodId::of)
            .collect();
        return;
    }
    let going = if view.replaces_only_failed() {
        usize::try_from(view.terminating).unwrap_or(0)
    } else {
        0
    };
    let missing = wanted.saturating_sub(active + going).min(PODS_PER_SYNC_MAX);
    if missing > 0 {
        create(view, missing, plan);
    }
}

fn wanted(view: &View<'_>) -> usize {
    let parallelism = view.spec.parallelism.unwrap_or(1);
    let wanted = match view.spec.completions {
        Some(completions) => parallelism.min(completions.saturating_sub(view.succeeded)),
        None if view.succeeded > 0 => return view.active.len(),
        None => parallelism,
    };
    usize::try_from(wanted).unwrap_or(0)
}

fn create(view: &View<'_>, missing: usize, plan: &mut Plan) {
    let job = view.seen.job;
    let wait = plan.failures.wait(view.seen.now);
    if view.spec.backoff_limit_per_index.is_none() && wait.is_positive() {
        plan.next = Some(plan.next.map_or(wait, |next| next.min(wait)));
        return;
    }
    if !view.indexed() {
        plan.create = (0..missing).map(|_| template::plain(job, view)).collect();
        return;
    }
    let due = pending_indexes(view, missing)
        .into_iter()
        .map(|index| (index, wait_for_index(view, index)));
    let (now, later): (Vec<_>, Vec<_>) = due.partition(|(_, wait)| wait.is_zero());
    plan.create = now
        .into_iter()
        .map(|(index, _)| template::indexed(job, view, index))
        .collect();
    if let Some((_, wait)) = later.into_iter().min_by_key(|(_, wait)| *wait) {
        plan.next = Some(plan.next.map_or(wait, |next| next.min(wait)));
    }
}

fn wait_for_index(view: &View<'_>, index: u32) -> jiff::SignedDuration {
    match view.replaceable.get(&index) {
        Some(pod) => backoff::wait(
            failures_of(pod).saturating_add(1),
            backoff::finished_at(pod),
            view.seen.now,
        ),
        None => jiff::SignedDuration::ZERO,
    }
}

/// The lowest indexes that are neither done nor failed nor being worked on.
fn pending_indexes(view: &View<'_>, count: usize) -> Vec<u32> {
    let mut taken = view
        .succeeded_indexes
        .with(view.active.iter().filter_map(|pod| completion_index(pod)));
    if view.replaces_only_failed() {
        let going = view
            .seen
            .pods
            .iter()
            .filter(|pod| pods::is_terminating(pod));
        taken = taken.with(going.into_iter().filter_map(|pod| completion_index(pod)));
    }
    if let Some(failed) = &view.failed_indexes {
        taken = taken.union(failed);
    }
    taken.missing(view.completions(), count)
}

/// Active pods to withdraw: those whose index is unknown, too high or taken twice, and then the least useful ones.
fn surplus<'a>(view: &View<'a>, at_least: usize) -> Vec<&'a Pod> {
    let mut useful = view.active.clone();
    useful.sort_by(|left, right| pods::ranking::compare((left, 0), (right, 0), view.seen.now));
    let mut surplus = Vec::new();
    if view.indexed() {
        let mut last: BTreeMap<u32, &Pod> = BTreeMap::new();
        for pod in useful.iter().filter(|pod| view.concerns(pod)) {
            last.extend(completion_index(pod).map(|index| (index, *pod)));
        }
        let keeps = |pod: &Pod| {
            let kept = completion_index(pod).and_then(|index| last.get(&index));
            kept.is_some_and(|kept| kept.metadata.uid == pod.metadata.uid)
        };
        (useful, surplus) = useful.into_iter().partition(|pod| keeps(pod));
    }
    let more = at_least.saturating_sub(surplus.len());
    surplus.extend(useful.into_iter().take(more));
    surplus
}
