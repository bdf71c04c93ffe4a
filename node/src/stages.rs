//! What becomes of a pod next: a pure function of the pod, its node and the time.

mod changes;
mod conditions;
mod events;
mod status;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::Value;

use self::changes::{has_other_images, is_behind};
use self::conditions::condition;
pub(crate) use self::events::Event;
pub(crate) use self::status::text;
use self::status::{Containers, Status};
use crate::behaviour::{Behaviour, has_image, restart_policy};

/// Pause before the second start of a container that ended; it doubles with each further one.
const BACKOFF_FIRST: SignedDuration = SignedDuration::from_secs(10);
const BACKOFF_MAX: SignedDuration = SignedDuration::from_secs(300);
/// Starts after which the pause is the longest.
const BACKOFF_DOUBLINGS_MAX: u32 = 5;
/// A process that SIGKILL ended.
const KILLED: i32 = 137;
/// A process that SIGTERM ended.
const TERMINATED: i32 = 143;
/// Containers that ran for so long start at once when they end, as if they never had before.
const RUN_FORGIVEN: SignedDuration = SignedDuration::from_mins(10);
/// Stages that take less are not shown.
const SHOWN_MIN: SignedDuration = SignedDuration::from_secs(1);
/// What is told of a pod that ran for longer than it may.
const OVERDUE: &str = "Pod was active on the node longer than the specified deadline";
const BACK_OFF: &str = "CrashLoopBackOff";
const PULL_BACK_OFF: &str = "ImagePullBackOff";

/// Where a pod runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) node_address: &'a str,
    /// Its address if it has none yet.
    pub(crate) pod_address: &'a str,
    pub(crate) now: Timestamp,
}

/// What is to be done with a pod.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Nothing, until something changes.
    Nothing,
    /// Nothing, until then or until something changes.
    Wait(Timestamp),
    /// Its status changes by a strategic merge patch.
    Status { patch: Value, events: Vec<Event> },
    /// It has ended and was to be deleted: it goes.
    Delete,
}

/// Decides on a pod that is bound to a node which works.
pub(crate) fn step(pod: &Pod, place: &Place<'_>) -> Step {
    let behaviour = Behaviour::of(pod);
    let status = Status::new(pod, place);
    let has_ended = has_ended(pod);
    if pod.metadata.deletion_timestamp.is_some() {
        return if has_ended {
            Step::Delete
        } else {
            stop(pod, &behaviour, &status)
        };
    }
    if has_ended {
        return Step::Nothing;
    }
    let deadline = deadline(pod);
    if deadline.is_some_and(|deadline| deadline <= place.now) {
        let patch = status.failed_for("DeadlineExceeded", OVERDUE, KILLED);
        let events = vec![events::overdue()];
        return Step::Status { patch, events };
    }
    let next = match phase(pod) {
        "Running" => run(pod, &behaviour, &status),
        _ => start(pod, &behaviour, &status),
    };
    match (next, deadline) {
        (Step::Nothing, Some(deadline)) => Step::Wait(deadline),
        (Step::Wait(at), Some(deadline)) => Step::Wait(at.min(deadline)),
        (next, _) => next,
    }
}

/// What becomes of a pod that is to be deleted and runs.
fn stop(pod: &Pod, behaviour: &Behaviour, status: &Status<'_>) -> Step {
    let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    let grace = SignedDuration::from_secs(seconds);
    let deleted = pod.metadata.deletion_timestamp.as_ref();
    let asked = deleted.map_or(status.now(), |at| after(at.0, -grace));
    let due = after(asked, behaviour.stop.min(grace));
    if status.now() < due {
        return Step::Wait(due);
    }
    // What serves ends well when it is told to; what was to end by itself has not done its work.
    let code = match behaviour.run {
        _ if behaviour.stop > grace => KILLED,
        Some(_) => TERMINATED,
        None => 0,
    };
    let container = first_container(pod);
    if container.is_some_and(|container| ended_at(container).is_some()) {
        return quiet(status.stays_ended());
    }
    if container.is_some_and(was_started) {
        let patch = status.ended(code);
        let events = events::stopped(pod);
        return Step::Status { patch, events };
    }
    quiet(status.never_started())
}

/// What becomes of a pod whose containers have not started.
fn start(pod: &Pod, behaviour: &Behaviour, status: &Status<'_>) -> Step {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    if let Some(container) = containers.clone().find(|container| !has_image(container)) {
        if waiting_reason(pod) == Some(PULL_BACK_OFF) {
            return Step::Nothing;
        }
        let image = container.image.as_deref().unwrap_or_default();
        let patch = status.waiting(PULL_BACK_OFF, &format!("Back-off pulling image {image:?}"));
        let events = events::not_pulled(pod);
        return Step::Status { patch, events };
    }
    let bound = condition(pod, "PodScheduled")
        .and_then(|scheduled| scheduled.last_transition_time.as_ref());
    let created = pod.metadata.creation_timestamp.as_ref();
    let since = bound.or(created).map_or(status.now(), |time| time.0);
    let due = after(since, behaviour.start);
    if status.now() < due {
        if behaviour.start >= SHOWN_MIN && first_container(pod).is_none() {
            return quiet(status.waiting("ContainerCreating", ""));
        }
        return Step::Wait(due);
    }
    begin(pod, behaviour, status, 0)
}

/// The containers start.
fn begin(pod: &Pod, behaviour: &Behaviour, status: &Status<'_>, restarts: i32) -> Step {
    let containers = Containers {
        since: status.now(),
        restarts,
        is_ready: behaviour.ready == Some(SignedDuration::ZERO),
    };
    let patch = status.running(&containers);
    let events = events::started(pod);
    Step::Status { patch, events }
}

/// What becomes of a pod that runs.
fn run(pod: &Pod, behaviour: &Behaviour, status: &Status<'_>) -> Step {
    let Some(container) = first_container(pod) else {
        return begin(pod, behaviour, status, 0);
    };
    let restarts = container.restart_count;
    if let Some(since) = ended_at(container) {
        let pause = pause(run_before(container), restarts);
        let due = after(since, pause);
        return if due <= status.now() {
            begin(pod, behaviour, status, restarts.saturating_add(1))
        } else if is_behind(pod) {
            quiet(status.still_ended(pause))
        } else {
            Step::Wait(due)
        };
    }
    if has_other_images(pod) {
        let mut next = begin(pod, behaviour, status, restarts.saturating_add(1));
        if let Step::Status { events, .. } = &mut next {
            events.splice(0..0, events::changed(pod));
        }
        return next;
    }
    let since = running_since(container).unwrap_or(status.now());
    let end = behaviour.run.map(|time| after(since, time));
    if end.is_some_and(|end| end <= status.now()) {
        let pause = pause(Some(status.now().duration_since(since)), restarts);
        return end_of_run(pod, behaviour, status, pause);
    }
    let ready_at = behaviour.ready.map(|time| after(since, time));
    let containers = Containers {
        since,
        restarts,
        is_ready: ready_at.is_some_and(|at| at <= status.now()),
    };
    if !conditions::are_told(pod, containers.is_ready) || is_behind(pod) {
        return quiet(status.running(&containers));
    }
    let ready_at = ready_at.filter(|_| !containers.is_ready);
    match ready_at.into_iter().chain(end).min() {
        Some(at) => Step::Wait(at),
        None => Step::Nothing,
    }
}

/// The containers end by themselves. If they start again, it is after a pause.
fn end_of_run(
    pod: &Pod,
    behaviour: &Behaviour,
    status: &Status<'_>,
    pause: SignedDuration,
) -> Step {
    let code = behaviour.exit_code;
    let starts_again = match restart_policy(pod) {
        "Always" => true,
        "OnFailure" => code != 0,
        _ => false,
    };
    if !starts_again {
        return quiet(status.ended(code));
    }
    let patch = status.ended_for_now(code, pause);
    let events = events::backed_off(pod);
    Step::Status { patch, events }
}

/// A change of the status that nobody is told of.
fn quiet(patch: Value) -> Step {
    Step::Status {
        patch,
        events: Vec::new(),
    }
}

/// When a pod may run no longer.
fn deadline(pod: &Pod) -> Option<Timestamp> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    let started = pod.status.as_ref()?.start_time.as_ref()?;
    Some(after(started.0, SignedDuration::from_secs(seconds)))
}

/// Time from the end of containers, which ran for so long, to their next start.
fn pause(ran: Option<SignedDuration>, restarts: i32) -> SignedDuration {
    match ran {
        Some(ran) if ran >= RUN_FORGIVEN => SignedDuration::ZERO,
        _ => backoff(restarts),
    }
}

fn backoff(restarts: i32) -> SignedDuration {
    let Some(doublings) = restarts.checked_sub(1).and_then(|n| u32::try_from(n).ok()) else {
        return SignedDuration::ZERO;
    };
    let factor = 1 << doublings.min(BACKOFF_DOUBLINGS_MAX);
    BACKOFF_FIRST.saturating_mul(factor).min(BACKOFF_MAX)
}

/// The time after that; the last one there is, if there is none.
fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

pub(crate) fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub(crate) fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// The first container's status. All of a pod's containers do the same.
fn first_container(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.first()
}

fn running_since(container: &ContainerStatus) -> Option<Timestamp> {
    let running = container.state.as_ref()?.running.as_ref()?;
    running.started_at.as_ref().map(|time| time.0)
}

fn was_started(container: &ContainerStatus) -> bool {
    running_since(container).is_some()
        || container.restart_count > 0
        || container
            .last_state
            .as_ref()
            .is_some_and(|last| last.terminated.is_some())
}

/// When a container ended that is to start again.
fn ended_at(container: &ContainerStatus) -> Option<Timestamp> {
    let state = container.state.as_ref()?;
    let waits = state.waiting.as_ref()?.reason.as_deref() == Some(BACK_OFF);
    let last = container.last_state.as_ref()?.terminated.as_ref()?;
    let finished = last.finished_at.as_ref().map(|time| time.0);
    finished.filter(|_| waits)
}

/// How long a container ran the last time.
fn run_before(container: &ContainerStatus) -> Option<SignedDuration> {
    let last = container.last_state.as_ref()?.terminated.as_ref()?;
    let (started, finished) = (last.started_at.as_ref()?, last.finished_at.as_ref()?);
    Some(finished.0.duration_since(started.0))
}

fn waiting_reason(pod: &Pod) -> Option<&str> {
    let state = first_container(pod)?.state.as_ref()?;
    state.waiting.as_ref()?.reason.as_deref()
}
