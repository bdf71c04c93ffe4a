//! What is proposed by metrics of others, and what is told where they cannot be had.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::events::Event;
use crate::hpa::tests::{at, hpa, pod, rules, samples, scale};
use crate::hpa::{History, Measured, Plan, State, decide};

/// Decides for four pods by one metric.
fn decided(metric: &Value, measured: Result<Measured, String>) -> Plan {
    let hpa = hpa(&json!({"metrics": [metric]}));
    let pods: Vec<Pod> = (0..4).map(|index| pod(&format!("p{index}"))).collect();
    let seen: Vec<&Pod> = pods.iter().collect();
    let state = State {
        hpa: &hpa,
        scale: &scale(4),
        pods: &seen,
        rivals: &[],
        measured: &[measured],
        rules: &rules(),
        now: at(10_000),
    };
    decide(state, &mut History::default())
}

/// The new size and why, and what the status tells.
fn outcome(metric: &Value, measured: Measured) -> (Option<(i32, String)>, Value) {
    let plan = decided(metric, Ok(measured));
    let rescale = plan.rescale.map(|rescale| (rescale.to, rescale.reason));
    let status = json!(plan.status.current_metrics.unwrap()[0]);
    (rescale, status)
}

fn object(target: &Value) -> Value {
    let described =
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"});
    json!({"type": "Object", "object": {"describedObject": described, "metric": {"name": "hits"}, "target": target}})
}

fn external(target: &Value) -> Value {
    let metric = json!({"name": "queue", "selector": {"matchLabels": {"q": "a"}}});
    json!({"type": "External", "external": {"metric": metric, "target": target}})
}

#[test]
fn pods_are_sized_by_what_they_report() {
    let metric = json!({"type": "Pods", "pods": {
        "metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "10"},
    }});
    let (rescale, status) = outcome(&metric, Measured::Pods(samples(&[15_000; 4])));
    assert_eq!(
        rescale,
        Some((6, "pods metric requests above target".to_owned()))
    );
    let expected = json!({"type": "Pods", "pods": {
        "metric": {"name": "requests"}, "current": {"averageValue": "15"},
    }});
    assert_eq!(status, expected);
    let near = outcome(&metric, Measured::Pods(samples(&[10_500; 4]))).0;
    assert_eq!(near, None, "it is within the tolerance");
}

#[test]
fn pods_are_sized_by_what_is_reported_of_an_object() {
    let whole = object(&json!({"type": "Value", "value": "100"}));
    let (rescale, status) = outcome(&whole, Measured::Values(vec![200_000]));
    assert_eq!(
        rescale,
        Some((8, "Ingress metric hits above target".to_owned()))
    );
    assert_eq!(status["object"]["current"], json!({"value": "200"}));
    let each = object(&json!({"type": "AverageValue", "averageValue": "100"}));
    let (rescale, status) = outcome(&each, Measured::Values(vec![601_000]));
    assert_eq!(
        rescale,
        Some((7, "external metric hits(nil) above target".to_owned()))
    );
    assert_eq!(
        status["object"]["current"],
        json!({"averageValue": "150250m"})
    );
}

#[test]
fn pods_are_sized_by_what_is_no_object() {
    let words = "external metric queue(&LabelSelector{MatchLabels:map[string]string{q: a,},\
        MatchExpressions:[]LabelSelectorRequirement{},}) above target";
    let each = external(&json!({"type": "AverageValue", "averageValue": "30"}));
    let (rescale, status) = outcome(&each, Measured::Values(vec![100_000, 50_000]));
    assert_eq!(rescale, Some((5, words.to_owned())));
    assert_eq!(
        status["external"]["current"],
        json!({"averageValue": "37500m"})
    );
    let whole = external(&json!({"type": "Value", "value": "100"}));
    let (rescale, status) = outcome(&whole, Measured::Values(vec![100_000, 50_000]));
    assert_eq!(rescale, Some((6, words.to_owned())));
    assert_eq!(status["external"]["current"], json!({"value": "150"}));
    let near = outcome(&whole, Measured::Values(vec![105_000])).0;
    assert_eq!(near, None, "it is within the tolerance");
    let huge = outcome(&each, Measured::Values(vec![i64::MAX, i64::MAX])).0;
    assert_eq!(huge, Some((8, words.to_owned())), "as far as a turn goes");
}

#[test]
fn what_cannot_be_had_is_told_with_its_reason() {
    let average = json!({"type": "AverageValue", "averageValue": "1"});
    let value = json!({"type": "Value", "value": "1"});
    let pods = json!({"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": average}});
    let selector = "&LabelSelector{MatchLabels:map[string]string{q: a,},MatchExpressions:[]LabelSelectorRequirement{},}";
    for (metric, reason, message, doing) in [
        (
            pods,
            "FailedGetPodsMetric",
            "unable to get metric requests: why".to_owned(),
            "failed to get pods metric value",
        ),
        (
            object(&value),
            "FailedGetObjectMetric",
            "unable to get metric hits: Ingress on default main/why".to_owned(),
            "failed to get object metric value",
        ),
        (
            object(&average),
            "FailedGetObjectMetric",
            "unable to get metric hits: Ingress on default main/why".to_owned(),
            "failed to get object metric value: failed to get hits object metric",
        ),
        (
            object(&json!({"type": "Value"})),
            "FailedGetObjectMetric",
            "invalid object metric source: neither a value target nor an average value target was set".to_owned(),
            "failed to get object metric value",
        ),
        (
            external(&value),
            "FailedGetExternalMetric",
            format!("unable to get external metric default/queue/{selector}: why"),
            "failed to get queue external metric value: failed to get external metric queue",
        ),
        (
            external(&average),
            "FailedGetExternalMetric",
            format!("unable to get external metric default/queue/{selector}: why"),
            "failed to get queue external metric value: failed to get queue external metric",
        ),
    ] {
        let plan = decided(&metric, Err("why".to_owned()));
        let whole = format!("invalid metrics (1 invalid out of 1), first error is: {doing}: {message}");
        let expected = [
            Event::warning(reason, message.clone()),
            Event::warning("FailedComputeMetricsReplicas", whole),
        ];
        assert_eq!(plan.events, expected);
        let conditions = plan.status.conditions.unwrap();
        let by_kind: BTreeMap<&str, _> = conditions.iter().map(|one| (&*one.type_, one)).collect();
        let active = by_kind["ScalingActive"];
        assert_eq!((&*active.status, active.reason.as_deref()), ("False", Some(reason)));
        let told = format!("the HPA was unable to compute the replica count: {message}");
        assert_eq!(active.message.as_deref(), Some(&*told));
    }
}

#[test]
fn selectors_are_told_as_go_prints_them() {
    let selector = json!({
        "matchLabels": {"a": "1", "b": "2"},
        "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}],
    });
    let selector: LabelSelector = serde_json::from_value(selector).unwrap();
    let expected = "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:\
        []LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}";
    assert_eq!(selector_words(Some(&selector)), expected);
    assert_eq!(selector_words(None), "nil");
}
