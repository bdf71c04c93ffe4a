//! What the engine decides over time: scripts of what happens, and what it wants done.

mod groups;
mod script;
mod volumes;
mod waking;

use scheduler::engine::Note;
use serde_json::json;

use script::Script;

#[test]
fn a_pod_that_fits_is_bound_and_counts_at_once() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.pod("a", "600m", json!({}));
    script.pod("b", "600m", json!({}));
    assert_eq!(
        script.run(),
        [
            "bind a n1",
            "b: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        ]
    );
}

#[test]
fn an_attempt_is_noted_once_with_its_outcome_however_its_binding_is_told() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.pod("a", "450m", json!({}));
    script.pod("b", "450m", json!({}));
    let elsewhere = json!({"spec": {"nodeSelector": {"a": "b"}}});
    script.pod("c", "450m", elsewhere);
    script.run();
    script.pass(2);
    script.engine.bound("a", Ok(()), script.now);
    script.seen_on("a", "450m", "n1", json!({}));
    script.engine.bound("b", Err("no".to_owned()), script.now);
    script.pass(1);
    script.run();
    script.seen_on("b", "450m", "n1", json!({}));
    let notes = script.engine.take_notes();
    let attempts: Vec<String> = notes
        .iter()
        .filter_map(|note| match note {
            Note::Attempt(one) => Some(format!(
                "{} {} {}",
                one.outcome.name(),
                one.attempts,
                one.first_began.as_second()
            )),
            _ => None,
        })
        .collect();
    assert_eq!(
        attempts,
        [
            "unschedulable 1 0",
            "scheduled 1 0",
            "error 1 0",
            "scheduled 2 0",
        ]
    );
    assert!(notes.contains(&Note::Preemption { victims: None }));
    let counted: Vec<_> = script.engine.queue().counted().iter().collect();
    assert!(counted.contains(&("active", "UnschedulablePodAdd", 3)));
    assert!(counted.contains(&("unschedulable", "ScheduleAttemptFailure", 1)));
    assert!(counted.contains(&("backoff", "ScheduleAttemptFailure", 1)));
    assert!(counted.contains(&("active", "BackoffComplete", 1)));
}

#[test]
fn the_queue_hands_out_by_priority_then_by_age() {
    let mut script = Script::new();
    script.node("n1", "4");
    script.pod("old", "100m", json!({}));
    script.pass(1);
    script.pod("new", "100m", json!({}));
    script.pod("important", "100m", json!({"spec": {"priority": 5}}));
    assert_eq!(
        script.run(),
        ["bind important n1", "bind old n1", "bind new n1"]
    );
}

#[test]
fn a_rejected_pod_is_tried_again_after_an_event_that_helps_and_after_no_other() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.pod("big", "2", json!({}));
    assert_eq!(script.run().len(), 1);
    script.pass(30);
    assert_eq!(script.run(), Vec::<String>::new(), "nothing has happened");
    script.node("n2", "1");
    assert_eq!(
        script.run(),
        Vec::<String>::new(),
        "a node as small as the first does not help"
    );
    script.node("n3", "4");
    assert_eq!(script.run(), ["bind big n3"]);
}

#[test]
fn a_pod_that_waits_for_five_minutes_is_tried_for_nothing() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.pod("big", "2", json!({}));
    script.run();
    script.pass(299);
    assert_eq!(script.run().len(), 0);
    script.pass(1);
    assert_eq!(script.run().len(), 1);
}

#[test]
fn without_nodes_a_pod_waits_for_one() {
    let mut script = Script::new();
    script.pod("a", "1", json!({}));
    assert_eq!(script.run(), ["a: no nodes available to schedule pods"]);
    script.node("n1", "4");
    script.pass(1);
    assert_eq!(script.run(), ["bind a n1"]);
}

#[test]
fn a_pod_that_cannot_be_bound_gives_its_node_back_and_is_tried_after_a_while() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.pod("a", "1", json!({}));
    assert_eq!(script.run(), ["bind a n1"]);
    script.engine.bound("a", Err("no".to_owned()), script.now);
    assert_eq!(
        script.run(),
        ["a: binding rejected: no"],
        "it backs off after an error"
    );
    script.pass(1);
    assert_eq!(script.run(), ["bind a n1"]);
}

#[test]
fn a_pod_that_is_gone_before_it_was_bound_leaves_its_node() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.pod("a", "1", json!({}));
    script.pod("b", "1", json!({}));
    script.run();
    script.engine.remove_pod("a", script.now);
    script.pass(1);
    assert_eq!(script.run(), ["bind b n1"]);
}

#[test]
fn a_gated_pod_waits_until_its_gates_are_gone() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.pod(
        "a",
        "1",
        json!({"spec": {"schedulingGates": [{"name": "g"}]}}),
    );
    assert_eq!(script.run().len(), 0);
    script.pod("a", "1", json!({}));
    assert_eq!(script.run(), ["bind a n1"]);
}

#[test]
fn pods_of_other_schedulers_are_left_alone() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.pod("a", "1", json!({"spec": {"schedulerName": "another"}}));
    assert_eq!(script.run().len(), 0);
}

#[test]
fn an_important_pod_evicts_the_fewest_of_the_least_important_and_gets_their_node() {
    let mut script = Script::new();
    for (name, priority) in [("n1", 3), ("n2", 1)] {
        script.node(name, "1");
        for at in 0..2 {
            let victim = format!("{name}-{at}");
            script.seen_on(
                &victim,
                "500m",
                name,
                json!({"spec": {"priority": priority}}),
            );
        }
    }
    script.pod("high", "500m", json!({"spec": {"priority": 10}}));
    let effects = script.run();
    assert!(
        effects[0].starts_with("high evicts n2-") && !effects[0].contains(','),
        "one pod of the lower priority: {effects:?}"
    );
    assert_eq!(
        effects[1],
        "high: 0/2 nodes are available: 2 Insufficient cpu."
    );
    script.engine.preempted("high", true, script.now);
    assert_eq!(script.run().len(), 0, "its victim is still there");
    let victim = effects[0].split(' ').nth(2).expect("a victim").to_owned();
    script.engine.remove_pod(&victim, script.now);
    assert_eq!(script.run(), ["bind high n2"]);
}

#[test]
fn the_room_of_a_nominated_pod_is_not_given_to_a_less_important_one() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.seen_on("low", "1", "n1", json!({}));
    script.pod("high", "1", json!({"spec": {"priority": 10}}));
    script.run();
    script.engine.preempted("high", true, script.now);
    script.pod("middle", "1", json!({"spec": {"priority": 5}}));
    script.engine.remove_pod("low", script.now);
    let effects = script.run();
    assert!(effects.contains(&"bind high n1".to_owned()), "{effects:?}");
    assert!(
        !effects.contains(&"bind middle n1".to_owned()),
        "{effects:?}"
    );
}

#[test]
fn a_pod_waits_for_what_was_preempted_and_not_for_what_leaves_for_other_reasons() {
    for (reason, expected) in [
        (
            "PreemptionByScheduler",
            "high: 0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to a terminating pod on the nominated node.",
        ),
        ("EvictionByEvictionAPI", "high evicts low from n1"),
        ("DeletionByTaintManager", "high evicts low from n1"),
    ] {
        let mut script = Script::new();
        script.node("n1", "2");
        let leaving = json!({
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": [
                {"type": "DisruptionTarget", "status": "True", "reason": reason},
            ]},
        });
        script.seen_on("leaving", "1", "n1", leaving);
        script.seen_on("low", "1", "n1", json!({}));
        let high = json!({
            "spec": {"priority": 10},
            "status": {"nominatedNodeName": "n1"},
        });
        script.pod("high", "2", high);
        assert_eq!(script.run()[0], expected, "{reason}");
    }
}

#[test]
fn a_pod_that_never_preempts_evicts_nobody() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.seen_on("low", "1", "n1", json!({}));
    script.pod(
        "high",
        "1",
        json!({"spec": {"priority": 10, "preemptionPolicy": "Never"}}),
    );
    assert_eq!(
        script.run(),
        [
            "high: 0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.",
        ]
    );
}
