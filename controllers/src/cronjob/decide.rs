//! What a CronJob needs next: old Jobs deleted, ended ones noticed, a due one started.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::missed::{self, TooDense};
use super::schedule::Schedule;
use crate::events::Event;
use crate::{owners, patches};

const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Everything a decision about a CronJob rests on.
pub(super) struct Seen<'a> {
    pub(super) cron_job: &'a CronJob,
    /// The Jobs that the CronJob controls.
    pub(super) jobs: &'a [Arc<Job>],
    /// The uids of active Jobs that the server does not have any more.
    pub(super) missing: &'a BTreeSet<String>,
    pub(super) now: Timestamp,
}

/// A Job that is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobId {
    pub(super) name: String,
    pub(super) uid: String,
}

/// A Job that is to be started, and the time it is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Start {
    pub(super) at: Timestamp,
    pub(super) job: Job,
}

/// What is to be written, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Ended Jobs that are too many; one that cannot be deleted stands in nobody's way.
    pub(super) expire: Vec<JobId>,
    /// Running Jobs that the new one replaces; it is started when all are deleted.
    pub(super) replace: Vec<JobId>,
    pub(super) start: Option<Start>,
    /// The status without the Job that is to be started.
    pub(super) status: CronJobStatus,
    pub(super) events: Vec<Event>,
    pub(super) next: Option<SignedDuration>,
}

pub(super) fn decide(seen: &Seen<'_>) -> Plan {
    let mut plan = Plan {
        status: seen.cron_job.status.clone().unwrap_or_default(),
        ..Plan::default()
    };
    let spec = &seen.cron_job.spec;
    expire(seen, spec, &mut plan);
    observe(seen, &mut plan);
    if seen.cron_job.metadata.deletion_timestamp.is_none() {
        schedule(seen, spec, &mut plan);
    }
    plan
}

/// The status once a Job was started.
pub(super) fn started(mut status: CronJobStatus, job: &Job, at: Timestamp) -> CronJobStatus {
    let meta = &job.metadata;
    status.active.get_or_insert_default().push(ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    });
    status.last_schedule_time = Some(patches::time(at));
    status
}

/// The type of the condition that ended a Job.
fn ended(job: &Job) -> Option<&str> {
    let conditions = job.status.as_ref()?.conditions.iter().flatten();
    let mut ends =
        conditions.filter(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed"));
    ends.find(|condition| condition.status == "True")
        .map(|condition| condition.type_.as_str())
}

/// Whether the status lists a Job as active.
pub(super) fn is_active(status: &CronJobStatus, uid: Option<&str>) -> bool {
    status
        .active
        .iter()
        .flatten()
        .any(|active| active.uid.as_deref() == uid)
}

fn forget(status: &mut CronJobStatus, uid: &str) {
    let Some(active) = &mut status.active else {
        return;
    };
    active.retain(|active| active.uid.as_deref() != Some(uid));
    if active.is_empty() {
        status.active = None;
    }
}

fn expire(seen: &Seen<'_>, spec: &CronJobSpec, plan: &mut Plan) {
    let limits = [
        ("Complete", spec.successful_jobs_history_limit),
        ("Failed", spec.failed_jobs_history_limit),
    ];
    for (end, limit) in limits {
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
            continue;
        };
        let mut jobs: Vec<&Job> = seen
            .jobs
            .iter()
            .map(|job| &**job)
            .filter(|job| ended(job) == Some(end))
            .collect();
        jobs.sort_by_key(|job| {
            let started = job
                .status
                .as_ref()
                .and_then(|status| status.start_time.as_ref())
                .map(|at| at.0);
            (started.is_none(), started, job.metadata.name.clone())
        });
        for job in jobs.iter().take(jobs.len().saturating_sub(limit)) {
            let id = id(&job.metadata);
            forget(&mut plan.status, &id.uid);
            plan.expire.push(id);
        }
    }
}

fn id(meta: &ObjectMeta) -> JobId {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    JobId {
        name: text(&meta.name),
        uid: text(&meta.uid),
    }
}

fn observe(seen: &Seen<'_>, plan: &mut Plan) {
    for job in seen.jobs {
        let JobId { name, uid } = id(&job.metadata);
        let is_active = is_active(&plan.status, Some(&uid));
        let Some(end) = ended(job) else {
            if !is_active {
                let message =
                    format!("Saw a job that the controller did not create or forgot: {name}");
                plan.events.push(Event::warning("UnexpectedJob", message));
            }
            continue;
        };
        if is_active {
            forget(&mut plan.status, &uid);
            let message = format!("Saw completed job: {name}, condition: {end}");
            plan.events.push(Event::normal("SawCompletedJob", message));
        }
        let completed = job
            .status
            .as_ref()
            .and_then(|status| status.completion_time.clone());
        let completed = completed.filter(|_| end == "Complete");
        plan.status.last_successful_time = plan.status.last_successful_time.take().max(completed);
    }
    for active in plan.status.active.clone().unwrap_or_default() {
        let uid = active.uid.unwrap_or_default();
        if seen.missing.contains(&uid) {
            let name = active.name.unwrap_or_default();
            plan.events.push(Event::normal(
                "MissingJob",
                format!("Active job went missing: {name}"),
            ));
            forget(&mut plan.status, &uid);
        }
    }
}

fn schedule(seen: &Seen<'_>, spec: &CronJobSpec, plan: &mut Plan) {
    let mut warn =
        |reason: &str, message: String| plan.events.push(Event::warning(reason, message));
    let zone = match spec.time_zone.as_deref() {
        None => TimeZone::UTC,
        Some(name) => match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(_unknown) => {
                warn(
                    "UnknownTimeZone",
                    format!("invalid timeZone: {name:?}: unknown time zone {name}"),
                );
                return;
            }
        },
    };
    if spec.suspend == Some(true) {
        return;
    }
    let text = &spec.schedule;
    if text.contains("TZ") {
        let more = "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
        let message =
            format!("CRON_TZ or TZ used in schedule {text:?} is not officially supported, {more}");
        warn("UnsupportedSchedule", message);
    }
    let schedule = match Schedule::parse(text, &zone) {
        Ok(schedule) => schedule,
        Err(fault) => {
            warn(
                "UnparseableSchedule",
                format!("unparseable schedule: {text:?} : {fault}"),
            );
            return;
        }
    };
    let now = seen.now;
    let since = since(seen);
    match due(seen, spec, &schedule, plan) {
        Err(fault) => {
            plan.events.push(Event::warning(
                "InvalidSchedule",
                format!("invalid schedule: {text} : {fault}"),
            ));
            return;
        }
        Ok(None) => {}
        Ok(Some(at)) => {
            let job = job(seen.cron_job, spec, at, &zone);
            plan.start = Some(Start { at, job });
        }
    }
    plan.next = missed::wait(&schedule, since, now);
}

/// When the last Job was due, or since when there is a schedule.
fn since(seen: &Seen<'_>) -> Timestamp {
    let status = seen.cron_job.status.as_ref();
    let last = status.and_then(|status| status.last_schedule_time.as_ref());
    let since = last.or(seen.cron_job.metadata.creation_timestamp.as_ref());
    since.map_or(seen.now, |since| since.0)
}

/// The time that a Job is to be started for, if nothing speaks against it.
fn due(
    seen: &Seen<'_>,
    spec: &CronJobSpec,
    schedule: &Schedule,
    plan: &mut Plan,
) -> Result<Option<Timestamp>, TooDense> {
    let now = seen.now;
    let lateness = spec
        .starting_deadline_seconds
        .map(SignedDuration::from_secs);
    let in_time = lateness.and_then(|lateness| now.checked_sub(lateness).ok());
    let since = in_time.map_or(since(seen), |in_time| in_time.max(since(seen)));
    let missed = missed::missed(schedule, since, now)?;
    let Some(at) = missed.last else {
        return Ok(None);
    };
    if missed.is_too_many {
        let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        plan.events
            .push(Event::warning("TooManyMissedTimes", message));
    }
    if in_time.is_some_and(|in_time| at < in_time) {
        let at = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
        plan.events.push(Event::warning(
            "MissSchedule",
            format!("Missed scheduled time to start a job: {at}"),
        ));
        return Ok(None);
    }
    let name = job_name(seen.cron_job, at);
    let active = plan.status.active.as_deref().unwrap_or_default();
    let is_started = active
        .iter()
        .any(|active| active.name.as_deref() == Some(&name));
    if is_started
        || plan
            .status
            .last_schedule_time
            .as_ref()
            .is_some_and(|last| last.0 == at)
    {
        return Ok(None);
    }
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.events.push(Event::normal("JobAlreadyActive", message));
            return Ok(None);
        }
        Some("Replace") => {
            for active in plan.status.active.take().unwrap_or_default() {
                let (name, uid) = (
                    active.name.unwrap_or_default(),
                    active.uid.unwrap_or_default(),
                );
                plan.replace.push(JobId { name, uid });
            }
        }
        _ => {}
    }
    Ok(Some(at))
}

fn job_name(cron_job: &CronJob, at: Timestamp) -> String {
    let name = cron_job.metadata.name.as_deref().unwrap_or_default();
    format!("{name}-{}", at.as_second().div_euclid(60))
}

fn job(cron_job: &CronJob, spec: &CronJobSpec, at: Timestamp, zone: &TimeZone) -> Job {
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let local = at.to_zoned(zone.clone());
    let text = match local.offset().is_zero() {
        true => local.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        false => local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    };
    let mut annotations = template.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED_AT.to_owned(), text);
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(cron_job, at)),
            namespace: cron_job.metadata.namespace.clone(),
            labels: template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owners::reference::<CronJob>(&cron_job.metadata)]),
            ..ObjectMeta::default()
        },
        spec: spec.job_template.spec.clone(),
        status: None,
    }
}

#[cfg(test)]
mod tests;
