//! What `VolumeBinding` says of nodes and claims, in tables of cases.

mod progress;

use serde_json::{Value, json};

use super::*;
use crate::plugins::{storage::tests::objects, testing::World};

const NODE_CONFLICT: &str = "!node(s) didn't match PersistentVolume's node affinity";
const BIND_CONFLICT: &str = "!node(s) didn't find available persistent volumes to bind";
const NOT_ENOUGH_SPACE: &str = "!node(s) did not have enough free storage";
const VOLUME_MISSING: &str =
    "!node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// Nodes `a` of zone 1 and `b` of zone 2.
fn world(list: &[Value]) -> World {
    let mut world = World::of(&[
        json!({"name": "a", "labels": {"zone": "1"}}),
        json!({"name": "b", "labels": {"zone": "2"}}),
    ]);
    let mut all = vec![
        json!({"kind": "StorageClass", "metadata": {"name": "waits"},
            "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}),
        json!({"kind": "StorageClass", "metadata": {"name": "made"},
            "provisioner": "driver", "volumeBindingMode": "WaitForFirstConsumer"}),
        json!({"kind": "StorageClass", "metadata": {"name": "made-in-1"},
            "provisioner": "driver", "volumeBindingMode": "WaitForFirstConsumer",
            "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["1"]}]}]}),
        json!({"kind": "StorageClass", "metadata": {"name": "immediate"},
            "provisioner": "driver", "volumeBindingMode": "Immediate"}),
    ];
    all.extend_from_slice(list);
    world.snapshot.objects = objects(&all);
    world
}

fn volume(name: &str, zone: &str, size: &str) -> Value {
    let mut volume = json!({
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {"of": name}},
        "spec": {"storageClassName": "waits", "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Available"},
    });
    if !zone.is_empty() {
        volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]},
        ]}});
    }
    volume
}

fn claim(name: &str, class: &str, size: &str) -> Value {
    json!({
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": "default", "name": name, "uid": name},
        "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}}},
    })
}

fn bound(name: &str, volume: &str) -> Value {
    let mut claim = claim(name, "waits", "1");
    claim["metadata"]["annotations"] = json!({"pv.kubernetes.io/bind-completed": "yes"});
    claim["spec"]["volumeName"] = json!(volume);
    claim
}

/// The same with some fields set, by pointer.
fn with(mut object: Value, fields: &[(&str, Value)]) -> Value {
    for (pointer, value) in fields {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    object
}

fn using(world: &World, claims: &[&str]) -> PodView {
    let volume =
        |claim: &&str| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}});
    let volumes: Vec<Value> = claims.iter().map(volume).collect();
    world.pod(&json!({"spec": {"volumes": volumes}}))
}

#[test]
fn a_pod_goes_where_its_bound_volumes_are() {
    let cases = [
        (vec![bound("c", "v1")], ["", NODE_CONFLICT]),
        (vec![bound("c", "v")], ["", ""]),
        (vec![bound("c", "gone")], [VOLUME_MISSING, VOLUME_MISSING]),
        (
            vec![bound("c", "v1"), bound("d", "v2")],
            [NODE_CONFLICT, NODE_CONFLICT],
        ),
    ];
    for (claims, expected) in cases {
        let mut all = vec![
            volume("v", "", "1"),
            volume("v1", "1", "1"),
            volume("v2", "2", "1"),
        ];
        all.extend_from_slice(&claims);
        let world = world(&all);
        let names: Vec<&str> = claims
            .iter()
            .map(|claim| claim["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            world.judge(&VolumeBinding, &using(&world, &names)),
            expected,
            "{claims:?}"
        );
    }
}

#[test]
fn a_pod_whose_claims_are_not_ready_waits() {
    let list = [
        claim("immediate", "immediate", "1"),
        claim("classless", "", "1"),
        claim("unknown", "unknown", "1"),
        with(
            claim("prebound", "waits", "1"),
            &[("/spec/volumeName", json!("v"))],
        ),
        with(
            claim("lost", "waits", "1"),
            &[
                ("/status", json!({"phase": "Lost"})),
                ("/spec/volumeName", json!("v")),
            ],
        ),
        with(
            claim("leaving", "waits", "1"),
            &[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))],
        ),
    ];
    let world = world(&list);
    let unbound = "!pod has unbound immediate PersistentVolumeClaims";
    let cases = [
        ("immediate", unbound),
        ("classless", unbound),
        ("unknown", unbound),
        ("prebound", unbound),
        (
            "lost",
            "!persistentvolumeclaim \"lost\" bound to non-existent persistentvolume \"v\"",
        ),
        (
            "leaving",
            "!persistentvolumeclaim \"leaving\" is being deleted",
        ),
        ("missing", "!persistentvolumeclaim \"missing\" not found"),
    ];
    for (claim, expected) in cases {
        assert_eq!(
            world.judge(&VolumeBinding, &using(&world, &[claim])),
            [expected]
        );
    }
    let ephemeral = json!({"name": "p", "spec": {"volumes": [{"name": "v", "ephemeral": {}}]}});
    let words =
        "!waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-v\"";
    assert_eq!(world.judge(&VolumeBinding, &world.pod(&ephemeral)), [words]);
}

#[test]
fn an_ephemeral_claim_must_have_been_made_for_the_pod() {
    let owned = |uid: &str| {
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": true}]);
        with(bound("p-v", "v"), &[("/metadata/ownerReferences", owner)])
    };
    let ephemeral = json!({"name": "p", "spec": {"volumes": [{"name": "v", "ephemeral": {}}]}});
    let own = world(&[owned("p"), volume("v", "1", "1")]);
    assert_eq!(
        own.judge(&VolumeBinding, &own.pod(&ephemeral)),
        ["", NODE_CONFLICT]
    );
    let other = world(&[owned("q"), volume("v", "1", "1")]);
    let words = "!PVC default/p-v was not created for pod default/p (pod is not owner)";
    assert_eq!(other.judge(&VolumeBinding, &other.pod(&ephemeral)), [words]);
}

fn reserve(world: &World, pod: &PodView, node: &str) -> Vec<String> {
    match VolumeBinding.reserve(pod, &world.snapshot, world.index(node)) {
        Reserve::Rejected(reasons) => reasons.iter().map(ToString::to_string).collect(),
        Reserve::Granted(list) => list
            .iter()
            .map(|preparation| match preparation {
                Preparation::BindVolume { claim, volume, .. } => format!("{} = {volume}", claim.1),
                Preparation::Provision { claim, node, .. } => format!("{} @ {node}", claim.1),
            })
            .collect(),
    }
}

/// What a claim `c` for 2 GiB gets on node `a` of these volumes.
fn chosen(volumes: &[Value]) -> String {
    let mut all = volumes.to_vec();
    all.push(claim("c", "waits", "2Gi"));
    let world = world(&all);
    let pod = using(&world, &["c"]);
    let reserved = reserve(&world, &pod, "a").join(", ");
    let judged = world.judge(&VolumeBinding, &pod).remove(0);
    assert_eq!(
        judged.is_empty(),
        reserved.starts_with("c = "),
        "{judged} {reserved}"
    );
    reserved
}

#[test]
fn the_smallest_volume_that_fits_is_chosen() {
    let list = [
        volume("large", "1", "9Gi"),
        volume("small", "1", "2Gi"),
        volume("far", "2", "2Gi"),
        volume("tiny", "1", "1Gi"),
    ];
    assert_eq!(chosen(&list), "c = small");
}

#[test]
fn a_volume_must_be_what_the_claim_asks_for() {
    let kept = json!({"namespace": "default", "name": "d"});
    let kept_before = json!({"namespace": "default", "name": "c", "uid": "another"});
    let cases = [
        ("/spec/capacity/storage", json!("1Gi")),
        ("/spec/volumeMode", json!("Block")),
        ("/status/phase", json!("Released")),
        ("/spec/storageClassName", json!("other")),
        ("/spec/accessModes", json!(["ReadOnlyMany"])),
        ("/spec/volumeAttributesClassName", json!("gold")),
        ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ("/spec/claimRef", kept),
        ("/spec/claimRef", kept_before),
    ];
    assert_eq!(chosen(&[volume("v", "1", "2Gi")]), "c = v");
    for field in cases {
        let other = with(volume("v", "1", "2Gi"), std::slice::from_ref(&field));
        assert_eq!(
            chosen(&[other]),
            BIND_CONFLICT.trim_start_matches('!'),
            "{field:?}"
        );
    }
}

#[test]
fn a_volume_that_is_kept_for_the_claim_is_the_only_one() {
    let kept = |zone: &str| {
        let reference = json!({"namespace": "default", "name": "c", "uid": "c"});
        let fields = [
            ("/spec/claimRef", reference),
            ("/status/phase", json!("Bound")),
        ];
        with(volume("kept", zone, "9Gi"), &fields)
    };
    assert_eq!(
        chosen(&[volume("small", "1", "2Gi"), kept("1")]),
        "c = kept"
    );
    let list = [volume("small", "1", "2Gi"), kept("2")];
    assert_eq!(chosen(&list), BIND_CONFLICT.trim_start_matches('!'));
}

#[test]
fn claims_share_out_volumes_with_the_smallest_first() {
    let selecting = with(
        claim("selects", "waits", "1Gi"),
        &[("/spec/selector", json!({"matchLabels": {"of": "v3"}}))],
    );
    let world = world(&[
        volume("v2", "1", "2Gi"),
        volume("v3", "1", "3Gi"),
        claim("large", "waits", "2Gi"),
        claim("small", "waits", "1Gi"),
        selecting,
    ]);
    let both = using(&world, &["large", "small"]);
    assert_eq!(world.judge(&VolumeBinding, &both), ["", BIND_CONFLICT]);
    assert_eq!(reserve(&world, &both, "a"), ["small = v2", "large = v3"]);
    let three = using(&world, &["large", "small", "selects"]);
    assert_eq!(
        world.judge(&VolumeBinding, &three),
        [BIND_CONFLICT, BIND_CONFLICT]
    );
    assert_eq!(
        reserve(&world, &using(&world, &["selects"]), "a"),
        ["selects = v3"]
    );
}

#[test]
fn a_claim_without_a_volume_has_one_made_where_its_class_does_so() {
    let selected = with(
        claim("selected", "made", "1"),
        &[(
            "/metadata/annotations",
            json!({"volume.kubernetes.io/selected-node": "b"}),
        )],
    );
    let world = world(&[
        claim("any", "made", "1"),
        claim("one", "made-in-1", "1"),
        selected,
    ]);
    let cases = [
        ("any", ["", ""], "a", ["any @ a"]),
        ("one", ["", BIND_CONFLICT], "a", ["one @ a"]),
        ("selected", [BIND_CONFLICT, ""], "b", ["selected @ b"]),
    ];
    for (claim, expected, node, prepared) in cases {
        let pod = using(&world, &[claim]);
        assert_eq!(world.judge(&VolumeBinding, &pod), expected, "{claim}");
        assert_eq!(reserve(&world, &pod, node), prepared, "{claim}");
    }
}

#[test]
fn a_volume_is_made_only_where_its_driver_has_room() {
    let capacity = |name: &str, zone: &str, size: &str| {
        json!({"kind": "CSIStorageCapacity", "metadata": {"namespace": "default", "name": name},
            "storageClassName": "made", "capacity": size,
            "nodeTopology": {"matchLabels": {"zone": zone}}})
    };
    let driver = |tells: bool| json!({"kind": "CSIDriver", "metadata": {"name": "driver"}, "spec": {"storageCapacity": tells}});
    let capacities = [capacity("one", "1", "10Gi"), capacity("two", "2", "3Gi")];
    let largest = with(
        capacities[0].clone(),
        &[("/maximumVolumeSize", json!("4Gi"))],
    );
    let cases = [
        (driver(true), capacities.to_vec(), "3Gi", ["", ""]),
        (
            driver(true),
            capacities.to_vec(),
            "5Gi",
            ["", NOT_ENOUGH_SPACE],
        ),
        (
            driver(true),
            capacities.to_vec(),
            "11Gi",
            [NOT_ENOUGH_SPACE, NOT_ENOUGH_SPACE],
        ),
        (
            driver(true),
            vec![largest],
            "5Gi",
            [NOT_ENOUGH_SPACE, NOT_ENOUGH_SPACE],
        ),
        (
            driver(true),
            vec![],
            "1Gi",
            [NOT_ENOUGH_SPACE, NOT_ENOUGH_SPACE],
        ),
        (driver(false), vec![], "1Gi", ["", ""]),
    ];
    for (driver, capacities, size, expected) in cases {
        let mut all = capacities.clone();
        all.extend([driver, claim("c", "made", size)]);
        let world = world(&all);
        let found = world.judge(&VolumeBinding, &using(&world, &["c"]));
        assert_eq!(found, expected, "{size} of {capacities:?}");
    }
}

#[test]
fn what_was_prepared_for_pods_before_is_as_if_it_were_done() {
    let mut world = world(&[
        volume("v2", "1", "2Gi"),
        volume("v3", "1", "3Gi"),
        claim("c", "waits", "1Gi"),
        claim("d", "waits", "1Gi"),
        claim("made", "made", "1Gi"),
    ]);
    let name = |name: &str| -> Name { ("default".into(), name.into()) };
    let binds = Preparation::BindVolume {
        claim: name("d"),
        volume: "v2".into(),
        version: "".into(),
    };
    let provisions = Preparation::Provision {
        claim: name("made"),
        node: "b".into(),
        version: "".into(),
    };
    world.snapshot.objects.prepared.insert(name("d"), binds);
    world
        .snapshot
        .objects
        .prepared
        .insert(name("made"), provisions);
    assert_eq!(reserve(&world, &using(&world, &["c"]), "a"), ["c = v3"]);
    assert_eq!(reserve(&world, &using(&world, &["d"]), "a"), ["d = v2"]);
    let made = using(&world, &["made"]);
    assert_eq!(world.judge(&VolumeBinding, &made), [BIND_CONFLICT, ""]);
}

#[test]
fn events_of_other_claims_do_not_help() {
    let world = world(&[]);
    let pod = using(&world, &["c"]);
    let helps = |namespace: &str, name: &str| {
        let event = ClusterEvent::Object {
            kind: EventKinds::CLAIM,
            namespace,
            name,
        };
        VolumeBinding.may_help(&pod, &event, &world.snapshot)
    };
    assert!(helps("default", "c"));
    assert!(!helps("default", "d"));
    assert!(!helps("other", "c"));
}
