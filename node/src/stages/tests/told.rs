//! What a status tells beside the stage: ephemeral containers, resources, and why a pod is not ready.

use super::*;

fn message<'a>(world: &'a World, kind: &str) -> &'a Value {
    let all = world.pod["status"]["conditions"].as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == kind);
    &found.unwrap()["message"]
}

fn failing() -> World {
    let annotations = annotated(&[("run-seconds", "1"), ("exit-code", "1")]);
    World::new(annotations, json!({"restartPolicy": "OnFailure"}))
}

fn add_ephemeral(world: &mut World, image: &str) {
    world.pod["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": image}]);
}

#[test]
fn an_ephemeral_container_runs_until_its_pod_ends() {
    let mut world = World::new(json!({}), json!({}));
    let told = |world: &World| world.pod["status"]["ephemeralContainerStatuses"][0].clone();
    world.settle();
    let others = world.container().clone();
    add_ephemeral(&mut world, "busybox");
    assert_eq!(world.at(5), None);
    let expected = json!({
        "name": "debug",
        "image": "busybox",
        "imageID": "simulated://busybox",
        "containerID": "simulated://u/debug/0",
        "ready": false,
        "restartCount": 0,
        "state": {"running": {"startedAt": "2027-01-15T08:00:05Z"}},
        "lastState": {},
        "resources": {},
    });
    assert_eq!(told(&world), expected);
    assert_eq!(*world.container(), others);
    world.at(9);
    world.delete(30);
    world.settle();
    let told = told(&world);
    let end = &told["state"]["terminated"];
    assert_eq!(end["startedAt"], "2027-01-15T08:00:05Z");
    assert_eq!(end["finishedAt"], "2027-01-15T08:00:09Z");
}

#[test]
fn an_ephemeral_container_runs_beside_what_waits_to_start_again() {
    let mut world = failing();
    for now in 0..3 {
        world.at(now);
    }
    let others = world.container().clone();
    assert_eq!(others["state"]["waiting"]["reason"], BACK_OFF);
    add_ephemeral(&mut world, "busybox");
    assert_eq!(world.at(5), Some(12));
    let told = world.pod["status"]["ephemeralContainerStatuses"][0].clone();
    assert!(told["state"]["running"].is_object(), "{told}");
    assert_eq!(*world.container(), others);
    world.at(12);
    assert_eq!(world.pod["status"]["ephemeralContainerStatuses"][0], told);
}

#[test]
fn an_ephemeral_container_waits_for_an_image_that_cannot_be_had() {
    let mut world = World::new(json!({}), json!({}));
    add_ephemeral(&mut world, "registry.invalid/i");
    assert_eq!(world.settle(), None);
    let told = &world.pod["status"]["ephemeralContainerStatuses"][0];
    assert_eq!(told["state"]["waiting"]["reason"], PULL_BACK_OFF);
    assert_eq!(world.condition("Ready"), "True");
}

#[test]
fn other_resources_are_told_and_nothing_starts_again() {
    let resources = |cpu: &str| json!({"requests": {"cpu": cpu}, "limits": {"cpu": "4"}});
    let mut world = World::new(
        json!({}),
        json!({
            "containers": [
                {"name": "c", "image": "i:1", "resources": resources("1")},
                {"name": "d", "image": "i:1"},
            ],
            "initContainers": [
                {"name": "beside", "restartPolicy": "Always", "resources": resources("1")},
            ],
        }),
    );
    world.settle();
    assert_eq!(world.container()["resources"], resources("1"));
    assert_eq!(world.container()["allocatedResources"]["cpu"], "1");
    let second = &world.pod["status"]["containerStatuses"][1];
    assert_eq!(second["resources"], json!({}));
    assert_eq!(second["allocatedResources"], Value::Null);
    for list in ["containers", "initContainers"] {
        world.pod["spec"][list][0]["resources"] = resources("2");
    }
    assert_eq!(world.at(5), None);
    let sidecar = &world.pod["status"]["initContainerStatuses"][0];
    for told in [world.container(), sidecar] {
        assert_eq!(told["resources"], resources("2"));
        assert_eq!(told["allocatedResources"]["cpu"], "2");
        assert_eq!(told["restartCount"], 0);
        let started = &told["state"]["running"]["startedAt"];
        assert_eq!(started, "2027-01-15T08:00:00Z");
    }
}

#[test]
fn resources_are_told_of_what_has_started() {
    let mut world = World::new(annotated(&[("start-seconds", "60")]), json!({}));
    world.settle();
    assert_eq!(world.container()["resources"], Value::Null);
}

#[test]
fn a_change_of_the_pod_is_seen() {
    let mut world = World::new(json!({}), json!({}));
    for generation in [1, 2] {
        world.pod["metadata"]["generation"] = json!(generation);
        assert_eq!(world.settle(), None);
        let status = &world.pod["status"];
        assert_eq!(status["observedGeneration"], generation);
        for condition in status["conditions"].as_array().unwrap() {
            // Who bound the pod wrote this one.
            if condition["type"] != "PodScheduled" {
                assert_eq!(condition["observedGeneration"], generation, "{condition}");
            }
        }
    }
}

#[test]
fn a_pod_that_is_not_ready_tells_which_containers_are_not() {
    let spec = json!({
        "containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "i:1"}],
        "initContainers": [{"name": "once"}, {"name": "beside", "restartPolicy": "Always"}],
    });
    let annotations = annotated(&[("start-seconds", "5"), ("ready-seconds", "5")]);
    let mut world = World::new(annotations, spec);
    for (now, told) in [
        (0, json!("containers with unready status: [beside c d]")),
        (5, json!("containers with unready status: [c d]")),
        (10, Value::Null),
    ] {
        world.at(now);
        assert_eq!(*message(&world, "Ready"), told, "at {now}");
        assert_eq!(*message(&world, "ContainersReady"), told, "at {now}");
    }
}

#[test]
fn a_pod_that_is_not_ready_tells_what_others_have_not_given() {
    let mut world = World::new(
        json!({}),
        json!({"readinessGates": [{"conditionType": "x/y"}]}),
    );
    world.settle();
    assert_eq!(
        message(&world, "Ready"),
        "corresponding condition of pod readiness gate \"x/y\" does not exist."
    );
    let closed = json!({"type": "x/y", "status": "False"});
    let conditions = &mut world.pod["status"]["conditions"];
    conditions.as_array_mut().unwrap().push(closed);
    world.settle();
    assert_eq!(
        message(&world, "Ready"),
        "the status of pod readiness gate \"x/y\" is not \"True\", but False"
    );
    assert_eq!(*message(&world, "ContainersReady"), Value::Null);
}

#[test]
fn what_waits_to_start_again_tells_for_how_long() {
    let mut world = failing();
    let first: &[i64] = &[0, 1, 2];
    let further: &[i64] = &[12, 13, 33, 34, 74, 75];
    for (times, pause) in [(first, "10s"), (further, "1m20s")] {
        for now in times {
            world.at(*now);
        }
        let told = format!("back-off {pause} restarting failed container=c pod=p_a(u)");
        assert_eq!(world.container()["state"]["waiting"]["message"], told);
    }
}
