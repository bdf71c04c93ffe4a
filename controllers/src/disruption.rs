//! Budgets of disruption: how many pods of a set are healthy, and how many may be evicted now.

pub(crate) mod run;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{
    PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::amounts::{Round, scaled};
use crate::conditions::{self, FALSE, TRUE};
use crate::events::Event;
use crate::patches::time;
use crate::{owners, pods};

/// A pod whose eviction was granted is gone, or going, after this; if not, it stays.
const EVICTION_MAX: SignedDuration = SignedDuration::from_mins(2);

const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";
const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// The workload that pods with a certain controller belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) uid: String,
    /// Pods that it asks for.
    pub(crate) replicas: i32,
}

/// What was found for each controller, by the uid that pods name it by: none if there is no such controller.
pub(crate) type Workloads = HashMap<String, Result<Option<Workload>, String>>;

/// What a budget's turn comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) status: PodDisruptionBudgetStatus,
    /// About the budget.
    pub(crate) events: Vec<Event>,
    /// Names of pods whose eviction was granted and did not come.
    pub(crate) not_deleted: Vec<String>,
    pub(crate) next_turn: Option<Duration>,
}

/// Whether the budget needs to know the workloads of its pods.
pub(crate) fn asks_for_workloads(budget: &PodDisruptionBudget) -> bool {
    let Some(spec) = &budget.spec else {
        return false;
    };
    spec.max_unavailable.is_some() || matches!(spec.min_available, Some(IntOrString::String(_)))
}

/// Decides on a budget's status. `pods` are those that it selects.
pub(crate) fn decide(
    budget: &PodDisruptionBudget,
    pods: &[&Pod],
    workloads: &Workloads,
    now: Timestamp,
) -> Plan {
    let mut events = Vec::new();
    if pods.is_empty() {
        events.push(Event::normal("NoPods", "No matching pods found"));
    }
    let expected = match expected(budget, pods, workloads) {
        Ok(expected) => expected,
        Err(fault) => {
            let message = format!("Failed to calculate the number of expected pods: {fault}");
            events.push(Event::warning("CalculateExpectedPodCountFailed", message));
            return Plan {
                status: failed(budget, &fault, now),
                events,
                not_deleted: Vec::new(),
                next_turn: None,
            };
        }
    };
    if expected.has_unmanaged {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        events.push(Event::warning("UnmanagedPods", unmanaged_message(selector)));
    }
    let disrupted = Disrupted::of(budget, pods, now);
    let is_healthy = |pod: &&&Pod| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let is_going = pod.metadata.deletion_timestamp.is_some();
        !is_going && !disrupted.pods.contains_key(name) && pods::is_ready(pod)
    };
    let healthy = number(pods.iter().filter(is_healthy).count());
    let next_turn = disrupted.next_turn(now);
    Plan {
        status: counted(budget, &expected, healthy, disrupted.pods, now),
        events,
        not_deleted: disrupted.overdue,
        next_turn,
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Pods that there should be, and how many of them must be healthy.
#[derive(Debug, Default)]
struct Expected {
    pods: i32,
    healthy: i32,
    /// Whether there are pods that no controller has.
    has_unmanaged: bool,
}

fn expected(
    budget: &PodDisruptionBudget,
    pods: &[&Pod],
    workloads: &Workloads,
) -> Result<Expected, String> {
    let Some(spec) = &budget.spec else {
        return Ok(Expected::default());
    };
    let PodDisruptionBudgetSpec {
        max_unavailable,
        min_available,
        ..
    } = spec;
    let part = |amount, of| scaled(amount, of, Round::Up).map_err(|fault| fault.to_string());
    match (max_unavailable, min_available) {
        (Some(amount), _) => {
            let (all, has_unmanaged) = expected_scale(pods, workloads)?;
            let healthy = all.saturating_sub(part(amount, all)?).max(0);
            Ok(Expected {
                pods: all,
                healthy,
                has_unmanaged,
            })
        }
        (None, Some(IntOrString::Int(healthy))) => Ok(Expected {
            pods: number(pods.len()),
            healthy: *healthy,
            has_unmanaged: false,
        }),
        (None, Some(amount)) => {
            let (all, has_unmanaged) = expected_scale(pods, workloads)?;
            Ok(Expected {
                pods: all,
                healthy: part(amount, all)?,
                has_unmanaged,
            })
        }
        (None, None) => Ok(Expected::default()),
    }
}

/// The sizes of all workloads that the pods belong to, and whether some pods belong to none.
fn expected_scale(pods: &[&Pod], workloads: &Workloads) -> Result<(i32, bool), String> {
    let mut sizes: BTreeMap<&str, i32> = BTreeMap::new();
    let mut has_unmanaged = false;
    for pod in pods {
        let Some(owner) = owners::controller_of(&pod.metadata) else {
            has_unmanaged = true;
            continue;
        };
        match workloads.get(&owner.uid) {
            Some(Ok(Some(workload))) => {
                sizes.insert(&workload.uid, workload.replicas);
            }
            Some(Err(fault)) => return Err(fault.clone()),
            Some(Ok(None)) | None => {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                return Err(format!("found no controllers for pod {name:?}"));
            }
        }
    }
    let all = sizes.into_values().fold(0, i32::saturating_add);
    Ok((all, has_unmanaged))
}

/// Pods whose eviction was granted and that are still there.
#[derive(Debug, Default)]
struct Disrupted {
    pods: BTreeMap<String, Time>,
    /// Names of those that should be gone by now.
    overdue: Vec<String>,
    /// When the next of them should be gone.
    next: Option<Timestamp>,
}

impl Disrupted {
    fn of(budget: &PodDisruptionBudget, pods: &[&Pod], now: Timestamp) -> Disrupted {
        let granted = budget
            .status
            .as_ref()
            .and_then(|status| status.disrupted_pods.as_ref());
        let mut disrupted = Disrupted::default();
        let Some(granted) = granted else {
            return disrupted;
        };
        for pod in pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        {
            let Some((name, at)) = pod
                .metadata
                .name
                .as_ref()
                .and_then(|name| granted.get_key_value(name))
            else {
                continue;
            };
            match at.0.checked_add(EVICTION_MAX) {
                Ok(until) if until >= now => {
                    disrupted.next = Some(disrupted.next.map_or(until, |next| next.min(until)));
                    disrupted.pods.insert(name.clone(), at.clone());
                }
                _ => disrupted.overdue.push(name.clone()),
            }
        }
        disrupted
    }

    /// A moment after the next of them is overdue.
    fn next_turn(&self, now: Timestamp) -> Option<Duration> {
        let left = self.next?.duration_since(now);
        Some(Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1))
    }
}

fn counted(
    budget: &PodDisruptionBudget,
    expected: &Expected,
    healthy: i32,
    disrupted: BTreeMap<String, Time>,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    // A budget that knows of no pods allows nothing: they may have come since.
    let allowed = match expected.pods {
        ..=0 => 0,
        _ => healthy.saturating_sub(expected.healthy).max(0),
    };
    let (status, reason) = if allowed > 0 {
        (TRUE, "SufficientPods")
    } else {
        (FALSE, "InsufficientPods")
    };
    PodDisruptionBudgetStatus {
        current_healthy: Some(healthy),
        desired_healthy: Some(expected.healthy),
        expected_pods: Some(expected.pods),
        disruptions_allowed: Some(allowed),
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        observed_generation: budget.metadata.generation,
        conditions: with_condition(
            budget,
            Condition {
                type_: DISRUPTION_ALLOWED.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message: String::new(),
                observed_generation: budget.metadata.generation,
                last_transition_time: time(now),
            },
        ),
    }
}

/// The status when nothing could be counted: nothing is allowed, for safety.
pub(crate) fn failed(
    budget: &PodDisruptionBudget,
    fault: &str,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let old = budget.status.clone().unwrap_or_default();
    let condition = Condition {
        type_: DISRUPTION_ALLOWED.to_owned(),
        status: FALSE.to_owned(),
        reason: "SyncFailed".to_owned(),
        message: fault.to_owned(),
        observed_generation: old.observed_generation,
        last_transition_time: time(now),
    };
    PodDisruptionBudgetStatus {
        disruptions_allowed: Some(0),
        conditions: with_condition(budget, condition),
        ..old
    }
}

fn with_condition(budget: &PodDisruptionBudget, condition: Condition) -> Option<Vec<Condition>> {
    let old = budget
        .status
        .as_ref()
        .and_then(|status| status.conditions.clone());
    let mut all = old.unwrap_or_default();
    let generation = condition.observed_generation;
    conditions::set(&mut all, condition);
    for condition in all.iter_mut().filter(|one| one.type_ == DISRUPTION_ALLOWED) {
        condition.observed_generation = generation;
    }
    Some(all)
}

/// A pod was chosen to go, and after this time it was not: the condition about it is stale. None if it has none.
pub(crate) fn stale_after(pod: &Pod, now: Timestamp) -> Option<Duration> {
    let target = pods::condition(pod, DISRUPTION_TARGET)?;
    let is_of_kubelet = target.reason.as_deref() == Some("TerminationByKubelet");
    let is_going = pod.metadata.deletion_timestamp.is_some() || pods::is_terminal(pod);
    if target.status != TRUE || is_of_kubelet || is_going {
        return None;
    }
    let since = target
        .last_transition_time
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let left = EVICTION_MAX - now.duration_since(since);
    Some(Duration::try_from(left).unwrap_or_default())
}

/// A strategic patch of a pod's status that says that it does not go.
pub(crate) fn not_disrupted(pod: &Pod, now: Timestamp) -> serde_json::Value {
    let condition = serde_json::json!({
        "type": DISRUPTION_TARGET, "status": FALSE, "lastTransitionTime": time(now),
        "reason": null, "message": null,
    });
    crate::patches::when_unchanged(
        &pod.metadata,
        serde_json::json!({"status": {"conditions": [condition]}}),
    )
}

fn unmanaged_message(selector: Option<&LabelSelector>) -> String {
    format!(
        "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, \
         the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To \
         account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
        selector.map_or("nil".to_owned(), written)
    )
}

/// A selector as events write it.
fn written(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten();
    let labels: String = labels
        .map(|(name, value)| format!("{name}: {value},"))
        .collect();
    let expressions = selector.match_expressions.iter().flatten().map(|one| {
        let values = one.values.as_deref().unwrap_or_default().join(" ");
        format!(
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            one.key, one.operator
        )
    });
    let expressions: String = expressions.collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

#[cfg(test)]
mod tests;
