//! Pods, whose status is worked out from their phase, conditions and containers.

use serde_json::json;

use super::{Kind, kind};
use crate::table::column::{AGE, Column, NAME, Row, at, given, several, text_or, with};
use crate::table::format;
use crate::{Value, meta};

pub(super) const KINDS: &[Kind] = &[Kind {
    condition: completed,
    ..kind("", "Pod", POD)
}];

const POD: &[Column] = &[
    NAME,
    several("Ready", ready_status_restarts),
    given("Status"),
    given("Restarts"),
    AGE,
    with("IP", ip).wide(),
    text_or("Node", "spec.nodeName", "<none>").wide(),
    text_or("Nominated Node", "status.nominatedNodeName", "<none>").wide(),
    with("Readiness Gates", readiness_gates).wide(),
];

/// What is found out about a pod.
#[derive(Debug, Default)]
struct Summary<'a> {
    status: String,
    containers: usize,
    ready: usize,
    restarts: i64,
    /// When a container last ended before it was started again.
    restarted: Option<&'a str>,
}

fn ready_status_restarts(row: &Row<'_>) -> Vec<Value> {
    let pod = summary(row);
    let mut restarts = pod.restarts.to_string();
    if let (1.., Some(when)) = (pod.restarts, pod.restarted) {
        restarts = format!("{restarts} ({} ago)", format::since(when, row.now_micros));
    }
    vec![
        json!(format!("{}/{}", pod.ready, pod.containers)),
        json!(pod.status),
        json!(restarts),
    ]
}

fn summary<'a>(row: &Row<'a>) -> Summary<'a> {
    let phase = row.text("status.phase");
    let mut pod = Summary {
        status: row.text_or("status.reason", phase).to_owned(),
        containers: row.list("spec.containers").len(),
        ..Summary::default()
    };
    let gated = row
        .condition("status.conditions", "PodScheduled")
        .is_some_and(|condition| meta::text(condition, &["reason"]) == "SchedulingGated");
    if gated {
        "SchedulingGated".clone_into(&mut pod.status);
    }
    let sidecars = Sidecars(row.list("spec.initContainers"));
    pod.containers += sidecars.count();
    let restarts_of_sidecars = of_init_containers(row, &mut pod, sidecars);
    if let Some((restarts, restarted)) = restarts_of_sidecars {
        (pod.restarts, pod.restarted) = (restarts, restarted);
        of_containers(row, &mut pod);
    }
    if meta::is_deleting(row.object) {
        if row.text("status.reason") == "NodeLost" {
            "Unknown".clone_into(&mut pod.status);
        } else if phase != "Failed" && phase != "Succeeded" {
            "Terminating".clone_into(&mut pod.status);
        }
    }
    pod
}

/// The init containers of a pod, of which those that are always restarted run beside its containers.
#[derive(Clone, Copy)]
struct Sidecars<'a>(&'a [Value]);

impl Sidecars<'_> {
    fn count(self) -> usize {
        self.0
            .iter()
            .filter(|container| is_sidecar(container))
            .count()
    }

    fn contains(self, name: &str) -> bool {
        // The last of two of a name, as in a map.
        let mut named = self.0.iter().rev();
        named
            .find(|container| meta::text(container, &["name"]) == name)
            .is_some_and(is_sidecar)
    }
}

fn is_sidecar(container: &Value) -> bool {
    meta::text(container, &["restartPolicy"]) == "Always"
}

/// Counts restarts, and when the last was.
fn add_restarts<'a>(counter: &mut (i64, Option<&'a str>), status: &'a Value) {
    counter.0 += status["restartCount"].as_i64().unwrap_or_default();
    let ended = at(status, "lastState.terminated.finishedAt").and_then(Value::as_str);
    if ended.and_then(format::micros) > counter.1.and_then(format::micros) {
        counter.1 = ended;
    }
}

/// Goes through the init containers up to the first that has not done its part. Tells the restarts of sidecars
/// unless the pod is still initializing.
fn of_init_containers<'a>(
    row: &Row<'a>,
    pod: &mut Summary<'a>,
    sidecars: Sidecars<'_>,
) -> Option<(i64, Option<&'a str>)> {
    let (mut all, mut of_sidecars) = ((0, None), (0, None));
    let mut initializing = false;
    for (index, status) in row.list("status.initContainerStatuses").iter().enumerate() {
        let sidecar = sidecars.contains(meta::text(status, &["name"]));
        add_restarts(&mut all, status);
        if sidecar {
            add_restarts(&mut of_sidecars, status);
        }
        let terminated = at(status, "state.terminated").filter(|ended| !ended.is_null());
        if terminated.is_some_and(|ended| exit_code(ended) == 0) {
            continue;
        }
        if sidecar && status["started"] == true {
            pod.ready += usize::from(status["ready"] == true);
            continue;
        }
        let waiting = meta::text(status, &["state", "waiting", "reason"]);
        let why = match (terminated, waiting) {
            (Some(ended), _) => end_reason(ended),
            (None, "" | "PodInitializing") => format!("{index}/{}", sidecars.0.len()),
            (None, reason) => reason.to_owned(),
        };
        pod.status = format!("Init:{why}");
        initializing = true;
        break;
    }
    (pod.restarts, pod.restarted) = all;
    (!initializing || row.is_true("Initialized")).then_some(of_sidecars)
}

/// Goes through the containers from the last to the first: the first one's trouble is told.
fn of_containers<'a>(row: &Row<'a>, pod: &mut Summary<'a>) {
    let mut counter = (pod.restarts, pod.restarted);
    let (mut running, mut failure) = (false, None);
    for status in row.list("status.containerStatuses").iter().rev() {
        add_restarts(&mut counter, status);
        let waiting = meta::text(status, &["state", "waiting", "reason"]);
        let state = |name: &str| status["state"].get(name).filter(|state| !state.is_null());
        if !waiting.is_empty() {
            waiting.clone_into(&mut pod.status);
        } else if let Some(ended) = state("terminated") {
            pod.status = end_reason(ended);
            if exit_code(ended) != 0 {
                failure = Some(pod.status.clone());
            }
        } else if status["ready"] == true && state("running").is_some() {
            running = true;
            pod.ready += 1;
        }
    }
    (pod.restarts, pod.restarted) = counter;
    if pod.status == "Completed" {
        pod.status = match failure {
            _ if running && row.is_true("Ready") => "Running".to_owned(),
            Some(failure) => failure,
            None if running => "NotReady".to_owned(),
            None => return,
        };
    }
}

fn exit_code(ended: &Value) -> i64 {
    ended["exitCode"].as_i64().unwrap_or_default()
}

/// Why a container ended: its reason, or the signal, or the exit code.
fn end_reason(ended: &Value) -> String {
    let signal = ended["signal"].as_i64().unwrap_or_default();
    match meta::text(ended, &["reason"]) {
        "" if signal != 0 => format!("Signal:{signal}"),
        "" => format!("ExitCode:{}", exit_code(ended)),
        reason => reason.to_owned(),
    }
}

fn ip(row: &Row<'_>) -> Value {
    let first = row.list("status.podIPs").first();
    let address = first.map_or("", |address| meta::text(address, &["ip"]));
    json!(if address.is_empty() {
        "<none>"
    } else {
        address
    })
}

fn readiness_gates(row: &Row<'_>) -> Value {
    let gates = row.list("spec.readinessGates");
    if gates.is_empty() {
        return json!("<none>");
    }
    let passed = gates
        .iter()
        .filter(|gate| row.is_true(meta::text(gate, &["conditionType"])))
        .count();
    json!(format!("{passed}/{}", gates.len()))
}

/// What a row says of a pod that will not run again.
fn completed(pod: &Value) -> Option<Value> {
    let (reason, message) = match meta::text(pod, &["status", "phase"]) {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}
