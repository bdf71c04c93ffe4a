//! Scripts of Endpoints and slices in, writes out.

use serde_json::{Value, json};

use super::*;

fn endpoints(subsets: Value) -> Endpoints {
    serde_json::from_value(json!({
        "metadata": {"name": "svc", "namespace": "ns", "uid": "ep-uid", "labels": {"team": "x"},
            "annotations": {"kept": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "subsets": subsets,
    }))
    .unwrap()
}

fn named(slices: Vec<EndpointSlice>) -> Vec<Arc<EndpointSlice>> {
    let named = slices.into_iter().enumerate().map(|(number, mut slice)| {
        slice.metadata.name = Some(format!("svc-{number}"));
        Arc::new(slice)
    });
    named.collect()
}

#[test]
fn addresses_are_mirrored_by_family_with_labels_annotations_and_owner() {
    let given = endpoints(json!([{
        "addresses": [{"ip": "1.1.1.1", "hostname": "h", "nodeName": "n"}, {"ip": "fd00::1"}],
        "notReadyAddresses": [{"ip": "2.2.2.2"}],
        "ports": [{"name": "web", "port": 80, "protocol": "TCP"}],
    }]));
    let plan = decide(&given, &[]).plan;
    let expected = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["1.1.1.1"], "conditions": {"ready": true}, "hostname": "h", "nodeName": "n"},
            {"addresses": ["2.2.2.2"], "conditions": {"ready": false}},
        ],
        "metadata": {
            "generateName": "svc-", "namespace": "ns", "annotations": {"kept": "1"},
            "labels": {"team": "x", "kubernetes.io/service-name": "svc", "endpointslice.kubernetes.io/managed-by": MANAGER},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Endpoints", "name": "svc", "uid": "ep-uid", "controller": true, "blockOwnerDeletion": true}],
        },
        "ports": [{"name": "web", "port": 80, "protocol": "TCP"}],
    });
    assert_eq!(serde_json::to_value(&plan.create[0]).unwrap(), expected);
    assert_eq!(
        plan.create[1].endpoints.as_ref().unwrap()[0].addresses,
        ["fd00::1"]
    );
    assert!(
        decide(&given, &named(plan.create)).plan.is_empty(),
        "mirrored once, nothing is left to do"
    );
}

#[test]
fn changes_are_written_into_the_slice_that_is_there() {
    let one = |ip: &str, port: i32| {
        endpoints(json!([{"addresses": [{"ip": ip}], "ports": [{"port": port}]}]))
    };
    let slices = named(decide(&one("1.1.1.1", 80), &[]).plan.create);
    for (case, changed) in [
        ("address", one("1.1.1.2", 80)),
        ("port", one("1.1.1.1", 81)),
    ] {
        let plan = decide(&changed, &slices).plan;
        assert_eq!(
            (plan.create.len(), plan.update.len(), plan.delete.len()),
            (0, 1, 0),
            "{case}"
        );
        assert_eq!(plan.update[0].1.metadata.name.as_deref(), Some("svc-0"));
    }
    let plan = decide(&endpoints(json!([])), &slices).plan;
    assert_eq!(
        (plan.create.len(), plan.update.len(), plan.delete.len()),
        (0, 0, 1)
    );
}

#[test]
fn what_cannot_be_mirrored_is_told() {
    let many: Vec<_> = (0..1002)
        .map(|number| json!({"ip": format!("10.0.{}.{}", number / 250, number % 250)}))
        .collect();
    let cases = [
        (
            json!([{"addresses": [{"ip": "nonsense"}]}]),
            "Skipped 1 invalid IP addresses when mirroring to EndpointSlices",
        ),
        (
            json!([{"addresses": many}]),
            "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 2 addresses were skipped",
        ),
    ];
    for (subsets, message) in cases {
        let events = decide(&endpoints(subsets), &[]).events;
        assert_eq!(
            events
                .iter()
                .map(|event| event.message.as_str())
                .collect::<Vec<_>>(),
            [message]
        );
    }
}

#[test]
fn only_endpoints_of_a_service_without_selector_are_mirrored() {
    let service = |spec: Value| serde_json::from_value::<Service>(json!({"spec": spec})).unwrap();
    let plain = endpoints(json!([]));
    let mut skipped = plain.clone();
    skipped.metadata.labels = Some(BTreeMap::from([(
        SKIP_MIRROR.to_owned(),
        "true".to_owned(),
    )]));
    let mut lock = plain.clone();
    lock.metadata.annotations = Some(BTreeMap::from([(LEADER.to_owned(), String::new())]));
    let free = service(json!({}));
    let cases = [
        (&plain, Some(&free), true),
        (&plain, None, false),
        (
            &plain,
            Some(&service(json!({"selector": {"app": "a"}}))),
            false,
        ),
        (&skipped, Some(&free), false),
        (&lock, Some(&free), false),
    ];
    for (given, service, expected) in cases {
        assert_eq!(
            is_mirrored(given, service),
            expected,
            "{:?}",
            given.metadata
        );
    }
}
