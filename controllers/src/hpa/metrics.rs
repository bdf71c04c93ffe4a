//! What each metric of an autoscaler proposes, and what is told of it.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
    ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use objects::quantity::{Format, Quantity};

use super::usage::{self, Answer, Question, Tolerance};
use super::{SCALING_ACTIVE, Samples, State, Turn, requests};
use crate::conditions::{FALSE, TRUE};
use crate::events::Event;

/// A size, the words for the metric it comes of, and the metric's status.
type Proposal = (i32, String, MetricStatus);

/// Why a metric proposes nothing.
struct Fault {
    /// Of the event and the condition.
    reason: &'static str,
    message: String,
    /// What it was in the midst of.
    doing: String,
}

/// The most that a metric proposes, and that metric. Nothing, if no metric can be told, or one cannot and the others would shrink the workload.
pub(super) fn propose(turn: &mut Turn<'_>) -> Result<(i32, String), String> {
    let state = turn.state;
    let specs = state.hpa.spec.metrics.as_deref().unwrap_or_default();
    let mut best: Option<(i32, String)> = None;
    let mut first_fault = None;
    let mut faults = 0_usize;
    let mut statuses = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let samples = match state.samples.get(index) {
            Some(samples) => samples.as_ref().map_err(Clone::clone),
            None => Err("it was not measured".to_owned()),
        };
        match proposal(state, spec, samples) {
            Ok((replicas, name, status)) => {
                statuses.push(status);
                if best.as_ref().is_none_or(|(most, _)| replicas > *most) {
                    best = Some((replicas, name));
                }
            }
            Err(fault) => {
                faults += 1;
                statuses.push(MetricStatus::default());
                let event = Event::warning(fault.reason, fault.message.clone());
                turn.events.push(event);
                first_fault = first_fault.or(Some(fault));
            }
        }
    }
    turn.metrics = Some(statuses);
    let shrinks = best
        .as_ref()
        .is_some_and(|(most, _)| *most < state.scale.replicas);
    match (best, first_fault) {
        (Some((replicas, name)), fault) if fault.is_none() || !shrinks => {
            let message =
                format!("the HPA was able to successfully calculate a replica count from {name}");
            turn.set(SCALING_ACTIVE, TRUE, "ValidMetricFound", message);
            Ok((replicas, name))
        }
        (_, Some(fault)) => {
            let Fault {
                reason,
                message,
                doing,
            } = fault;
            let told = format!("the HPA was unable to compute the replica count: {message}");
            turn.set(SCALING_ACTIVE, FALSE, reason, told);
            let count = specs.len();
            Err(format!(
                "invalid metrics ({faults} invalid out of {count}), first error is: {doing}: {message}"
            ))
        }
        (_, None) => Err("no metrics are named".to_owned()),
    }
}

fn proposal(
    state: State<'_>,
    spec: &MetricSpec,
    samples: Result<&Samples, String>,
) -> Result<Proposal, Fault> {
    if let Some(source) = &spec.resource {
        let name = &source.name;
        let fault = |message: String| Fault {
            reason: "FailedGetResourceMetric",
            message,
            doing: format!("failed to get {name} resource metric value"),
        };
        let question = question(state, name, None);
        let (answer, words) = answer(question, &source.target, samples).map_err(fault)?;
        let status = MetricStatus {
            type_: "Resource".to_owned(),
            resource: Some(ResourceMetricStatus {
                name: name.clone(),
                current: value(name, answer),
            }),
            ..MetricStatus::default()
        };
        return Ok((answer.replicas, format!("{name} {words}"), status));
    }
    if let Some(source) = &spec.container_resource {
        let (name, container) = (&source.name, &source.container);
        let fault = |message: String| Fault {
            reason: "FailedGetContainerResourceMetric",
            message,
            doing: format!("failed to get {container} container metric value"),
        };
        let question = question(state, name, Some(container));
        let (answer, words) = answer(question, &source.target, samples).map_err(fault)?;
        let words = match answer.utilization {
            Some(_) => format!("container {words}"),
            None => words.to_owned(),
        };
        let status = MetricStatus {
            type_: "ContainerResource".to_owned(),
            container_resource: Some(ContainerResourceMetricStatus {
                name: name.clone(),
                container: container.clone(),
                current: value(name, answer),
            }),
            ..MetricStatus::default()
        };
        return Ok((answer.replicas, format!("{name} {words}"), status));
    }
    Err(elsewhere(spec, samples))
}

/// Metrics of applications and of the world outside, which are served elsewhere.
fn elsewhere(spec: &MetricSpec, samples: Result<&Samples, String>) -> Fault {
    let message = samples.err().unwrap_or_default();
    let (reason, doing) = match spec.type_.as_str() {
        "Object" => (
            "FailedGetObjectMetric",
            "failed to get object metric value".to_owned(),
        ),
        "Pods" => (
            "FailedGetPodsMetric",
            "failed to get pods metric value".to_owned(),
        ),
        "External" => {
            let source = spec.external.as_ref();
            let name = source
                .map(|source| source.metric.name.as_str())
                .unwrap_or_default();
            (
                "FailedGetExternalMetric",
                format!("failed to get {name} external metric value"),
            )
        }
        other => (
            "InvalidMetricSourceType",
            format!("unknown metric source type {other:?}"),
        ),
    };
    Fault {
        reason,
        message,
        doing,
    }
}

fn question<'a>(state: State<'a>, resource: &'a str, container: Option<&'a str>) -> Question<'a> {
    let behavior = state.hpa.spec.behavior.as_ref();
    let part = |text: Option<&Text>| {
        let milli = text
            .map(requests::milli)
            .and_then(|milli| i32::try_from(milli).ok());
        milli.map_or(state.rules.tolerance, |milli| f64::from(milli) / 1000.0)
    };
    let down = behavior.and_then(|behavior| behavior.scale_down.as_ref()?.tolerance.as_ref());
    let up = behavior.and_then(|behavior| behavior.scale_up.as_ref()?.tolerance.as_ref());
    Question {
        state,
        resource,
        container,
        tolerance: Tolerance {
            down: part(down),
            up: part(up),
        },
    }
}

/// An answer, and the words for what the target is a number of.
fn answer(
    question: Question<'_>,
    target: &MetricTarget,
    samples: Result<&Samples, String>,
) -> Result<(Answer, &'static str), String> {
    let resource = question.resource;
    if let Some(average) = &target.average_value {
        let fault = |fault: String| format!("failed to get {resource} usage: {fault}");
        let samples = samples.map_err(|error| fault(unmeasured(resource, &error)))?;
        let target = requests::milli(average).max(1);
        let answer = usage::by_average(question, samples, target).map_err(fault)?;
        return Ok((answer, "resource"));
    }
    let Some(percent) = target.average_utilization else {
        return Err(
            "invalid resource metric source: neither an average utilization target nor an average value \
             (usage) target was set"
                .to_owned(),
        );
    };
    let fault = |fault: String| format!("failed to get {resource} utilization: {fault}");
    let samples = samples.map_err(|error| fault(unmeasured(resource, &error)))?;
    let answer = usage::by_utilization(question, samples, percent.max(1)).map_err(fault)?;
    Ok((answer, "resource utilization (percentage of request)"))
}

fn unmeasured(resource: &str, error: &str) -> String {
    format!("unable to get metrics for resource {resource}: {error}")
}

fn value(resource: &str, answer: Answer) -> MetricValueStatus {
    let format = if resource == "memory" {
        Format::Binary
    } else {
        Format::Decimal
    };
    let average = Quantity::from_milli(answer.average, format);
    MetricValueStatus {
        average_utilization: answer.utilization,
        average_value: Some(Text(average.to_string())),
        value: None,
    }
}
