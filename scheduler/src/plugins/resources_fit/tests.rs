//! Cases of what fits on a node, and how well.

use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::World;

fn node(name: &str, allocatable: &Value) -> Value {
    json!({"name": name, "status": {"allocatable": allocatable}})
}

fn asking(name: &str, containers: &[Value], init: &[Value]) -> Value {
    let container = |(requests, policy): (&Value, Option<&str>)| {
        let mut one = json!({"name": "c", "resources": {"requests": requests}});
        if let Some(policy) = policy {
            one["restartPolicy"] = json!(policy);
        }
        one
    };
    let plain: Vec<Value> = containers
        .iter()
        .map(|one| container((one, None)))
        .collect();
    let init: Vec<Value> = init
        .iter()
        .map(|one| match one.get("sidecar") {
            Some(requests) => container((requests, Some("Always"))),
            None => container((one, None)),
        })
        .collect();
    json!({"name": name, "spec": {"containers": plain, "initContainers": init}})
}

/// A node of 10 CPUs, 20 bytes, 5 of an extended resource and 20 bytes of disk, of which a pod has some.
fn world(used: &Value) -> World {
    let mut world = World::of(&[node(
        "n",
        &json!({"cpu": "10", "memory": "20", "example.com/aaa": "5", "ephemeral-storage": "20", "pods": "32"}),
    )]);
    world.place(&asking("user", std::slice::from_ref(used), &[]), "n");
    world
}

#[test]
fn a_node_must_have_what_the_pod_asks_for() {
    let cases = [
        (json!({"cpu": "10", "memory": "20"}), json!({}), ""),
        (
            json!({"cpu": "10", "memory": "20"}),
            json!({"cpu": "1", "memory": "1"}),
            "Insufficient cpu, Insufficient memory",
        ),
        (
            json!({"cpu": "5", "memory": "5"}),
            json!({"cpu": "1", "memory": "1"}),
            "",
        ),
        (
            json!({"cpu": "5", "memory": "19"}),
            json!({"cpu": "5", "memory": "1"}),
            "",
        ),
        (
            json!({"cpu": "5", "memory": "20"}),
            json!({"cpu": "5", "memory": "1"}),
            "Insufficient memory",
        ),
        (
            json!({"cpu": "9500m"}),
            json!({"cpu": "501m"}),
            "Insufficient cpu",
        ),
        (json!({}), json!({"cpu": "11"}), "!Insufficient cpu"),
        (
            json!({"cpu": "9"}),
            json!({"cpu": "2", "memory": "21"}),
            "!Insufficient cpu, Insufficient memory",
        ),
        (json!({}), json!({"example.com/aaa": "5"}), ""),
        (
            json!({"example.com/aaa": "3"}),
            json!({"example.com/aaa": "3"}),
            "Insufficient example.com/aaa",
        ),
        (
            json!({}),
            json!({"example.com/aaa": "10"}),
            "!Insufficient example.com/aaa",
        ),
        (
            json!({}),
            json!({"example.com/bbb": "1"}),
            "!Insufficient example.com/bbb",
        ),
        (
            json!({}),
            json!({"hugepages-2Mi": "1"}),
            "!Insufficient hugepages-2Mi",
        ),
        (
            json!({"ephemeral-storage": "10"}),
            json!({"ephemeral-storage": "25"}),
            "!Insufficient ephemeral-storage",
        ),
        (json!({"cpu": "10"}), json!({"cpu": "0"}), ""),
    ];
    for (used, asked, expected) in cases {
        let world = world(&used);
        let pod = world.pod(&asking("incoming", std::slice::from_ref(&asked), &[]));
        let found = world.judge(&NodeResourcesFit::default(), &pod);
        assert_eq!(found, [expected], "{used} {asked}");
    }
}

#[test]
fn init_containers_ask_for_their_peak_and_sidecars_for_all_time() {
    let cpu = |cpus: &str| json!({"cpu": cpus});
    let sidecar = |cpus: &str| json!({"sidecar": {"cpu": cpus}});
    // 7 of 10 CPUs are left.
    let cases = [
        (vec![cpu("4"), cpu("3")], vec![], ""),
        (vec![cpu("4"), cpu("4")], vec![], "Insufficient cpu"),
        (vec![cpu("1")], vec![cpu("7"), cpu("7")], ""),
        (vec![cpu("1")], vec![cpu("8")], "Insufficient cpu"),
        (vec![cpu("5")], vec![sidecar("2")], ""),
        (vec![cpu("5")], vec![sidecar("3")], "Insufficient cpu"),
        (
            vec![cpu("1")],
            vec![sidecar("2"), cpu("6")],
            "Insufficient cpu",
        ),
        (vec![cpu("1")], vec![cpu("6"), sidecar("2")], ""),
    ];
    for (containers, init, expected) in cases {
        let world = world(&cpu("3"));
        let pod = world.pod(&asking("incoming", &containers, &init));
        let found = world.judge(&NodeResourcesFit::default(), &pod);
        assert_eq!(found, [expected], "{containers:?} {init:?}");
    }
}

#[test]
fn overhead_comes_on_top_and_pod_level_requests_take_the_place_of_containers() {
    let world = world(&json!({"cpu": "3"}));
    let mut pod = asking("incoming", &[json!({"cpu": "6"})], &[]);
    pod["spec"]["overhead"] = json!({"cpu": "1"});
    let judge = |pod: &Value| world.judge(&NodeResourcesFit::default(), &world.pod(pod));
    assert_eq!(judge(&pod), [""]);
    pod["spec"]["overhead"] = json!({"cpu": "1001m"});
    assert_eq!(judge(&pod), ["Insufficient cpu"]);
    pod["spec"]["resources"] = json!({"requests": {"cpu": "2"}});
    assert_eq!(judge(&pod), [""]);
}

#[test]
fn a_node_takes_only_so_many_pods() {
    let mut world = World::of(&[node("n", &json!({"cpu": "1", "pods": "1"}))]);
    let plugin = NodeResourcesFit::default();
    assert_eq!(
        world.judge(&plugin, &world.pod(&asking("incoming", &[], &[]))),
        [""]
    );
    world.place(&asking("user", &[], &[]), "n");
    assert_eq!(
        world.judge(&plugin, &world.pod(&asking("incoming", &[], &[]))),
        ["Too many pods"]
    );
    let large = world.pod(&asking("incoming", &[json!({"cpu": "2"})], &[]));
    assert_eq!(
        world.judge(&plugin, &large),
        ["!Too many pods, Insufficient cpu"]
    );
}

#[test]
fn ignored_resources_are_not_looked_at() {
    let world = world(&json!({}));
    let cases = [
        (vec!["example.com/bbb"], vec![], ""),
        (vec![], vec!["example.com"], ""),
        (
            vec!["example.com/ccc"],
            vec!["example.org"],
            "!Insufficient example.com/bbb",
        ),
        (
            vec!["cpu"],
            vec!["kubernetes.io"],
            "!Insufficient example.com/bbb",
        ),
    ];
    let pod = world.pod(&asking("incoming", &[json!({"example.com/bbb": "1"})], &[]));
    for (resources, groups, expected) in cases {
        let text = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect();
        let plugin = NodeResourcesFit {
            ignored: text(&resources),
            ignored_groups: text(&groups),
            ..NodeResourcesFit::default()
        };
        assert_eq!(
            world.judge(&plugin, &pod),
            [expected],
            "{resources:?} {groups:?}"
        );
    }
}

#[test]
fn pods_thought_away_leave_their_room() {
    let world = world(&json!({"cpu": "10"}));
    let plugin = NodeResourcesFit::default();
    let (pod, user) = (
        world.pod(&asking("incoming", &[json!({"cpu": "10"})], &[])),
        world.pod(&asking("user", &[json!({"cpu": "10"})], &[])),
    );
    let PreFilter::Judge { filter, .. } = plugin.pre_filter(&pod, &world.snapshot) else {
        panic!("every pod is judged");
    };
    let trial = crate::cluster::Trial {
        removed: vec![user.into()],
        added: Vec::new(),
    };
    let node = world.index("n");
    assert!(!filter.filter(&world.snapshot.site(node)).fits());
    assert!(
        filter
            .filter(&Site::with(&world.snapshot, node, &trial))
            .fits()
    );
}

fn two_nodes() -> World {
    let mut world = World::of(&[
        node(
            "a",
            &json!({"cpu": "4", "memory": "10000", "example.com/gpu": "8", "pods": "110"}),
        ),
        node("b", &json!({"cpu": "6", "memory": "10000", "pods": "110"})),
    ]);
    let user = asking(
        "user",
        &[json!({"cpu": "1", "memory": "0", "example.com/gpu": "2"})],
        &[],
    );
    world.place(&user, "a");
    world
}

#[test]
fn the_emptiest_node_is_best_by_default() {
    let world = two_nodes();
    let pod = world.pod(&asking(
        "incoming",
        &[json!({"cpu": "3", "memory": "5000"})],
        &[],
    ));
    // a: (0 + 50) / 2 with 4 of 4 CPUs used; b: (50 + 50) / 2.
    assert_eq!(
        world.score(&NodeResourcesFit::default(), &pod).unwrap(),
        [25, 50]
    );
}

#[test]
fn what_a_pod_does_not_ask_for_counts_as_a_little() {
    let world = World::of(&[node(
        "n",
        &json!({"cpu": "1", "memory": "1000Mi", "pods": "110"}),
    )]);
    let pod = world.pod(&asking("incoming", &[json!({}), json!({"cpu": "0"})], &[]));
    // CPU 100m of 1000m, memory twice 200Mi of 1000Mi: (90 + 60) / 2.
    assert_eq!(
        world.score(&NodeResourcesFit::default(), &pod).unwrap(),
        [75]
    );
}

#[test]
fn the_fullest_node_is_best_when_packing() {
    let world = two_nodes();
    let plugin = NodeResourcesFit {
        strategy: Strategy::MostAllocated,
        ..NodeResourcesFit::default()
    };
    let pod = world.pod(&asking(
        "incoming",
        &[json!({"cpu": "3", "memory": "5000"})],
        &[],
    ));
    assert_eq!(world.score(&plugin, &pod).unwrap(), [75, 50]);
}

#[test]
fn an_extended_resource_is_ranked_only_for_pods_that_ask_for_it() {
    let world = two_nodes();
    let gpu = ResourceWeight {
        name: "example.com/gpu".to_owned(),
        weight: 3,
    };
    let plugin = NodeResourcesFit {
        strategy: Strategy::MostAllocated,
        ranked: vec![
            ResourceWeight {
                name: "cpu".to_owned(),
                weight: 1,
            },
            gpu,
        ],
        ..NodeResourcesFit::default()
    };
    let asks = world.pod(&asking(
        "incoming",
        &[json!({"cpu": "3", "example.com/gpu": "2"})],
        &[],
    ));
    // a: (100 + 3 * 50) / 4; b has no such resource: 50.
    assert_eq!(world.score(&plugin, &asks).unwrap(), [62, 50]);
    let plain = world.pod(&asking("incoming", &[json!({"cpu": "3"})], &[]));
    assert_eq!(world.score(&plugin, &plain).unwrap(), [100, 50]);
}

#[test]
fn only_what_gives_room_may_help() {
    let world = World::of(&[
        node("small", &json!({"cpu": "1", "pods": "1"})),
        node("large", &json!({"cpu": "4", "pods": "1"})),
        node("wide", &json!({"cpu": "4", "memory": "1", "pods": "1"})),
    ]);
    let pod = world.pod(&asking("waiting", &[json!({"cpu": "2"})], &[]));
    let node = |name| world.snapshot.node(world.index(name));
    let helps = |event| NodeResourcesFit::default().may_help(&pod, &event, &world.snapshot);
    assert!(helps(ClusterEvent::NodeAdded(node("large"))));
    assert!(!helps(ClusterEvent::NodeAdded(node("small"))));
    assert!(helps(ClusterEvent::NodeChanged {
        old: node("small"),
        new: node("large")
    }));
    assert!(!helps(ClusterEvent::NodeChanged {
        old: node("large"),
        new: node("wide")
    }));
    let user = |cpus: &str| world.pod(&asking("user", &[json!({"cpu": cpus})], &[]));
    let (less, more) = (user("1"), user("2"));
    assert!(helps(ClusterEvent::AssignedPodChanged {
        old: &more,
        new: &less
    }));
    assert!(!helps(ClusterEvent::AssignedPodChanged {
        old: &less,
        new: &more
    }));
}
