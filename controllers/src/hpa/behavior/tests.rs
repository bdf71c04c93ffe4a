//! How rules slow changes down.

use serde_json::{Value, json};

use super::*;
use crate::hpa::tests::{at, hpa, rules, scale};

fn normal(
    behavior: &Value,
    current: i32,
    history: &mut History,
    wanted: i32,
) -> (i32, &'static str, &'static str) {
    let mut hpa = hpa(&json!({"minReplicas": 1, "maxReplicas": 100}));
    hpa.spec.behavior = serde_json::from_value(behavior.clone()).unwrap();
    let (scale, rules) = (scale(current), rules());
    let state = State {
        hpa: &hpa,
        scale: &scale,
        pods: &[],
        rivals: &[],
        measured: &[],
        rules: &rules,
        now: at(10_000),
    };
    let normal = normalize(state, history, wanted);
    (normal.replicas, normal.able.1, normal.limited.1)
}

const READY: &str = "ReadyForNewScale";

#[test]
fn without_rules_a_workload_doubles_at_most() {
    let none = json!(null);
    for (current, wanted, expected, limit) in [
        (1, 50, 4, "ScaleUpLimit"),
        (10, 50, 20, "ScaleUpLimit"),
        (60, 200, 100, "TooManyReplicas"),
        (10, 0, 1, "TooFewReplicas"),
        (10, 12, 12, "DesiredWithinRange"),
    ] {
        let told = normal(&none, current, &mut History::default(), wanted);
        assert_eq!(told, (expected, READY, limit), "{current} to {wanted}");
    }
}

/// A name, how a policy is chosen, the size, what was added in the period, and the size that may be.
const GROWTH: [(&str, &str, i32, i32, i32); 6] = [
    ("the most", "Max", 10, 0, 15),
    ("the least", "Min", 10, 0, 13),
    ("not at all", "Disabled", 10, 0, 10),
    ("what was added before counts", "Min", 10, 2, 11),
    ("the period is used up", "Min", 10, 5, 10),
    ("a part is rounded up", "Max", 1, 0, 4),
];

#[test]
fn policies_limit_what_is_added_in_a_period() {
    let policies = json!([
        {"type": "Pods", "value": 3, "periodSeconds": 60},
        {"type": "Percent", "value": 50, "periodSeconds": 60},
    ]);
    for (name, select, current, added, expected) in GROWTH {
        let behavior = json!({"scaleUp": {"policies": policies, "selectPolicy": select}});
        let mut history = History::default();
        history.added.push((at(9_950), added));
        history.added.push((at(9_000), 7));
        let told = normal(&behavior, current, &mut history, 50);
        assert_eq!(told, (expected, READY, "ScaleUpLimit"), "{name}");
    }
    let by_default = normal(&json!({"scaleUp": {}}), 2, &mut History::default(), 50);
    assert_eq!(by_default, (6, READY, "ScaleUpLimit"));
}

#[test]
fn policies_limit_what_is_taken_in_a_period() {
    let down = json!({"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [
        {"type": "Percent", "value": 10, "periodSeconds": 60},
        {"type": "Pods", "value": 3, "periodSeconds": 60},
    ]}});
    let told = normal(&down, 10, &mut History::default(), 1);
    assert_eq!(told, (7, READY, "ScaleDownLimit"));
    let mut history = History::default();
    let before = Rescale {
        from: 12,
        to: 10,
        reason: String::new(),
    };
    history.rescaled(&before, at(9_990));
    assert_eq!(
        normal(&down, 10, &mut history, 1),
        (9, READY, "ScaleDownLimit")
    );
}

#[test]
fn windows_hold_a_size_between_what_was_recommended() {
    let windows = json!({
        "scaleUp": {"stabilizationWindowSeconds": 60}, "scaleDown": {"stabilizationWindowSeconds": 120},
    });
    let recommended = |all: &[(i64, i32)]| History {
        recommended: all
            .iter()
            .map(|(seconds, number)| (at(*seconds), *number))
            .collect(),
        ..History::default()
    };
    for (name, before, wanted, expected) in [
        (
            "growth waits for the least of its window",
            vec![(9_950, 11)],
            14,
            (11, "ScaleUpStabilized"),
        ),
        (
            "what is older does not hold growth",
            vec![(9_940, 11)],
            14,
            (14, READY),
        ),
        (
            "shrinking waits for the most of its window",
            vec![(9_890, 9)],
            5,
            (9, "ScaleDownStabilized"),
        ),
        (
            "what is older does not hold shrinking",
            vec![(9_880, 9)],
            5,
            (5, READY),
        ),
        (
            "the size stays in between",
            vec![(9_990, 12), (9_991, 8)],
            10,
            (10, READY),
        ),
    ] {
        let (replicas, able, _) = normal(&windows, 10, &mut recommended(&before), wanted);
        assert_eq!((replicas, able), expected, "{name}");
    }
    let mut history = recommended(&[(9_700, 9)]);
    assert_eq!(
        normal(&json!(null), 10, &mut history, 5).0,
        9,
        "as old as the window"
    );
    let mut history = recommended(&[(9_699, 9)]);
    assert_eq!(normal(&json!(null), 10, &mut history, 5).0, 5);
}
