//! How a StatefulSet renews its pods.

use serde_json::{Value, json};

use super::{Model, revision};
use crate::statefulset::identity;

#[test]
fn an_update_renews_the_pods_from_the_end_and_waits_for_each() {
    let mut model = Model::of(json!({}));
    model.run();
    model.update = revision("two");
    assert_eq!(model.turn(), ["delete web-2"]);
    assert_eq!(model.status().current_replicas, Some(2));
    assert_eq!(model.turn(), ["create web-2"]);
    assert_eq!(model.turn(), [""; 0]);
    model.up("web-2");
    assert_eq!(model.turn(), ["delete web-1"]);
    assert_eq!(
        model.run(),
        ["create web-1", "delete web-0", "create web-0"]
    );
    let status = model.status();
    assert_eq!(
        (
            status.current_revision.as_deref(),
            status.update_revision.as_deref()
        ),
        (Some("two"), Some("two"))
    );
    assert_eq!(
        (status.current_replicas, status.updated_replicas),
        (Some(3), Some(3))
    );
}

#[test]
fn pods_below_the_partition_keep_their_revision_even_when_they_are_made_again() {
    let mut model = Model::of(
        json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}),
    );
    model.run();
    model.update = revision("two");
    assert_eq!(model.run(), ["delete web-2", "create web-2"]);
    model
        .pods
        .retain(|pod| pod.metadata.name.as_deref() == Some("web-0"));
    model.run();
    let revisions: Vec<_> = model
        .pods
        .iter()
        .map(|pod| identity::revision(pod))
        .collect();
    assert_eq!(revisions, ["one", "one", "two"]);
    let status = model.status();
    assert_eq!(
        (status.current_revision.as_deref(), status.current_replicas),
        (Some("one"), Some(2))
    );
    assert_eq!(
        (status.update_revision.as_deref(), status.updated_replicas),
        (Some("two"), Some(1))
    );
}

#[test]
fn as_many_pods_are_renewed_at_once_as_may_be_unavailable() {
    let rolling = |most: Value| json!({"replicas": 5, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most}}});
    for (most, expected) in [
        (json!(2), 2),
        (json!("50%"), 2),
        (json!("10%"), 1),
        (json!(9), 5),
    ] {
        let mut model = Model::of(rolling(most.clone()));
        model.run();
        model.update = revision("two");
        assert_eq!(model.turn().len(), expected, "{most}");
    }
    let mut model = Model::of(rolling(json!(2)));
    model.run();
    model.update = revision("two");
    model.phase("web-1", "Running");
    assert_eq!(
        model.turn(),
        [""; 0],
        "an ordered set first waits for the pod that is not ready"
    );
}

#[test]
fn with_on_delete_only_a_pod_that_a_user_deletes_is_renewed() {
    let mut model = Model::of(json!({"updateStrategy": {"type": "OnDelete"}}));
    model.run();
    model.update = revision("two");
    assert_eq!(model.turn(), [""; 0]);
    model
        .pods
        .retain(|pod| pod.metadata.name.as_deref() != Some("web-1"));
    assert_eq!(model.run(), ["create web-1"]);
    let renewed = model
        .pods
        .iter()
        .find(|pod| pod.metadata.name.as_deref() == Some("web-1"))
        .unwrap();
    assert_eq!(identity::revision(renewed), "two");
}
