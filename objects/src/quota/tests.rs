use serde_json::json;

use super::*;

fn told(usage: &Amounts) -> String {
    let text = |(name, amount): (&String, &Quantity)| format!("{name}={amount}");
    usage.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_pod_takes_what_it_asks_for_until_it_is_over() {
    let mut pod = json!({
        "spec": {
            "overhead": {"cpu": "10m"},
            "containers": [{"resources": {
                "requests": {"cpu": "90m", "example.com/gpu": "1", "hugepages-2Mi": "4Mi"},
                "limits": {"cpu": "190m"},
            }}],
        },
    });
    assert_eq!(
        told(&usage("", "pods", &pod, 0)),
        "count/pods=1 cpu=100m hugepages-2Mi=4Mi limits.cpu=200m pods=1 requests.cpu=100m requests.example.com/gpu=1 requests.hugepages-2Mi=4Mi"
    );
    pod["metadata"] =
        json!({"deletionTimestamp": "1970-01-01T00:01:00Z", "deletionGracePeriodSeconds": 30});
    assert!(usage("", "pods", &pod, 90).contains_key("pods"));
    assert_eq!(told(&usage("", "pods", &pod, 91)), "count/pods=1");
    let ended = json!({"status": {"phase": "Succeeded"}});
    assert_eq!(told(&usage("", "pods", &ended, 0)), "count/pods=1");
}

#[test]
fn services_take_ports_of_nodes_and_load_balancers() {
    for (spec, expected) in [
        (json!({"type": "ClusterIP", "ports": [{}]}), (0, 0)),
        (json!({"type": "NodePort", "ports": [{}, {}]}), (0, 2)),
        (json!({"type": "LoadBalancer", "ports": [{}, {}]}), (1, 2)),
        (
            json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"nodePort": 30000}, {}]}),
            (1, 1),
        ),
    ] {
        let usage = usage("", "services", &json!({"spec": spec}), 0);
        let of = |name: &str| usage[name].value();
        let found = (of("services.loadbalancers"), of("services.nodeports"));
        assert_eq!(
            (found, of("services"), of("count/services")),
            (expected, 1, 1)
        );
    }
}

#[test]
fn a_claim_counts_for_its_class_too_and_with_what_it_was_given() {
    let claim = json!({
        "spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"allocatedResources": {"storage": "2Gi"}},
    });
    assert_eq!(
        told(&usage("", "persistentvolumeclaims", &claim, 0)),
        "count/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/persistentvolumeclaims=1 \
         gold.storageclass.storage.k8s.io/requests.storage=2Gi persistentvolumeclaims=1 requests.storage=2Gi"
    );
}

#[test]
fn every_name_of_a_quota_is_counted_by_the_resource_it_is_about() {
    for (name, counted_by) in [
        ("count/pods", "pods"),
        ("pods", "pods"),
        ("cpu", "pods"),
        ("limits.memory", "pods"),
        ("requests.ephemeral-storage", "pods"),
        ("requests.example.com/gpu", "pods"),
        ("requests.hugepages-2Mi", "pods"),
        ("services.nodeports", "services"),
        ("count/secrets", "secrets"),
        ("configmaps", "configmaps"),
        ("requests.storage", "persistentvolumeclaims"),
        (
            "a.storageclass.storage.k8s.io/requests.storage",
            "persistentvolumeclaims",
        ),
        ("a.storageclass.storage.k8s.io/other", ""),
        ("limits.example.com/gpu", ""),
        ("unheard", ""),
    ] {
        for plural in PLAIN {
            assert_eq!(
                counts("", plural, name),
                plural == counted_by,
                "{name} {plural}"
            );
        }
    }
    assert!(counts("batch", "jobs", "count/jobs.batch"));
    assert!(!counts("batch", "pods", "pods"));
    assert!(is_ignored("", "events") && is_ignored("authorization.k8s.io", "subjectaccessreviews"));
    assert!(!is_ignored("", "pods"));
}
