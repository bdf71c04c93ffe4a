//! A pod's status as a kubelet writes it, in the patches that lead there.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use serde_json::{Value, json};

use super::{Place, condition};

/// What makes the statuses of one pod.
pub(super) struct Status<'a> {
    pod: &'a Pod,
    place: &'a Place<'a>,
}

/// Containers that run.
pub(super) struct Containers {
    pub(super) since: Timestamp,
    pub(super) restarts: i32,
    pub(super) is_ready: bool,
}

/// The state of all containers of a pod.
struct State {
    phase: &'static str,
    state: Value,
    last_state: Value,
    restarts: i32,
    /// Whether they run, and whether they are ready.
    is_running: bool,
    is_ready: bool,
    /// Why they are not ready, in a word.
    reason: Option<&'static str>,
}

impl<'a> Status<'a> {
    pub(super) fn new(pod: &'a Pod, place: &'a Place<'a>) -> Status<'a> {
        Status { pod, place }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.place.now
    }

    /// Containers that cannot start yet.
    pub(super) fn waiting(&self, reason: &str, message: &str) -> Value {
        let mut waiting = json!({"reason": reason});
        if !message.is_empty() {
            waiting["message"] = json!(message);
        }
        self.patch(&State {
            phase: "Pending",
            state: json!({"waiting": waiting}),
            last_state: json!({}),
            restarts: 0,
            is_running: false,
            is_ready: false,
            reason: Some("ContainersNotReady"),
        })
    }

    pub(super) fn running(&self, containers: &Containers, gates_are_open: bool) -> Value {
        let mut patch = self.patch(&State {
            phase: "Running",
            state: json!({"running": {"startedAt": text(containers.since)}}),
            last_state: self.last_end(),
            restarts: containers.restarts,
            is_running: true,
            is_ready: containers.is_ready,
            reason: (!containers.is_ready).then_some("ContainersNotReady"),
        });
        if containers.is_ready && !gates_are_open {
            let ready = self.condition("Ready", false, Some("ReadinessGatesNotReady"));
            replace_condition(&mut patch, ready);
        }
        patch
    }

    /// Containers that have ended, and the pod with them.
    pub(super) fn ended(&self, code: i32) -> Value {
        self.ended_so(self.end(code), self.last_end())
    }

    /// Containers that had ended and will not start again.
    pub(super) fn stays_ended(&self) -> Value {
        self.ended_so(self.last_end()["terminated"].take(), json!({}))
    }

    fn ended_so(&self, end: Value, last_state: Value) -> Value {
        let is_well = end["exitCode"] == 0;
        self.patch(&State {
            phase: if is_well { "Succeeded" } else { "Failed" },
            state: json!({"terminated": end}),
            last_state,
            restarts: self.restarts(),
            is_running: false,
            is_ready: false,
            reason: Some(if is_well { "PodCompleted" } else { "PodFailed" }),
        })
    }

    /// The pod has ended for a reason of the node's.
    pub(super) fn failed_for(&self, reason: &str, message: &str, code: i32) -> Value {
        let mut patch = self.ended(code);
        patch["status"]["phase"] = json!("Failed");
        patch["status"]["reason"] = json!(reason);
        patch["status"]["message"] = json!(message);
        patch
    }

    /// The pod ends before its containers could start.
    pub(super) fn never_started(&self) -> Value {
        let mut patch = self.waiting("ContainerCreating", "");
        patch["status"]["phase"] = json!("Failed");
        patch
    }

    /// Containers that have ended and will start again.
    pub(super) fn ended_for_now(&self, code: i32, restarts: i32, reason: &str) -> Value {
        self.patch(&State {
            phase: "Running",
            state: json!({"waiting": {"reason": reason}}),
            last_state: json!({"terminated": self.end(code)}),
            restarts,
            is_running: false,
            is_ready: false,
            reason: Some("ContainersNotReady"),
        })
    }

    fn patch(&self, state: &State) -> Value {
        let spec = self.pod.spec.as_ref();
        let containers = spec.map_or(&[][..], |spec| &spec.containers);
        let old = self.pod.status.as_ref();
        let started = old
            .and_then(|old| old.start_time.as_ref())
            .map_or(self.now(), |time| time.0);
        let host_network = spec.and_then(|spec| spec.host_network).unwrap_or(false);
        let address = match old.and_then(|old| old.pod_ip.as_deref()) {
            Some(address) => address,
            None if host_network => self.place.node_address,
            None => self.place.pod_address,
        };
        let has_ended = matches!(state.phase, "Succeeded" | "Failed");
        let completed = (state.phase == "Succeeded").then_some("PodCompleted");
        let statuses: Vec<Value> = containers
            .iter()
            .map(|container| self.container(container, state))
            .collect();
        let mut conditions = vec![
            self.condition("PodReadyToStartContainers", !has_ended, None),
            self.condition("Initialized", true, completed),
            self.condition("ContainersReady", state.is_ready, state.reason),
            self.condition("Ready", state.is_ready, state.reason),
        ];
        if condition(self.pod, "PodScheduled").is_none() {
            // Who bound it did not say so.
            conditions.push(self.condition("PodScheduled", true, None));
        }
        let mut status = json!({
            "phase": state.phase,
            "hostIP": self.place.node_address,
            "hostIPs": [{"ip": self.place.node_address}],
            "startTime": text(started),
            "containerStatuses": statuses,
            "conditions": conditions,
        });
        if let Some(generation) = self.pod.metadata.generation {
            status["observedGeneration"] = json!(generation);
        }
        if state.phase != "Pending" {
            status["podIP"] = json!(address);
            status["podIPs"] = json!([{"ip": address}]);
        }
        let first = spec.and_then(|spec| spec.init_containers.as_ref());
        if let Some(first) = first.filter(|_| state.phase != "Pending") {
            let statuses: Vec<Value> = first
                .iter()
                .map(|container| self.first(container, state))
                .collect();
            status["initContainerStatuses"] = json!(statuses);
        }
        json!({"metadata": {"uid": self.pod.metadata.uid}, "status": status})
    }

    fn container(&self, container: &Container, state: &State) -> Value {
        let image = container.image.as_deref().unwrap_or_default();
        let mut status = json!({
            "name": container.name,
            "image": image,
            "imageID": "",
            "ready": state.is_ready,
            "started": state.is_running,
            "restartCount": state.restarts,
            "state": state.state,
            "lastState": state.last_state,
        });
        if state.phase != "Pending" {
            status["containerID"] = json!(self.container_id(container, state.restarts));
            status["imageID"] = json!(format!("simulated://{image}"));
        }
        status
    }

    /// A container that runs before the others: it has ended, or stays beside them until the pod ends. What becomes of the others
    /// meanwhile is nothing to it.
    fn first(&self, container: &Container, state: &State) -> Value {
        let stays = container.restart_policy.as_deref() == Some("Always");
        let ends = !stays || matches!(state.phase, "Succeeded" | "Failed");
        let before = self.first_before(&container.name);
        let same = before
            .and_then(|before| before.state.as_ref())
            .filter(|state| {
                if ends {
                    state.terminated.is_some()
                } else {
                    state.running.is_some()
                }
            });
        if let (Some(before), Some(_)) = (before, same) {
            return json!(before);
        }
        let mut status = self.container(container, state);
        status["containerID"] = json!(self.container_id(container, 0));
        status["restartCount"] = json!(0);
        status["lastState"] = json!({});
        status["ready"] = json!(!stays || !ends);
        status["started"] = json!(!ends);
        status["state"] = if ends {
            let started = before.and_then(super::running_since);
            json!({"terminated": self.end_of(started, 0)})
        } else {
            json!({"running": {"startedAt": text(self.now())}})
        };
        status
    }

    fn first_before(&self, name: &str) -> Option<&ContainerStatus> {
        let statuses = self.pod.status.as_ref()?.init_container_statuses.as_ref()?;
        statuses.iter().find(|status| status.name == name)
    }

    fn container_id(&self, container: &Container, restarts: i32) -> String {
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        format!("simulated://{uid}/{}/{restarts}", container.name)
    }

    /// How the containers end now.
    fn end(&self, code: i32) -> Value {
        let started = super::first_container(self.pod).and_then(super::running_since);
        self.end_of(started, code)
    }

    fn end_of(&self, started: Option<Timestamp>, code: i32) -> Value {
        json!({
            "exitCode": code,
            "reason": if code == 0 { "Completed" } else { "Error" },
            "startedAt": text(started.unwrap_or(self.now())),
            "finishedAt": text(self.now()),
        })
    }

    /// How the containers ended before they ran.
    fn last_end(&self) -> Value {
        let container = super::first_container(self.pod);
        let last = container.and_then(|container| container.last_state.as_ref());
        json!(last.cloned().unwrap_or_default())
    }

    fn restarts(&self) -> i32 {
        super::first_container(self.pod).map_or(0, |container| container.restart_count)
    }

    /// A condition, with the time of its last change.
    fn condition(&self, kind: &str, holds: bool, reason: Option<&str>) -> Value {
        let status = if holds { "True" } else { "False" };
        let old = condition(self.pod, kind).filter(|old| old.status == status);
        let since = old
            .and_then(|old| old.last_transition_time.as_ref())
            .map_or(self.now(), |time| time.0);
        json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "lastProbeTime": null,
            "lastTransitionTime": text(since),
        })
    }
}

fn replace_condition(patch: &mut Value, condition: Value) {
    let conditions = patch["status"]["conditions"].as_array_mut();
    for old in conditions.into_iter().flatten() {
        if old["type"] == condition["type"] {
            *old = condition;
            return;
        }
    }
}

/// A time as Kubernetes writes it, in whole seconds.
pub(crate) fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
