//! What keeps order: drains and budgets, owners, quotas, and namespaces that go.

use super::cluster::Space;

pub(crate) fn a_drain_honours_a_budget(space: &Space<'_>) {
    space.kubectl("create deployment kept --image=nginx --replicas=4");
    space.until_rolled("deployment/kept");
    space.kubectl("create poddisruptionbudget kept --selector=app=kept --min-available=4");
    space.until_field(
        "pdb/kept",
        "{.status.currentHealthy}/{.status.disruptionsAllowed}",
        "4/0",
    );
    let node = space.field("pods", "{.items[0].spec.nodeName}");
    let drain = format!("drain {node} --pod-selector=app=kept");
    let refused = space.certain(&format!("{drain} --timeout=2s"), "");
    assert!(!refused.succeeded, "{}", refused.text);
    let why = "Cannot evict pod as it would violate the pod's disruption budget";
    assert!(refused.text.contains(why), "{}", refused.text);
    assert_eq!(
        space.field("deployment/kept", "{.status.readyReplicas}"),
        "4"
    );

    space.kubectl(r#"patch pdb kept -p '{"spec":{"minAvailable":3}}'"#);
    space.kubectl(&format!("{drain} --timeout=60s"));
    assert_eq!(
        space.field(&format!("node/{node}"), "{.spec.unschedulable}"),
        "true"
    );
    space.until_field("deployment/kept", "{.status.readyReplicas}", "4");
    let on_node = format!("pods --field-selector=spec.nodeName={node}");
    space.until_field(&on_node, "{.items[*].metadata.name}", "");
    space.kubectl(&format!("uncordon {node}"));
    assert_eq!(
        space.field(&format!("node/{node}"), "{.spec.unschedulable}"),
        ""
    );
}

pub(crate) fn owners_go_with_or_without_what_they_own(space: &Space<'_>) {
    space.kubectl("create deployment web --image=nginx --replicas=2");
    space.until_rolled("deployment/web");
    space.kubectl("delete deployment web --cascade=orphan");
    let owners = "{.items[*].metadata.ownerReferences[*].name}";
    space.until_field("replicasets", owners, "");
    let set = space.field("replicasets", "{.items[*].metadata.name}");
    assert_eq!(space.words("pods", owners), [&*set, &*set]);

    space.kubectl(&format!("delete replicaset {set} --cascade=foreground"));
    assert_eq!(
        space.kubectl("get replicasets,pods -o name"),
        "",
        "what it owns went first"
    );
    space.kubectl("create deployment web --image=nginx --replicas=2");
    space.until_rolled("deployment/web");
    space.kubectl("delete deployment web");
    space.until("get replicasets,pods -o name", str::is_empty);
}

pub(crate) fn a_quota_bounds_and_a_namespace_goes_with_all_in_it(space: &Space<'_>) {
    space.kubectl("create quota few --hard=pods=2,count/configmaps=5");
    space.until_field("quota/few", "{.status.hard.pods}", "2");
    space.kubectl("create deployment web --image=nginx --replicas=3");
    space.until_field("deployment/web", "{.status.readyReplicas}", "2");
    space.until_field("quota/few", "{.status.used.pods}", "2");
    let refused = "get events -o 'jsonpath={.items[?(@.reason==\"FailedCreate\")].message}'";
    space.until(refused, |text| text.contains("exceeded quota: few"));
    let failure = "{.status.conditions[?(@.type==\"ReplicaFailure\")].reason}";
    space.until_field("deployment/web", failure, "FailedCreate");

    space.kubectl("create configmap left --from-literal=a=b");
    space.kubectl("delete namespace quota --timeout=60s");
    let gone = space.try_kubectl("get namespace quota", "");
    assert!(gone.text.contains("NotFound"), "{}", gone.text);
    assert_eq!(
        space.kubectl("get deployments,replicasets,pods,configmaps,quota -o name"),
        ""
    );
}
