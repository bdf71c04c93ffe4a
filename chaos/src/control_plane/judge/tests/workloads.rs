//! What controllers of workloads may do, and what they must not.

use serde_json::{Value, json};

use super::super::Promise;
use super::{Tale, ended, on, pod, running, terminating, with};

fn stateful_set(replicas: i64, image: &str) -> Value {
    json!({
        "metadata": { "name": "db", "uid": "set", "generation": 1 },
        "spec": { "replicas": replicas, "podManagementPolicy": "OrderedReady",
            "template": { "spec": { "containers": [{ "image": image }] } } },
        "status": { "observedGeneration": 1, "replicas": 2 },
    })
}

fn db(number: u64) -> (String, Value) {
    let name = format!("db-{number}");
    let pod = pod(&name, &format!("uid-{number}"), ("StatefulSet", "set"));
    (format!("pods/broken/{name}"), on(&pod, "node-1"))
}

/// A set with two pods, the first of which is ready or not.
fn two(first_is_ready: bool) -> Tale {
    let mut tale = Tale::default();
    tale.put("statefulsets/broken/db", &stateful_set(2, "a"));
    for number in 0..2 {
        let (key, pod) = db(number);
        tale.put(&key, &pod).put(&key, &running(&pod, 1, true));
    }
    if !first_is_ready {
        let (key, pod) = db(0);
        // As if it had never been since the second one was made.
        tale.records.truncate(3);
        tale.put(&key, &running(&pod, 1, false));
        let (key, pod) = db(1);
        tale.put(&key, &pod).put(&key, &running(&pod, 1, true));
    }
    tale
}

#[test]
fn an_ordinal_that_is_made_before_the_one_before_it_was_ready_is_found() {
    two(true).holds(Promise::Ordered);
    let mut tale = Tale::default();
    tale.put("statefulsets/broken/db", &stateful_set(2, "a"));
    let (key, first) = db(0);
    tale.put(&key, &first).put(&key, &running(&first, 1, false));
    let (key, second) = db(1);
    assert_eq!(tale.put(&key, &second).broken(), [Promise::Ordered]);
}

#[test]
fn an_ordinal_that_nobody_desires_is_found() {
    let mut tale = two(true);
    let (key, third) = db(2);
    assert_eq!(tale.put(&key, &third).broken(), [Promise::Ordered]);
}

#[test]
fn an_update_that_deletes_while_another_pod_is_not_ready_is_found() {
    let (key, second) = db(1);
    for (first_is_ready, broken) in [(true, vec![]), (false, vec![Promise::OneByOne])] {
        let mut tale = two(first_is_ready);
        tale.put("statefulsets/broken/db", &stateful_set(2, "b"));
        tale.put(&key, &terminating(&running(&second, 1, true)));
        assert_eq!(tale.broken(), broken);
    }
}

#[test]
fn of_too_many_pods_the_last_goes_first_and_the_user_may_delete_any() {
    for (number, broken) in [(1, vec![]), (0, vec![Promise::OneByOne])] {
        let mut tale = two(true);
        let told = with(&stateful_set(2, "a"), "/status/readyReplicas", json!(2));
        tale.put("statefulsets/broken/db", &told);
        tale.put("statefulsets/broken/db", &stateful_set(0, "a"));
        let (key, pod) = db(number);
        tale.put(&key, &terminating(&running(&pod, 1, true)));
        assert_eq!(tale.broken(), broken, "{number}");
        tale.users(&format!("uid-{number}"));
        assert_eq!(tale.broken(), []);
    }
}

fn deployment(replicas: i64) -> Value {
    let rolling = json!({ "maxSurge": 1, "maxUnavailable": 1 });
    json!({
        "metadata": { "name": "web", "uid": "web" },
        "spec": { "replicas": replicas, "strategy": { "rollingUpdate": rolling } },
    })
}

/// A ReplicaSet of the Deployment `web`, which the controller sized by 4 desired pods.
fn set(uid: &str, replicas: i64, available: i64) -> Value {
    json!({
        "metadata": { "name": uid, "uid": uid, "generation": 1,
            "ownerReferences": [{ "kind": "Deployment", "uid": "web", "name": "web", "controller": true }],
            "annotations": { "deployment.kubernetes.io/desired-replicas": "4",
                "deployment.kubernetes.io/max-replicas": "5" } },
        "spec": { "replicas": replicas },
        "status": { "replicas": replicas, "availableReplicas": available, "observedGeneration": 1 },
    })
}

const OLD: &str = "replicasets/broken/old";
const NEW: &str = "replicasets/broken/new";

fn rolling() -> Tale {
    let mut tale = Tale::default();
    tale.put("deployments/broken/web", &deployment(4));
    tale.put(OLD, &set("old", 4, 0)).put(OLD, &set("old", 4, 4));
    tale
}

#[test]
fn a_rollout_with_more_pods_than_the_surge_is_found() {
    let mut tale = rolling();
    tale.put(NEW, &set("new", 1, 0)).holds(Promise::Surge);
    tale.put(NEW, &set("new", 2, 0));
    assert_eq!(tale.broken(), [Promise::Surge]);
}

#[test]
fn a_size_that_was_never_wished_is_found() {
    let mut tale = Tale::default();
    tale.put("deployments/broken/web", &deployment(3));
    assert_eq!(tale.put(NEW, &set("new", 1, 0)).broken(), [Promise::Surge]);
}

#[test]
fn a_rollout_that_leaves_too_few_available_is_found() {
    let mut tale = rolling();
    tale.put(NEW, &set("new", 1, 0)).put(OLD, &set("old", 3, 4));
    tale.holds(Promise::Available);
    tale.put(OLD, &set("old", 3, 3)).put(OLD, &set("old", 2, 3));
    assert_eq!(tale.broken(), [Promise::Available]);
}

#[test]
fn pods_that_are_not_available_may_go_in_any_number() {
    let mut tale = rolling();
    tale.put(OLD, &set("old", 4, 1)).put(OLD, &set("old", 1, 1));
    tale.holds(Promise::Available);
}

#[test]
fn what_a_status_does_not_tell_yet_is_not_the_controllers_to_know() {
    let mut tale = rolling();
    // It has shrunk by one, and its status still has four.
    tale.put(OLD, &set("old", 3, 4)).put(OLD, &set("old", 2, 4));
    tale.holds(Promise::Available);
    tale.put(OLD, &set("old", 0, 4));
    assert_eq!(tale.broken(), [Promise::Available]);
}

fn web(number: u64) -> (String, Value) {
    let name = format!("old-{number}");
    let pod = pod(&name, &name, ("ReplicaSet", "old"));
    (format!("pods/broken/{name}"), pod)
}

fn with_pods(count: u64) -> Tale {
    let mut tale = rolling();
    for number in 0..count {
        let (key, pod) = web(number);
        tale.put(&key, &pod);
    }
    tale
}

#[test]
fn a_pod_too_many_is_found_by_what_the_controller_knew() {
    with_pods(4).holds(Promise::NotTooMany);
    assert_eq!(with_pods(5).broken(), [Promise::NotTooMany]);
    // A wish that its status does not show yet may not have been seen.
    let mut tale = with_pods(3);
    let smaller = with(&set("old", 3, 3), "/metadata/generation", json!(2));
    let (key, pod) = web(3);
    assert_eq!(tale.put(OLD, &smaller).put(&key, &pod).broken(), []);
    let mut tale = with_pods(3);
    let seen = with(&smaller, "/status/observedGeneration", json!(2));
    assert_eq!(
        tale.put(OLD, &seen).put(&key, &pod).broken(),
        [Promise::NotTooMany]
    );
}

#[test]
fn a_pod_that_was_desired_and_is_deleted_is_found() {
    let (key, pod) = web(0);
    let mut tale = with_pods(4);
    tale.put(&key, &terminating(&pod));
    assert_eq!(tale.broken(), [Promise::NotTooFew]);
    assert_eq!(tale.users("old-0").broken(), []);
    let mut tale = with_pods(4);
    tale.put(OLD, &set("old", 3, 4))
        .put(&key, &terminating(&pod));
    tale.holds(Promise::NotTooFew);
}

#[test]
fn a_controller_may_not_yet_know_what_the_user_deleted() {
    let mut tale = with_pods(4);
    let (key, pod) = web(0);
    tale.users("old-0").put(&key, &terminating(&pod));
    let smaller = with(&set("old", 3, 4), "/status/replicas", json!(4));
    let (key, pod) = web(1);
    tale.put(OLD, &smaller).put(&key, &terminating(&pod));
    assert_eq!(tale.broken(), []);
}

#[test]
fn a_status_that_somebody_else_left_as_it_was_is_not_what_the_controller_knows() {
    let mut tale = with_pods(4);
    let told = with(&set("old", 4, 4), "/status/replicas", json!(3));
    let (key, pod) = web(0);
    tale.put(OLD, &told)
        .users("old-0")
        .put(&key, &terminating(&pod));
    // As many as there are now, by the old status alone.
    let wished = with(&told, "/metadata/generation", json!(2));
    let wished = with(&wished, "/spec/replicas", json!(3));
    let (key, pod) = web(1);
    tale.put(OLD, &wished).put(&key, &terminating(&pod));
    assert_eq!(tale.broken(), []);
}

fn job(succeeded: i64, complete: bool) -> Value {
    let complete =
        json!([{ "type": "Complete", "status": if complete { "True" } else { "False" } }]);
    json!({
        "metadata": { "name": "job-1", "uid": "job" },
        "spec": { "completions": 2, "parallelism": 1 },
        "status": { "succeeded": succeeded, "conditions": complete },
    })
}

const JOB: &str = "jobs/broken/job-1";

/// Some pods of a Job succeed, one after the other.
fn worked(pods: u64) -> Tale {
    let mut tale = Tale::default();
    tale.put(JOB, &job(0, false));
    for number in 0..pods {
        let name = format!("job-1-{number}");
        let key = format!("pods/broken/{name}");
        let pod = on(&pod(&name, &name, ("Job", "job")), "node-1");
        tale.put(&key, &pod).put(&key, &ended(&pod, "Succeeded", 1));
    }
    tale
}

#[test]
fn a_count_that_is_not_that_of_the_pods_is_found() {
    let told = |pods: u64, counts: &[(i64, bool)]| {
        let mut tale = worked(pods);
        for (count, complete) in counts {
            tale.put(JOB, &job(*count, *complete));
        }
        tale
    };
    told(2, &[(1, false), (2, true)]).holds(Promise::CountedOnce);
    for (pods, counts) in [
        (1, &[(2, true)][..]),
        (2, &[(1, true)]),
        (2, &[(2, false), (1, false)]),
        (3, &[]),
    ] {
        let broken = told(pods, counts).broken();
        assert_eq!(broken, [Promise::CountedOnce], "{pods} {counts:?}");
    }
}

#[test]
fn more_pods_of_a_job_at_a_time_than_may_run_are_found() {
    let mut tale = worked(1);
    let another = pod("job-1-8", "8", ("Job", "job"));
    tale.put("pods/broken/job-1-8", &another)
        .holds(Promise::Parallel);
    let another = pod("job-1-9", "9", ("Job", "job"));
    tale.put("pods/broken/job-1-9", &another);
    assert_eq!(tale.broken(), [Promise::Parallel]);
}
