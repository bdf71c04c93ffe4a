//! Jobs without indexes: counting, failing, waiting, suspending.

use proptest::prelude::*;
use serde_json::json;

use super::Model;
use crate::job::view::has_finalizer;

#[test]
fn a_job_makes_pods_until_enough_have_succeeded() {
    let mut model = Model::of(json!({"parallelism": 2, "completions": 3}));
    model.settle();
    assert_eq!((model.active(), model.status().active), (2, Some(2)));
    assert!(model.status().start_time.is_some());
    model.exit(0, 0);
    model.settle();
    assert_eq!((model.active(), model.status().succeeded), (2, Some(1)));
    model.exit(0, 0);
    model.settle();
    assert_eq!(model.active(), 1);
    model.exit(0, 0);
    model.settle();
    let status = model.status();
    assert_eq!(
        (status.succeeded, status.active, status.failed),
        (Some(3), None, None)
    );
    assert_eq!(
        model.conditions(),
        [
            "SuccessCriteriaMet CompletionsReached",
            "Complete CompletionsReached"
        ]
    );
    assert_eq!(model.events, ["Completed: Job completed"]);
    assert!(status.completion_time.is_some() && !model.pods.iter().any(|pod| has_finalizer(pod)));
}

#[test]
fn without_completions_one_success_ends_the_making_and_the_last_pod_ends_the_job() {
    let mut model = Model::of(json!({"parallelism": 2}));
    model.settle();
    model.exit(0, 0);
    model.settle();
    assert_eq!((model.active(), model.finished()), (1, false));
    model.exit(0, 0);
    model.settle();
    assert_eq!(
        (model.status().succeeded, model.finished()),
        (Some(2), true)
    );
}

#[test]
fn a_failed_pod_is_replaced_after_a_wait_that_doubles() {
    let mut model = Model::of(json!({"completions": 1}));
    model.settle();
    for wait in [10, 20, 40] {
        model.exit(0, 1);
        let plan = model.settle();
        assert_eq!(
            (model.active(), plan.next.map(|next| next.as_secs())),
            (0, Some(wait))
        );
        model.pass(wait);
        model.settle();
        assert_eq!(model.active(), 1);
    }
    assert_eq!(model.status().failed, Some(3));
}

#[test]
fn more_failures_than_the_limit_fail_the_job_and_take_the_rest_away() {
    let mut model = Model::of(json!({"parallelism": 2, "completions": 2, "backoffLimit": 0}));
    model.settle();
    model.run(1, "Running");
    model.exit(0, 1);
    model.settle();
    assert_eq!(
        model.conditions(),
        [
            "FailureTarget BackoffLimitExceeded",
            "Failed BackoffLimitExceeded"
        ]
    );
    assert_eq!(
        model.events,
        ["BackoffLimitExceeded: Job has reached the specified backoff limit"]
    );
    assert_eq!((model.status().failed, model.active()), (Some(2), 0));
}

#[test]
fn pods_that_ended_are_counted_while_others_cannot_be_deleted() {
    for (change, end) in [
        (json!({}), "Failed BackoffLimitExceeded"),
        (json!({"suspend": true}), "Failed BackoffLimitExceeded"),
        (json!({"parallelism": 0, "backoffLimit": 6}), ""),
    ] {
        let mut model = Model::of(json!({"parallelism": 2, "completions": 2, "backoffLimit": 0}));
        model.settle();
        model.exit(0, 1);
        model.set(change);
        let wanted = model.plan();
        assert_eq!(wanted.delete.len() + wanted.withdraw.len(), 1, "{wanted:?}");
        for _ in 0..2 {
            let plan = model.count_only();
            assert!(plan.delete.is_empty() && plan.withdraw.is_empty() && plan.create.is_empty());
            model.carry_out(&plan, usize::MAX);
        }
        model.carry_out(&model.count_only(), usize::MAX);
        let status = model.status();
        assert_eq!((status.failed, status.active), (Some(1), Some(1)));
        assert_eq!(status.uncounted_terminated_pods.unwrap().failed, None);
        assert!(model.conditions().is_empty() && model.events.is_empty());
        assert_eq!((model.active(), has_finalizer(&model.pods[0])), (1, false));
        model.settle();
        assert_eq!(model.conditions().last().map_or("", String::as_str), end);
        assert_eq!(model.active(), 0);
    }
}

#[test]
fn restarts_of_containers_count_against_the_limit_when_they_stand_for_pods() {
    for (limit, restarts, fails) in [(0, 0, false), (0, 1, true), (3, 2, false), (3, 3, true)] {
        let mut model = Model::of(json!({"completions": 1, "backoffLimit": limit}));
        model.set(json!({"template": {"spec": {"restartPolicy": "OnFailure"}}}));
        model.settle();
        let status = json!({"phase": "Running", "containerStatuses": [
            {"name": "main", "image": "", "imageID": "", "ready": true, "restartCount": restarts},
        ]});
        std::sync::Arc::make_mut(&mut model.pods[0]).status =
            Some(serde_json::from_value(status).unwrap());
        model.settle();
        assert_eq!(
            model.finished(),
            fails,
            "{restarts} restarts with limit {limit}"
        );
    }
}

#[test]
fn a_job_that_is_active_for_too_long_fails() {
    let mut model = Model::of(json!({"completions": 1, "activeDeadlineSeconds": 30}));
    assert_eq!(model.settle().next.map(|next| next.as_secs()), Some(30));
    model.pass(29);
    assert_eq!(
        (
            model.settle().next.map(|next| next.as_secs()),
            model.active()
        ),
        (Some(1), 1)
    );
    model.pass(1);
    model.settle();
    assert_eq!(
        model.conditions(),
        ["FailureTarget DeadlineExceeded", "Failed DeadlineExceeded"]
    );
    assert_eq!(
        model.events,
        ["DeadlineExceeded: Job was active longer than specified deadline"]
    );
}

#[test]
fn a_suspended_job_has_no_pods_and_starts_anew_when_it_is_resumed() {
    let mut model =
        Model::of(json!({"parallelism": 2, "completions": 4, "activeDeadlineSeconds": 60}));
    model.settle();
    model.exit(0, 0);
    model.settle();
    model.set(json!({"suspend": true}));
    model.settle();
    let status = model.status();
    assert_eq!(
        (model.active(), status.active, status.start_time),
        (0, None, None)
    );
    assert_eq!((status.succeeded, status.failed), (Some(1), None));
    assert_eq!(model.conditions(), ["Suspended JobSuspended"]);
    model.pass(1000);
    model.settle();
    model.set(json!({"suspend": false}));
    model.settle();
    assert_eq!((model.active(), model.finished()), (2, false));
    assert_eq!(
        model.events,
        ["Suspended: Job suspended", "Resumed: Job resumed"]
    );
    assert_eq!(
        model.status().conditions.unwrap()[0].reason.as_deref(),
        Some("JobResumed")
    );
}

#[test]
fn a_job_born_suspended_makes_nothing() {
    let mut model = Model::of(json!({"completions": 1, "suspend": true}));
    model.settle();
    assert_eq!((model.pods.len(), model.status().start_time), (0, None));
    assert_eq!(model.conditions(), ["Suspended JobSuspended"]);
}

#[test]
fn pods_above_the_parallelism_are_withdrawn_and_are_no_failures() {
    let mut model = Model::of(json!({"parallelism": 3, "completions": 9}));
    model.settle();
    model.run(1, "Running");
    model.set(json!({"parallelism": 1}));
    model.settle();
    let status = model.status();
    assert_eq!(
        (model.active(), status.active, status.failed),
        (1, Some(1), None)
    );
    assert_eq!(
        model.pods[0].status.as_ref().unwrap().phase.as_deref(),
        Some("Running")
    );
}

#[test]
fn a_pod_that_goes_is_replaced_at_once_or_once_it_failed_as_the_policy_says() {
    for (policy, active) in [("TerminatingOrFailed", 1), ("Failed", 0)] {
        let mut model = Model::of(json!({"completions": 1, "podReplacementPolicy": policy}));
        model.settle();
        let now = model.now;
        std::sync::Arc::make_mut(&mut model.pods[0])
            .metadata
            .deletion_timestamp = Some(super::Time(now));
        model.pass(10);
        model.settle();
        assert_eq!(model.active(), active, "{policy}");
    }
}

#[test]
fn a_rule_of_the_failure_policy_fails_the_job_or_forgives_the_pod() {
    let rules = json!([
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}},
    ]);
    let mut model = Model::of(
        json!({"completions": 1, "backoffLimit": 0, "podFailurePolicy": {"rules": rules}}),
    );
    model.settle();
    model.exit(0, 7);
    model.settle();
    model.pass(10);
    model.settle();
    assert_eq!(
        (model.active(), model.status().failed, model.finished()),
        (1, None, false)
    );
    model.exit(0, 42);
    model.settle();
    assert_eq!(
        model.conditions(),
        ["FailureTarget PodFailurePolicy", "Failed PodFailurePolicy"]
    );
    let message =
        "Container main for pod ns/pod-2 failed with exit code 42 matching FailJob rule at index 0";
    assert_eq!(model.events, [format!("PodFailurePolicy: {message}")]);
}

#[test]
fn a_job_that_is_being_deleted_makes_nothing_and_lets_its_pods_go() {
    let mut model = Model::of(json!({"completions": 3}));
    model.settle();
    let now = model.now;
    model.job.metadata.deletion_timestamp = Some(super::Time(now));
    model.settle();
    assert_eq!(
        (model.pods.len(), has_finalizer(&model.pods[0])),
        (1, false)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_ended_pod_is_counted_once_wherever_the_controller_stops(
        steps in prop::collection::vec((0usize..5, 0i32..3, 0usize..8), 1..25),
    ) {
        let mut model = Model::of(json!({"parallelism": 3, "completions": 1000, "backoffLimit": 1000}));
        let (mut good, mut bad) = (0, 0);
        for (at, code, writes) in steps {
            model.pass(601);
            if at < model.active() {
                model.exit(at, code);
                if code == 0 { good += 1 } else { bad += 1 }
            }
            let plan = model.plan();
            model.carry_out(&plan, writes);
            model.restart();
        }
        model.pass(601);
        model.settle();
        let status = model.status();
        prop_assert_eq!((status.succeeded.unwrap_or(0), status.failed.unwrap_or(0)), (good, bad));
        let uncounted = status.uncounted_terminated_pods.unwrap();
        prop_assert_eq!((uncounted.succeeded, uncounted.failed), (None, None));
    }
}

#[test]
fn a_status_in_which_somebody_wrote_the_largest_counts_is_counted_on() {
    for code in [0, 1] {
        let mut model = Model::of(json!({"parallelism": 2, "completions": 5, "backoffLimit": 0}));
        model.settle();
        model.exit(0, code);
        let status = model.job.status.get_or_insert_default();
        (status.succeeded, status.failed) = (Some(i32::MAX), Some(i32::MAX));
        model.settle();
        let status = model.status();
        assert!(model.finished(), "{status:?}");
        assert_eq!(
            (status.succeeded, status.failed),
            (Some(i32::MAX), Some(i32::MAX))
        );
    }
}
