//! Autoscalers: v1 knows the use of CPUs alone and keeps what v2 has beyond that in annotations.

use serde_json::json;

use crate::{Map, Value, meta};

mod metrics;
mod ordered;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const STATUSES: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Annotations that only say what the other version has fields for.
const ANNOTATIONS: [&str; 6] = [
    METRICS,
    STATUSES,
    CONDITIONS,
    BEHAVIOR,
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];

/// What is asked for where no metric is.
const CPU_PERCENT_DEFAULT: i64 = 80;

pub(super) fn to_v1(object: &mut Value) {
    let spec = meta::fields_mut(object, "spec");
    let metrics = elements(spec.remove("metrics"));
    let behavior = spec.remove("behavior").filter(|value| !value.is_null());
    if let Some(percent) = metrics.iter().find_map(cpu_target) {
        spec.insert("targetCPUUtilizationPercentage".to_owned(), percent.clone());
    }
    let status = meta::fields_mut(object, "status");
    let statuses = elements(status.remove("currentMetrics"));
    let conditions = elements(status.remove("conditions"));
    if let Some(percent) = statuses.iter().rev().find_map(cpu_current) {
        status.insert(
            "currentCPUUtilizationPercentage".to_owned(),
            percent.clone(),
        );
    }
    drop_annotations(object);
    let others: Vec<Value> = metrics
        .iter()
        .filter(|metric| cpu_target(metric).is_none())
        .map(|metric| metrics::to_v1(metric, metrics::Part::Spec))
        .collect();
    let statuses: Vec<Value> = statuses
        .iter()
        .map(|metric| metrics::to_v1(metric, metrics::Part::Status))
        .collect();
    annotate(object, METRICS, &others.into());
    annotate(object, STATUSES, &statuses.into());
    annotate(object, CONDITIONS, &conditions.into());
    if let Some(behavior) = behavior {
        annotate(object, BEHAVIOR, &behavior_to_go(&behavior));
    }
}

pub(super) fn to_v2(object: &mut Value) {
    let kept = |object: &Value, key| -> Option<Value> {
        serde_json::from_str(meta::annotation(object, key)?).ok()
    };
    let kept_list = |object: &Value, key| kept(object, key)?.as_array().cloned();
    let mut metrics: Vec<Value> = kept_list(object, METRICS)
        .unwrap_or_default()
        .iter()
        .map(|metric| metrics::to_v2(metric, metrics::Part::Spec))
        .collect();
    let statuses = kept_list(object, STATUSES);
    let conditions = kept_list(object, CONDITIONS);
    let behavior = kept(object, BEHAVIOR).and_then(|behavior| behavior_from_go(&behavior));
    let spec = meta::fields_mut(object, "spec");
    let percent = spec
        .remove("targetCPUUtilizationPercentage")
        .filter(|value| !value.is_null());
    if percent.is_some() || metrics.is_empty() {
        let percent = percent.unwrap_or_else(|| CPU_PERCENT_DEFAULT.into());
        metrics.push(json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent},
        }}));
    }
    spec.insert("metrics".to_owned(), metrics.into());
    if let Some(behavior) = behavior {
        spec.insert("behavior".to_owned(), behavior);
    }
    let status = meta::fields_mut(object, "status");
    let percent = status
        .remove("currentCPUUtilizationPercentage")
        .filter(|value| !value.is_null());
    let statuses: Vec<Value> = match statuses {
        Some(statuses) => statuses
            .iter()
            .map(|metric| metrics::to_v2(metric, metrics::Part::Status))
            .collect(),
        None => percent
            .map(|percent| {
                json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}})
            })
            .into_iter()
            .collect(),
    };
    status.insert("currentMetrics".to_owned(), statuses.into());
    if let Some(conditions) = conditions {
        status.insert("conditions".to_owned(), conditions.into());
    }
    drop_annotations(object);
}

fn elements(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    }
}

fn is_cpu(metric: &Value) -> bool {
    meta::text(metric, &["type"]) == "Resource"
        && meta::text(metric, &["resource", "name"]) == "cpu"
}

/// The percentage of CPUs that a metric asks for.
fn cpu_target(metric: &Value) -> Option<&Value> {
    meta::at(metric, &["resource", "target", "averageUtilization"])
        .filter(|percent| is_cpu(metric) && !percent.is_null())
}

fn cpu_current(metric: &Value) -> Option<&Value> {
    meta::at(metric, &["resource", "current", "averageUtilization"])
        .filter(|percent| is_cpu(metric) && !percent.is_null())
}

/// Keeps a value in an annotation unless it is empty.
fn annotate(object: &mut Value, key: &str, value: &Value) {
    if value.as_array().is_some_and(Vec::is_empty) {
        return;
    }
    let annotations = meta::metadata_mut(object)
        .entry("annotations")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(key.to_owned(), ordered::text(value).into());
    }
}

fn drop_annotations(object: &mut Value) {
    let annotations = meta::metadata_mut(object)
        .get_mut("annotations")
        .and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.retain(|key, _| !ANNOTATIONS.contains(&&**key));
    }
}

/// The behavior under the names of upstream's internal type, which the annotation has.
fn behavior_to_go(behavior: &Value) -> Value {
    let rules = |name: &str| match behavior.get(name) {
        None | Some(Value::Null) => Value::Null,
        Some(rules) => {
            let field = |name: &str| rules.get(name).cloned().unwrap_or_default();
            let policies = rules.get("policies").and_then(Value::as_array).map(|policies| {
                policies
                    .iter()
                    .map(|policy| {
                        json!({"Type": policy["type"], "Value": policy["value"], "PeriodSeconds": policy["periodSeconds"]})
                    })
                    .collect::<Value>()
            });
            json!({
                "StabilizationWindowSeconds": field("stabilizationWindowSeconds"), "SelectPolicy": field("selectPolicy"),
                "Policies": policies, "Tolerance": field("tolerance"),
            })
        }
    };
    json!({"ScaleUp": rules("scaleUp"), "ScaleDown": rules("scaleDown")})
}

/// The behavior of an annotation; none if it says nothing.
fn behavior_from_go(behavior: &Value) -> Option<Value> {
    let behavior = lowered(behavior);
    let says = behavior.as_object().is_some_and(|rules| !rules.is_empty());
    says.then_some(behavior)
}

/// Names with a small first letter, and no nulls. What an annotation holds is not deeper than what JSON may be.
fn lowered(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| {
                let mut letters = name.chars();
                let first = letters.next().map(|letter| letter.to_ascii_lowercase());
                (
                    first.into_iter().chain(letters).collect::<String>(),
                    lowered(value),
                )
            })
            .collect::<Map>()
            .into(),
        Value::Array(elements) => elements.iter().map(lowered).collect(),
        other => other.clone(),
    }
}
