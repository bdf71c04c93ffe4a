//! Cases of nodes that pods ask for, and of those they like better.

use serde_json::{Value, from_value, json};

use super::*;
use crate::plugins::testing::World;

const REJECTED: &str = "!node(s) didn't match Pod's node affinity/selector";

fn world() -> World {
    World::of(&[
        json!({"name": "a", "labels": {"zone": "z1", "disk": "ssd", "cores": "16"}}),
        json!({"name": "b", "labels": {"zone": "z2", "disk": "hdd", "cores": "8"}}),
        json!({"name": "c", "labels": {}}),
    ])
}

fn required(world: &World, terms: &Value) -> PodView {
    world.pod(&json!({"spec": {"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
    }}}}))
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({"key": key, "operator": operator, "values": values})
}

#[test]
fn a_node_fits_if_one_term_matches_in_all_its_expressions() {
    let mut world = world();
    let cases = [
        (
            json!([{"matchExpressions": [expression("disk", "In", &["ssd", "nvme"])]}]),
            [true, false, false],
        ),
        (
            json!([{"matchExpressions": [expression("disk", "NotIn", &["ssd"])]}]),
            [false, true, true],
        ),
        (
            json!([{"matchExpressions": [expression("disk", "Exists", &[])]}]),
            [true, true, false],
        ),
        (
            json!([{"matchExpressions": [expression("disk", "DoesNotExist", &[])]}]),
            [false, false, true],
        ),
        (
            json!([{"matchExpressions": [expression("cores", "Gt", &["8"])]}]),
            [true, false, false],
        ),
        (
            json!([{"matchExpressions": [expression("cores", "Lt", &["9"])]}]),
            [false, true, false],
        ),
        (
            json!([{"matchExpressions": [expression("disk", "Exists", &[]), expression("zone", "In", &["z2"])]}]),
            [false, true, false],
        ),
        (
            json!([
                {"matchExpressions": [expression("zone", "In", &["z1"])]},
                {"matchExpressions": [expression("disk", "DoesNotExist", &[])]},
            ]),
            [true, false, true],
        ),
        (json!([]), [false, false, false]),
        (json!([{}]), [false, false, false]),
        (
            json!([{}, {"matchExpressions": [expression("zone", "In", &["z1"])]}]),
            [true, false, false],
        ),
    ];
    for (terms, fits) in cases {
        let pod = required(&world, &terms);
        let expected = fits.map(|fits| if fits { "" } else { REJECTED });
        let plugin = NodeAffinity::default();
        assert_eq!(world.judge(&plugin, &pod), expected, "{terms}");
        world.keep(&plugin, &pod);
        assert_eq!(world.judge(&plugin, &pod), expected, "kept: {terms}");
    }
}

#[test]
fn selector_and_affinity_must_both_hold() {
    let world = world();
    let pod = world.pod(&json!({"spec": {
        "nodeSelector": {"zone": "z1"},
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [expression("disk", "Exists", &[])]}],
        }}},
    }}));
    assert_eq!(
        world.judge(&NodeAffinity::default(), &pod),
        ["", REJECTED, REJECTED]
    );
    let plain = world.pod(&json!({}));
    assert!(matches!(
        NodeAffinity::default().pre_filter(&plain, &world.snapshot),
        PreFilter::Skip
    ));
}

#[test]
fn nodes_that_are_named_are_the_only_ones_that_are_looked_at() {
    let world = world();
    let named = |names: &[&[&str]]| -> Value {
        let field = |name: &&str| expression("metadata.name", "In", &[name]);
        let term =
            |names: &&[&str]| json!({"matchFields": names.iter().map(field).collect::<Vec<_>>()});
        json!(names.iter().map(term).collect::<Vec<_>>())
    };
    let other_zone = json!([{
        "matchFields": [expression("metadata.name", "In", &["b"])],
        "matchExpressions": [expression("zone", "In", &["z1"])],
    }]);
    let one_without = json!([
        {"matchFields": [expression("metadata.name", "In", &["b"])]},
        {"matchExpressions": [expression("zone", "In", &["z1"])]},
    ]);
    let all_but = json!([{"matchFields": [expression("metadata.name", "NotIn", &["b"])]}]);
    let cases = [
        (named(&[&["b"]]), vec!["-", "", "-"]),
        (named(&[&["b"], &["a"]]), vec!["", "", "-"]),
        (named(&[&["gone"]]), vec!["-", "-", "-"]),
        (named(&[&["a", "b"]]), vec!["!pod affinity terms conflict"]),
        (named(&[&["a", "b"], &["c", "c"]]), vec!["-", "-", ""]),
        (other_zone, vec!["-", REJECTED, "-"]),
        (one_without, vec!["", "", REJECTED]),
        (all_but, vec!["", REJECTED, ""]),
    ];
    for (terms, expected) in cases {
        let pod = required(&world, &terms);
        assert_eq!(
            world.judge(&NodeAffinity::default(), &pod),
            expected,
            "{terms}"
        );
    }
}

fn weighted(terms: &[(i32, Value)]) -> Value {
    let term = |(weight, expression): &(i32, Value)| json!({"weight": weight, "preference": {"matchExpressions": [expression]}});
    json!(terms.iter().map(term).collect::<Vec<_>>())
}

#[test]
fn weights_of_matching_preferences_add_up_to_a_hundred_for_the_best() {
    let mut world = world();
    let terms = weighted(&[
        (2, expression("zone", "Exists", &[])),
        (4, expression("disk", "In", &["ssd"])),
        (0, expression("disk", "DoesNotExist", &[])),
    ]);
    let pod = world.pod(&json!({"spec": {"affinity": {"nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": terms,
    }}}}));
    let plugin = NodeAffinity::default();
    // 6, 2 and 0 of 6.
    assert_eq!(world.score(&plugin, &pod).unwrap(), [100, 33, 0]);
    world.keep(&plugin, &pod);
    assert_eq!(world.score(&plugin, &pod).unwrap(), [100, 33, 0]);
    assert!(world.score(&plugin, &world.pod(&json!({}))).is_none());
}

#[test]
fn added_affinity_holds_for_every_pod() {
    let world = world();
    let added: Added = from_value(json!({
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [expression("zone", "Exists", &[])]}],
        },
        "preferredDuringSchedulingIgnoredDuringExecution":
            weighted(&[(5, expression("zone", "In", &["z2"]))]),
    }))
    .unwrap();
    let plugin = NodeAffinity::new(Some(&added));
    let plain = world.pod(&json!({}));
    let enforced = "!node(s) didn't match scheduler-enforced node affinity";
    assert_eq!(world.judge(&plugin, &plain), ["", "", enforced]);
    assert_eq!(world.score(&plugin, &plain).unwrap(), [0, 100, 0]);
    let selecting = world.pod(&json!({"spec": {"nodeSelector": {"zone": "z1"}}}));
    assert_eq!(world.judge(&plugin, &selecting), ["", REJECTED, enforced]);
}

#[test]
fn a_node_that_comes_to_match_may_help() {
    let world = world();
    let pod = world.pod(&json!({"spec": {"nodeSelector": {"zone": "z1"}}}));
    let node = |name| world.snapshot.node(world.index(name));
    let helps = |event| NodeAffinity::default().may_help(&pod, &event, &world.snapshot);
    assert!(helps(ClusterEvent::NodeAdded(node("a"))));
    assert!(!helps(ClusterEvent::NodeAdded(node("b"))));
    assert!(helps(ClusterEvent::NodeChanged {
        old: node("b"),
        new: node("a")
    }));
    assert!(!helps(ClusterEvent::NodeChanged {
        old: node("a"),
        new: node("a")
    }));
}
