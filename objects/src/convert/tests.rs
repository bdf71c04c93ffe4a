//! Conversions, held against what a kube-apiserver answered for the same object in both versions.

use serde_json::json;

use super::{convert, stored_version};
use crate::Value;

fn golden(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn an_autoscaler_keeps_in_v1_annotations_what_only_v2_has_fields_for() {
    let v1 = golden(include_str!(
        "../../tests/golden/convert/autoscaler-v1.json"
    ));
    let v2 = golden(include_str!(
        "../../tests/golden/convert/autoscaler-v2.json"
    ));
    assert_eq!(convert(v2.clone(), "autoscaling/v1"), v1);
    // Going back the CPU comes last, as upstream has it.
    let mut expected = v2;
    let metrics = expected["spec"]["metrics"].as_array_mut().unwrap();
    metrics.rotate_left(1);
    assert_eq!(convert(v1, "autoscaling/v2"), expected);
}

#[test]
fn an_autoscaler_without_metrics_asks_for_eighty_percent_of_cpus() {
    let v1 = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 3},
        "metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/metrics": "no JSON"}}});
    let v2 = convert(v1, "autoscaling/v2");
    let target = &v2["spec"]["metrics"][0]["resource"]["target"];
    assert_eq!(
        *target,
        json!({"type": "Utilization", "averageUtilization": 80})
    );
    assert_eq!(v2["metadata"].get("annotations"), None);
}

#[test]
fn a_new_autoscaler_shows_its_current_replicas_in_the_first_version_alone() {
    let mut new = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}});
    crate::strategy::prepare_create("autoscaling", "HorizontalPodAutoscaler", &mut new);
    let expected = json!({"desiredReplicas": 0, "currentMetrics": null});
    assert_eq!(new["status"], expected);
    let v1 = convert(new, "autoscaling/v1");
    let expected = json!({"currentReplicas": 0, "desiredReplicas": 0});
    assert_eq!(v1["status"], expected);
}

#[test]
fn an_event_has_other_names_in_its_own_group() {
    let core = golden(include_str!("../../tests/golden/convert/event-core.json"));
    let own = golden(include_str!("../../tests/golden/convert/event-events.json"));
    assert_eq!(convert(core.clone(), "events.k8s.io/v1"), own);
    assert_eq!(convert(own, "v1"), core);
}

#[test]
fn only_two_kinds_are_stored_in_another_version() {
    assert_eq!(stored_version("events.k8s.io/v1", "Event"), Some("v1"));
    assert_eq!(stored_version("apps/v1", "Deployment"), None);
}
