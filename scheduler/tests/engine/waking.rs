//! Which events wake pods that wait, beyond those of pods and nodes that come.

use serde_json::json;

use super::script::Script;

#[test]
fn a_zone_that_is_gone_is_no_reason_to_stay_out_of_another() {
    let mut script = Script::new();
    script.node_in("n1", "4", "one");
    script.node_in("n2", "1", "two");
    let web = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }]},
    });
    script.seen_on("web-0", "1", "n1", web.clone());
    script.seen_on("other", "1", "n2", json!({}));
    script.pod("web-1", "1", web);
    let lines = script.run();
    assert!(
        lines[0].contains("1 node(s) didn't match pod topology spread constraints"),
        "{lines:?}"
    );
    script.engine.remove_node("n2", script.now);
    script.pass(1);
    assert_eq!(script.run(), ["bind web-1 n1"]);
    let counted: Vec<_> = script.engine.queue().counted().iter().collect();
    assert!(
        counted.contains(&("backoff", "NodeDelete", 1)),
        "{counted:?}"
    );
}

#[test]
fn a_pod_kept_out_for_one_that_was_promised_its_room_is_tried_when_that_one_is_gone() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.seen_on("low", "1", "n1", json!({}));
    script.pod("high", "1", json!({"spec": {"priority": 10}}));
    script.pod("middle", "1", json!({"spec": {"priority": 5}}));
    assert_eq!(script.run()[0], "high evicts low from n1");
    script.engine.preempted("high", true, script.now);
    script.engine.remove_pod("high", script.now);
    script.pass(1);
    assert_eq!(script.run()[0], "middle evicts low from n1");
}

#[test]
fn a_pod_kept_out_for_one_that_was_promised_its_room_is_tried_when_that_one_gets_none_or_another() {
    let promised = |node: Option<&str>| {
        json!({
            "spec": {"priority": 10, "schedulingGates": [{"name": "g"}]},
            "status": {"nominatedNodeName": node},
        })
    };
    for later in [None, Some("n2")] {
        let mut script = Script::new();
        script.node("n1", "1");
        script.pod("high", "1", promised(Some("n1")));
        script.pod("middle", "1", json!({"spec": {"priority": 5}}));
        assert_eq!(script.run().len(), 1, "the room of the other is kept");
        script.pod("high", "1", promised(later));
        script.pass(1);
        assert_eq!(script.run(), ["bind middle n1"], "{later:?}");
    }
}

#[test]
fn a_pod_kept_out_for_one_that_was_promised_its_room_is_tried_when_that_one_goes_elsewhere() {
    let mut script = Script::new();
    script.node("n1", "1");
    script.seen_on("low", "1", "n1", json!({}));
    script.pod("high", "600m", json!({"spec": {"priority": 10}}));
    assert_eq!(script.run()[0], "high evicts low from n1");
    script.engine.preempted("high", true, script.now);
    script.pod("middle", "1", json!({"spec": {"priority": 5}}));
    assert_eq!(script.run().len(), 1);
    script.pass(1);
    // Too small for the one that waits, so that its coming wakes the other alone.
    script.node("n2", "600m");
    assert_eq!(
        script.run()[..2],
        ["bind high n2", "middle evicts low from n1"]
    );
}
