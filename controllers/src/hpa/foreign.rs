//! What metrics propose that others measure: of pods, of other objects, and of what is no object.

use k8s_openapi::api::autoscaling::v2::{
    ExternalMetricSource, ExternalMetricStatus, MetricIdentifier, MetricStatus, MetricTarget,
    MetricValueStatus, ObjectMetricSource, ObjectMetricStatus, PodsMetricSource, PodsMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::quantity::{Format, Quantity};

use super::metrics::{Fault, Proposal};
use super::usage::{self, Question};
use super::{Samples, requests};

/// By what pods report themselves.
pub(super) fn pods(
    question: Question<'_>,
    source: &PodsMetricSource,
    samples: Result<&Samples, String>,
) -> Result<Proposal, Fault> {
    let name = &source.metric.name;
    let fault = |message: String| Fault {
        reason: "FailedGetPodsMetric",
        message,
        doing: "failed to get pods metric value".to_owned(),
    };
    let samples = samples.map_err(|error| fault(unmeasured(name, &error)))?;
    let target = target(source.target.average_value.as_ref()).unwrap_or(1);
    let answer = usage::by_average(question, samples, target).map_err(fault)?;
    let status = MetricStatus {
        type_: "Pods".to_owned(),
        pods: Some(PodsMetricStatus {
            metric: source.metric.clone(),
            current: average(answer.average),
        }),
        ..MetricStatus::default()
    };
    Ok((answer.replicas, format!("pods metric {name}"), status))
}

/// By what is reported of one object.
pub(super) fn object(
    question: Question<'_>,
    source: &ObjectMetricSource,
    values: Result<&[i64], String>,
) -> Result<Proposal, Fault> {
    const REASON: &str = "FailedGetObjectMetric";
    const DOING: &str = "failed to get object metric value";
    let name = &source.metric.name;
    let described = &source.described_object;
    let unmeasured = |error: String| {
        let hpa = &question.state.hpa.metadata;
        let namespace = hpa.namespace.as_deref().unwrap_or_default();
        let (kind, object) = (&described.kind, &described.name);
        format!("unable to get metric {name}: {kind} on {namespace} {object}/{error}")
    };
    let values = values.map_err(unmeasured);
    let status = |current| MetricStatus {
        type_: "Object".to_owned(),
        object: Some(ObjectMetricStatus {
            described_object: described.clone(),
            metric: source.metric.clone(),
            current,
        }),
        ..MetricStatus::default()
    };
    match Target::of(&source.target) {
        Some(Target::Total(target)) => {
            let fault = |message| Fault {
                reason: REASON,
                message,
                doing: DOING.to_owned(),
            };
            let total = sum(values.map_err(fault)?);
            let replicas = usage::by_total(question, total, target).map_err(fault)?;
            let words = format!("{} metric {name}", described.kind);
            Ok((replicas, words, status(whole(total))))
        }
        Some(Target::Average(target)) => {
            let total = sum(values.map_err(|message| Fault {
                reason: REASON,
                message,
                doing: format!("{DOING}: failed to get {name} object metric"),
            })?);
            let (replicas, each) = usage::by_share(question, total, target);
            Ok((replicas, words(&source.metric), status(average(each))))
        }
        None => Err(Fault {
            reason: REASON,
            message: "invalid object metric source: neither a value target nor an average value target was set".to_owned(),
            doing: DOING.to_owned(),
        }),
    }
}

/// By what is reported of something that is no object.
pub(super) fn external(
    question: Question<'_>,
    source: &ExternalMetricSource,
    values: Result<&[i64], String>,
) -> Result<Proposal, Fault> {
    let name = &source.metric.name;
    let fault = |message: String, while_: &str| Fault {
        reason: "FailedGetExternalMetric",
        message,
        doing: format!("failed to get {name} external metric value{while_}"),
    };
    let unmeasured = |error: String| {
        let hpa = &question.state.hpa.metadata;
        let namespace = hpa.namespace.as_deref().unwrap_or_default();
        let selector = selector_words(source.metric.selector.as_ref());
        format!("unable to get external metric {namespace}/{name}/{selector}: {error}")
    };
    let values = values.map_err(unmeasured);
    let status = |current| MetricStatus {
        type_: "External".to_owned(),
        external: Some(ExternalMetricStatus {
            metric: source.metric.clone(),
            current,
        }),
        ..MetricStatus::default()
    };
    let (average_target, total_target) = (
        target(source.target.average_value.as_ref()),
        target(source.target.value.as_ref()),
    );
    if let Some(target) = average_target {
        let doing = format!(": failed to get {name} external metric");
        let total = sum(values.map_err(|message| fault(message, &doing))?);
        let (replicas, each) = usage::by_share(question, total, target);
        Ok((replicas, words(&source.metric), status(average(each))))
    } else if let Some(target) = total_target {
        let doing = format!(": failed to get external metric {name}");
        let fault = |message| fault(message, &doing);
        let total = sum(values.map_err(fault)?);
        let replicas = usage::by_total(question, total, target).map_err(fault)?;
        Ok((replicas, words(&source.metric), status(whole(total))))
    } else {
        let message = "invalid external metric source: neither a value target nor an average value target was set";
        Err(fault(message.to_owned(), ""))
    }
}

/// What a metric should be, in thousandths.
enum Target {
    /// In all.
    Total(i64),
    /// For each pod.
    Average(i64),
}

impl Target {
    fn of(spec: &MetricTarget) -> Option<Target> {
        let total = target(spec.value.as_ref()).filter(|_| spec.type_ == "Value");
        let average = target(spec.average_value.as_ref()).filter(|_| spec.type_ == "AverageValue");
        total.map(Target::Total).or(average.map(Target::Average))
    }
}

fn target(text: Option<&Text>) -> Option<i64> {
    text.map(|text| requests::milli(text).max(1))
}

fn sum(values: &[i64]) -> i64 {
    values.iter().copied().fold(0, i64::saturating_add)
}

fn quantity(milli: i64) -> Option<Text> {
    let quantity = Quantity::from_milli(milli, Format::Decimal);
    Some(Text(quantity.to_string()))
}

fn average(milli: i64) -> MetricValueStatus {
    MetricValueStatus {
        average_value: quantity(milli),
        ..MetricValueStatus::default()
    }
}

fn whole(milli: i64) -> MetricValueStatus {
    MetricValueStatus {
        value: quantity(milli),
        ..MetricValueStatus::default()
    }
}

fn unmeasured(metric: &str, error: &str) -> String {
    format!("unable to get metric {metric}: {error}")
}

fn words(metric: &MetricIdentifier) -> String {
    let selector = selector_words(metric.selector.as_ref());
    format!("external metric {}({selector})", metric.name)
}

/// A selector as Go prints it, which is how Kubernetes tells it here.
fn selector_words(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else {
        return "nil".to_owned();
    };
    let labels = selector.match_labels.iter().flatten();
    let labels: String = labels
        .map(|(key, value)| format!("{key}: {value},"))
        .collect();
    let expressions = selector.match_expressions.iter().flatten();
    let expressions: String = expressions
        .map(|one| {
            let values = one.values.as_deref().unwrap_or_default().join(" ");
            let (key, operator) = (&one.key, &one.operator);
            format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

#[cfg(test)]
mod tests;
