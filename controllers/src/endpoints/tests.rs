//! Scripts of services and pods in, Endpoints out.

use serde_json::{Value, json};

use super::*;

fn service(spec: Value) -> Service {
    let mut full = json!({"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "ports": [{"name": "web", "port": 80, "targetPort": 8080, "protocol": "TCP"}]});
    full.as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"name": "svc", "namespace": "ns", "labels": {"team": "x"}}, "spec": full})).unwrap()
}

fn pod(number: usize, ready: bool) -> Arc<Pod> {
    let ip = format!("10.1.{}.{}", number / 250, number % 250 + 1);
    let ready = if ready { "True" } else { "False" };
    Arc::new(serde_json::from_value(json!({
        "metadata": {"name": format!("p{number}"), "namespace": "ns", "uid": format!("u{number}")},
        "spec": {"nodeName": "node", "containers": [{"name": "c"}]},
        "status": {"podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": ready}]},
    })).unwrap())
}

fn decide_on(service: &Service, pods: &[Arc<Pod>], current: Option<&Endpoints>) -> Action {
    decide(&Seen {
        service,
        pods,
        current,
        trigger: None,
    })
}

fn created(service: &Service, pods: &[Arc<Pod>]) -> Endpoints {
    match decide_on(service, pods, None) {
        Action::Create(endpoints) => *endpoints,
        other => panic!("no create: {other:?}"),
    }
}

fn address(number: usize) -> Value {
    json!({"ip": format!("10.1.0.{}", number + 1), "nodeName": "node",
        "targetRef": {"kind": "Pod", "namespace": "ns", "name": format!("p{number}"), "uid": format!("u{number}")}})
}

#[test]
fn endpoints_are_named_after_the_service_and_list_ready_and_waiting_addresses() {
    let endpoints = created(&service(json!({})), &[pod(1, false), pod(0, true)]);
    let expected = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "svc", "namespace": "ns", "annotations": {}, "labels": {"team": "x", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}},
        "subsets": [{"addresses": [address(0)], "notReadyAddresses": [address(1)], "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}]}],
    });
    assert_eq!(serde_json::to_value(&endpoints).unwrap(), expected);
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let (service, pods) = (service(json!({})), [pod(0, true), pod(1, false)]);
    let mut current = created(&service, &pods);
    assert_eq!(decide_on(&service, &pods, Some(&current)), Action::Nothing);
    let subset = &mut current.subsets.as_mut().unwrap()[0];
    let split = EndpointSubset {
        addresses: subset.addresses.take(),
        not_ready_addresses: None,
        ports: subset.ports.clone(),
    };
    current.subsets.as_mut().unwrap().push(split);
    assert_eq!(
        decide_on(&service, &pods, Some(&current)),
        Action::Nothing,
        "another way of writing it is the same"
    );
}

#[test]
fn changes_of_pods_and_labels_are_written() {
    let (mut service, pods) = (service(json!({})), [pod(0, true)]);
    let current = created(&service, &pods);
    assert!(
        matches!(decide_on(&service, &[], Some(&current)), Action::Update(new) if new.subsets == Some(Vec::new()))
    );
    service.metadata.labels = None;
    assert!(matches!(
        decide_on(&service, &pods, Some(&current)),
        Action::Update(_)
    ));
}

#[test]
fn ports_that_the_same_pods_offer_share_a_subset() {
    let ports = json!([{"name": "b", "port": 2, "protocol": "TCP"}, {"name": "a", "port": 1, "protocol": "TCP"}]);
    let endpoints = created(
        &service(json!({"ports": ports})),
        &[pod(0, true), pod(1, true)],
    );
    let subsets = endpoints.subsets.unwrap();
    assert_eq!(subsets.len(), 1);
    let names: Vec<_> = subsets[0]
        .ports
        .iter()
        .flatten()
        .map(|port| port.name.clone().unwrap())
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_service_without_ports_lists_addresses_only_if_it_is_headless() {
    let headless = created(
        &service(json!({"clusterIP": "None", "ports": []})),
        &[pod(0, true)],
    );
    assert_eq!(
        headless.subsets,
        serde_json::from_value(json!([{"addresses": [address(0)]}])).unwrap()
    );
    assert_eq!(headless.metadata.labels.unwrap()[services::HEADLESS], "");
    assert_eq!(
        created(&service(json!({"ports": []})), &[pod(0, true)]).subsets,
        Some(Vec::new())
    );
}

#[test]
fn unready_addresses_are_published_if_the_service_says_so() {
    let subsets = created(
        &service(json!({"publishNotReadyAddresses": true})),
        &[pod(0, false)],
    )
    .subsets
    .unwrap();
    assert!(subsets[0].addresses.is_some() && subsets[0].not_ready_addresses.is_none());
}

#[test]
fn more_than_a_thousand_addresses_are_cut_and_the_object_says_so() {
    let cases = [
        (1000, 0, 1000, 0, false),
        (1001, 0, 1000, 0, true),
        (990, 20, 990, 10, true),
        (1500, 20, 1000, 0, true),
    ];
    for (ready, waiting, kept_ready, kept_waiting, cut) in cases {
        let pods: Vec<_> = (0..ready + waiting)
            .map(|number| pod(number, number < ready))
            .collect();
        let service = service(json!({}));
        let endpoints = created(&service, &pods);
        let subsets = endpoints.subsets.as_ref().unwrap();
        let count = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
        assert_eq!(
            (
                count(&subsets[0].addresses),
                count(&subsets[0].not_ready_addresses)
            ),
            (kept_ready, kept_waiting)
        );
        assert_eq!(
            endpoints
                .metadata
                .annotations
                .as_ref()
                .unwrap()
                .contains_key(OVER_CAPACITY),
            cut
        );
        assert_eq!(
            decide_on(&service, &pods, Some(&endpoints)),
            Action::Nothing
        );
    }
}

#[test]
fn cutting_takes_of_every_subset_its_share() {
    let subset = |count: usize| EndpointSubset {
        addresses: Some(
            (0..count)
                .map(|number| EndpointAddress {
                    ip: number.to_string(),
                    ..Default::default()
                })
                .collect(),
        ),
        ..Default::default()
    };
    let mut subsets = [subset(60), subset(30), subset(10)];
    assert!(subsets::truncate(&mut subsets, 50));
    let sizes: Vec<_> = subsets
        .iter()
        .map(|subset| subset.addresses.as_ref().unwrap().len())
        .collect();
    assert_eq!(sizes, [30, 15, 5]);
}

#[test]
fn an_address_that_waits_for_one_port_waits_wherever_the_port_is_listed() {
    let address = json!([{"ip": "1.1.1.1"}]);
    let port = json!([{"port": 80}]);
    let given: Vec<EndpointSubset> = serde_json::from_value(json!([
        {"addresses": address, "ports": port}, {"notReadyAddresses": address, "ports": port},
    ]))
    .unwrap();
    let expected: Vec<EndpointSubset> =
        serde_json::from_value(json!([{"notReadyAddresses": address, "ports": port}])).unwrap();
    assert_eq!(subsets::repack(&given), expected);
}
