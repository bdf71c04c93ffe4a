//! How ended pods are counted exactly once: first their uids stand in the status, then their finalizer goes, then the numbers grow.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
use k8s_openapi::api::core::v1::Pod;

use super::decide::{Plan, condition, true_condition};
use super::policies::{self, Verdict};
use super::view::{View, amount, completion_index, has_finalizer, uid};
use crate::events::Event;
use crate::pod_writes::PodId;
use crate::pods::phase;

/// The most pods that stand in a status without being counted.
pub(super) const UNCOUNTED_MAX: usize = 500;

/// Moves the count on, and ends the Job when the last pod is counted and gone.
pub(super) fn count(
    view: &View<'_>,
    status: &mut JobStatus,
    ending: Option<JobCondition>,
    plan: &mut Plan,
) {
    settle(view, status);
    let mut pods: Vec<&Pod> = view
        .seen
        .pods
        .iter()
        .map(|pod| &**pod)
        .filter(|pod| has_finalizer(pod))
        .collect();
    if view.indexed() {
        pods.sort_by_key(|pod| completion_index(pod));
    }
    let mut new_indexes = BTreeSet::new();
    let mut full = false;
    for pod in pods {
        if plan.withdraw.iter().any(|id| id.uid == uid(pod))
            || !may_release(view, ending.is_some(), pod)
        {
            continue;
        }
        plan.release.push(PodId::of(pod));
        record(view, status, ending.as_ref(), pod, &mut new_indexes);
        if new_indexes.len() + waiting(status) >= UNCOUNTED_MAX {
            full = true;
            break;
        }
    }
    if view.indexed() {
        let done = view.succeeded_before.with(new_indexes);
        status.succeeded = Some(amount(done.total() as usize));
        status.completed_indexes = (done.total() > 0).then(|| done.to_string());
        status.failed_indexes = view.failed_indexes.as_ref().map(ToString::to_string);
    }
    let settled =
        !full && plan.release.is_empty() && waiting(status) == 0 && status.terminating == Some(0);
    if let Some(ending) = ending {
        end(view, status, ending, settled, plan);
    }
}

/// Pods whose finalizer is gone move from the list of the uncounted into the number.
fn settle(view: &View<'_>, status: &mut JobStatus) {
    let tracked: BTreeSet<&str> = view
        .seen
        .pods
        .iter()
        .filter(|pod| has_finalizer(pod))
        .map(|pod| uid(pod))
        .collect();
    let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
    for (list, number) in [
        (&mut uncounted.succeeded, &mut status.succeeded),
        (&mut uncounted.failed, &mut status.failed),
    ] {
        let Some(uids) = list else { continue };
        let before = uids.len();
        uids.retain(|uid| tracked.contains(uid.as_str()));
        let counted = amount(before - uids.len());
        if counted > 0 {
            *number = Some(number.unwrap_or(0).saturating_add(counted));
        }
        if uids.is_empty() {
            *list = None;
        }
    }
}

fn waiting(status: &JobStatus) -> usize {
    let uncounted = status.uncounted_terminated_pods.iter();
    uncounted
        .flat_map(|lists| lists.succeeded.iter().chain(&lists.failed))
        .map(Vec::len)
        .sum()
}

fn may_release(view: &View<'_>, ends: bool, pod: &Pod) -> bool {
    if view.seen.job.metadata.deletion_timestamp.is_some() || ends || phase(pod) == "Succeeded" {
        return true;
    }
    // The last failed pod of an index stays until its replacement exists: it carries the index' count of failures.
    let kept = completion_index(pod).and_then(|index| view.replaceable.get(&index));
    view.failed(pod) && kept.is_none_or(|kept| uid(kept) != uid(pod))
}

fn record(
    view: &View<'_>,
    status: &mut JobStatus,
    ending: Option<&JobCondition>,
    pod: &Pod,
    new_indexes: &mut BTreeSet<u32>,
) {
    let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
    let listed =
        |list: &Option<Vec<String>>| list.iter().flatten().any(|listed| listed == uid(pod));
    let fails_job = ending.is_some_and(|ending| ending.type_ != "SuccessCriteriaMet");
    if phase(pod) == "Succeeded" && !listed(&uncounted.failed) {
        if view.indexed() {
            let index = completion_index(pod).filter(|index| *index < view.completions());
            new_indexes.extend(index.filter(|index| !view.succeeded_before.contains(*index)));
        } else if !listed(&uncounted.succeeded) {
            uncounted
                .succeeded
                .get_or_insert_default()
                .push(uid(pod).to_owned());
        }
    } else if (view.failed(pod) || fails_job)
        && !listed(&uncounted.failed)
        && view.concerns(pod)
        && policies::judge(view.spec, pod) != Verdict::Ignored
    {
        uncounted
            .failed
            .get_or_insert_default()
            .push(uid(pod).to_owned());
    }
}

/// Writes the condition that announces the end, and in a later decision the one that is the end.
fn end(
    view: &View<'_>,
    status: &mut JobStatus,
    ending: JobCondition,
    settled: bool,
    plan: &mut Plan,
) {
    let announced = ending.type_ == "Failed" || true_condition(status, &ending.type_).is_some();
    if !announced {
        status.conditions.get_or_insert_default().push(ending);
        return;
    }
    if !settled {
        return;
    }
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (reason, message) = (text(&ending.reason), text(&ending.message));
    if ending.type_ == "Failed" {
        plan.events.push(Event::warning(&reason, &message));
        status.conditions.get_or_insert_default().push(ending);
        return;
    }
    let complete = condition("Complete", &reason, &message, view.seen.now);
    status.completion_time = complete.last_transition_time.clone();
    status.conditions.get_or_insert_default().push(complete);
    if view
        .spec
        .completions
        .is_some_and(|completions| status.succeeded.unwrap_or(0) > completions)
    {
        let message = "Too many succeeded pods running after completion count reached";
        plan.events
            .push(Event::warning("TooManySucceededPods", message));
    }
    plan.events
        .push(Event::normal("Completed", "Job completed"));
}
