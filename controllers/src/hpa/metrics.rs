//! What each metric of an autoscaler proposes, and what is told of it.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
    ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use objects::quantity::{Format, Quantity};

use super::usage::{self, Answer, Question, Tolerance};
use super::{Measured, SCALING_ACTIVE, Samples, State, Turn, foreign, requests};
use crate::conditions::{FALSE, TRUE};
use crate::events::Event;

/// A size, the words for the metric it comes of, and the metric's status.
pub(super) type Proposal = (i32, String, MetricStatus);

/// Why a metric proposes nothing.
pub(super) struct Fault {
    /// Of the event and the condition.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// What it was in the midst of.
    pub(super) doing: String,
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
        let measured = match state.measured.get(index) {
            Some(measured) => measured.as_ref().map_err(Clone::clone),
            None => Err("it was not measured".to_owned()),
        };
        match proposal(state, spec, measured) {
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
    measured: Result<&Measured, String>,
) -> Result<Proposal, Fault> {
    let (samples, values) = match measured {
        Ok(Measured::Pods(samples)) => (Ok(samples), Ok(&[] as &[i64])),
        Ok(Measured::Values(values)) => (Err("it was not measured".to_owned()), Ok(&**values)),
        Err(fault) => (Err(fault.clone()), Err(fault)),
    };
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
    if let Some(source) = &spec.pods {
        return foreign::pods(question(state, "", None), source, samples);
    }
    if let Some(source) = &spec.object {
        return foreign::object(question(state, "", None), source, values);
    }
    if let Some(source) = &spec.external {
        return foreign::external(question(state, "", None), source, values);
    }
    let message = format!("unknown metric source type {:?}", spec.type_);
    Err(Fault {
        reason: "InvalidMetricSourceType",
        doing: message.clone(),
        message,
    })
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
