//! Decisions about a CronJob that is due every hour.

use serde_json::{Value, json};

use super::*;

const NOON: &str = "2026-05-04T12:00:00Z";

struct Case {
    cron_job: Value,
    jobs: Vec<Value>,
    missing: Vec<&'static str>,
    now: &'static str,
}

fn case(spec: Value, status: Value, now: &'static str) -> Case {
    let mut whole = json!({"schedule": "0 * * * *", "jobTemplate": {
        "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {"template": {}},
    }});
    for (name, value) in spec.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let meta = json!({"name": "cj", "namespace": "ns", "uid": "cj-uid", "creationTimestamp": "2026-05-04T11:30:00Z"});
    Case {
        cron_job: json!({"metadata": meta, "spec": whole, "status": status}),
        jobs: vec![],
        missing: vec![],
        now,
    }
}

fn decided(case: &Case) -> Plan {
    let jobs: Vec<Arc<Job>> = case
        .jobs
        .iter()
        .map(|job| Arc::new(serde_json::from_value(job.clone()).unwrap()))
        .collect();
    let cron_job = serde_json::from_value(case.cron_job.clone()).unwrap();
    let missing = case.missing.iter().map(|uid| (*uid).to_owned()).collect();
    decide(&Seen {
        cron_job: &cron_job,
        jobs: &jobs,
        missing: &missing,
        now: case.now.parse().unwrap(),
    })
}

fn events(plan: &Plan) -> Vec<String> {
    plan.events
        .iter()
        .map(|event| format!("{}: {}", event.reason, event.message))
        .collect()
}

fn starts(plan: &Plan) -> Option<String> {
    plan.start.as_ref().map(|start| start.at.to_string())
}

fn active(names: &[&str]) -> Value {
    let list: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "namespace": "ns", "uid": name}))
        .collect();
    json!({"active": list})
}

fn job(name: &str, started: &str, end: Option<&str>) -> Value {
    let conditions: Vec<Value> = end
        .iter()
        .map(|end| json!({"type": end, "status": "True"}))
        .collect();
    let completed = (end == Some("Complete")).then_some(started);
    json!({
        "metadata": {"name": name, "namespace": "ns", "uid": name},
        "status": {"startTime": started, "completionTime": completed, "conditions": conditions},
    })
}

#[test]
fn a_job_is_started_when_it_is_due_and_not_before() {
    let early = decided(&case(json!({}), json!({}), "2026-05-04T11:59:00Z"));
    assert_eq!(
        (starts(&early), early.next),
        (None, Some(SignedDuration::from_millis(60_100)))
    );
    let due = decided(&case(json!({}), json!({}), "2026-05-04T12:00:30Z"));
    assert_eq!(starts(&due).as_deref(), Some(NOON));
    assert_eq!(
        due.next,
        Some(SignedDuration::from_millis(59 * 60_000 + 30_100))
    );
    let job = due.start.unwrap().job;
    assert_eq!(job.metadata.name.as_deref(), Some("cj-29631600"));
    assert_eq!(job.metadata.labels.unwrap()["a"], "b");
    let annotations = job.metadata.annotations.unwrap();
    assert_eq!(
        (
            annotations["c"].as_str(),
            annotations[SCHEDULED_AT].as_str()
        ),
        ("d", NOON)
    );
    assert_eq!(job.metadata.owner_references.unwrap()[0].uid, "cj-uid");
}

#[test]
fn the_time_on_a_job_is_that_of_the_zone() {
    let plan = decided(&case(json!({"timeZone": "Asia/Tokyo"}), json!({}), NOON));
    let annotations = plan.start.unwrap().job.metadata.annotations.unwrap();
    assert_eq!(annotations[SCHEDULED_AT], "2026-05-04T21:00:00+09:00");
}

#[test]
fn a_started_job_is_listed_as_active_with_its_time() {
    let plan = decided(&case(json!({}), json!({}), NOON));
    let start = plan.start.unwrap();
    let status = started(plan.status, &start.job, start.at);
    assert_eq!(
        status.active.unwrap()[0].name.as_deref(),
        Some("cj-29631600")
    );
    assert_eq!(status.last_schedule_time.unwrap().0.to_string(), NOON);
}

#[test]
fn a_time_whose_job_was_started_is_not_started_again() {
    for status in [active(&["cj-29631600"]), json!({"lastScheduleTime": NOON})] {
        let mut case = case(json!({}), status, "2026-05-04T12:10:00Z");
        case.jobs = vec![job("cj-29631600", NOON, None)];
        let plan = decided(&case);
        assert_eq!((starts(&plan), plan.next.is_some()), (None, true));
    }
}

#[test]
fn a_job_that_still_runs_is_joined_awaited_or_replaced() {
    let running = || vec![job("old", "2026-05-04T11:00:00Z", None)];
    for (policy, begins, replaces) in [
        ("Allow", true, 0),
        ("Forbid", false, 0),
        ("Replace", true, 1),
    ] {
        let mut case = case(json!({"concurrencyPolicy": policy}), active(&["old"]), NOON);
        case.jobs = running();
        let plan = decided(&case);
        assert_eq!(
            (plan.start.is_some(), plan.replace.len()),
            (begins, replaces),
            "{policy}"
        );
        assert_eq!(plan.status.active.is_none(), policy == "Replace");
        let words = "JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid";
        assert_eq!(
            events(&plan),
            if policy == "Forbid" {
                vec![words.to_owned()]
            } else {
                vec![]
            }
        );
    }
}

#[test]
fn a_job_that_is_too_late_is_not_started() {
    let spec = json!({"startingDeadlineSeconds": 60});
    let in_time = decided(&case(spec.clone(), json!({}), "2026-05-04T12:01:00Z"));
    assert_eq!(
        starts(&in_time),
        None,
        "the time lies at the very start of the span, which is not looked at"
    );
    let in_time = decided(&case(spec.clone(), json!({}), "2026-05-04T12:00:59Z"));
    assert_eq!(starts(&in_time).as_deref(), Some(NOON));
    let late = decided(&case(spec, json!({}), "2026-05-04T12:02:00Z"));
    assert_eq!((starts(&late), late.next.is_some()), (None, true));
}

#[test]
fn after_many_missed_times_the_last_one_is_started_with_a_warning() {
    let plan = decided(&case(
        json!({}),
        json!({"lastScheduleTime": "2026-04-01T00:00:00Z"}),
        "2026-05-04T12:05:00Z",
    ));
    assert_eq!(starts(&plan).as_deref(), Some(NOON));
    assert!(
        events(&plan)[0]
            .starts_with("TooManyMissedTimes: too many missed start times. Set or decrease")
    );
}

#[test]
fn ended_and_missing_jobs_leave_the_list_and_success_leaves_its_time() {
    let mut case = case(
        json!({}),
        active(&["good", "bad", "gone", "runs"]),
        "2026-05-04T11:45:00Z",
    );
    case.jobs = vec![
        job("good", "2026-05-04T11:31:00Z", Some("Complete")),
        job("bad", "2026-05-04T11:32:00Z", Some("Failed")),
        job("runs", "2026-05-04T11:33:00Z", None),
        job("strange", "2026-05-04T11:34:00Z", None),
    ];
    case.missing = vec!["gone"];
    let plan = decided(&case);
    let left: Vec<_> = plan
        .status
        .active
        .iter()
        .flatten()
        .filter_map(|active| active.name.clone())
        .collect();
    assert_eq!(left, ["runs"]);
    assert_eq!(
        events(&plan),
        [
            "SawCompletedJob: Saw completed job: good, condition: Complete",
            "SawCompletedJob: Saw completed job: bad, condition: Failed",
            "UnexpectedJob: Saw a job that the controller did not create or forgot: strange",
            "MissingJob: Active job went missing: gone",
        ]
    );
    assert_eq!(
        plan.status.last_successful_time.unwrap().0.to_string(),
        "2026-05-04T11:31:00Z"
    );
}

#[test]
fn the_oldest_ended_jobs_beyond_the_limits_are_deleted() {
    let jobs = vec![
        job("good-2", "2026-05-04T10:02:00Z", Some("Complete")),
        job("good-1", "2026-05-04T10:01:00Z", Some("Complete")),
        job("good-3", "2026-05-04T10:03:00Z", Some("Complete")),
        job("bad-1", "2026-05-04T10:01:00Z", Some("Failed")),
        job("runs", "2026-05-04T09:00:00Z", None),
    ];
    let cases: [(Value, &[&str]); 4] = [
        (json!({}), &[]),
        (
            json!({"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}),
            &[],
        ),
        (
            json!({"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1}),
            &["good-1", "good-2"],
        ),
        (json!({"failedJobsHistoryLimit": 0}), &["bad-1"]),
    ];
    for (spec, expired) in cases {
        let mut case = case(spec.clone(), active(&["runs"]), "2026-05-04T11:45:00Z");
        case.jobs = jobs.clone();
        let names: Vec<String> = decided(&case)
            .expire
            .into_iter()
            .map(|id| id.name)
            .collect();
        assert_eq!(names, expired, "{spec}");
    }
}

#[test]
fn nothing_is_started_for_a_cron_job_that_is_suspended_going_or_unreadable() {
    let mut going = case(json!({}), json!({}), NOON);
    going.cron_job["metadata"]["deletionTimestamp"] = json!(NOON);
    let cases = [
        (going, None),
        (case(json!({"suspend": true}), json!({}), NOON), None),
        (
            case(json!({"timeZone": "Mars/Olympus"}), json!({}), NOON),
            Some(
                "UnknownTimeZone: invalid timeZone: \"Mars/Olympus\": unknown time zone Mars/Olympus",
            ),
        ),
        (
            case(json!({"schedule": "x"}), json!({}), NOON),
            Some(
                "UnparseableSchedule: unparseable schedule: \"x\" : expected exactly 5 fields, found 1: [x]",
            ),
        ),
    ];
    for (case, event) in cases {
        let plan = decided(&case);
        assert_eq!((starts(&plan), plan.next), (None, None));
        assert_eq!(
            events(&plan),
            event.map(str::to_owned).into_iter().collect::<Vec<_>>()
        );
    }
}
