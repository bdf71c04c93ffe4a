//! How far the claims of a pod are that has a node.

use super::*;

fn name() -> Name {
    ("default".into(), "c".into())
}

/// The volume `v`, which had version 1 when it was chosen.
fn binds() -> Option<Preparation> {
    Some(Preparation::BindVolume {
        claim: name(),
        volume: "v".into(),
        version: "1".into(),
    })
}

/// A volume near node `a`, for the claim that had version 1 when that was decided.
fn makes() -> Option<Preparation> {
    Some(Preparation::Provision {
        claim: name(),
        node: "a".into(),
        version: "1".into(),
    })
}

/// How far a pod on node `a` is that uses the claim `c`.
fn progress(list: &[Value], prepared: Option<Preparation>) -> Progress {
    let mut world = world(list);
    let prepared = prepared.map(|prepared| (name(), prepared));
    world.snapshot.objects.prepared.extend(prepared);
    VolumeBinding.pre_bind(&using(&world, &["c"]), &world.snapshot.objects, "a")
}

fn failed(words: &str) -> Progress {
    Progress::Failed(words.to_owned().into())
}

/// The claim `c` in a version, and the node that it selects.
fn made(version: &str, selected: Option<&str>) -> Value {
    let version = [("/metadata/resourceVersion", json!(version))];
    let claim = with(claim("c", "made", "1"), &version);
    match selected {
        Some(node) => {
            let annotations = json!({"volume.kubernetes.io/selected-node": node});
            with(claim, &[("/metadata/annotations", annotations)])
        }
        None => claim,
    }
}

#[test]
fn a_pod_is_bound_once_all_its_claims_are() {
    assert_eq!(progress(&[bound("c", "v")], None), Progress::Ready);
    assert_eq!(
        progress(&[], makes()),
        failed("persistentvolumeclaim \"c\" not found")
    );
}

#[test]
fn a_volume_that_is_to_be_made_is_waited_for_until_its_provisioner_gives_the_claim_back() {
    let reset = "selectedNode annotation reset for PVC \"c\"";
    let cases = [
        // The request is not seen yet.
        (made("1", None), Progress::Waiting),
        (made("2", Some("a")), Progress::Waiting),
        (made("3", None), failed(reset)),
        (
            made("3", Some("b")),
            failed("provisioning failed for PVC \"c\""),
        ),
    ];
    for (claim, expected) in cases {
        assert_eq!(
            progress(std::slice::from_ref(&claim), makes()),
            expected,
            "{claim}"
        );
    }
}

#[test]
fn a_volume_that_is_to_be_bound_is_waited_for_until_it_is_not_kept_for_the_claim() {
    let reset = || failed("ClaimRef got reset for pv \"v\"");
    let kept = json!({"namespace": "default", "name": "c"});
    let bound = json!({"namespace": "default", "name": "c", "uid": "c"});
    let taken = json!({"namespace": "default", "name": "d"});
    let cases = [
        // The binding is not seen yet.
        ("1", Value::Null, Progress::Waiting),
        ("1", kept.clone(), Progress::Waiting),
        ("2", bound, Progress::Waiting),
        ("1", taken, reset()),
        ("3", Value::Null, reset()),
        // What is kept by name alone was so before, or is so again.
        ("3", kept, reset()),
    ];
    for (version, reference, expected) in cases {
        let fields = [
            ("/metadata/resourceVersion", json!(version)),
            ("/spec/claimRef", reference.clone()),
        ];
        let list = [
            claim("c", "waits", "1"),
            with(volume("v", "", "1"), &fields),
        ];
        assert_eq!(progress(&list, binds()), expected, "{version} {reference}");
    }
}
