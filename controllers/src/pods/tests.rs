//! Readiness, availability, and which pods go first.

use super::*;
use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::{Value, json};

use crate::owners;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn pod(tree: Value) -> Pod {
    serde_json::from_value(tree).unwrap()
}

fn ready_at(seconds: i64) -> Pod {
    pod(
        json!({"metadata": {"name": "p"}, "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": at(seconds).to_string()},
        ]}}),
    )
}

#[test]
fn a_pod_is_available_once_it_was_ready_for_long_enough() {
    let not_ready = pod(json!({"metadata": {}}));
    let timeless = pod(json!({"metadata": {}, "status": {"conditions": [
        {"type": "Ready", "status": "True"},
    ]}}));
    for (name, pod, min_ready_seconds, expected) in [
        ("not ready", &not_ready, 0, false),
        ("ready", &ready_at(100), 0, true),
        ("ready in the future", &ready_at(101), 0, true),
        ("ready for just long enough", &ready_at(90), 10, true),
        ("ready for too short", &ready_at(91), 10, false),
        ("ready without a time", &timeless, 10, false),
    ] {
        assert_eq!(
            is_available(pod, min_ready_seconds, at(100)),
            expected,
            "{name}"
        );
    }
    let pods = [ready_at(91), ready_at(95), ready_at(90)];
    assert_eq!(
        next_available(&pods, 10, at(100)),
        Some(Duration::from_secs(1))
    );
    assert_eq!(next_available(&pods, 0, at(100)), None);
}

#[test]
fn a_deleted_pod_terminates_until_it_has_ended() {
    for (phase, is_deleted, active, terminating) in [
        ("Running", false, true, false),
        ("Pending", true, false, true),
        ("Failed", false, false, false),
        ("Succeeded", true, false, false),
    ] {
        let mut pod = pod(json!({"metadata": {}, "status": {"phase": phase}}));
        pod.metadata.deletion_timestamp =
            is_deleted.then(|| serde_json::from_value(json!(at(0).to_string())).unwrap());
        assert_eq!(
            (is_active(&pod), is_terminating(&pod)),
            (active, terminating),
            "{phase}"
        );
    }
}

#[test]
fn a_pod_of_a_template_has_the_owners_name_and_reference() {
    let template = serde_json::from_value(json!({
        "metadata": {"labels": {"app": "a"}, "annotations": {"b": "c"}, "finalizers": ["d/e"]},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }))
    .unwrap();
    let owner = ObjectMeta {
        name: Some("web".into()),
        uid: Some("u".into()),
        ..ObjectMeta::default()
    };
    let pod = from_template(&template, "ns", owners::reference::<ReplicaSet>(&owner));
    let tree = serde_json::to_value(&pod).unwrap();
    assert_eq!(tree["metadata"]["generateName"], "web-");
    assert_eq!(tree["metadata"]["namespace"], "ns");
    assert_eq!(tree["metadata"]["labels"], json!({"app": "a"}));
    assert_eq!(tree["metadata"]["annotations"], json!({"b": "c"}));
    assert_eq!(tree["metadata"]["finalizers"], json!(["d/e"]));
    assert_eq!(tree["metadata"]["ownerReferences"][0]["uid"], "u");
    assert_eq!(tree["spec"]["containers"][0]["image"], "i");
    let long = "a".repeat(253);
    assert_eq!(name_prefix(&long), long);
}

/// Pods from the first to go to the last, each better than the one before by one rule.
fn in_order() -> Vec<(Pod, usize)> {
    let ready = |since: i64| json!([{"type": "Ready", "status": "True", "lastTransitionTime": at(since).to_string()}]);
    let running = |extra: Value| {
        let mut tree = json!({
            "metadata": {"uid": "u", "creationTimestamp": at(1000).to_string()},
            "spec": {"nodeName": "n", "containers": [], "initContainers": [
                {"name": "side", "restartPolicy": "Always"}, {"name": "first"},
            ]},
            "status": {"phase": "Running", "conditions": ready(1000), "containerStatuses": []},
        });
        for (path, value) in extra.as_object().unwrap() {
            let (parent, field) = path.rsplit_once('/').unwrap();
            tree.pointer_mut(parent).unwrap()[field] = value.clone();
        }
        pod(tree)
    };
    let restarted = |name: &str, count: i32| json!([{"name": name, "restartCount": count, "ready": true, "image": "", "imageID": ""}]);
    let cost = |text: &str| json!({"controller.kubernetes.io/pod-deletion-cost": text});
    vec![
        (running(json!({"/spec/nodeName": ""})), 9),
        (running(json!({"/status/phase": "Pending"})), 1),
        (running(json!({"/status/phase": "Unknown"})), 1),
        (
            running(json!({"/status/conditions": [], "/metadata/creationTimestamp": null})),
            1,
        ),
        (
            running(
                json!({"/status/conditions": [], "/metadata/creationTimestamp": at(1900).to_string()}),
            ),
            1,
        ),
        (running(json!({"/status/conditions": []})), 1),
        (running(json!({"/metadata/annotations": cost("-5")})), 1),
        (running(json!({})), 3),
        (running(json!({"/metadata/annotations": cost("+7")})), 2),
        (running(json!({"/status/conditions": ready(1990)})), 1),
        (
            running(json!({"/status/containerStatuses": restarted("c", 4)})),
            1,
        ),
        (
            running(json!({"/status/initContainerStatuses": restarted("side", 2)})),
            1,
        ),
        (
            running(json!({"/metadata/creationTimestamp": at(1990).to_string()})),
            1,
        ),
        (
            running(json!({"/status/initContainerStatuses": restarted("first", 2)})),
            1,
        ),
        (
            running(
                json!({"/metadata/uid": "v", "/metadata/creationTimestamp": at(1001).to_string()}),
            ),
            1,
        ),
        (running(json!({"/metadata/annotations": cost("3")})), 1),
    ]
}

#[test]
fn each_rule_of_the_ranking_comes_before_the_next() {
    let pods = in_order();
    for (left_index, (left, left_rank)) in pods.iter().enumerate() {
        for (right_index, (right, right_rank)) in pods.iter().enumerate() {
            let order = ranking::compare((left, *left_rank), (right, *right_rank), at(2000));
            assert_eq!(
                order,
                left_index.cmp(&right_index),
                "{left_index} and {right_index}"
            );
        }
    }
}
