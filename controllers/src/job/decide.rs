//! What a Job needs next: pods made, pods deleted, pods counted, and the status that says so.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
use k8s_openapi::api::core::v1::Pod;

use super::backoff::Failures;
use super::manage;
use super::policies::{self, Verdict};
use super::track;
use super::view::{Seen, View, amount, uid};
use crate::events::Event;
use crate::patches;
use crate::pod_writes::PodId;
use crate::pods::{self, phase};

/// What is to be written, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Pods to delete that will never be counted: their finalizer goes first.
    pub(super) withdraw: Vec<PodId>,
    /// Pods to delete that are counted later.
    pub(super) delete: Vec<PodId>,
    pub(super) create: Vec<Pod>,
    /// The status to write, when it differs from the Job's.
    pub(super) status: Option<JobStatus>,
    /// Pods whose finalizer comes off, once the status that counts them is written.
    pub(super) release: Vec<PodId>,
    pub(super) failures: Failures,
    pub(super) events: Vec<Event>,
    pub(super) next: Option<SignedDuration>,
}

/// Decides about a Job that is not finished.
pub(super) fn decide(seen: &Seen<'_>) -> Plan {
    let Some(view) = View::of(seen) else {
        return Plan::default();
    };
    let mut plan = Plan {
        failures: seen
            .failures
            .after(&view.newly_succeeded, &view.newly_failed),
        ..Plan::default()
    };
    let mut status = view.status.clone();
    if status.start_time.is_none() && !view.suspended() {
        status.start_time = Some(patches::time(seen.now));
    }
    let mut ending = ending(&view, &status, &mut plan);
    if ending.is_some() && seen.manages {
        plan.delete = view.active.iter().map(|pod| PodId::of(pod)).collect();
    } else if ending.is_some() {
        ending = ending.filter(|_| view.active.is_empty());
    } else {
        let managed = seen.manages && seen.job.metadata.deletion_timestamp.is_none();
        if managed {
            manage::pods(&view, &mut plan);
        }
        let idle = view.active.len() + plan.create.len() == plan.withdraw.len();
        if idle && enough_succeeded(&view) {
            let (reason, message) = (
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            );
            ending = Some(condition("SuccessCriteriaMet", reason, message, seen.now));
        } else if managed {
            note_suspension(&view, &mut status, &mut plan);
        }
    }
    let gone = plan.delete.len() + plan.withdraw.len();
    let active = amount(view.active.len() + plan.create.len() - gone);
    let leave = view
        .active
        .iter()
        .filter(|pod| pods::is_ready(pod) && leaves(&plan, pod));
    status.active = patches::count(active);
    status.ready = Some(view.ready - amount(leave.count()));
    status.terminating = Some(view.terminating + amount(gone));
    track::count(&view, &mut status, ending, &mut plan);
    plan.status = (Some(&status) != seen.job.status.as_ref()).then_some(status);
    plan
}

fn leaves(plan: &Plan, pod: &Pod) -> bool {
    plan.delete
        .iter()
        .chain(&plan.withdraw)
        .any(|id| id.uid == uid(pod))
}

fn enough_succeeded(view: &View<'_>) -> bool {
    match view.spec.completions {
        Some(completions) => view.succeeded >= completions,
        None => view.succeeded > 0,
    }
}

/// The condition that ends the Job, if one does. What the status already says comes first, then failures, then success.
fn ending(view: &View<'_>, status: &JobStatus, plan: &mut Plan) -> Option<JobCondition> {
    let now = view.seen.now;
    if let Some(met) = true_condition(status, "SuccessCriteriaMet") {
        return Some(met.clone());
    }
    if let Some(target) = true_condition(status, "FailureTarget") {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        return Some(condition(
            "Failed",
            &text(&target.reason),
            &text(&target.message),
            now,
        ));
    }
    let fails =
        |reason: &str, message: &str| Some(condition("FailureTarget", reason, message, now));
    if let Some(message) = policy_failure(view) {
        return fails("PodFailurePolicy", &message);
    }
    if view.failed > view.spec.backoff_limit.unwrap_or(6) || restarts_exceed_limit(view) {
        return fails(
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        );
    }
    if let Some(left) = deadline(view, status) {
        if left <= SignedDuration::ZERO {
            return fails(
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            );
        }
        plan.next = Some(left);
    }
    let completions = view.completions();
    if let Some(failed) = &view.failed_indexes {
        if view
            .spec
            .max_failed_indexes
            .is_some_and(|most| i64::from(failed.total()) > i64::from(most))
        {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return fails("MaxFailedIndexesExceeded", message);
        }
        if failed.total() > 0 && failed.total() + view.succeeded_indexes.total() >= completions {
            return fails("FailedIndexes", "Job has failed indexes");
        }
    }
    let met = policies::success(
        view.spec.success_policy.as_ref(),
        completions,
        &view.succeeded_indexes,
    );
    met.filter(|_| view.indexed())
        .map(|message| condition("SuccessCriteriaMet", "SuccessPolicy", &message, now))
}

fn policy_failure(view: &View<'_>) -> Option<String> {
    view.spec.pod_failure_policy.as_ref()?;
    let failed = view.seen.pods.iter().filter(|pod| view.failed(pod));
    failed
        .into_iter()
        .find_map(|pod| match policies::judge(view.spec, pod) {
            Verdict::JobFails { message } => Some(message),
            _ => None,
        })
}

/// With restartPolicy OnFailure, restarts of containers stand for failures of pods.
fn restarts_exceed_limit(view: &View<'_>) -> bool {
    let restarts_in_place = view
        .spec
        .template
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref());
    if restarts_in_place != Some("OnFailure") {
        return false;
    }
    let live = view
        .seen
        .pods
        .iter()
        .filter(|pod| matches!(phase(pod), "Running" | "Pending"));
    let restarts: i64 = live
        .filter_map(|pod| pod.status.as_ref())
        .flat_map(|status| {
            status
                .init_container_statuses
                .iter()
                .chain(&status.container_statuses)
                .flatten()
        })
        .map(|container| i64::from(container.restart_count))
        .sum();
    restarts >= i64::from(view.spec.backoff_limit.unwrap_or(6)).max(1)
}

/// What is left of the active deadline.
fn deadline(view: &View<'_>, status: &JobStatus) -> Option<SignedDuration> {
    if view.suspended() {
        return None;
    }
    let allowed = SignedDuration::from_secs(view.spec.active_deadline_seconds?);
    let started = status.start_time.as_ref()?.0;
    Some(allowed.saturating_sub(view.seen.now.duration_since(started)))
}

fn note_suspension(view: &View<'_>, status: &mut JobStatus, plan: &mut Plan) {
    let now = view.seen.now;
    let (value, reason, message, event) = if view.suspended() {
        ("True", "JobSuspended", "Job suspended", "Suspended")
    } else {
        ("False", "JobResumed", "Job resumed", "Resumed")
    };
    let conditions = status.conditions.get_or_insert_default();
    let fresh = JobCondition {
        status: value.to_owned(),
        ..condition("Suspended", reason, message, now)
    };
    match conditions
        .iter_mut()
        .find(|condition| condition.type_ == "Suspended")
    {
        Some(old) if old.status == value => return,
        Some(old) => *old = fresh,
        None if value == "True" => conditions.push(fresh),
        None => {
            if conditions.is_empty() {
                status.conditions = None;
            }
            return;
        }
    }
    status.start_time = (!view.suspended()).then_some(patches::time(now));
    plan.events.push(Event::normal(event, message));
}

pub(super) fn true_condition<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == kind && condition.status == "True")
}

pub(super) fn condition(kind: &str, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        last_probe_time: Some(patches::time(now)),
        last_transition_time: Some(patches::time(now)),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
    }
}
