//! Pods walk through their stages: each step's patch is merged into the pod, and the next one is asked for.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;

mod told;

const START: i64 = 1_800_000_000;
/// What is told of a container that starts.
const STARTED: [&str; 3] = ["Pulled", "Created", "Started"];

/// A pod, the time, and what is told of it.
struct World {
    pod: Value,
    now: Timestamp,
    events: Vec<&'static str>,
}

impl World {
    fn new(annotations: Value, spec: Value) -> World {
        let mut spec = spec;
        if spec.get("containers").is_none() {
            spec["containers"] = json!([{"name": "c", "image": "i:1"}]);
        }
        let now = Timestamp::from_second(START).unwrap();
        let scheduled = json!({
            "type": "PodScheduled", "status": "True", "lastTransitionTime": text(now),
        });
        World {
            pod: json!({
                "metadata": {"name": "p", "namespace": "a", "uid": "u", "annotations": annotations},
                "spec": spec,
                "status": {"phase": "Pending", "conditions": [scheduled]},
            }),
            now,
            events: Vec::new(),
        }
    }

    fn typed(&self) -> Pod {
        serde_json::from_value(self.pod.clone()).unwrap()
    }

    /// Does what is to be done now, until nothing is; gives when the next thing is, in seconds from the start.
    fn settle(&mut self) -> Option<i64> {
        for _ in 0..10 {
            let pod = self.typed();
            let place = Place {
                node_address: "127.64.0.1",
                pod_address: "10.0.0.1",
                now: self.now,
            };
            match step(&pod, &place) {
                Step::Nothing => return None,
                Step::Wait(at) => {
                    assert!(at > self.now, "waits for what is past");
                    return Some(at.as_second() - START);
                }
                Step::Status { patch, events } => {
                    assert_eq!(patch["metadata"]["uid"], "u");
                    self.events.extend(events.iter().map(|event| event.reason));
                    self.merge(&patch);
                }
                Step::Delete => {
                    self.pod["gone"] = json!(true);
                    return None;
                }
            }
        }
        panic!("never comes to rest: {}", self.pod);
    }

    fn at(&mut self, seconds: i64) -> Option<i64> {
        self.now = Timestamp::from_second(START + seconds).unwrap();
        self.settle()
    }

    /// As a strategic merge: conditions by their type, everything else replaced.
    fn merge(&mut self, patch: &Value) {
        for (field, value) in patch["status"].as_object().unwrap() {
            if field != "conditions" {
                self.pod["status"][field] = value.clone();
                continue;
            }
            for condition in value.as_array().unwrap() {
                let all = self.pod["status"]["conditions"].as_array_mut().unwrap();
                all.retain(|old| old["type"] != condition["type"]);
                all.push(condition.clone());
            }
        }
    }

    fn delete(&mut self, grace_seconds: i64) {
        let at = self
            .now
            .checked_add(SignedDuration::from_secs(grace_seconds))
            .unwrap();
        self.pod["metadata"]["deletionTimestamp"] = json!(text(at));
        self.pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace_seconds);
    }

    fn phase(&self) -> &str {
        self.pod["status"]["phase"].as_str().unwrap()
    }

    fn condition(&self, kind: &str) -> String {
        let all = self.pod["status"]["conditions"].as_array().unwrap();
        let found = all.iter().find(|condition| condition["type"] == kind);
        found.unwrap()["status"].as_str().unwrap().to_owned()
    }

    fn container(&self) -> &Value {
        &self.pod["status"]["containerStatuses"][0]
    }
}

fn annotated(pairs: &[(&str, &str)]) -> Value {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (format!("simulation.mainstay.dev/{name}"), json!(value)));
    Value::Object(pairs.collect())
}

#[test]
fn a_pod_runs_and_is_ready_at_once_and_stays_so() {
    let mut world = World::new(json!({}), json!({"restartPolicy": "Always"}));
    assert_eq!(world.settle(), None);
    assert_eq!(
        (world.phase(), world.condition("Ready").as_str()),
        ("Running", "True")
    );
    assert_eq!(world.pod["status"]["podIP"], "10.0.0.1");
    assert_eq!(world.events, STARTED);
    assert_eq!(world.at(100_000), None);
    assert_eq!(world.events, STARTED);
}

#[test]
fn starting_and_becoming_ready_take_their_time() {
    let annotations = annotated(&[("start-seconds", "5"), ("ready-seconds", "7")]);
    let mut world = World::new(annotations, json!({}));
    assert_eq!(world.settle(), Some(5));
    assert_eq!(
        world.container()["state"]["waiting"]["reason"],
        "ContainerCreating"
    );
    assert_eq!(world.at(5), Some(12));
    assert_eq!(
        (world.phase(), world.condition("Ready").as_str()),
        ("Running", "False")
    );
    assert_eq!(world.at(12), None);
    assert_eq!(world.condition("Ready"), "True");
    assert_eq!(
        world.container()["state"]["running"]["startedAt"],
        "2027-01-15T08:00:05Z"
    );
}

#[test]
fn what_is_meant_to_end_ends_with_its_code() {
    for (code, phase) in [("0", "Succeeded"), ("3", "Failed")] {
        let annotations = annotated(&[("run-seconds", "4"), ("exit-code", code)]);
        let mut world = World::new(annotations, json!({"restartPolicy": "Never"}));
        assert_eq!(world.settle(), Some(4));
        assert_eq!(world.at(4), None);
        assert_eq!(world.phase(), phase);
        let end = &world.container()["state"]["terminated"];
        assert_eq!(end["exitCode"].to_string(), code);
        assert_eq!(end["startedAt"], "2027-01-15T08:00:00Z");
    }
}

#[test]
fn what_fails_starts_again_later_and_later() {
    let annotations = annotated(&[("run-seconds", "1"), ("exit-code", "1")]);
    let mut world = World::new(annotations, json!({"restartPolicy": "OnFailure"}));
    // One second each of running, and pauses of 0, 10, 20 and 40 seconds.
    for (now, next, restarts) in [
        (0, 1, 0),
        (1, 2, 1),
        (2, 12, 1),
        (12, 13, 2),
        (13, 33, 2),
        (33, 34, 3),
        (34, 74, 3),
    ] {
        assert_eq!(world.at(now), Some(next), "at {now}");
        assert_eq!(world.container()["restartCount"], restarts, "at {now}");
    }
    assert_eq!(
        world.container()["state"]["waiting"]["reason"],
        "CrashLoopBackOff"
    );
    assert_eq!(world.container()["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(world.condition("Ready"), "False");
    assert_eq!(world.phase(), "Running");
    assert_eq!(backoff(30), BACKOFF_MAX);
}

#[test]
fn what_ran_for_long_starts_again_at_once() {
    let annotations = annotated(&[("run-seconds", "600"), ("exit-code", "1")]);
    let mut world = World::new(annotations, json!({"restartPolicy": "Always"}));
    for round in 0..5 {
        assert_eq!(world.at(600 * round), Some(600 * (round + 1)), "{round}");
        assert_eq!(world.container()["restartCount"], round);
    }
}

#[test]
fn what_waits_to_start_again_when_it_is_deleted_has_failed() {
    let annotations = annotated(&[("run-seconds", "1"), ("exit-code", "3")]);
    let mut world = World::new(annotations, json!({"restartPolicy": "OnFailure"}));
    world.at(0);
    world.at(1);
    assert_eq!(world.at(2), Some(12));
    world.now = Timestamp::from_second(START + 5).unwrap();
    world.delete(30);
    world.settle();
    assert_eq!((world.phase(), world.pod["gone"] == true), ("Failed", true));
    let end = &world.container()["state"]["terminated"];
    assert_eq!(end["exitCode"], 3);
    assert_eq!(end["finishedAt"], "2027-01-15T08:00:02Z");
}

#[test]
fn what_was_to_end_by_itself_has_failed_when_it_is_stopped_before() {
    let annotations = annotated(&[("run-seconds", "600")]);
    let mut world = World::new(annotations, json!({"restartPolicy": "Never"}));
    world.settle();
    world.delete(30);
    world.settle();
    assert_eq!(world.phase(), "Failed");
    let end = &world.container()["state"]["terminated"];
    assert_eq!(end["exitCode"], TERMINATED);
}

#[test]
fn a_deleted_pod_stops_and_goes() {
    let mut world = World::new(annotated(&[("stop-seconds", "3")]), json!({}));
    world.settle();
    world.delete(30);
    assert_eq!(world.settle(), Some(3));
    assert_eq!(world.at(3), None);
    assert_eq!(world.pod["gone"], true);
    assert_eq!(world.phase(), "Succeeded");
    assert_eq!(world.events[..3], STARTED);
    assert_eq!(world.events[3..], ["Killing"]);
}

#[test]
fn what_does_not_stop_in_time_is_killed() {
    let mut world = World::new(annotated(&[("stop-seconds", "60")]), json!({}));
    world.settle();
    world.delete(10);
    assert_eq!(world.settle(), Some(10));
    world.at(10);
    assert_eq!(world.container()["state"]["terminated"]["exitCode"], KILLED);
    assert_eq!((world.phase(), world.pod["gone"] == true), ("Failed", true));
}

#[test]
fn a_pod_deleted_before_its_start_fails() {
    let mut world = World::new(annotated(&[("start-seconds", "60")]), json!({}));
    world.settle();
    world.delete(30);
    world.settle();
    assert_eq!((world.phase(), world.pod["gone"] == true), ("Failed", true));
}

#[test]
fn an_image_that_cannot_be_had_is_told_once_and_another_one_helps() {
    let container = json!({"name": "c", "image": "registry.invalid/i"});
    let mut world = World::new(json!({}), json!({"containers": [container]}));
    assert_eq!(world.settle(), None);
    assert_eq!(
        world.container()["state"]["waiting"]["reason"],
        "ImagePullBackOff"
    );
    let told = ["Pulling", "Failed", "Failed", "BackOff", "Failed"];
    assert_eq!(world.events, told);
    world.pod["spec"]["containers"][0]["image"] = json!("i:2");
    world.settle();
    assert_eq!(world.condition("Ready"), "True");
    world.pod["spec"]["containers"][0]["image"] = json!("i:3");
    world.settle();
    assert_eq!(
        (
            &world.container()["restartCount"],
            &world.container()["image"]
        ),
        (&json!(1), &json!("i:3"))
    );
}

#[test]
fn a_deadline_ends_a_pod() {
    let mut world = World::new(
        json!({}),
        json!({"activeDeadlineSeconds": 20, "restartPolicy": "Always"}),
    );
    assert_eq!(world.settle(), Some(20));
    world.at(20);
    assert_eq!(
        (world.phase(), &world.pod["status"]["reason"]),
        ("Failed", &json!("DeadlineExceeded"))
    );
    assert_eq!(world.pod["status"]["message"], OVERDUE);
}

#[test]
fn readiness_waits_for_the_gates_of_others() {
    let mut world = World::new(
        json!({}),
        json!({"readinessGates": [{"conditionType": "x/y"}]}),
    );
    world.settle();
    assert_eq!(
        (
            world.condition("Ready").as_str(),
            world.condition("ContainersReady").as_str()
        ),
        ("False", "True")
    );
    let open = json!({"type": "x/y", "status": "True"});
    world.pod["status"]["conditions"]
        .as_array_mut()
        .unwrap()
        .push(open);
    world.settle();
    assert_eq!(world.condition("Ready"), "True");
}

#[test]
fn init_containers_have_run_and_sidecars_stay() {
    let first = json!([{"name": "once"}, {"name": "beside", "restartPolicy": "Always"}]);
    let mut world = World::new(json!({}), json!({"initContainers": first}));
    world.settle();
    let statuses = &world.pod["status"]["initContainerStatuses"];
    assert_eq!(statuses[0]["state"]["terminated"]["reason"], "Completed");
    assert!(statuses[1]["state"]["running"].is_object());
}

#[test]
fn init_containers_and_sidecars_do_not_start_again_with_the_others() {
    let first = json!([{"name": "once"}, {"name": "beside", "restartPolicy": "Always"}]);
    let annotations = annotated(&[("run-seconds", "4"), ("exit-code", "1")]);
    let mut world = World::new(annotations, json!({"initContainers": first}));
    let statuses = |world: &World| world.pod["status"]["initContainerStatuses"].clone();
    world.settle();
    let before = statuses(&world);
    world.at(4);
    world.at(8);
    assert_eq!(world.container()["restartCount"], 1);
    assert_eq!(statuses(&world), before);
    assert_eq!(before[1]["ready"], true);
    world.delete(30);
    world.settle();
    let after = statuses(&world);
    assert_eq!(after[0], before[0]);
    let end = &after[1]["state"]["terminated"];
    assert_eq!(end["exitCode"], 0);
    assert_eq!(end["startedAt"], "2027-01-15T08:00:00Z");
    assert_eq!(end["finishedAt"], "2027-01-15T08:00:08Z");
}

#[test]
fn a_pod_that_nobody_said_was_bound_is_said_to_be() {
    let mut world = World::new(json!({}), json!({}));
    world.pod["status"]["conditions"] = json!([]);
    world.settle();
    assert_eq!(world.condition("PodScheduled"), "True");
}

#[test]
fn what_is_told_of_each_container_is_what_a_kubelet_tells() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "a", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "x.invalid/i"}]},
    }))
    .unwrap();
    let told = |events: Vec<Event>| -> Vec<String> {
        let lines = events.iter().map(|event| {
            let kind = if event.is_warning { "!" } else { "" };
            let container = event.container.as_deref().unwrap_or_default();
            format!("{kind}{} {container}: {}", event.reason, event.message)
        });
        lines.collect()
    };
    let started = told(events::started(&pod));
    assert_eq!(started.len(), 6);
    assert_eq!(
        started[..3],
        [
            "Pulled c: Container image \"i:1\" already present on machine and can be accessed by the pod",
            "Created c: Container created",
            "Started c: Container started",
        ]
    );
    assert_eq!(
        told(events::stopped(&pod))[1],
        "Killing d: Stopping container d"
    );
    assert_eq!(
        told(events::backed_off(&pod))[0],
        "!BackOff c: Back-off restarting failed container c in pod p_a(u)"
    );
    assert_eq!(
        told(events::not_pulled(&pod)),
        [
            "Pulling d: Pulling image \"x.invalid/i\"",
            "!Failed d: Failed to pull image \"x.invalid/i\": no such host",
            "!Failed d: Error: ErrImagePull",
            "BackOff d: Back-off pulling image \"x.invalid/i\"",
            "!Failed d: Error: ImagePullBackOff",
        ]
    );
}
