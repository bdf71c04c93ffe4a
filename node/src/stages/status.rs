//! A pod's status as a kubelet writes it, in the patches that lead there.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, EphemeralContainer, Pod};
use serde_json::{Value, json};

use super::conditions::{self, CONTAINERS_NOT_READY, GATES_NOT_READY, condition};
use super::{BACK_OFF, PULL_BACK_OFF, Place, events};
use crate::behaviour::{can_be_had, is_sidecar};

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
    /// How long they are kept from starting again, if they are.
    back_off: Option<SignedDuration>,
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
            back_off: None,
            is_running: false,
            is_ready: false,
            reason: Some(CONTAINERS_NOT_READY),
        })
    }

    pub(super) fn running(&self, containers: &Containers) -> Value {
        let mut patch = self.patch(&State {
            phase: "Running",
            state: json!({"running": {"startedAt": text(containers.since)}}),
            last_state: self.last_end(),
            restarts: containers.restarts,
            back_off: None,
            is_running: true,
            is_ready: containers.is_ready,
            reason: (!containers.is_ready).then_some(CONTAINERS_NOT_READY),
        });
        let closed = conditions::closed_gates(self.pod).filter(|_| containers.is_ready);
        if let Some(gates) = closed {
            let why = (Some(GATES_NOT_READY), Some(gates.as_str()));
            replace_condition(&mut patch, self.condition("Ready", false, why));
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
            back_off: None,
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

    /// Containers that have ended and will start again after a pause.
    pub(super) fn ended_for_now(&self, code: i32, pause: SignedDuration) -> Value {
        self.backs_off(json!({"terminated": self.end(code)}), pause)
    }

    /// Containers that had ended and are still to start again.
    pub(super) fn still_ended(&self, pause: SignedDuration) -> Value {
        self.backs_off(self.last_end(), pause)
    }

    fn backs_off(&self, last_state: Value, pause: SignedDuration) -> Value {
        self.patch(&State {
            phase: "Running",
            state: json!({"waiting": {"reason": BACK_OFF}}),
            last_state,
            restarts: self.restarts(),
            back_off: Some(pause).filter(|pause| !pause.is_zero()),
            is_running: false,
            is_ready: false,
            reason: Some(CONTAINERS_NOT_READY),
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
        let statuses: Vec<Value> = containers
            .iter()
            .map(|container| self.container(container, state))
            .collect();
        let mut status = json!({
            "phase": state.phase,
            "hostIP": self.place.node_address,
            "hostIPs": [{"ip": self.place.node_address}],
            "startTime": text(started),
            "containerStatuses": statuses,
            "conditions": self.conditions(state),
        });
        if let Some(generation) = self.pod.metadata.generation {
            status["observedGeneration"] = json!(generation);
        }
        if state.phase != "Pending" {
            status["podIP"] = json!(address);
            status["podIPs"] = json!([{"ip": address}]);
            self.others(&mut status, state);
        }
        json!({"metadata": {"uid": self.pod.metadata.uid}, "status": status})
    }

    fn conditions(&self, state: &State) -> Vec<Value> {
        let completed = (state.phase == "Succeeded").then_some("PodCompleted");
        let unready = (state.reason == Some(CONTAINERS_NOT_READY))
            .then(|| conditions::unready(self.pod, state.phase == "Pending"));
        let why = (state.reason, unready.as_deref());
        let mut conditions = vec![
            self.condition(
                "PodReadyToStartContainers",
                !state.has_ended(),
                (None, None),
            ),
            self.condition("Initialized", true, (completed, None)),
            self.condition("ContainersReady", state.is_ready, why),
            self.condition("Ready", state.is_ready, why),
        ];
        if condition(self.pod, "PodScheduled").is_none() {
            // Who bound it did not say so.
            conditions.push(self.condition("PodScheduled", true, (None, None)));
        }
        conditions
    }

    /// Adds the containers that run before the others, and those that came later.
    fn others(&self, status: &mut Value, state: &State) {
        let spec = self.pod.spec.as_ref();
        if let Some(first) = spec.and_then(|spec| spec.init_containers.as_ref()) {
            let statuses: Vec<Value> = first
                .iter()
                .map(|container| self.first(container, state))
                .collect();
            status["initContainerStatuses"] = json!(statuses);
        }
        if let Some(later) = spec.and_then(|spec| spec.ephemeral_containers.as_ref()) {
            let statuses: Vec<Value> = later
                .iter()
                .map(|container| self.ephemeral(container, state))
                .collect();
            status["ephemeralContainerStatuses"] = json!(statuses);
        }
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
            status["containerID"] = json!(self.container_id(&container.name, state.restarts));
            status["imageID"] = json!(format!("simulated://{image}"));
            tell_resources(&mut status, container);
        }
        if let Some(pause) = state.back_off {
            status["state"]["waiting"]["message"] = json!(format!(
                "back-off {} restarting failed container={} pod={}",
                in_go(pause),
                container.name,
                events::full_name(self.pod)
            ));
        }
        status
    }

    /// A container that runs before the others: it has ended, or stays beside them until the pod ends. What becomes of the others
    /// meanwhile is nothing to it.
    fn first(&self, container: &Container, state: &State) -> Value {
        let stays = is_sidecar(container);
        let ends = !stays || state.has_ended();
        let statuses = self.pod.status.as_ref();
        let statuses = statuses.and_then(|status| status.init_container_statuses.as_deref());
        let before = named(statuses, &container.name);
        if let Some(before) = before.filter(|before| is_told(before, ends)) {
            let mut status = json!(before);
            if !ends {
                tell_resources(&mut status, container);
            }
            return status;
        }
        let mut status = self.container(container, state);
        status["containerID"] = json!(self.container_id(&container.name, 0));
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

    /// A container that came to the pod later: it runs beside the others until the pod ends. Nobody asks whether it is ready.
    fn ephemeral(&self, container: &EphemeralContainer, state: &State) -> Value {
        let ends = state.has_ended();
        let statuses = self.pod.status.as_ref();
        let statuses = statuses.and_then(|status| status.ephemeral_container_statuses.as_deref());
        let before = named(statuses, &container.name);
        if let Some(before) = before.filter(|before| is_told(before, ends)) {
            return json!(before);
        }
        let image = container.image.as_deref().unwrap_or_default();
        let mut status = json!({
            "name": container.name,
            "image": image,
            "imageID": "",
            "ready": false,
            "restartCount": 0,
            "lastState": {},
        });
        if !can_be_had(image) {
            let message = format!("Back-off pulling image {image:?}");
            status["state"] = json!({"waiting": {"reason": PULL_BACK_OFF, "message": message}});
            return status;
        }
        status["imageID"] = json!(format!("simulated://{image}"));
        status["containerID"] = json!(self.container_id(&container.name, 0));
        // It may not ask for any.
        status["resources"] = json!({});
        status["state"] = if ends {
            let started = before.and_then(super::running_since);
            json!({"terminated": self.end_of(started, 0)})
        } else {
            json!({"running": {"startedAt": text(self.now())}})
        };
        status
    }

    fn container_id(&self, container: &str, restarts: i32) -> String {
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        format!("simulated://{uid}/{container}/{restarts}")
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

    fn condition(&self, kind: &str, holds: bool, why: (Option<&str>, Option<&str>)) -> Value {
        conditions::written(self.pod, self.now(), (kind, holds), why)
    }
}

impl State {
    fn has_ended(&self) -> bool {
        matches!(self.phase, "Succeeded" | "Failed")
    }
}

fn named<'a>(statuses: Option<&'a [ContainerStatus]>, name: &str) -> Option<&'a ContainerStatus> {
    let mut statuses = statuses.into_iter().flatten();
    statuses.find(|status| status.name == name)
}

/// Whether a container's status says already that it has ended, or that it runs.
fn is_told(status: &ContainerStatus, ends: bool) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|state| {
        if ends {
            state.terminated.is_some()
        } else {
            state.running.is_some()
        }
    })
}

/// Adds what a container has and what it was promised. A node that does not tell it is taken for one that cannot resize.
fn tell_resources(status: &mut Value, container: &Container) {
    let resources = container.resources.clone().unwrap_or_default();
    let requests = resources.requests.as_ref();
    if let Some(requests) = requests.filter(|requests| !requests.is_empty()) {
        status["allocatedResources"] = json!(requests);
    }
    status["resources"] = json!(resources);
}

/// A duration of whole seconds below an hour, as Go writes it.
fn in_go(duration: SignedDuration) -> String {
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    if minutes == 0 {
        format!("{seconds}s")
    } else {
        format!("{minutes}m{seconds}s")
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
