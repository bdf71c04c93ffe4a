//! How many pods a set makes and loses, and what its status says.

use super::*;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn set(replicas: i32, extra: &Value) -> ReplicaSet {
    let mut tree = json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "set", "generation": 3},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a", "extra": "b"}}},
        },
    });
    for (path, value) in extra.as_object().unwrap() {
        let (parent, field) = path.rsplit_once('/').unwrap();
        tree.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    serde_json::from_value(tree).unwrap()
}

/// A running pod, ready since then if it is.
fn pod(name: &str, node: &str, ready_since: Option<i64>) -> Pod {
    let ready = ready_since.map(|since| {
        json!({"type": "Ready", "status": "True", "lastTransitionTime": at(since).to_string()})
    });
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": name, "labels": {"app": "a"}, "creationTimestamp": at(0).to_string()},
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": "Running", "conditions": ready.into_iter().collect::<Vec<_>>()},
    }))
    .unwrap()
}

fn names(pods: &[&Pod]) -> Vec<String> {
    pods.iter()
        .map(|pod| pod.metadata.name.clone().unwrap())
        .collect()
}

#[test]
fn a_set_creates_what_is_missing_and_deletes_what_is_too_much() {
    let pods: Vec<Pod> = (0..3)
        .map(|index| pod(&format!("p{index}"), "n", Some(1)))
        .collect();
    let active: Vec<&Pod> = pods.iter().collect();
    let change_to = |replicas| change(&set(replicas, &json!({})), &active, &active, at(100));
    assert_eq!(change_to(3), Change::Nothing);
    assert_eq!(change_to(5), Change::Create(2));
    assert_eq!(change_to(5000), Change::Create(500), "one turn has a limit");
    let Change::Delete(going) = change_to(0) else {
        panic!("none goes")
    };
    assert_eq!(names(&going).len(), 3);
    let going = set(
        9,
        &json!({"/metadata/deletionTimestamp": at(1).to_string()}),
    );
    assert_eq!(change(&going, &active, &active, at(100)), Change::Nothing);
}

#[test]
fn pods_on_a_crowded_node_and_pods_that_are_not_ready_go_first() {
    let pods = [
        pod("lonely", "one", Some(1)),
        pod("crowded", "two", Some(1)),
        pod("sick", "three", None),
    ];
    let active: Vec<&Pod> = pods.iter().collect();
    let cousin = pod("cousin", "two", Some(1));
    let related: Vec<&Pod> = active.iter().copied().chain([&cousin]).collect();
    for (replicas, expected) in [(2, vec!["sick"]), (1, vec!["sick", "crowded"])] {
        let set = set(replicas, &json!({}));
        let Change::Delete(going) = change(&set, &active, &related, at(100)) else {
            panic!("none goes")
        };
        assert_eq!(names(&going), expected);
    }
}

#[test]
fn a_status_counts_pods_by_what_they_are() {
    let mut labelled = pod("labelled", "n", Some(95));
    labelled
        .metadata
        .labels
        .as_mut()
        .unwrap()
        .insert("extra".into(), "b".into());
    let pods = [labelled, pod("long", "n", Some(50)), pod("sick", "n", None)];
    let active: Vec<&Pod> = pods.iter().collect();
    let set = set(3, &json!({"/spec/minReadySeconds": 10}));
    let seen = Seen {
        active: &active,
        terminating: Some(1),
        is_tried: true,
        failure: None,
    };
    let status = status(&set, seen, at(100));
    let expected = json!({
        "replicas": 3, "fullyLabeledReplicas": 1, "readyReplicas": 2, "availableReplicas": 1,
        "terminatingReplicas": 1, "observedGeneration": 3,
    });
    assert_eq!(json!(status), expected);
    assert_eq!(
        next_turn(&set, &status, &active, at(100)),
        Some(Duration::from_secs(5))
    );
    assert_eq!(
        next_turn(&set, &status, &active[1..], at(100)),
        Some(Duration::from_secs(10))
    );
}

#[test]
fn a_failure_shows_until_a_turn_succeeds_and_keeps_its_first_words() {
    let mut set = set(1, &json!({}));
    let quiet = Seen {
        active: &[],
        terminating: None,
        is_tried: true,
        failure: None,
    };
    let failed = |message| Seen {
        failure: Some(message),
        ..quiet
    };
    set.status = Some(status(&set, failed("quota"), at(100)));
    let shown = json!([{
        "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota",
        "lastTransitionTime": at(100).to_string(),
    }]);
    assert_eq!(json!(set.status.as_ref().unwrap().conditions), shown);
    let again = status(&set, failed("other"), at(200));
    assert_eq!(json!(again.conditions), shown);
    let waiting = Seen {
        is_tried: false,
        ..quiet
    };
    assert_eq!(json!(status(&set, waiting, at(250)).conditions), shown);
    assert_eq!(status(&set, quiet, at(300)).conditions, None);
}

/// A set whose pods are what it made them reaches its number and then rests.
#[test]
fn a_set_comes_to_rest_at_every_number() {
    let mut pods: Vec<Pod> = Vec::new();
    let mut made = 0;
    for replicas in [3, 0, 1200, 2] {
        let set = set(replicas, &json!({}));
        for turn in 0.. {
            let active: Vec<&Pod> = pods.iter().collect();
            match change(&set, &active, &active, at(100)) {
                Change::Nothing => break,
                Change::Create(number) => {
                    pods.extend(
                        (made..made + number).map(|index| pod(&format!("p{index}"), "", None)),
                    );
                    made += number;
                }
                Change::Delete(going) => {
                    let going = names(&going);
                    pods.retain(|pod| !going.contains(pod.metadata.name.as_ref().unwrap()));
                }
            }
            assert!(turn < 4, "{replicas} is not reached");
        }
        assert_eq!(i32::try_from(pods.len()).unwrap(), replicas);
    }
}

#[test]
fn a_set_that_awaits_what_never_shows_looks_again_when_it_is_given_up() {
    let (soon, late) = (Duration::from_secs(7), Duration::from_secs(300));
    assert_eq!(look_again(None, None), None);
    assert_eq!(look_again(Some(soon), None), Some(soon));
    assert_eq!(look_again(None, Some(late)), Some(late));
    assert_eq!(look_again(Some(soon), Some(late)), Some(soon));
    assert_eq!(look_again(Some(Duration::MAX), Some(late)), Some(late));
}
