//! How a new size is shared among sets.

use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::json;

use super::model::deployment;
use crate::deployment::scaling::{is_asked_for, scale};
use crate::deployment::sets::{Draft, Sets};

/// A set of some other template; its age is the second at which it was made. It was sized for `noted` pods in all.
fn set(name: &str, replicas: i32, age: i64, noted: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "uid": name, "creationTimestamp": super::at(age).to_string(),
            "annotations": {
                "deployment.kubernetes.io/desired-replicas": noted.to_string(),
                "deployment.kubernetes.io/max-replicas": noted.to_string(),
            },
        },
        "spec": {
            "replicas": replicas, "selector": {},
            "template": {"spec": {"containers": [{"name": name}]}},
        },
    }))
    .unwrap()
}

/// Sizes after sharing, from the oldest set; the youngest is the new one.
fn shared(replicas: i32, surge: i32, noted: i32, sizes: &[i32]) -> Vec<i32> {
    let update = json!({"maxSurge": surge, "maxUnavailable": 0});
    let extra = json!({"/spec/strategy/rollingUpdate": update});
    let mut deployment = deployment(replicas, &extra);
    let mut made = Vec::new();
    for (age, size) in (1..).zip(sizes) {
        made.push(set(&format!("set-{age}"), *size, age, noted));
    }
    let new = made.last().unwrap().spec.as_ref().unwrap().template.clone();
    deployment.spec.as_mut().unwrap().template = new.unwrap();
    let seen: Vec<&ReplicaSet> = made.iter().collect();
    let mut sets = Sets::new(&deployment, &seen);
    assert_eq!(
        is_asked_for(&sets),
        noted != replicas && sizes.iter().any(|size| *size > 0)
    );
    scale(&mut sets);
    sets.all().map(Draft::replicas).collect()
}

#[test]
fn every_set_gets_its_part_and_the_largest_the_rest() {
    for (name, replicas, surge, noted, sizes, expected) in [
        ("one set takes all", 12, 0, 10, vec![10], vec![12]),
        (
            "one set with pods takes all",
            5,
            0,
            10,
            vec![10, 0],
            vec![5, 0],
        ),
        (
            "none has pods: the new one",
            5,
            0,
            10,
            vec![0, 0],
            vec![0, 5],
        ),
        ("grow in proportion", 12, 0, 10, vec![5, 5], vec![6, 6]),
        (
            "of equals the youngest grows first",
            11,
            0,
            10,
            vec![5, 5],
            vec![5, 6],
        ),
        (
            "of equals the oldest shrinks first",
            9,
            0,
            10,
            vec![5, 5],
            vec![4, 5],
        ),
        ("shrink in proportion", 5, 0, 10, vec![8, 2], vec![4, 1]),
        ("three sets grow", 20, 0, 10, vec![5, 3, 2], vec![10, 6, 4]),
        (
            "three sets, parts rounded",
            7,
            0,
            10,
            vec![5, 3, 2],
            vec![4, 2, 1],
        ),
        ("to nothing", 0, 0, 10, vec![3, 3, 4], vec![0, 0, 0]),
        ("with a surge", 20, 2, 12, vec![4, 8], vec![7, 15]),
        ("the same size", 10, 0, 10, vec![5, 5], vec![5, 5]),
    ] {
        assert_eq!(shared(replicas, surge, noted, &sizes), expected, "{name}");
    }
}

#[test]
fn a_whole_new_set_ends_the_old_ones() {
    let mut deployment = deployment(3, &json!({}));
    let old = set("old", 2, 1, 3);
    let mut new = set("new", 3, 2, 3);
    new.status =
        Some(serde_json::from_value(json!({"replicas": 3, "availableReplicas": 3})).unwrap());
    deployment.spec.as_mut().unwrap().template =
        new.spec.as_ref().unwrap().template.clone().unwrap();
    let seen = [&old, &new];
    let mut sets = Sets::new(&deployment, &seen);
    scale(&mut sets);
    assert_eq!(sets.all().map(Draft::replicas).collect::<Vec<_>>(), [0, 3]);
}
