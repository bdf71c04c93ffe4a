//! Pods that wait for their claims when they have a node.

use std::sync::Arc;

use scheduler::framework::EventKinds;
use serde_json::{Value, from_value, json};

use super::script::Script;

const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// A node, and a class whose volumes are made where their first pod goes.
fn script() -> Script {
    let mut script = Script::new();
    script.node("n1", "4");
    let class = json!({"metadata": {"name": "made"}, "provisioner": "driver",
        "volumeBindingMode": "WaitForFirstConsumer"});
    let class = Arc::new(from_value(class).expect("the test is written so"));
    script.object(EventKinds::STORAGE_CLASS, |all| {
        all.storage_classes.insert("made".into(), class);
    });
    script
}

/// The claim is seen so.
fn claim(script: &mut Script, version: &str, selected: Option<&str>) {
    let mut claim = json!({
        "metadata": {"namespace": "default", "name": "c", "uid": "c", "resourceVersion": version},
        "spec": {"storageClassName": "made", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}},
    });
    if let Some(node) = selected {
        claim["metadata"]["annotations"] = json!({SELECTED_NODE: node});
    }
    let claim = Arc::new(from_value(claim).expect("the test is written so"));
    script.object(EventKinds::CLAIM, |all| {
        all.claims.insert(("default".into(), "c".into()), claim);
    });
}

fn user() -> Value {
    json!({"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}})
}

#[test]
fn a_pod_whose_claim_a_provisioner_gives_back_is_tried_again() {
    let mut script = script();
    claim(&mut script, "1", None);
    script.pod("a", "1", user());
    assert_eq!(script.run(), ["prepare a"]);
    claim(&mut script, "2", Some("n1"));
    assert_eq!(
        script.run(),
        Vec::<String>::new(),
        "the provisioner is at work"
    );
    claim(&mut script, "3", None);
    assert_eq!(
        script.run(),
        ["a: selectedNode annotation reset for PVC \"c\""]
    );
    script.pass(1);
    assert_eq!(script.run(), ["prepare a"]);
}

#[test]
fn a_claim_of_two_pods_is_still_watched_for_one_when_the_other_has_given_up() {
    let mut script = script();
    claim(&mut script, "1", None);
    script.pod("a", "1", user());
    script.pod("b", "1", user());
    assert_eq!(script.run(), ["prepare a", "prepare b"]);
    let (conflict, now) = ("changed".to_owned(), script.now);
    script.engine.preparation_failed("b", conflict, now);
    assert_eq!(script.run(), ["b: changed"]);
    claim(&mut script, "2", Some("n1"));
    claim(&mut script, "3", None);
    assert_eq!(
        script.run(),
        ["a: selectedNode annotation reset for PVC \"c\""]
    );
}

#[test]
fn a_pod_that_waits_for_its_claim_on_a_node_that_is_gone_is_tried_elsewhere() {
    let mut script = script();
    claim(&mut script, "1", None);
    script.pod("a", "1", user());
    assert_eq!(script.run(), ["prepare a"]);
    script.node("n2", "4");
    script.engine.remove_node("n1", script.now);
    assert_eq!(
        script.run(),
        ["a: failed to get node \"n1\": node \"n1\" not found"]
    );
    script.pass(1);
    assert_eq!(script.run(), ["prepare a"]);
}
