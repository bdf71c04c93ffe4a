//! What keeps claims and volumes from going.

use k8s_openapi::api::core::v1::Pod;

use super::*;

#[test]
fn finalizers_protect_claims_in_use_and_volumes_that_are_bound() {
    let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["other", "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"]}});
    let mut model = Model::default();
    model.claim("new", &json!({}));
    model.claim("going", &going);
    model.volume("new", "1Gi", &json!({}));
    model.volume("bound", "1Gi", &json!({"status": {"phase": "Bound"}}));
    model.volume("released", "1Gi", &going);
    let finalizers =
        |patch: Option<Value>| patch.map(|patch| patch["metadata"]["finalizers"].clone());
    let claim =
        |name: &str, is_used: bool| finalizers(protection::of_claim(&model.claims[name], is_used));
    assert_eq!(
        claim("new", true),
        Some(json!(["kubernetes.io/pvc-protection"]))
    );
    assert_eq!(claim("going", true), None);
    assert_eq!(
        claim("going", false),
        Some(json!(["other", "kubernetes.io/pv-protection"]))
    );
    let mut going_bound = (*model.volumes["released"]).clone();
    going_bound.status.as_mut().unwrap().phase = Some("Bound".into());
    assert_eq!(
        finalizers(protection::of_volume(&model.volumes["new"])),
        Some(json!(["kubernetes.io/pv-protection"]))
    );
    assert_eq!(
        finalizers(protection::of_volume(&model.volumes["released"])),
        Some(json!(["other", "kubernetes.io/pvc-protection"]))
    );
    assert_eq!(finalizers(protection::of_volume(&going_bound)), None);
}

#[test]
fn a_claim_is_used_by_pods_that_have_a_node_and_mount_it() {
    let mut model = Model::default();
    model.claim("p-scratch", &json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p-uid", "controller": true}]}}));
    let claim = &model.claims["p-scratch"];
    let mount = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "p-scratch"}}]);
    let scratch = json!([{"name": "scratch", "ephemeral": {}}]);
    let shut_down =
        json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0});
    let cases = [
        (json!({"spec": {"nodeName": "n", "volumes": mount}}), true),
        (json!({"spec": {"volumes": mount}}), false),
        (json!({"spec": {"nodeName": "n"}}), false),
        (json!({"spec": {"nodeName": "n", "volumes": scratch}}), true),
        (
            json!({"spec": {"nodeName": "n", "volumes": scratch}, "metadata": {"uid": "other"}}),
            false,
        ),
        (
            json!({"spec": {"nodeName": "n", "volumes": scratch}, "metadata": shut_down}),
            false,
        ),
        (
            json!({"spec": {"nodeName": "n", "volumes": mount}, "metadata": shut_down}),
            true,
        ),
    ];
    for (changes, expected) in cases {
        let pod: Arc<Pod> = with(
            json!({"metadata": {"name": "p", "namespace": "ns", "uid": "p-uid"}, "spec": {"containers": []}}),
            &changes,
        );
        assert_eq!(protection::is_used_by(&pod, claim), expected, "{changes}");
        assert!(
            protection::claims_of(&pod)
                .iter()
                .all(|name| name == "p-scratch")
        );
    }
}
