//! What budgets allow.

use super::*;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
    serde_json::from_value(json!({
        "metadata": {"name": "b", "namespace": "default", "generation": 4}, "spec": spec, "status": status,
    }))
    .unwrap()
}

/// A pod of the controller with this uid; none if it is empty.
fn pod(name: &str, owner: &str, is_ready: bool) -> Pod {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true});
    let has_owner = owner["uid"] != "";
    serde_json::from_value(json!({
        "metadata": {"name": name, "ownerReferences": if has_owner { json!([owner]) } else { json!([]) }},
        "status": {"conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}]},
    }))
    .unwrap()
}

fn workloads(of: &[(&str, &str, i32)]) -> Workloads {
    let each = of.iter().map(|(owner, uid, replicas)| {
        let workload = Workload {
            uid: (*uid).to_owned(),
            replicas: *replicas,
        };
        ((*owner).to_owned(), Ok(Some(workload)))
    });
    each.collect()
}

/// Healthy, desired, expected and allowed pods.
fn counts(status: &PodDisruptionBudgetStatus) -> [i32; 4] {
    [
        status.current_healthy,
        status.desired_healthy,
        status.expected_pods,
        status.disruptions_allowed,
    ]
    .map(Option::unwrap)
}

#[test]
fn a_budget_allows_what_is_healthy_beyond_what_must_be() {
    let one = workloads(&[("s", "d", 4)]);
    let two_of_one = workloads(&[("s", "d", 4), ("t", "d", 4)]);
    let two = workloads(&[("s", "d", 4), ("t", "e", 6)]);
    let pods = |of: &[(&str, bool)]| -> Vec<Pod> {
        let numbered = of.iter().enumerate();
        numbered
            .map(|(index, (owner, is_ready))| pod(&format!("p{index}"), owner, *is_ready))
            .collect()
    };
    let all_ready = [("s", true); 4];
    let one_sick = [("s", true), ("s", true), ("s", true), ("s", false)];
    for (name, spec, pods, workloads, expected) in [
        (
            "a number",
            json!({"minAvailable": 3}),
            pods(&all_ready),
            &one,
            [4, 3, 4, 1],
        ),
        (
            "a number counts pods, not workloads",
            json!({"minAvailable": 1}),
            pods(&[("", true)]),
            &one,
            [1, 1, 1, 0],
        ),
        (
            "a part is rounded up",
            json!({"minAvailable": "30%"}),
            pods(&all_ready),
            &one,
            [4, 2, 4, 2],
        ),
        (
            "all",
            json!({"minAvailable": "100%"}),
            pods(&all_ready),
            &one,
            [4, 4, 4, 0],
        ),
        (
            "unavailable",
            json!({"maxUnavailable": 1}),
            pods(&all_ready),
            &one,
            [4, 3, 4, 1],
        ),
        (
            "unavailable, and one is",
            json!({"maxUnavailable": 1}),
            pods(&one_sick),
            &one,
            [3, 3, 4, 0],
        ),
        (
            "unavailable, a part is rounded up",
            json!({"maxUnavailable": "30%"}),
            pods(&all_ready),
            &one,
            [4, 2, 4, 2],
        ),
        (
            "more than all may be unavailable",
            json!({"maxUnavailable": 9}),
            pods(&all_ready),
            &one,
            [4, 0, 4, 4],
        ),
        (
            "two sets of one workload",
            json!({"maxUnavailable": 1}),
            pods(&[("s", true), ("t", true)]),
            &two_of_one,
            [2, 3, 4, 0],
        ),
        (
            "two workloads",
            json!({"maxUnavailable": 9}),
            pods(&[("s", true), ("t", true)]),
            &two,
            [2, 1, 10, 1],
        ),
        (
            "no pods",
            json!({"maxUnavailable": 1}),
            pods(&[]),
            &one,
            [0, 0, 0, 0],
        ),
        (
            "no pods, a number",
            json!({"minAvailable": 0}),
            pods(&[]),
            &one,
            [0, 0, 0, 0],
        ),
    ] {
        let seen: Vec<&Pod> = pods.iter().collect();
        let plan = decide(&budget(spec, json!({})), &seen, workloads, at(100));
        assert_eq!(counts(&plan.status), expected, "{name}");
        let condition = &plan.status.conditions.as_ref().unwrap()[0];
        let reason = if expected[3] > 0 {
            "SufficientPods"
        } else {
            "InsufficientPods"
        };
        assert_eq!(
            (condition.reason.as_str(), condition.observed_generation),
            (reason, Some(4)),
            "{name}"
        );
        assert_eq!(
            plan.events.iter().any(|event| event.reason == "NoPods"),
            pods.is_empty(),
            "{name}"
        );
    }
}

#[test]
fn a_status_that_is_true_does_not_change() {
    let pods = [pod("p", "s", true)];
    let seen: Vec<&Pod> = pods.iter().collect();
    let mut budget = budget(json!({"minAvailable": 1}), json!(null));
    let first = decide(&budget, &seen, &Workloads::new(), at(100));
    budget.status = Some(first.status.clone());
    assert_eq!(
        decide(&budget, &seen, &Workloads::new(), at(200)).status,
        first.status
    );
}

#[test]
fn a_granted_eviction_counts_until_the_pod_goes_or_two_minutes_are_over() {
    let mut going = pod("going", "s", true);
    going.metadata.deletion_timestamp = Some(time(at(1)));
    let pods = [
        pod("granted", "s", true),
        pod("overdue", "s", true),
        going,
        pod("free", "s", true),
    ];
    let seen: Vec<&Pod> = pods.iter().collect();
    let granted = json!({"disruptedPods": {
        "granted": at(950).to_string(), "overdue": at(800).to_string(),
        "going": at(990).to_string(), "gone": at(990).to_string(),
    }});
    let plan = decide(
        &budget(json!({"minAvailable": 1}), granted),
        &seen,
        &Workloads::new(),
        at(1000),
    );
    let left: Vec<&String> = plan
        .status
        .disrupted_pods
        .as_ref()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(left, ["granted"]);
    assert_eq!(counts(&plan.status), [2, 1, 4, 1]);
    assert_eq!(plan.not_deleted, ["overdue"]);
    assert_eq!(plan.next_turn, Some(Duration::from_secs(71)));
}

#[test]
fn pods_of_no_known_workload_allow_nothing() {
    let pods = [pod("p", "s", true)];
    let seen: Vec<&Pod> = pods.iter().collect();
    let old = json!({"currentHealthy": 5, "disruptionsAllowed": 3, "desiredHealthy": 2, "expectedPods": 5});
    let budget = budget(json!({"maxUnavailable": 1}), old);
    let faulty: Workloads = [(
        "s".to_owned(),
        Err("jobs.batch does not implement the scale subresource".to_owned()),
    )]
    .into();
    for (workloads, fault) in [
        (Workloads::new(), "found no controllers for pod \"p\""),
        (
            faulty,
            "jobs.batch does not implement the scale subresource",
        ),
    ] {
        let plan = decide(&budget, &seen, &workloads, at(100));
        assert_eq!(counts(&plan.status), [5, 2, 5, 0]);
        let condition = &plan.status.conditions.as_ref().unwrap()[0];
        assert_eq!(
            (condition.reason.as_str(), condition.message.as_str()),
            ("SyncFailed", fault)
        );
        let message = format!("Failed to calculate the number of expected pods: {fault}");
        assert_eq!(
            plan.events,
            [Event::warning("CalculateExpectedPodCountFailed", message)]
        );
    }
}

#[test]
fn pods_that_no_controller_has_are_told() {
    let pods = [pod("p", "", true)];
    let seen: Vec<&Pod> = pods.iter().collect();
    let selector = json!({"matchLabels": {"app": "a"}, "matchExpressions": [
        {"key": "t", "operator": "In", "values": ["x", "y"]},
    ]});
    let budget = budget(
        json!({"maxUnavailable": 1, "selector": selector}),
        json!({}),
    );
    let plan = decide(&budget, &seen, &Workloads::new(), at(100));
    let [event] = &plan.events[..] else {
        panic!("{:?}", plan.events)
    };
    let written = "(selector: &LabelSelector{MatchLabels:map[string]string{app: a,},MatchExpressions:\
                   []LabelSelectorRequirement{LabelSelectorRequirement{Key:t,Operator:In,Values:[x y],},},})";
    assert!(event.message.contains(written), "{}", event.message);
    assert!(
        event.message.contains("As a result, the status of the PDB"),
        "{}",
        event.message
    );
}

#[test]
fn a_pod_that_was_chosen_and_stays_is_not_chosen_any_more() {
    let chosen = |reason: &str, phase: &str| -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "status": {"phase": phase, "conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": reason, "lastTransitionTime": at(1000).to_string(),
        }]}}))
        .unwrap()
    };
    let after = |pod: &Pod, seconds| stale_after(pod, at(seconds));
    let evicted = chosen("EvictionByEvictionAPI", "Running");
    assert_eq!(after(&evicted, 1030), Some(Duration::from_secs(90)));
    assert_eq!(after(&evicted, 1200), Some(Duration::ZERO));
    assert_eq!(
        after(&chosen("TerminationByKubelet", "Running"), 1200),
        None
    );
    assert_eq!(
        after(&chosen("EvictionByEvictionAPI", "Failed"), 1200),
        None
    );
    assert_eq!(after(&pod("p", "", true), 1200), None);
    let patch = not_disrupted(&evicted, at(1200));
    assert_eq!(patch["metadata"]["uid"], "u");
    assert_eq!(patch["status"]["conditions"][0]["status"], "False");
}
