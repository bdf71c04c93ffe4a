//! What the answer is: one sentence, and what it rests on.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Node, Pod, PodCondition};
use scheduler::explain::Explanation;
use scheduler::pod::DEFAULT_SCHEDULER;
use serde::Serialize;

/// Warnings that are told, the newest.
const WARNINGS_MAX: usize = 5;

/// What was read beside the pod.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// For a pod without a node.
    pub(super) explanation: Option<Explanation>,
    /// The pod's node, if it has one that is there.
    pub(super) node: Option<Node>,
    /// Pods that are leaving the node that was promised to this one.
    pub(super) leaving: Vec<String>,
    pub(super) warnings: Vec<Event>,
}

/// In which of its states a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// It has ended.
    Finished,
    /// It is being deleted.
    Leaving,
    /// It has a node and runs there.
    Running,
    /// It has a node and does not run yet.
    Starting,
    /// Gates keep it from being scheduled.
    Gated,
    /// It waits for a scheduler of another name than ours.
    OtherScheduler,
    /// Pods are leaving a node for it.
    Preempting,
    /// It has no node, and none fits.
    Unschedulable,
    /// It has no node, and some fits.
    Schedulable,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) state: State,
    pub(super) summary: String,
    /// What the scheduler has written into the pod's condition `PodScheduled`.
    pub(super) said: Option<Said>,
    /// What the containers wait for.
    pub(super) containers: Vec<String>,
    /// The newest warnings among the pod's events.
    pub(super) warnings: Vec<String>,
    #[serde(flatten)]
    pub(super) explanation: Option<Explanation>,
}

#[derive(Debug, Serialize)]
pub(super) struct Said {
    pub(super) reason: String,
    pub(super) message: String,
}

impl Answer {
    pub(super) fn new(pod: &Pod, around: Around) -> Answer {
        let meta = &pod.metadata;
        let containers = containers(pod);
        let (state, text) = judge(pod, &around, &containers);
        let namespace = meta.namespace.clone().unwrap_or_default();
        let name = meta.name.clone().unwrap_or_default();
        let said = condition(pod, "PodScheduled").filter(|one| one.status == "False");
        Answer {
            summary: format!("{namespace}/{name} {text}"),
            namespace,
            name,
            state,
            said: said.map(|one| Said {
                reason: one.reason.clone().unwrap_or_default(),
                message: one.message.clone().unwrap_or_default(),
            }),
            containers,
            // Those of the scheduler say what the sentence says.
            warnings: newest(around.warnings, |reason| {
                around.explanation.is_none() || reason != "FailedScheduling"
            }),
            explanation: around.explanation,
        }
    }
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let mut all = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    all.find(|one| one.type_ == kind)
}

/// The state, and what follows the pod's name in the sentence about it.
fn judge(pod: &Pod, around: &Around, containers: &[String]) -> (State, String) {
    let status = pod.status.as_ref();
    let phase = status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending");
    if matches!(phase, "Succeeded" | "Failed") {
        let why = status.and_then(|status| status.message.as_deref().or(status.reason.as_deref()));
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        return (
            State::Finished,
            format!("does not wait: it has ended ({phase}){why}"),
        );
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return (State::Leaving, "is being deleted".to_owned());
    }
    let spec = pod.spec.as_ref();
    if let Some(node) = spec.and_then(|spec| spec.node_name.as_deref()) {
        return on_node(pod, node, (around, containers), phase == "Running");
    }
    match &around.explanation {
        Some(explanation) => without_node(pod, explanation, around),
        None => (State::Unschedulable, "has no node".to_owned()),
    }
}

fn on_node(
    pod: &Pod,
    node: &str,
    (around, containers): (&Around, &[String]),
    runs: bool,
) -> (State, String) {
    let ready = condition(pod, "Ready").filter(|one| one.status != "True");
    let trouble = match &around.node {
        None => Some(format!("there is no node {node} any more")),
        Some(found) => not_ready(found).map(|why| format!("the node is not ready: {why}")),
    };
    let told = |one: &PodCondition| one.message.clone().filter(|text| !text.is_empty());
    let why = trouble
        .or_else(|| (!containers.is_empty()).then(|| containers.join("; ")))
        .or_else(|| ready.and_then(told));
    match (runs, ready, why) {
        (true, None, None) => (State::Running, format!("runs on node {node}, and is ready")),
        (true, _, why) => {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            (
                State::Running,
                format!("runs on node {node}, and is not ready{why}"),
            )
        }
        (false, _, Some(why)) => (
            State::Starting,
            format!("was given to node {node}, and does not run there yet: {why}"),
        ),
        (false, _, None) => (
            State::Starting,
            format!("was given to node {node}, which has said nothing of it yet"),
        ),
    }
}

fn not_ready(node: &Node) -> Option<String> {
    let mut conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.find(|one| one.type_ == "Ready");
    match ready {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(ready.message.clone().unwrap_or_default()),
        None => Some("it has never said that it is".to_owned()),
    }
}

fn without_node(pod: &Pod, explanation: &Explanation, around: &Around) -> (State, String) {
    if !explanation.gates.is_empty() {
        let gates = explanation.gates.join(", ");
        let text = format!(
            "is not scheduled: no scheduler tries it until its gates are removed ({gates})"
        );
        return (State::Gated, text);
    }
    let spec = pod.spec.as_ref();
    let scheduler = spec.and_then(|spec| spec.scheduler_name.as_deref());
    let scheduler = scheduler.unwrap_or(DEFAULT_SCHEDULER);
    let is_known = condition(pod, "PodScheduled").is_some();
    if scheduler != DEFAULT_SCHEDULER && !is_known {
        let text = format!(
            "is not scheduled: it waits for a scheduler named {scheduler}, and none of that name has looked at it"
        );
        return (State::OtherScheduler, text);
    }
    if !around.leaving.is_empty() {
        let status = pod.status.as_ref();
        let node = status.and_then(|status| status.nominated_node_name.as_deref());
        let text = format!(
            "is not scheduled yet: pods leave node {} for it ({})",
            node.unwrap_or(""),
            around.leaving.join(", ")
        );
        return (State::Preempting, text);
    }
    if !explanation.message.is_empty() {
        return (
            State::Unschedulable,
            format!("is not scheduled: {}", explanation.message),
        );
    }
    let fits = match explanation.fits.len() {
        1 => "1 node fits".to_owned(),
        many => format!("{many} nodes fit"),
    };
    let text = if is_known {
        format!("is not scheduled yet: {fits} now, and it is tried again")
    } else {
        format!(
            "is not scheduled yet: {fits}, and no scheduler has said anything of it; is one running?"
        )
    };
    (State::Schedulable, text)
}

/// What containers wait for, in their order: those before the others first.
fn containers(pod: &Pod) -> Vec<String> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let before = status.init_container_statuses.iter().flatten();
    let all = before.chain(status.container_statuses.iter().flatten());
    all.filter_map(waits).collect()
}

fn waits(container: &ContainerStatus) -> Option<String> {
    let ContainerState {
        waiting,
        terminated,
        ..
    } = container.state.as_ref()?;
    let (reason, message) = match (waiting, terminated) {
        (Some(waiting), _) => (waiting.reason.clone(), waiting.message.clone()),
        (None, Some(ended)) if ended.exit_code != 0 => (
            Some(format!("ended with exit code {}", ended.exit_code)),
            ended.message.clone(),
        ),
        _ => return None,
    };
    let message = message.filter(|text| !text.is_empty());
    let message = message.map(|text| format!(" ({text})")).unwrap_or_default();
    let reason = reason.unwrap_or_else(|| "waiting".to_owned());
    Some(format!("container {}: {reason}{message}", container.name))
}

/// Those with a reason that is wanted, the newest last.
fn newest(mut events: Vec<Event>, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    events.retain(|event| wanted(event.reason.as_deref().unwrap_or("")));
    events.sort_by_key(|event| {
        let series = event
            .series
            .as_ref()
            .and_then(|series| series.last_observed_time.as_ref());
        let micro = series.or(event.event_time.as_ref()).map(|time| time.0);
        event.last_timestamp.as_ref().map(|time| time.0).max(micro)
    });
    let skipped = events.len().saturating_sub(WARNINGS_MAX);
    let told = events.iter().skip(skipped).map(|event| {
        let reason = event.reason.as_deref().unwrap_or("");
        let times = event
            .series
            .as_ref()
            .and_then(|series| series.count)
            .or(event.count);
        let times = match times {
            Some(times) if times > 1 => format!(" ({times} times)"),
            _ => String::new(),
        };
        format!(
            "{reason}{times}: {}",
            event.message.as_deref().unwrap_or("")
        )
    });
    told.collect()
}
