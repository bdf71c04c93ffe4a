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
