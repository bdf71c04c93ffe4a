//! What `InterPodAffinity` says of nodes: tables of cases, and random clusters against a plain way to the same answers.

mod plain;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::{
    World,
    random::{Dice, put},
};

const NEAR: &str = "!node(s) didn't match pod affinity rules";
const FAR: &str = "node(s) didn't match pod anti-affinity rules";
const OTHERS: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// Nodes `a` and `b` of zone 1, `x` of zone 2, and `z` without labels.
fn world() -> World {
    World::of(&[
        json!({"name": "a", "labels": {"zone": "1", "host": "a"}}),
        json!({"name": "b", "labels": {"zone": "1", "host": "b"}}),
        json!({"name": "x", "labels": {"zone": "2", "host": "x"}}),
        json!({"name": "z", "labels": {}}),
    ])
}

fn term(key: &str, app: &str) -> Value {
    json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}})
}

fn pod(name: &str, app: &str, kind: &str, terms: &[Value]) -> Value {
    let field = "requiredDuringSchedulingIgnoredDuringExecution";
    let affinity = if kind.is_empty() {
        json!({})
    } else {
        json!({kind: {field: terms}})
    };
    json!({"name": name, "labels": {"app": app}, "spec": {"affinity": affinity}})
}

fn judge(world: &World, pod: &Value) -> Vec<String> {
    world.judge(&InterPodAffinity::default(), &world.pod(pod))
}

#[test]
fn a_pod_goes_where_pods_that_it_needs_are() {
    let mut world = world();
    world.place(&pod("web", "web", "", &[]), "a");
    let cases = [
        (vec![term("zone", "web")], ["", "", NEAR, NEAR]),
        (vec![term("host", "web")], ["", NEAR, NEAR, NEAR]),
        (vec![term("zone", "db")], [NEAR, NEAR, NEAR, NEAR]),
        (
            vec![term("zone", "web"), term("host", "web")],
            ["", NEAR, NEAR, NEAR],
        ),
        (
            vec![term("zone", "web"), term("host", "db")],
            [NEAR, NEAR, NEAR, NEAR],
        ),
        (vec![term("other", "web")], [NEAR, NEAR, NEAR, NEAR]),
    ];
    for (terms, expected) in cases {
        let incoming = pod("incoming", "new", "podAffinity", &terms);
        assert_eq!(judge(&world, &incoming), expected, "{terms:?}");
    }
}

#[test]
fn the_first_of_pods_that_need_each_other_goes_where_the_labels_are() {
    let mut world = world();
    let series = |name| pod(name, "web", "podAffinity", &[term("zone", "web")]);
    assert_eq!(judge(&world, &series("first")), ["", "", "", NEAR]);
    world.place(&series("first"), "x");
    assert_eq!(judge(&world, &series("second")), [NEAR, NEAR, "", NEAR]);
    let two = [term("zone", "web"), term("host", "other")];
    let unlike = pod("incoming", "web", "podAffinity", &two);
    assert_eq!(judge(&world, &unlike), [NEAR; 4]);
}

#[test]
fn a_pod_keeps_away_from_pods_and_they_from_it() {
    let mut world = world();
    world.place(
        &pod("web", "web", "podAntiAffinity", &[term("zone", "loud")]),
        "a",
    );
    let cases = [
        (
            "new",
            "podAntiAffinity",
            vec![term("zone", "web")],
            [FAR, FAR, "", ""],
        ),
        (
            "new",
            "podAntiAffinity",
            vec![term("host", "web")],
            [FAR, "", "", ""],
        ),
        (
            "new",
            "podAntiAffinity",
            vec![term("host", "db"), term("zone", "web")],
            [FAR, FAR, "", ""],
        ),
        ("loud", "", vec![], [OTHERS, OTHERS, "", ""]),
        (
            "loud",
            "podAntiAffinity",
            vec![term("host", "web")],
            [FAR, OTHERS, "", ""],
        ),
        (
            "loud",
            "podAffinity",
            vec![term("zone", "web")],
            [OTHERS, OTHERS, NEAR, NEAR],
        ),
        ("quiet", "", vec![], ["", "", "", ""]),
    ];
    for (app, kind, terms, expected) in cases {
        let incoming = pod("incoming", app, kind, &terms);
        assert_eq!(judge(&world, &incoming), expected, "{app} {kind} {terms:?}");
    }
}

#[test]
fn terms_reach_into_other_namespaces_by_name_or_by_label() {
    let mut world = world();
    let team = [("team", "blue")].into_iter().collect();
    world.snapshot.set_namespace("blue", Some(team));
    let mut there = pod("there", "web", "", &[]);
    there["namespace"] = json!("blue");
    world.place(&there, "a");
    let selector = |labels: Value| json!({"matchLabels": labels});
    let cases = [
        (json!({}), false),
        (json!({"namespaces": ["blue"]}), true),
        (json!({"namespaces": ["green"]}), false),
        (json!({"namespaceSelector": {}}), true),
        (
            json!({"namespaceSelector": selector(json!({"team": "blue"}))}),
            true,
        ),
        (
            json!({"namespaceSelector": selector(json!({"team": "green"}))}),
            false,
        ),
        (
            json!({"namespaces": ["blue"], "namespaceSelector": selector(json!({"team": "green"}))}),
            true,
        ),
    ];
    for (more, is_met) in cases {
        let mut own = term("host", "web");
        for (key, value) in more.as_object().unwrap() {
            own[key] = value.clone();
        }
        let incoming = pod("incoming", "new", "podAntiAffinity", &[own]);
        let here = if is_met { FAR } else { "" };
        assert_eq!(judge(&world, &incoming), [here, "", "", ""], "{more}");
    }
}

fn preferring(name: &str, app: &str, kind: &str, terms: &[(i32, Value)]) -> Value {
    let field = "preferredDuringSchedulingIgnoredDuringExecution";
    let weighted =
        |(weight, term): &(i32, Value)| json!({"weight": weight, "podAffinityTerm": term});
    let terms: Vec<Value> = terms.iter().map(weighted).collect();
    json!({"name": name, "labels": {"app": app}, "spec": {"affinity": {kind: {field: terms}}}})
}

#[test]
fn weights_of_pods_in_the_domain_add_up() {
    let mut world = world();
    world.place(&pod("web-1", "web", "", &[]), "a");
    world.place(&pod("web-2", "web", "", &[]), "x");
    world.place(&pod("web-3", "web", "", &[]), "x");
    world.place(&pod("db", "db", "", &[]), "b");
    let cases = [
        // One pod in zone 1, two in zone 2.
        (
            "podAffinity",
            vec![(5, term("zone", "web"))],
            [50, 50, 100, 0],
        ),
        (
            "podAntiAffinity",
            vec![(5, term("zone", "web"))],
            [50, 50, 0, 100],
        ),
        // a: 5, b: 5 + 20, x: 10, z: 0.
        (
            "podAffinity",
            vec![(5, term("zone", "web")), (20, term("host", "db"))],
            [20, 100, 40, 0],
        ),
        ("podAffinity", vec![(5, term("zone", "none"))], [0, 0, 0, 0]),
    ];
    for (kind, terms, expected) in cases {
        let view = world.pod(&preferring("incoming", "new", kind, &terms));
        let found = world.score(&InterPodAffinity::default(), &view);
        assert_eq!(found.unwrap_or(vec![0; 4]), expected, "{kind} {terms:?}");
    }
}

#[test]
fn what_pods_there_prefer_and_need_counts_too() {
    let mut world = world();
    world.place(
        &preferring("fan", "fan", "podAffinity", &[(10, term("zone", "star"))]),
        "a",
    );
    world.place(
        &preferring(
            "foe",
            "foe",
            "podAntiAffinity",
            &[(4, term("host", "star"))],
        ),
        "b",
    );
    world.place(
        &pod("bound", "bound", "podAffinity", &[term("host", "star")]),
        "x",
    );
    let star = world.pod(&pod("incoming", "star", "", &[]));
    // a: 10, b: 10 - 4, x: 1 for the need, z: 0.
    assert_eq!(
        world.score(&InterPodAffinity::default(), &star).unwrap(),
        [100, 60, 10, 0]
    );
    let heavy = InterPodAffinity {
        hard_weight: 20,
        ..InterPodAffinity::default()
    };
    assert_eq!(world.score(&heavy, &star).unwrap(), [50, 30, 100, 0]);
    let alone = InterPodAffinity {
        ignores_preferences_of_others: true,
        ..InterPodAffinity::default()
    };
    assert!(world.score(&alone, &star).is_none());
    let nobody = world.pod(&pod("incoming", "nobody", "", &[]));
    assert!(world.score(&InterPodAffinity::default(), &nobody).is_none());
}

#[test]
fn pods_and_nodes_that_meet_a_term_may_help() {
    let world = world();
    let helps = |waiting: &Value, event| {
        InterPodAffinity::default().may_help(&world.pod(waiting), &event, &world.snapshot)
    };
    let near = pod("waiting", "new", "podAffinity", &[term("zone", "web")]);
    let far = pod("waiting", "new", "podAntiAffinity", &[term("zone", "web")]);
    let web = world.pod(&pod("web", "web", "", &[]));
    let db = world.pod(&pod("db", "db", "", &[]));
    let foe = world.pod(&pod(
        "foe",
        "foe",
        "podAntiAffinity",
        &[term("zone", "new")],
    ));
    assert!(helps(&near, ClusterEvent::PodAssigned(&web)));
    assert!(!helps(&near, ClusterEvent::PodAssigned(&db)));
    assert!(helps(&far, ClusterEvent::PodDeleted(&web)));
    assert!(!helps(&far, ClusterEvent::PodDeleted(&db)));
    assert!(helps(&far, ClusterEvent::PodDeleted(&foe)));
    assert!(helps(
        &far,
        ClusterEvent::AssignedPodChanged {
            old: &web,
            new: &db
        }
    ));
    assert!(!helps(
        &far,
        ClusterEvent::AssignedPodChanged {
            old: &db,
            new: &web
        }
    ));
    assert!(helps(
        &near,
        ClusterEvent::AssignedPodChanged {
            old: &db,
            new: &web
        }
    ));
    let node = |name| world.snapshot.node(world.index(name));
    assert!(helps(&near, ClusterEvent::NodeAdded(node("a"))));
    assert!(!helps(&near, ClusterEvent::NodeAdded(node("z"))));
    assert!(helps(&far, ClusterEvent::NodeAdded(node("z"))));
    assert!(helps(
        &near,
        ClusterEvent::NodeChanged {
            old: node("z"),
            new: node("a")
        }
    ));
    assert!(!helps(
        &near,
        ClusterEvent::NodeChanged {
            old: node("a"),
            new: node("b")
        }
    ));
    assert!(helps(
        &far,
        ClusterEvent::NodeChanged {
            old: node("a"),
            new: node("z")
        }
    ));
}

proptest! {
    #[test]
    fn required_and_preferred_terms_are_what_their_definitions_say(
        choices in proptest::collection::vec(any::<u8>(), 0..500)
    ) {
        let mut dice = Dice(&choices);
        let mut world = dice.nodes();
        let incoming = dice.affine("incoming");
        for placed in dice.pods(&world, 8, Dice::affine) {
            put(&mut world, &placed);
        }
        let pod = world.pod(&incoming);
        let plugin = InterPodAffinity::default();
        for _ in ["counted", "kept"] {
            prop_assert_eq!(world.judge(&plugin, &pod), plain::judge(&world, &pod));
            let found = world.score(&plugin, &pod).unwrap_or(vec![0; world.sorted().len()]);
            prop_assert_eq!(found, plain::score(&world, &pod, 1));
            world.keep(&plugin, &pod);
        }
    }

    #[test]
    fn pods_thought_away_or_onto_nodes_matter_as_if_they_were(
        choices in proptest::collection::vec(any::<u8>(), 0..500)
    ) {
        let mut dice = Dice(&choices);
        let mut world = dice.nodes();
        let incoming = dice.affine("incoming");
        let pods = dice.pods(&world, 8, Dice::affine);
        let pod = world.pod(&incoming);
        let plugin = InterPodAffinity::default();
        let found = dice.change(&mut world, pods, (&plugin, &pod));
        if let Some(found) = found {
            prop_assert_eq!(found, plain::judge(&world, &pod));
        }
    }
}
