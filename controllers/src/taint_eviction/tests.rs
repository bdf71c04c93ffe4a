//! Tables of taints and tolerations, and histories of pods that have to leave.

use serde_json::{Value, json};

use super::*;

fn taints(value: Value) -> Vec<Taint> {
    serde_json::from_value(value).unwrap()
}

fn pod(uid: &str, tolerations: Value) -> Pod {
    serde_json::from_value(
        json!({"metadata": {"uid": uid}, "spec": {"containers": [], "tolerations": tolerations}}),
    )
    .unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn the_shortest_toleration_in_use_counts() {
    let first = json!({"key": "a", "value": "1", "effect": "NoExecute"});
    let both = json!([first, {"key": "b", "effect": "NoExecute"}]);
    let one = json!([first]);
    let seconds = |count: i64| Stay::For(SignedDuration::from_secs(count));
    let cases = [
        (&one, json!([]), seconds(0)),
        (&one, json!([{"operator": "Exists"}]), Stay::Forever),
        (&one, json!([{"key": "a", "value": "1"}]), Stay::Forever),
        (&one, json!([{"key": "a", "value": "2"}]), seconds(0)),
        (
            &one,
            json!([{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]),
            seconds(0),
        ),
        (
            &one,
            json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}]),
            seconds(300),
        ),
        (
            &one,
            json!([{"key": "a", "operator": "Exists", "tolerationSeconds": -1}]),
            seconds(0),
        ),
        (
            &one,
            json!([{"key": "a", "operator": "Gt", "value": "0"}]),
            seconds(0),
        ),
        (
            &both,
            json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}]),
            seconds(0),
        ),
        (
            &both,
            json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}, {"key": "b", "operator": "Exists", "tolerationSeconds": 60}]),
            seconds(60),
        ),
        (
            &both,
            json!([{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists", "tolerationSeconds": 60}]),
            seconds(60),
        ),
    ];
    for (given, tolerations, expected) in cases {
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
        assert_eq!(
            stay(&taints(given.clone()), &tolerations),
            expected,
            "{given} {tolerations:?}"
        );
    }
}

#[test]
fn a_pod_leaves_when_its_time_is_over_and_is_named_once() {
    let taint = taints(json!([{"key": "a", "effect": "NoExecute"}]));
    let pod = pod(
        "u",
        json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}]),
    );
    let mut evictions = Evictions::default();
    assert!(!evictions.observe(&"p", &pod, &taint, at(0)));
    assert_eq!(evictions.next(), Some(at(300)));
    evictions.observe(&"p", &pod, &taint, at(100));
    assert_eq!(evictions.due(at(299)), []);
    assert_eq!(evictions.due(at(300)), [("p", "u".to_owned())]);
    evictions.observe(&"p", &pod, &taint, at(301));
    assert_eq!((evictions.due(at(900)), evictions.next()), (vec![], None));
    assert!(
        !evictions.cancel(&"p"),
        "nothing is called off that was carried out"
    );
}

#[test]
fn a_leave_is_called_off_if_the_taint_goes_or_is_tolerated_for_good() {
    let taint = taints(json!([{"key": "a", "effect": "NoExecute"}]));
    let waiting = pod(
        "u",
        json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}]),
    );
    let staying = pod("u", json!([{"key": "a", "operator": "Exists"}]));
    for (then, pod) in [(vec![], waiting.clone()), (taint.clone(), staying)] {
        let mut evictions = Evictions::default();
        evictions.observe(&"p", &waiting, &taint, at(0));
        assert!(evictions.observe(&"p", &pod, &then, at(1)));
        assert_eq!(evictions.due(at(900)), []);
    }
}

#[test]
fn a_worse_taint_brings_the_leave_forward() {
    let mild = taints(json!([{"key": "a", "effect": "NoExecute"}]));
    let worse =
        taints(json!([{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute"}]));
    let tolerations = json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}, {"key": "b", "operator": "Exists", "tolerationSeconds": 60}]);
    let mut evictions = Evictions::default();
    evictions.observe(&"p", &pod("u", tolerations.clone()), &mild, at(0));
    assert!(evictions.observe(&"p", &pod("u", tolerations.clone()), &worse, at(10)));
    assert_eq!(
        evictions.next(),
        Some(at(60)),
        "it counts from the first taint"
    );
    evictions.observe(&"p", &pod("u", tolerations), &mild, at(20));
    assert_eq!(
        evictions.next(),
        Some(at(60)),
        "a later leave is no reason to wait longer"
    );
    evictions.observe(&"p", &pod("u", json!([])), &mild, at(30));
    assert_eq!(evictions.due(at(30)), [("p", "u".to_owned())]);
}

#[test]
fn another_pod_of_the_same_name_has_its_own_time_and_a_failure_is_tried_again() {
    let taint = taints(json!([{"key": "a", "effect": "NoExecute"}]));
    let mut evictions = Evictions::default();
    evictions.observe(&"p", &pod("u", json!([])), &taint, at(0));
    assert_eq!(evictions.due(at(0)), [("p", "u".to_owned())]);
    evictions.retry(&"p", "u", at(0));
    assert_eq!(evictions.due(at(4)), []);
    assert_eq!(evictions.due(at(5)), [("p", "u".to_owned())]);
    evictions.observe(&"p", &pod("v", json!([])), &taint, at(6));
    assert_eq!(evictions.due(at(6)), [("p", "v".to_owned())]);
}

#[test]
fn a_failure_of_the_pod_before_changes_nothing_for_another_of_its_name() {
    let taint = taints(json!([{"key": "a", "effect": "NoExecute"}]));
    let waiting = json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}]);
    let mut evictions = Evictions::default();
    evictions.observe(&"p", &pod("u", json!([])), &taint, at(0));
    assert_eq!(evictions.due(at(0)), [("p", "u".to_owned())]);
    evictions.observe(&"p", &pod("v", waiting), &taint, at(1));
    evictions.retry(&"p", "u", at(2));
    assert_eq!(evictions.next(), Some(at(301)));
    assert_eq!(evictions.due(at(300)), []);
    assert_eq!(evictions.due(at(301)), [("p", "v".to_owned())]);
}
