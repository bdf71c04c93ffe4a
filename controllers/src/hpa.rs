//! Autoscalers: how many pods a workload should have by what its pods use.

mod behavior;
mod foreign;
mod measured;
mod measuring;
mod metrics;
mod requests;
pub(crate) mod run;
mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
    MetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
use objects::selector::label::Selector;

use crate::conditions::{self, FALSE, TRUE};
use crate::events::Event;
use crate::patches::{count, time};
use crate::scales::Scale;

pub(crate) use behavior::History;

const ABLE_TO_SCALE: &str = "AbleToScale";
const SCALING_ACTIVE: &str = "ScalingActive";
const SCALING_LIMITED: &str = "ScalingLimited";

/// What a pod used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at: Timestamp,
    /// The time before that it was measured over.
    pub(crate) window: Duration,
    /// In thousandths.
    pub(crate) value: i64,
}

/// What pods used, by their names.
pub(crate) type Samples = BTreeMap<String, Sample>;

/// What was measured for a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Measured {
    /// What pods used.
    Pods(Samples),
    /// Values of something else, in thousandths.
    Values(Vec<i64>),
}

/// What holds for all autoscalers.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The part of the target by which usage may differ from it with nothing done.
    pub(crate) tolerance: f64,
    /// A workload shrinks to the most that was recommended in this time.
    pub(crate) downscale_stabilization: Duration,
    /// Time in which what a young pod uses counts only while it is ready.
    pub(crate) cpu_initialization: Duration,
    /// A pod that became unready so soon after its start has never been ready.
    pub(crate) initial_readiness_delay: Duration,
}

/// What an autoscaler's turn looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State<'a> {
    pub(crate) hpa: &'a HorizontalPodAutoscaler,
    pub(crate) scale: &'a Scale,
    /// The pods that the workload's selector selects.
    pub(crate) pods: &'a [&'a Pod],
    /// All autoscalers whose workloads select one of these pods, if there are several.
    pub(crate) rivals: &'a [String],
    /// What was measured for each metric of the spec, in their order.
    pub(crate) measured: &'a [Result<Measured, String>],
    pub(crate) rules: &'a Rules,
    pub(crate) now: Timestamp,
}

/// What a turn comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// The status, if there is no rescale.
    pub(crate) status: HorizontalPodAutoscalerStatus,
    pub(crate) events: Vec<Event>,
    pub(crate) rescale: Option<Rescale>,
}

/// A change of a workload's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rescale {
    pub(crate) from: i32,
    pub(crate) to: i32,
    pub(crate) reason: String,
}

/// The least number of pods, and the most.
fn bounds(hpa: &HorizontalPodAutoscaler) -> (i32, i32) {
    (hpa.spec.min_replicas.unwrap_or(1), hpa.spec.max_replicas)
}

/// A turn while it is decided.
struct Turn<'a> {
    state: State<'a>,
    conditions: Vec<HorizontalPodAutoscalerCondition>,
    events: Vec<Event>,
    metrics: Option<Vec<MetricStatus>>,
}

/// Whether the size depends on what pods use, so that it must be measured.
pub(crate) fn needs_samples(hpa: &HorizontalPodAutoscaler, scale: &Scale) -> bool {
    let (min, max) = bounds(hpa);
    scale.replicas != 0 && (min..=max).contains(&scale.replicas)
}

/// Decides on a workload's size. The history is the autoscaler's own.
pub(crate) fn decide(state: State<'_>, history: &mut History) -> Plan {
    let (min, max) = bounds(state.hpa);
    let current = state.scale.replicas;
    let mut turn = Turn {
        state,
        conditions: conditions_of(state.hpa),
        events: Vec::new(),
        metrics: None,
    };
    let message = "the HPA controller was able to get the target's current scale";
    turn.set(ABLE_TO_SCALE, TRUE, "SucceededGetScale", message);
    history.begin(current, state.now);
    let rescale = |to, reason: &str| {
        let reason = reason.to_owned();
        Some(Rescale {
            from: current,
            to,
            reason,
        })
    };
    if current == 0 {
        let message = "scaling is disabled since the replica count of the target is zero";
        turn.set(SCALING_ACTIVE, FALSE, "ScalingDisabled", message);
        turn.rest()
    } else if current > max {
        turn.done(rescale(
            max,
            "Current number of replicas above Spec.MaxReplicas",
        ))
    } else if current < min {
        turn.done(rescale(
            min,
            "Current number of replicas below Spec.MinReplicas",
        ))
    } else {
        turn.by_metrics(history)
    }
}

/// The status when the workload's size cannot be read.
pub(crate) fn without_scale(hpa: &HorizontalPodAutoscaler, fault: &str, now: Timestamp) -> Plan {
    let mut status = hpa.status.clone().unwrap_or_default();
    let message =
        format!("the HPA controller was unable to get the target's current scale: {fault}");
    let failed = condition(ABLE_TO_SCALE, FALSE, "FailedGetScale", message, now);
    conditions::set(status.conditions.get_or_insert_default(), failed);
    Plan {
        status,
        events: vec![Event::warning("FailedGetScale", fault)],
        rescale: None,
    }
}

/// The status and the event after the size was changed, or could not be.
pub(crate) fn after_rescale(
    plan: &Plan,
    rescale: &Rescale,
    outcome: Result<(), String>,
    now: Timestamp,
) -> (HorizontalPodAutoscalerStatus, Event) {
    let mut status = plan.status.clone();
    let Rescale { to, reason, .. } = rescale;
    let (told, event) = match outcome {
        Ok(()) => {
            status.desired_replicas = *to;
            status.last_scale_time = Some(time(now));
            let message = format!("the HPA controller was able to update the target scale to {to}");
            let told = condition(ABLE_TO_SCALE, TRUE, "SucceededRescale", message, now);
            let message = format!("New size: {to}; reason: {reason}");
            (told, Event::normal("SuccessfulRescale", message))
        }
        Err(error) => {
            let message =
                format!("the HPA controller was unable to update the target scale: {error}");
            let told = condition(ABLE_TO_SCALE, FALSE, "FailedUpdateScale", message, now);
            let message = format!("New size: {to}; reason: {reason}; error: {error}");
            (told, Event::warning("FailedRescale", message))
        }
    };
    conditions::set(status.conditions.get_or_insert_default(), told);
    (status, event)
}

fn conditions_of(hpa: &HorizontalPodAutoscaler) -> Vec<HorizontalPodAutoscalerCondition> {
    let status = hpa.status.as_ref();
    status
        .and_then(|status| status.conditions.clone())
        .unwrap_or_default()
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: impl Into<String>,
    now: Timestamp,
) -> HorizontalPodAutoscalerCondition {
    HorizontalPodAutoscalerCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.into()),
        last_transition_time: Some(time(now)),
    }
}

impl Turn<'_> {
    fn set(&mut self, kind: &str, status: &str, reason: &str, message: impl Into<String>) {
        let condition = condition(kind, status, reason, message, self.state.now);
        conditions::set(&mut self.conditions, condition);
    }

    fn by_metrics(mut self, history: &mut History) -> Plan {
        let current = self.state.scale.replicas;
        let proposed = match self.selector_fault() {
            Some(fault) => Err(fault),
            None => metrics::propose(&mut self),
        };
        let (wanted, metric) = match proposed {
            Ok(proposed) => proposed,
            Err(fault) => {
                self.events
                    .push(Event::warning("FailedComputeMetricsReplicas", fault));
                return self.done(None);
            }
        };
        let reason = match wanted {
            wanted if wanted > current => format!("{metric} above target"),
            _ => "All metrics below target".to_owned(),
        };
        let wanted = wanted.max(0);
        let normal = behavior::normalize(self.state, history, wanted);
        let (status, reason_able, message) = normal.able;
        self.set(ABLE_TO_SCALE, status, reason_able, message);
        let (status, reason_limited, message) = normal.limited;
        self.set(SCALING_LIMITED, status, reason_limited, message);
        if normal.replicas == current {
            return self.rest();
        }
        let to = normal.replicas;
        self.done(Some(Rescale {
            from: current,
            to,
            reason,
        }))
    }

    /// Why the workload's selector does not tell which pods are measured.
    fn selector_fault(&mut self) -> Option<String> {
        let State { scale, rivals, .. } = self.state;
        let selector = &scale.selector;
        let (event, message, fault) = if selector.is_empty() {
            let message = "the HPA target's scale is missing a selector".to_owned();
            (
                "SelectorRequired",
                message,
                "selector is required".to_owned(),
            )
        } else if let Err(fault) = Selector::parse(selector) {
            let fault = format!(
                "couldn't convert selector into a corresponding internal selector object: {fault}"
            );
            ("InvalidSelector", fault.clone(), fault)
        } else if rivals.len() > 1 {
            let rivals = rivals.join(" ");
            let fault =
                format!("pods by selector {selector} are controlled by multiple HPAs: [{rivals}]");
            ("AmbiguousSelector", fault.clone(), fault)
        } else {
            return None;
        };
        let reason = if event == "SelectorRequired" {
            "InvalidSelector"
        } else {
            event
        };
        self.set(SCALING_ACTIVE, FALSE, reason, message);
        self.events.push(Event::warning(event, fault.clone()));
        Some(fault)
    }

    /// The size is what it should be.
    fn rest(self) -> Plan {
        let mut plan = self.done(None);
        plan.status.desired_replicas = plan.status.current_replicas.unwrap_or(0);
        plan
    }

    fn done(self, rescale: Option<Rescale>) -> Plan {
        let old = self.state.hpa.status.clone().unwrap_or_default();
        Plan {
            status: HorizontalPodAutoscalerStatus {
                current_replicas: count(self.state.scale.replicas),
                current_metrics: self.metrics.filter(|metrics| !metrics.is_empty()),
                conditions: Some(self.conditions),
                ..old
            },
            events: self.events,
            rescale,
        }
    }
}

#[cfg(test)]
mod tests;
