//! What `PodTopologySpread` says of nodes: tables of cases, and random clusters against a plain way to the same answers.

mod plain;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::{
    World,
    random::{Dice, put},
};

const REJECTED: &str = "node(s) didn't match pod topology spread constraints";
const NO_KEY: &str =
    "!node(s) didn't match pod topology spread constraints (missing required label)";

/// Nodes `a` and `b` of zone 1, `x` and `y` of zone 2, with so many pods `app: x` each.
fn world(pods: [usize; 4]) -> World {
    let node = |(name, zone): (&str, &str)| {
        json!({"name": name, "labels": {"zone": zone, "node": name, "kubernetes.io/hostname": name,
            "topology.kubernetes.io/zone": zone}})
    };
    let names = ["a", "b", "x", "y"];
    let nodes: Vec<Value> = names
        .into_iter()
        .zip(["1", "1", "2", "2"])
        .map(node)
        .collect();
    let mut world = World::of(&nodes);
    for (node, count) in names.iter().zip(pods) {
        for at in 0..count {
            world.place(
                &json!({"name": format!("{node}-{at}"), "labels": {"app": "x"}}),
                node,
            );
        }
    }
    world
}

fn constraint(key: &str, skew: i32, more: &Value) -> Value {
    let mut constraint = json!({
        "topologyKey": key,
        "maxSkew": skew,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
    });
    for (key, value) in more.as_object().unwrap() {
        constraint[key] = value.clone();
    }
    constraint
}

fn pod(constraints: &[Value]) -> Value {
    json!({"labels": {"app": "x"}, "spec": {"topologySpreadConstraints": constraints}})
}

fn judge(world: &World, pod: &Value) -> Vec<String> {
    world.judge(&PodTopologySpread::default(), &world.pod(pod))
}

#[test]
fn a_pod_goes_where_it_does_not_lead_by_more_than_the_skew() {
    let none = json!({});
    let cases = [
        ([0, 0, 0, 0], "zone", 1, ["", "", "", ""]),
        ([2, 1, 0, 0], "zone", 1, [REJECTED, REJECTED, "", ""]),
        ([2, 1, 0, 2], "zone", 2, ["", "", "", ""]),
        ([2, 1, 0, 1], "zone", 2, [REJECTED, REJECTED, "", ""]),
        ([2, 1, 0, 3], "node", 1, [REJECTED, REJECTED, "", REJECTED]),
        ([2, 1, 0, 3], "node", 2, [REJECTED, "", "", REJECTED]),
        ([2, 1, 0, 3], "other", 1, [NO_KEY, NO_KEY, NO_KEY, NO_KEY]),
    ];
    for (pods, key, skew, expected) in cases {
        let mut world = world(pods);
        let pod = pod(&[constraint(key, skew, &none)]);
        assert_eq!(judge(&world, &pod), expected, "{pods:?} {key} {skew}");
        let view = world.pod(&pod);
        world.keep(&PodTopologySpread::default(), &view);
        assert_eq!(judge(&world, &pod), expected, "kept: {pods:?} {key} {skew}");
    }
}

#[test]
fn all_constraints_must_hold_and_a_pod_that_is_not_selected_adds_nothing() {
    let none = json!({});
    let both = [constraint("zone", 1, &none), constraint("node", 1, &none)];
    // Zone 1 leads by 2 with the pod, b is the emptiest node of it.
    let world = world([2, 0, 1, 0]);
    assert_eq!(
        judge(&world, &pod(&both)),
        [REJECTED, REJECTED, REJECTED, ""]
    );
    let mut other = pod(&both);
    other["labels"] = json!({"app": "y"});
    assert_eq!(judge(&world, &other), [REJECTED, "", "", ""]);
    let mut elsewhere = pod(&both);
    elsewhere["namespace"] = json!("elsewhere");
    assert_eq!(judge(&world, &elsewhere), ["", "", "", ""]);
}

#[test]
fn with_fewer_domains_than_there_are_to_be_the_least_is_none() {
    let world = world([1, 1, 1, 1]);
    for (domains, expected) in [(2, ["", "", "", ""]), (3, [REJECTED; 4])] {
        let pod = pod(&[constraint("zone", 2, &json!({"minDomains": domains}))]);
        assert_eq!(judge(&world, &pod), expected, "{domains}");
    }
}

#[test]
fn label_keys_narrow_what_is_counted_to_the_pods_own_values() {
    let mut world = world([1, 0, 0, 0]);
    world.place(
        &json!({"name": "old", "labels": {"app": "x", "hash": "1"}}),
        "a",
    );
    let mut pod = pod(&[constraint(
        "node",
        1,
        &json!({"matchLabelKeys": ["hash", "none"]}),
    )]);
    assert_eq!(judge(&world, &pod), [REJECTED, "", "", ""]);
    pod["labels"]["hash"] = json!("2");
    assert_eq!(judge(&world, &pod), ["", "", "", ""]);
}

#[test]
fn nodes_that_the_pod_cannot_be_on_do_not_count_unless_they_are_to() {
    let mut world = world([1, 1, 1, 0]);
    world.add_node(&json!({"name": "y", "labels": {"zone": "2", "node": "y"},
        "spec": {"taints": [{"key": "t", "effect": "NoSchedule"}]}}));
    let cases = [
        // y has none, so all others lead by 2.
        (json!({}), [REJECTED, REJECTED, REJECTED, ""]),
        (json!({"nodeTaintsPolicy": "Honor"}), ["", "", "", ""]),
    ];
    for (more, expected) in cases {
        let pod = pod(&[constraint("node", 1, &more)]);
        assert_eq!(judge(&world, &pod), expected, "{more}");
    }
    let cases = [
        (json!({}), ["", "", REJECTED, REJECTED]),
        (
            json!({"nodeAffinityPolicy": "Ignore"}),
            [REJECTED, REJECTED, "", ""],
        ),
    ];
    for (more, expected) in cases {
        // Only b and x can be used: one pod in zone 1, two in zone 2.
        world.place(&json!({"name": "more", "labels": {"app": "x"}}), "x");
        world.place(&json!({"name": "hidden-1", "labels": {"app": "x"}}), "a");
        world.place(&json!({"name": "hidden-2", "labels": {"app": "x"}}), "a");
        let mut pod = pod(&[constraint("zone", 1, &more)]);
        pod["spec"]["affinity"] = json!({"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "node", "operator": "In", "values": ["b", "x"]}]},
            ]},
        }});
        assert_eq!(judge(&world, &pod), expected, "{more}");
    }
}

#[test]
fn pods_that_are_being_deleted_do_not_count() {
    let mut world = world([0, 0, 0, 0]);
    let gone = json!({"name": "gone", "labels": {"app": "x"}, "deleted": "2026-01-01T00:00:00Z"});
    world.place(&gone, "a");
    assert_eq!(
        judge(&world, &pod(&[constraint("node", 1, &json!({}))])),
        ["", "", "", ""]
    );
}

fn soft(key: &str, skew: i32) -> Value {
    constraint(key, skew, &json!({"whenUnsatisfiable": "ScheduleAnyway"}))
}

#[test]
fn the_domain_with_fewest_pods_scores_most() {
    let cases = [
        // All alike: 100.
        ([0, 0, 0, 0], vec![soft("zone", 1)], [100, 100, 100, 100]),
        // Zones of 3 and 1 pods weigh ln 4: 4.16 and 1.39 round to 4 and 1; 100 * (4 + 1 - 4) / 4.
        ([2, 1, 0, 1], vec![soft("zone", 1)], [25, 25, 100, 100]),
        // Nodes weigh ln 6 = 1.79: 3.58, 1.79, 0, 1.79 are 4, 2, 0, 2.
        (
            [2, 1, 0, 1],
            vec![soft("kubernetes.io/hostname", 1)],
            [0, 50, 100, 50],
        ),
        // Both: 4.16 + 3.58, 4.16 + 1.79, 1.39, 1.39 + 1.79 are 8, 6, 1, 3.
        (
            [2, 1, 0, 1],
            vec![soft("zone", 1), soft("kubernetes.io/hostname", 1)],
            [12, 37, 100, 75],
        ),
        // A skew of 5 adds 4 to each: 8 and 5; 100 * (8 + 5 - 8) / 8.
        ([2, 1, 0, 1], vec![soft("zone", 5)], [62, 62, 100, 100]),
    ];
    for (pods, constraints, expected) in cases {
        let mut world = world(pods);
        let view = world.pod(&pod(&constraints));
        let plugin = PodTopologySpread::default();
        assert_eq!(
            world.score(&plugin, &view).unwrap(),
            expected,
            "{pods:?} {constraints:?}"
        );
        world.keep(&plugin, &view);
        assert_eq!(
            world.score(&plugin, &view).unwrap(),
            expected,
            "kept: {pods:?}"
        );
    }
}

#[test]
fn nodes_without_a_label_score_nothing() {
    let mut world = world([0, 0, 0, 1]);
    world.add_node(&json!({"name": "bare", "labels": {}}));
    let view = world.pod(&pod(&[soft("zone", 1)]));
    // In order a, b, bare, x, y: one pod of ln 4 in zone 2 is 1.
    let scores = world.score(&PodTopologySpread::default(), &view).unwrap();
    assert_eq!(scores, [100, 100, 0, 0, 0]);
}

#[test]
fn pods_of_a_service_or_a_controller_are_spread_by_default() {
    let mut world = world([2, 0, 0, 0]);
    let plugin = PodTopologySpread::default();
    let incoming = |owner: &str| {
        json!({"labels": {"app": "x"}, "owners": [
            {"apiVersion": "apps/v1", "kind": owner, "name": "set", "uid": "u", "controller": true}]})
    };
    let replica_set = world.pod(&incoming("ReplicaSet"));
    assert!(world.score(&plugin, &replica_set).is_none());
    let name = (Arc::from("default"), Arc::from("set"));
    let set = json!({"metadata": {}, "spec": {"selector": {"matchLabels": {"app": "x"}}}});
    let set = serde_json::from_value(set).unwrap();
    world
        .snapshot
        .objects
        .replica_sets
        .insert(name.clone(), Arc::new(set));
    // Nodes: ln 6 * 2 + 2 = 5.58 and 2; zones: ln 4 * 2 + 4 = 6.77 and 4: 12, 9, 6, 6.
    let expected = [50, 75, 100, 100];
    assert_eq!(world.score(&plugin, &replica_set).unwrap(), expected);
    world.snapshot.objects.replica_sets.clear();

    let service = serde_json::from_value(json!({"spec": {"selector": {"app": "x"}}})).unwrap();
    world
        .snapshot
        .objects
        .services
        .insert(name.clone(), Arc::new(service));
    let plain = world.pod(&json!({"labels": {"app": "x"}}));
    assert_eq!(world.score(&plugin, &plain).unwrap(), expected);
    let other = world.pod(&json!({"labels": {"app": "y"}}));
    assert!(world.score(&plugin, &other).is_none());
    let own = world.pod(&pod(&[constraint("zone", 1, &json!({}))]));
    assert!(world.score(&plugin, &own).is_none());
}

#[test]
fn defaults_can_be_listed() {
    let mut world = world([1, 0, 0, 0]);
    let list = json!([{"topologyKey": "node", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]);
    let plugin = PodTopologySpread {
        defaults: Defaults::List(serde_json::from_value(list).unwrap()),
    };
    let service = serde_json::from_value(json!({"spec": {"selector": {"app": "x"}}})).unwrap();
    let name = (Arc::from("default"), Arc::from("web"));
    world
        .snapshot
        .objects
        .services
        .insert(name, Arc::new(service));
    let plain = world.pod(&json!({"labels": {"app": "x"}}));
    assert_eq!(world.judge(&plugin, &plain), [REJECTED, "", "", ""]);
}

proptest! {
    #[test]
    fn hard_and_soft_constraints_are_what_their_definitions_say(
        choices in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        let mut dice = Dice(&choices);
        let mut world = dice.nodes();
        let incoming = dice.spread("incoming");
        for placed in dice.pods(&world, 12, Dice::plain) {
            put(&mut world, &placed);
        }
        let pod = world.pod(&incoming);
        let plugin = PodTopologySpread::default();
        for _ in ["counted", "kept"] {
            prop_assert_eq!(world.judge(&plugin, &pod), plain::judge(&world, &pod));
            prop_assert_eq!(world.score(&plugin, &pod), plain::score(&world, &pod));
            world.keep(&plugin, &pod);
        }
    }

    #[test]
    fn pods_thought_away_or_onto_nodes_count_as_if_they_were(
        choices in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        let mut dice = Dice(&choices);
        let mut world = dice.nodes();
        let incoming = dice.spread("incoming");
        let pods = dice.pods(&world, 12, Dice::plain);
        let pod = world.pod(&incoming);
        let plugin = PodTopologySpread::default();
        let found = dice.change(&mut world, pods, (&plugin, &pod));
        if let Some(found) = found {
            prop_assert_eq!(found, world.judge(&plugin, &pod));
        }
    }
}
