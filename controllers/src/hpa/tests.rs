//! Autoscalers as a whole: what they decide and tell.

use super::*;
use serde_json::{Value, json};

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

pub(super) fn rules() -> Rules {
    Rules {
        tolerance: 0.1,
        downscale_stabilization: Duration::from_secs(300),
        cpu_initialization: Duration::from_secs(300),
        initial_readiness_delay: Duration::from_secs(30),
    }
}

/// An autoscaler between 2 and 10 pods that wants half of the processors that pods ask for to be used.
pub(super) fn hpa(extra: &Value) -> HorizontalPodAutoscaler {
    let mut tree = json!({
        "metadata": {"name": "h", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"},
            "minReplicas": 2, "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50},
            }}],
        },
    });
    for (field, value) in extra.as_object().unwrap() {
        tree["spec"][field] = value.clone();
    }
    serde_json::from_value(tree).unwrap()
}

pub(super) fn scale(replicas: i32) -> Scale {
    Scale {
        replicas,
        current: replicas,
        selector: "app=web".into(),
        ..Scale::default()
    }
}

/// A pod that has been ready for long and asks for one processor.
pub(super) fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Ki"}}}]},
        "status": {
            "phase": "Running", "startTime": at(0).to_string(),
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(0).to_string()}],
        },
    }))
    .unwrap()
}

/// What the pods `p0`, `p1`… used, in thousandths.
pub(super) fn samples(values: &[i64]) -> Samples {
    let sample = |value: &i64| Sample {
        at: at(10_000),
        window: Duration::from_secs(30),
        value: *value,
    };
    values
        .iter()
        .enumerate()
        .map(|(index, value)| (format!("p{index}"), sample(value)))
        .collect()
}

/// Decides for so many pods, all of which use this much.
fn turn(hpa: &HorizontalPodAutoscaler, replicas: i32, used: i64, history: &mut History) -> Plan {
    let count = usize::try_from(replicas).unwrap();
    let pods: Vec<Pod> = (0..count).map(|index| pod(&format!("p{index}"))).collect();
    let seen: Vec<&Pod> = pods.iter().collect();
    let state = State {
        hpa,
        scale: &scale(replicas),
        pods: &seen,
        rivals: &[],
        measured: &[Ok(Measured::Pods(samples(&vec![used; count])))],
        rules: &rules(),
        now: at(10_000),
    };
    decide(state, history)
}

/// Types, statuses and reasons of conditions.
fn told(status: &HorizontalPodAutoscalerStatus) -> Vec<String> {
    let conditions = status.conditions.iter().flatten();
    conditions
        .map(|one| {
            format!(
                "{}={} {}",
                one.type_,
                one.status,
                one.reason.as_deref().unwrap()
            )
        })
        .collect()
}

#[test]
fn a_workload_that_uses_too_much_grows() {
    let hpa = hpa(&json!({}));
    let mut history = History::default();
    let plan = turn(&hpa, 2, 900, &mut history);
    let rescale = plan.rescale.clone().unwrap();
    let reason = "cpu resource utilization (percentage of request) above target";
    assert_eq!(
        rescale,
        Rescale {
            from: 2,
            to: 4,
            reason: reason.into()
        }
    );
    let (status, event) = after_rescale(&plan, &rescale, Ok(()), at(10_000));
    assert_eq!(
        event,
        Event::normal(
            "SuccessfulRescale",
            format!("New size: 4; reason: {reason}")
        )
    );
    assert_eq!(
        told(&status),
        [
            "AbleToScale=True SucceededRescale",
            "ScalingActive=True ValidMetricFound",
            "ScalingLimited=False DesiredWithinRange",
        ]
    );
    let status = json!(status);
    assert_eq!(
        (&status["currentReplicas"], &status["desiredReplicas"]),
        (&json!(2), &json!(4))
    );
    assert_eq!(status["lastScaleTime"], at(10_000).to_string());
    assert_eq!(
        status["currentMetrics"],
        json!([{"type": "Resource", "resource": {
            "name": "cpu", "current": {"averageUtilization": 90, "averageValue": "900m"},
        }}])
    );
}

#[test]
fn a_workload_that_uses_too_little_shrinks_after_what_was_recommended_is_old() {
    let hpa = hpa(&json!({}));
    let mut history = History::default();
    let first = turn(&hpa, 6, 200, &mut history);
    assert_eq!(first.rescale, None, "its size was recommended just now");
    assert_eq!(
        told(&first.status)[0],
        "AbleToScale=True ScaleDownStabilized"
    );
    let mut old = History::default();
    old.begin(6, at(9_000));
    let rescale = turn(&hpa, 6, 200, &mut old).rescale.unwrap();
    assert_eq!(
        (rescale.to, rescale.reason.as_str()),
        (3, "All metrics below target")
    );
}

#[test]
fn a_size_is_held_in_its_bounds() {
    let hpa = hpa(&json!({}));
    for (name, replicas, used, expected, reason) in [
        (
            "above",
            12,
            0,
            Some(10),
            "Current number of replicas above Spec.MaxReplicas",
        ),
        (
            "below",
            1,
            0,
            Some(2),
            "Current number of replicas below Spec.MinReplicas",
        ),
        ("within, and well", 4, 500, None, ""),
        ("off", 0, 0, None, ""),
    ] {
        let plan = turn(&hpa, replicas, used, &mut History::default());
        let rescale = plan.rescale.map(|rescale| (rescale.to, rescale.reason));
        assert_eq!(
            rescale,
            expected.map(|to| (to, reason.to_owned())),
            "{name}"
        );
    }
    let limited = turn(&hpa, 8, 900, &mut History::default());
    assert_eq!(limited.rescale.as_ref().unwrap().to, 10);
    assert_eq!(
        told(&limited.status)[2],
        "ScalingLimited=True TooManyReplicas"
    );
    let off = turn(&hpa, 0, 0, &mut History::default());
    assert_eq!(told(&off.status)[1], "ScalingActive=False ScalingDisabled");
}

#[test]
fn a_metric_that_cannot_be_told_is_told_and_nothing_shrinks() {
    let both = json!({"metrics": [
        {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1k"}}},
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
    ]});
    let hpa = hpa(&both);
    let pods: Vec<Pod> = (0..4).map(|index| pod(&format!("p{index}"))).collect();
    let seen: Vec<&Pod> = pods.iter().collect();
    let fault = Err("unable to fetch".to_owned());
    let decided = |measured: &[Result<Measured, String>]| {
        let state = State {
            hpa: &hpa,
            scale: &scale(4),
            pods: &seen,
            rivals: &[],
            measured,
            rules: &rules(),
            now: at(10_000),
        };
        decide(state, &mut History::default())
    };
    let message =
        "failed to get memory usage: unable to get metrics for resource memory: unable to fetch";
    let small = decided(&[fault.clone(), Ok(Measured::Pods(samples(&[100; 4])))]);
    assert_eq!(small.rescale, None);
    assert_eq!(
        small.events,
        [
            Event::warning("FailedGetResourceMetric", message),
            Event::warning(
                "FailedComputeMetricsReplicas",
                format!(
                    "invalid metrics (1 invalid out of 2), first error is: failed to get memory resource metric value: {message}",
                )
            ),
        ]
    );
    assert_eq!(
        told(&small.status)[1],
        "ScalingActive=False FailedGetResourceMetric"
    );
    let large = decided(&[fault.clone(), Ok(Measured::Pods(samples(&[900; 4])))]);
    assert_eq!(large.rescale.unwrap().to, 8);
    assert_eq!(large.events.len(), 1);
    let none = decided(&[fault.clone(), fault]);
    assert_eq!(none.rescale, None);
}

#[test]
fn the_metric_that_asks_for_most_decides() {
    let both = json!({"metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "500m"}}},
        {"type": "ContainerResource", "containerResource": {
            "name": "cpu", "container": "c", "target": {"type": "Utilization", "averageUtilization": 25},
        }},
    ]});
    let hpa = hpa(&both);
    let pods = [pod("p0"), pod("p1")];
    let seen: Vec<&Pod> = pods.iter().collect();
    let pods = || Ok(Measured::Pods(samples(&[500, 500])));
    let measured = [pods(), pods()];
    let state = State {
        hpa: &hpa,
        scale: &scale(2),
        pods: &seen,
        rivals: &[],
        measured: &measured,
        rules: &rules(),
        now: at(10_000),
    };
    let rescale = decide(state, &mut History::default()).rescale.unwrap();
    assert_eq!(rescale.to, 4);
    assert_eq!(
        rescale.reason,
        "cpu container resource utilization (percentage of request) above target"
    );
}

#[test]
fn a_selector_that_tells_no_pods_of_its_own_is_a_fault() {
    let hpa = hpa(&json!({}));
    let rivals = ["default/a".to_owned(), "default/b".to_owned()];
    for (selector, rivals, event, reason) in [
        ("", &rivals[..0], "SelectorRequired", "InvalidSelector"),
        ("a b", &rivals[..0], "InvalidSelector", "InvalidSelector"),
        (
            "app=web",
            &rivals[..],
            "AmbiguousSelector",
            "AmbiguousSelector",
        ),
    ] {
        let scale = Scale {
            selector: selector.into(),
            ..scale(4)
        };
        let state = State {
            hpa: &hpa,
            scale: &scale,
            pods: &[],
            rivals,
            measured: &[],
            rules: &rules(),
            now: at(10_000),
        };
        let plan = decide(state, &mut History::default());
        assert_eq!(plan.events[0].reason, event);
        assert_eq!(plan.events[1].reason, "FailedComputeMetricsReplicas");
        assert_eq!(
            told(&plan.status)[1],
            format!("ScalingActive=False {reason}")
        );
    }
}

#[test]
fn a_size_that_cannot_be_read_or_written_is_told() {
    let plan = without_scale(&hpa(&json!({})), "not found", at(10_000));
    assert_eq!(told(&plan.status), ["AbleToScale=False FailedGetScale"]);
    assert_eq!(plan.events, [Event::warning("FailedGetScale", "not found")]);
    let plan = turn(&hpa(&json!({})), 1, 0, &mut History::default());
    let rescale = plan.rescale.clone().unwrap();
    let (status, event) = after_rescale(&plan, &rescale, Err("refused".into()), at(10_000));
    assert_eq!(told(&status), ["AbleToScale=False FailedUpdateScale"]);
    let message =
        "New size: 2; reason: Current number of replicas below Spec.MinReplicas; error: refused";
    assert_eq!(event, Event::warning("FailedRescale", message));
    assert_eq!((status.desired_replicas, status.last_scale_time), (0, None));
}
