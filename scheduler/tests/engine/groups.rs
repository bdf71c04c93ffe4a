//! Groups of pods that get their nodes together.

use serde_json::{Value, json};

use super::script::Script;

fn member(min: usize) -> Value {
    json!({"metadata": {
        "labels": {"scheduling.x-k8s.io/pod-group": "g"},
        "annotations": {"scheduling.x-k8s.io/min-member": min.to_string()},
    }})
}

#[test]
fn a_group_waits_until_it_has_enough_members() {
    let mut script = Script::new();
    script.node("n1", "4");
    script.pod("a", "1", member(2));
    assert_eq!(
        script.run(),
        [
            "a: 0/1 nodes are available: pod a cannot find enough sibling pods, current pods number: 1, minMember of group: 2.",
        ]
    );
    script.pod("b", "1", member(2));
    let mut effects = script.run();
    effects.sort();
    assert_eq!(effects, ["bind a n1", "bind b n1"]);
}

#[test]
fn a_group_that_does_not_fit_as_a_whole_holds_nothing() {
    let mut script = Script::new();
    script.node("n1", "2");
    for name in ["a", "b", "c"] {
        script.pod(name, "1", member(3));
    }
    let effects = script.run();
    assert!(
        effects.iter().all(|line| !line.starts_with("bind")),
        "{effects:?}"
    );
    script.pod("alone", "2", json!({}));
    assert_eq!(script.run(), ["bind alone n1"], "the whole node is free");
    script.node("n2", "4");
    script.pass(1);
    let effects = script.run();
    assert_eq!(
        effects
            .iter()
            .filter(|line| line.starts_with("bind"))
            .count(),
        3,
        "{effects:?}"
    );
}

fn bound(script: &mut Script) -> Vec<String> {
    let mut lines = script.run();
    lines.retain(|line| line.starts_with("bind"));
    lines.sort();
    lines
}

#[test]
fn a_group_that_came_before_all_nodes_is_tried_when_one_comes() {
    let mut script = Script::new();
    for name in ["a", "b"] {
        script.pod(name, "1", member(2));
    }
    assert_eq!(script.run().len(), 2);
    script.node("n1", "4");
    script.pass(1);
    assert_eq!(bound(&mut script), ["bind a n1", "bind b n1"]);
}

#[test]
fn a_group_is_tried_when_it_needs_fewer_members_than_before() {
    for less in [Some(2), None] {
        let mut script = Script::new();
        script.node("n1", "4");
        let group = || ("default".into(), "g".into());
        script.engine.set_pod_group(group(), Some(3));
        for name in ["a", "b"] {
            script.pod(name, "1", member(2));
        }
        assert_eq!(bound(&mut script), Vec::<String>::new());
        script.engine.set_pod_group(group(), less);
        assert_eq!(bound(&mut script), ["bind a n1", "bind b n1"], "{less:?}");
    }
}

#[test]
fn a_group_is_tried_when_another_has_given_a_member_a_node() {
    let mut script = Script::new();
    script.node("n1", "4");
    for name in ["a", "b"] {
        script.pod(name, "1", member(3));
    }
    assert_eq!(bound(&mut script), Vec::<String>::new());
    script.seen_on("c", "1", "n1", member(3));
    assert_eq!(bound(&mut script), ["bind a n1", "bind b n1"]);
}
