//! Claims whose class says how volumes are made for them.

use super::*;

#[test]
fn a_claim_that_waits_for_its_pod_gets_a_volume_on_the_pods_node() {
    let mut model = Model::default();
    model.class(
        "local",
        local_path::PROVISIONER_NAME,
        "WaitForFirstConsumer",
    );
    model.claim("c", &json!({"spec": {"storageClassName": "local"}}));
    model.settle();
    model.waiting_pods = vec!["p".into()];
    model.settle();
    assert_eq!(
        (model.state("c"), model.told.as_slice()),
        (
            ("Pending", ""),
            [
                "WaitForFirstConsumer".to_owned(),
                "WaitForPodScheduled".to_owned()
            ]
            .as_slice()
        )
    );
    let node = json!({"metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "host1"}}});
    model
        .nodes
        .insert("n1".into(), serde_json::from_value(node).unwrap());
    model.claim("c", &json!({"spec": {"storageClassName": "local"}, "metadata": {"annotations": {SELECTED_NODE: "n1"}}}));
    model.settle();
    assert_eq!(
        (model.state("c"), model.phase("pvc-c-uid")),
        (("Bound", "pvc-c-uid"), "Bound")
    );
    let expected = json!({
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"}, "persistentVolumeReclaimPolicy": "Delete",
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "ns", "name": "c", "uid": "c-uid", "resourceVersion": "1"},
        "hostPath": {"path": "/var/lib/mainstay/local-path/pvc-c-uid_ns_c", "type": "DirectoryOrCreate"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["host1"]}]}]}},
        "storageClassName": "local", "volumeMode": "Filesystem",
    });
    assert_eq!(
        serde_json::to_value(model.volumes["pvc-c-uid"].spec.as_ref().unwrap()).unwrap(),
        expected
    );
    model.claims.clear();
    model.settle();
    assert!(model.volumes.is_empty(), "the volume goes with its claim");
}

#[test]
fn a_volume_is_not_made_without_a_node_and_a_chosen_node_that_is_gone_is_chosen_anew() {
    let mut model = Model::default();
    model.class("local", local_path::PROVISIONER_NAME, "Immediate");
    model.claim("c", &json!({"spec": {"storageClassName": "local"}}));
    model.settle();
    assert_eq!(
        (model.volumes.len(), model.told.as_slice()),
        (0, ["ProvisioningFailed".to_owned()].as_slice())
    );
    model.claim("c", &json!({"spec": {"storageClassName": "local"}, "metadata": {"annotations": {SELECTED_NODE: "gone"}}}));
    model.settle();
    assert_eq!(claims::selected_node(&model.claims["c"]), None);
}

#[test]
fn other_provisioners_are_asked_by_annotation() {
    let mut model = Model::default();
    model.class("csi", "csi.example", "Immediate");
    model.claim("c", &json!({"spec": {"storageClassName": "csi"}}));
    model.claim(
        "unknown",
        &json!({"spec": {"storageClassName": "nonsense"}}),
    );
    model.settle();
    assert_eq!(
        annotation(&model.claims["c"].metadata, PROVISIONER),
        Some("csi.example")
    );
    assert_eq!(
        annotation(&model.claims["c"].metadata, PROVISIONER_BETA),
        Some("csi.example")
    );
    assert_eq!(model.told, ["ExternalProvisioning", "ProvisioningFailed"]);
}

#[test]
fn a_claim_without_a_class_gets_the_newest_default() {
    let mut model = Model::default();
    for (name, day) in [("old", 1), ("new", 2)] {
        let metadata = json!({"name": name, "creationTimestamp": format!("2026-01-0{day}T00:00:00Z"), "annotations": {DEFAULT_CLASS: "true"}});
        model.classes.push(with(
            json!({"metadata": metadata, "provisioner": "csi.example"}),
            &json!({}),
        ));
    }
    model.claim("open", &json!({"spec": {"storageClassName": null}}));
    model.claim("none", &json!({}));
    model.settle();
    let class = |name: &str| {
        model.claims[name]
            .spec
            .as_ref()
            .unwrap()
            .storage_class_name
            .clone()
            .unwrap()
    };
    assert_eq!(
        (class("open"), class("none")),
        ("new".to_owned(), String::new())
    );
}
