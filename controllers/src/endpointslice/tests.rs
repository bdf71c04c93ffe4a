//! Scripts of services, pods and slices in, writes out; and histories that come to rest.

use proptest::prelude::{Strategy, prop, proptest};
use serde_json::{Value, json};

use super::*;

fn service(spec: Value) -> Service {
    let mut full = json!({"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "selector": {"app": "a"},
        "ports": [{"name": "web", "port": 80, "targetPort": 8080, "protocol": "TCP"}]});
    full.as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    let metadata =
        json!({"name": "svc", "namespace": "ns", "uid": "svc-uid", "labels": {"team": "x"}});
    serde_json::from_value(json!({"metadata": metadata, "spec": full})).unwrap()
}

fn pod(number: usize, changes: Value) -> Arc<Pod> {
    let ip = format!("10.1.{}.{}", number / 250, number % 250 + 1);
    let mut pod = json!({
        "metadata": {"name": format!("pod-{number:04}"), "namespace": "ns", "uid": format!("uid-{number}"), "labels": {"app": "a"}},
        "spec": {"nodeName": "node", "containers": [{"name": "c"}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]},
    });
    for (section, fields) in changes.as_object().unwrap() {
        pod[section]
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn pods_of(count: usize) -> Vec<Arc<Pod>> {
    (0..count).map(|number| pod(number, json!({}))).collect()
}

/// A model of the apiserver's slices.
#[derive(Default)]
struct Model {
    slices: Vec<Arc<EndpointSlice>>,
    names: usize,
}

impl Model {
    fn plan(&self, service: &Service, pods: &[Arc<Pod>]) -> Plan {
        let node: Node = serde_json::from_value(
            json!({"metadata": {"name": "node", "labels": {"topology.kubernetes.io/zone": "z1"}}}),
        )
        .unwrap();
        let nodes = BTreeMap::from([("node".to_owned(), Arc::new(node))]);
        decide(&Seen {
            service,
            pods,
            nodes: &nodes,
            slices: &self.slices,
            trigger: None,
        })
    }

    fn carry_out(&mut self, plan: Plan) {
        for mut slice in plan.create {
            self.names += 1;
            slice.metadata.name = Some(format!("svc-{}", self.names));
            self.slices.push(Arc::new(slice));
        }
        for (old, new) in plan.update {
            let place = self
                .slices
                .iter()
                .position(|slice| slice.metadata.name == old.metadata.name);
            self.slices[place.expect("what is updated is there")] = Arc::new(new);
        }
        for old in plan.delete {
            self.slices
                .retain(|slice| slice.metadata.name != old.metadata.name);
        }
    }

    /// Syncs once, and checks that nothing is left to do.
    fn sync(&mut self, service: &Service, pods: &[Arc<Pod>]) -> Plan {
        let plan = self.plan(service, pods);
        self.carry_out(plan.clone());
        let rest = self.plan(service, pods);
        assert!(
            rest.is_empty(),
            "after a sync nothing is left to do: {rest:?}"
        );
        plan
    }

    fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> = self
            .slices
            .iter()
            .map(|slice| slice.endpoints.as_ref().map_or(0, Vec::len))
            .collect();
        sizes.sort_unstable();
        sizes
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        self.slices
            .iter()
            .flat_map(|slice| slice.endpoints.iter().flatten().cloned())
            .collect()
    }
}

fn counts(plan: &Plan) -> (usize, usize, usize) {
    (plan.create.len(), plan.update.len(), plan.delete.len())
}

#[test]
fn a_service_without_pods_keeps_one_empty_slice_with_the_services_labels() {
    let mut model = Model::default();
    model.sync(&service(json!({})), &[]);
    let expected = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [], "ports": [],
        "metadata": {
            "generateName": "svc-", "name": "svc-1", "namespace": "ns",
            "labels": {"team": "x", "kubernetes.io/service-name": "svc", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "svc", "uid": "svc-uid", "controller": true, "blockOwnerDeletion": true}],
        },
    });
    assert_eq!(serde_json::to_value(&*model.slices[0]).unwrap(), expected);
}

#[test]
fn the_first_pod_turns_the_empty_slice_into_its_own_and_the_last_leaves_it_empty() {
    let (service, mut model) = (service(json!({})), Model::default());
    model.sync(&service, &[]);
    assert_eq!(counts(&model.sync(&service, &pods_of(1))), (0, 1, 0));
    assert_eq!(model.slices[0].ports.as_ref().unwrap()[0].port, Some(8080));
    assert_eq!(counts(&model.sync(&service, &[])), (0, 1, 0));
    assert_eq!(model.sizes(), [0]);
}

#[test]
fn an_endpoint_says_who_it_is_where_it_is_and_whether_it_is_ready() {
    let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    let unready = json!({"conditions": [{"type": "Ready", "status": "False"}]});
    let cases = [
        (json!({}), json!({}), (true, true, false)),
        (json!({}), json!({"status": unready}), (false, false, false)),
        (json!({}), json!({"metadata": deleted}), (false, true, true)),
        (
            json!({"publishNotReadyAddresses": true}),
            json!({"metadata": deleted, "status": unready}),
            (true, false, true),
        ),
    ];
    for (spec, changes, (ready, serving, terminating)) in cases {
        let mut model = Model::default();
        model.sync(&service(spec), &[pod(0, changes)]);
        let expected = json!({
            "addresses": ["10.1.0.1"], "nodeName": "node", "zone": "z1",
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
            "targetRef": {"kind": "Pod", "namespace": "ns", "name": "pod-0000", "uid": "uid-0"},
        });
        assert_eq!(
            serde_json::to_value(&model.endpoints()[0]).unwrap(),
            expected
        );
    }
}

#[test]
fn a_headless_service_says_so_and_gives_pods_of_its_domain_their_hostname() {
    let headless = service(json!({"clusterIP": "None", "ports": []}));
    let mut model = Model::default();
    model.sync(
        &headless,
        &[
            pod(0, json!({"spec": {"hostname": "h", "subdomain": "svc"}})),
            pod(1, json!({"spec": {"hostname": "h"}})),
        ],
    );
    let names: Vec<_> = model
        .endpoints()
        .into_iter()
        .map(|endpoint| endpoint.hostname)
        .collect();
    assert_eq!(names, [Some("h".to_owned()), None]);
    assert_eq!(
        model.slices[0].metadata.labels.as_ref().unwrap()[services::HEADLESS],
        ""
    );
}

#[test]
fn slices_are_split_by_family_and_by_the_ports_that_pods_offer() {
    let spec = json!({"ipFamilies": ["IPv4", "IPv6"], "ports": [{"name": "web", "port": 80, "targetPort": "web", "protocol": "TCP"}]});
    let port =
        |number: i32| json!([{"name": "c", "ports": [{"name": "web", "containerPort": number}]}]);
    let both = json!([{"ip": "10.1.0.9"}, {"ip": "fd00::9"}]);
    let pods = [
        pod(0, json!({"spec": {"containers": port(1)}})),
        pod(
            1,
            json!({"spec": {"containers": port(2)}, "status": {"podIPs": both}}),
        ),
    ];
    let mut model = Model::default();
    model.sync(&service(spec), &pods);
    let mut seen: Vec<_> = model
        .slices
        .iter()
        .map(|slice| {
            (
                slice.address_type.clone(),
                slice.ports.as_ref().unwrap()[0].port,
                slice.endpoints.as_ref().unwrap().len(),
            )
        })
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            ("IPv4".into(), Some(1), 1),
            ("IPv4".into(), Some(2), 1),
            ("IPv6".into(), Some(2), 1)
        ]
    );
    model.sync(&service(json!({})), &pods);
    assert!(
        model
            .slices
            .iter()
            .all(|slice| slice.address_type == "IPv4"),
        "a family that is gone takes its slices along"
    );
}

#[test]
fn slices_are_filled_and_changed_as_little_as_can_be() {
    let service = service(json!({}));
    let mut model = Model::default();
    assert_eq!(counts(&model.sync(&service, &pods_of(250))), (3, 0, 0));
    assert_eq!(model.sizes(), [50, 100, 100]);
    assert_eq!(
        counts(&model.sync(&service, &pods_of(260))),
        (0, 1, 0),
        "new pods go into the slice with room"
    );
    let mut pods = pods_of(270);
    pods.remove(0);
    assert_eq!(
        counts(&model.sync(&service, &pods)),
        (0, 2, 0),
        "the slice that loses one takes one in"
    );
    assert_eq!(model.sizes(), [69, 100, 100]);
    let first: Vec<_> = model.slices[0]
        .endpoints
        .iter()
        .flatten()
        .map(|endpoint| endpoint.addresses[0].clone())
        .collect();
    pods.retain(|pod| first.contains(pod.status.as_ref().unwrap().pod_ip.as_ref().unwrap()));
    assert_eq!(
        counts(&model.sync(&service, &pods)),
        (0, 0, 2),
        "empty slices go"
    );
}

#[test]
fn a_pod_on_an_unknown_node_is_left_out_and_named() {
    let elsewhere = [
        pod(0, json!({"spec": {"nodeName": "new"}})),
        pod(1, json!({})),
    ];
    let plan = Model::default().plan(&service(json!({})), &elsewhere);
    assert_eq!(plan.skipped, ["pod-0000"]);
    assert_eq!(plan.create[0].endpoints.as_ref().unwrap().len(), 1);
    let tolerant = Model::default().plan(
        &service(json!({"publishNotReadyAddresses": true})),
        &elsewhere,
    );
    assert!(tolerant.skipped.is_empty());
}

#[test]
fn hints_follow_the_traffic_distribution() {
    let zone = json!({"forZones": [{"name": "z1"}]});
    let node = json!({"forZones": [{"name": "z1"}], "forNodes": [{"name": "node"}]});
    let cases = [
        (json!({"trafficDistribution": "PreferClose"}), zone.clone()),
        (json!({"trafficDistribution": "PreferSameNode"}), node),
        (json!({"trafficDistribution": "PreferSameZone"}), zone),
        (json!({}), Value::Null),
    ];
    let mut model = Model::default();
    for (spec, expected) in cases {
        model.sync(&service(spec), &[pod(0, json!({}))]);
        assert_eq!(
            serde_json::to_value(&model.endpoints()[0].hints).unwrap(),
            expected
        );
    }
    let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    model.sync(
        &service(json!({"trafficDistribution": "PreferClose"})),
        &[pod(0, unready)],
    );
    assert_eq!(model.endpoints()[0].hints, None);
}

#[test]
fn slices_of_an_earlier_service_of_the_name_are_replaced_and_labels_follow_the_service() {
    let mut model = Model::default();
    model.sync(&service(json!({})), &pods_of(1));
    let mut renewed = service(json!({}));
    renewed.metadata.uid = Some("other-uid".into());
    assert_eq!(counts(&model.sync(&renewed, &pods_of(1))), (1, 0, 1));
    renewed.metadata.labels = Some(BTreeMap::from([("team".into(), "y".into())]));
    assert_eq!(counts(&model.sync(&renewed, &pods_of(1))), (0, 1, 0));
    assert_eq!(
        model.slices[0].metadata.labels.as_ref().unwrap()["team"],
        "y"
    );
}

#[test]
fn a_service_that_is_being_deleted_gets_no_new_slices() {
    let mut going = service(json!({}));
    going.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(
        counts(&Model::default().plan(&going, &pods_of(1))),
        (0, 0, 0)
    );
}

#[test]
fn what_is_written_names_the_time_of_its_cause() {
    let (service, pods, nodes) = (
        service(json!({"publishNotReadyAddresses": true})),
        pods_of(1),
        BTreeMap::new(),
    );
    let trigger = Some("2026-01-01T00:00:00Z".parse().unwrap());
    let plan = decide(&Seen {
        service: &service,
        pods: &pods,
        nodes: &nodes,
        slices: &[],
        trigger,
    });
    let annotations = plan.create[0].metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[services::TRIGGER_TIME], "2026-01-01T00:00:00Z");
}

fn histories() -> impl Strategy<Value = Vec<Vec<bool>>> {
    prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.7), 330), 1..6)
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
    #[test]
    fn after_any_history_every_pod_is_in_one_slice_and_no_slice_is_too_full(history in histories()) {
        let service = service(json!({}));
        let mut model = Model::default();
        for present in history {
            let pods: Vec<_> = present.iter().enumerate().filter(|(_, there)| **there).map(|(number, _)| pod(number, json!({}))).collect();
            model.sync(&service, &pods);
            let mut names: Vec<_> = model.endpoints().into_iter().filter_map(|endpoint| endpoint.target_ref?.name).collect();
            names.sort();
            let expected: Vec<_> = pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect();
            assert_eq!(names, expected);
            assert!(model.sizes().iter().all(|size| *size <= ENDPOINTS_MAX));
        }
    }
}
