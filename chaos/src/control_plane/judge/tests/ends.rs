//! Ends that are not as they are desired, or not those of a run without faults.

use serde_json::{Value, json};

use super::super::{Promise, SETTLED_SECONDS_MAX, judge};
use super::{on, pod, running, with};
use crate::control_plane::history::{BROKEN, CALM, End, Objects, Record};

/// A namespace at rest; the suffix is in every name and uid that differs from run to run.
fn at_rest(suffix: &str) -> Objects {
    let template = |app: &str| {
        json!({ "metadata": { "labels": { "app": app, "pod-template-hash": suffix } },
            "spec": { "containers": [{ "name": "main", "image": "a" }] } })
    };
    let status = |count: i64| {
        json!({ "observedGeneration": 3, "replicas": count, "readyReplicas": count,
            "updatedReplicas": count, "availableReplicas": count })
    };
    let owned = |kind: &str, uid: &str| {
        let name = uid;
        json!([{ "kind": kind, "uid": uid, "name": name, "controller": true }])
    };
    let set = format!("web-{suffix}");
    let ready = |name: &str, owner: (&str, &str), app: &str, address: &str| {
        let pod = on(&pod(name, name, owner), "node-1");
        let pod = with(&running(&pod, 1, true), "/status/podIP", json!(address));
        with(&pod, "/metadata/labels", json!({ "app": app }))
    };
    let done = pod(&format!("job-1-{suffix}"), "d", ("Job", "job"));
    let done = with(&done, "/status", json!({ "phase": "Succeeded" }));
    let endpoints = json!([{ "addresses": ["10.0.0.1"], "conditions": { "ready": true } }]);
    let complete = json!([{ "type": "Complete", "status": "True" }]);
    let all = json!({
        "deployments": [{ "metadata": { "name": "web", "uid": "web", "generation": 3 },
            "spec": { "replicas": 1, "template": template("web") }, "status": status(1) }],
        "replicasets": [{ "metadata": { "name": set, "uid": set, "generation": 3,
                "ownerReferences": owned("Deployment", "web") },
            "spec": { "replicas": 1, "template": template("web") }, "status": status(1) }],
        "statefulsets": [{ "metadata": { "name": "db", "uid": "db", "generation": 3 },
            "spec": { "replicas": 1, "template": template("db") }, "status": status(1) }],
        "jobs": [{ "metadata": { "name": "job-1", "uid": "job" },
            "spec": { "completions": 1, "template": template("job") },
            "status": { "succeeded": 1, "conditions": complete } }],
        "pods": [
            ready(&format!("{set}-x"), ("ReplicaSet", &set), "web", "10.0.0.1"),
            ready("db-0", ("StatefulSet", "db"), "db", "10.0.0.2"),
            done,
        ],
        "services": [{ "metadata": { "name": "web" }, "spec": { "selector": { "app": "web" } } }],
        "endpointslices": [{ "metadata": { "name": format!("web-{suffix}"),
            "labels": { "kubernetes.io/service-name": "web" } }, "endpoints": endpoints }],
    });
    serde_json::from_value(all).unwrap()
}

fn broken(calm: Objects, with_faults: Objects, took_ms: u64) -> Vec<Promise> {
    let end = |namespace: &str, objects, took_ms| {
        Record::End(End {
            namespace: namespace.to_owned(),
            took_ms,
            objects,
        })
    };
    let records = [end(CALM, calm, 1), end(BROKEN, with_faults, took_ms)];
    let findings = judge(&records);
    assert!(findings.doubts.is_empty());
    findings
        .violations
        .into_iter()
        .map(|(one, _)| one)
        .collect()
}

#[test]
fn two_ends_that_differ_in_names_alone_are_the_same() {
    assert_eq!(broken(at_rest("a"), at_rest("b"), 1), []);
}

#[test]
fn an_end_that_is_not_reached_or_not_in_time_is_found() {
    let late = SETTLED_SECONDS_MAX * 1_000 + 1;
    assert_eq!(broken(at_rest("a"), at_rest("b"), late), [Promise::Settled]);
    assert!(broken(at_rest("a"), Objects::new(), 1).contains(&Promise::Settled));
}

#[test]
fn where_not_even_calm_comes_to_rest_there_is_a_doubt_and_no_violation() {
    let end = |namespace: &str, objects| {
        Record::End(End {
            namespace: namespace.to_owned(),
            took_ms: 1,
            objects,
        })
    };
    let mut calm = at_rest("a");
    calm.get_mut("endpointslices").unwrap().clear();
    let findings = judge(&[end(CALM, calm), end(BROKEN, at_rest("b"))]);
    assert_eq!((findings.doubts.len(), findings.broken), (1, 0));
    assert!(
        findings.doubts[0].contains("service web"),
        "{:?}",
        findings.doubts
    );
}

#[test]
fn without_one_of_the_ends_there_is_a_doubt() {
    assert_eq!(judge(&[]).doubts.len(), 2);
}

#[test]
fn each_thing_that_is_not_as_it_is_desired_is_found() {
    for (resource, number, pointer, value) in [
        ("deployments", 0, "/metadata/generation", json!(4)),
        ("deployments", 0, "/status/updatedReplicas", json!(0)),
        (
            "deployments",
            0,
            "/spec/template/spec/containers",
            json!([{ "image": "b" }]),
        ),
        ("replicasets", 0, "/status/availableReplicas", json!(0)),
        ("replicasets", 0, "/metadata/ownerReferences", json!([])),
        ("replicasets", 0, "/spec/replicas", json!(2)),
        ("statefulsets", 0, "/status/updateRevision", json!("other")),
        ("statefulsets", 0, "/spec/replicas", json!(2)),
        ("jobs", 0, "/status/succeeded", json!(2)),
        ("jobs", 0, "/status/conditions", json!([])),
        ("jobs", 0, "/status/active", json!(1)),
        ("pods", 0, "/metadata/deletionTimestamp", json!("2026")),
        ("pods", 0, "/metadata/ownerReferences", json!([])),
        ("pods", 0, "/status/phase", json!("Failed")),
        ("pods", 1, "/status/conditions", json!([])),
        ("pods", 1, "/metadata/name", json!("db-1")),
        ("pods", 2, "/status/phase", json!("Running")),
        ("pods", 0, "/status/podIP", json!("10.0.0.9")),
        ("endpointslices", 0, "/endpoints", json!([])),
    ] {
        let mut objects = at_rest("b");
        let list = objects.get_mut(resource).unwrap();
        list[number] = with(&list[number], pointer, value.clone());
        let found = broken(at_rest("a"), objects, 1);
        assert!(
            found.contains(&Promise::Settled),
            "{resource} {pointer} {value}"
        );
    }
}

#[test]
fn an_end_at_rest_that_is_another_one_is_found() {
    let mut other = at_rest("b");
    let image = |object: &Value| {
        let containers = json!([{ "name": "main", "image": "b" }]);
        with(object, "/spec/template/spec/containers", containers)
    };
    for resource in ["deployments", "replicasets"] {
        let list = other.get_mut(resource).unwrap();
        list[0] = image(&list[0]);
    }
    assert_eq!(broken(at_rest("a"), other, 1), [Promise::SameEnd]);
    let mut fewer = at_rest("b");
    fewer.get_mut("jobs").unwrap().clear();
    fewer.get_mut("pods").unwrap().pop();
    assert_eq!(broken(at_rest("a"), fewer, 1), [Promise::SameEnd]);
}
