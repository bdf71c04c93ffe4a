//! Requests of the node `n1`, whose pods are in the namespace `shop`.

use objects::Value;
use serde_json::json;

use super::*;
use crate::authz::memory::Memory;

/// Objects whose pods are only told by their nodes: a request of a node reads no pods of others.
struct ByNode(Memory);

impl ObjectsView for ByNode {
    fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.0.get(group, plural, namespace, name)
    }

    fn list(&self, group: &str, plural: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        assert_ne!((group, plural), ("", "pods"));
        self.0.list(group, plural, namespace)
    }

    fn pods_on_node(&self, namespace: &str, node: &str) -> Vec<Arc<Value>> {
        self.0.pods_on_node(namespace, node)
    }

    fn generation(&self, group: &str, plural: &str) -> u64 {
        self.0.generation(group, plural)
    }
}

fn cluster() -> Node {
    let memory = Memory::default();
    let pod = |name: &str, node: &str, more: Value| {
        let mut pod = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"nodeName": node, "serviceAccountName": format!("sa-{name}")}});
        for (key, value) in more.as_object().unwrap() {
            pod["spec"][key] = value.clone();
        }
        pod
    };
    memory.put(
        "",
        "pods",
        pod("own", "n1", json!({
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "env"}}}], "envFrom": [{"configMapRef": {"name": "all"}}]}],
            "volumes": [{"name": "v", "ephemeral": {}}, {"persistentVolumeClaim": {"claimName": "disk"}},
                {"projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "root"}}]}}, {"secret": {"secretName": "mounted"}}],
            "resourceClaims": [{"resourceClaimName": "gpu"}],
        })),
    );
    memory.put(
        "",
        "pods",
        pod(
            "far",
            "n2",
            json!({"volumes": [{"secret": {"secretName": "theirs"}}]}),
        ),
    );
    let mut mirror = pod(
        "mirror",
        "n1",
        json!({"volumes": [{"secret": {"secretName": "stolen"}}]}),
    );
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    memory.put("", "pods", mirror);
    memory.put("", "persistentvolumes", json!({"metadata": {"name": "pv"}, "spec": {"claimRef": {"namespace": "shop", "name": "disk"},
        "csi": {"nodeStageSecretRef": {"namespace": "infra", "name": "stage"}, "controllerPublishSecretRef": {"namespace": "infra", "name": "control"}}}}));
    memory.put(
        "",
        "persistentvolumes",
        json!({"metadata": {"name": "free"}, "spec": {}}),
    );
    memory.put(
        "storage.k8s.io",
        "volumeattachments",
        json!({"metadata": {"name": "va"}, "spec": {"nodeName": "n1"}}),
    );
    Node::new(Arc::new(ByNode(memory)))
}

fn decide(authorizer: &Node, text: &str) -> String {
    let (text, selector) = text.split_once(" where ").unwrap_or((text, ""));
    let user = User {
        name: "system:node:n1".to_owned(),
        groups: vec![GROUP.to_owned()],
        ..User::default()
    };
    let mut asked = crate::authz::tests::asked(Arc::new(user), text);
    asked.field_selector = selector.to_owned();
    let decision = authorizer.authorize(&asked);
    let sign = if decision.is_allowed() { "+" } else { "-" };
    format!("{sign}{}", decision.reason())
}

const UNRELATED: &str = "-no relationship found between node 'n1' and this object";

#[test]
fn a_node_reads_what_its_pods_need() {
    let node = cluster();
    for (text, wanted) in [
        ("get secrets pull in shop", "+"),
        ("watch secrets env in shop", "+"),
        ("list secrets projected in shop", "+"),
        ("get secrets mounted in shop", "+"),
        ("get secrets theirs in shop", UNRELATED),
        ("get secrets stolen in shop", UNRELATED),
        ("get secrets pull in other", UNRELATED),
        ("get secrets stage in infra", "+"),
        ("get secrets control in infra", UNRELATED),
        ("list secrets in shop", "-No Object name found"),
        (
            "list secrets",
            "-can only read namespaced object of this type",
        ),
        (
            "update secrets pull in shop",
            "-can only read resources of this type",
        ),
        ("get configmaps all in shop", "+"),
        ("get configmaps root in shop", "+"),
        ("get configmaps pull in shop", UNRELATED),
        ("get persistentvolumeclaims disk in shop", "+"),
        ("get persistentvolumeclaims own-v in shop", "+"),
        ("get persistentvolumeclaims own-w in shop", UNRELATED),
        ("patch persistentvolumeclaims/status disk in shop", "+"),
        (
            "list persistentvolumeclaims in shop",
            "-can only get individual resources of this type",
        ),
        ("get persistentvolumes pv", "+"),
        ("get persistentvolumes free", UNRELATED),
        ("get volumeattachments.storage.k8s.io va", "+"),
        ("get volumeattachments.storage.k8s.io other", UNRELATED),
        ("get resourceclaims.resource.k8s.io gpu in shop", "+"),
        ("create serviceaccounts/token sa-own in shop", "+"),
        ("create serviceaccounts/token sa-far in shop", UNRELATED),
        ("create serviceaccounts/token sa-mirror in shop", UNRELATED),
        (
            "delete serviceaccounts sa-own in shop",
            "-can only create tokens for individual service accounts",
        ),
        ("get serviceaccounts sa-own in shop", "+"),
    ] {
        assert_eq!(decide(&node, text), wanted, "{text}");
    }
}

#[test]
fn a_node_writes_about_itself_alone() {
    let node = cluster();
    for (text, wanted) in [
        ("get nodes n1", "+"),
        (
            "get nodes n2",
            "-node 'n1' cannot read 'n2', only its own Node object",
        ),
        (
            "list nodes",
            "-node 'n1' cannot read all nodes, only its own Node object",
        ),
        ("patch nodes/status n1", "+"),
        ("delete nodes n1", "-"),
        ("get pods own in shop", "+"),
        ("get pods mirror in shop", "+"),
        ("get pods far in shop", UNRELATED),
        (
            "list pods",
            "-can only list/watch pods with spec.nodeName field selector",
        ),
        ("list pods where spec.nodeName=n1", "+"),
        ("watch pods where metadata.name=x,spec.nodeName==n1", "+"),
        (
            "list pods where spec.nodeName=n2",
            "-can only list/watch pods with spec.nodeName field selector",
        ),
        (
            "list pods where spec.nodeName!=n1",
            "-can only list/watch pods with spec.nodeName field selector",
        ),
        (
            "list pods where metadata.name=x\\,spec.nodeName=n1",
            "-can only list/watch pods with spec.nodeName field selector",
        ),
        ("create pods/eviction own in shop", "+"),
        ("create pods/exec own in shop", "-"),
        (
            "update leases.coordination.k8s.io n1 in kube-node-lease",
            "+",
        ),
        (
            "update leases.coordination.k8s.io n2 in kube-node-lease",
            "-can only access node lease with the same name as the requesting node",
        ),
        (
            "get leases.coordination.k8s.io n1 in shop",
            "-can only access leases in the \"kube-node-lease\" system namespace",
        ),
        (
            "list leases.coordination.k8s.io in kube-node-lease",
            "-can only get, create, update, patch, or delete a node lease",
        ),
        ("update csinodes.storage.k8s.io n1", "+"),
        (
            "update csinodes.storage.k8s.io n2",
            "-can only access CSINode with the same name as the requesting node",
        ),
        ("list services", "+"),
        ("create events in shop", "+"),
        ("delete services x in shop", "-"),
    ] {
        assert_eq!(decide(&node, text), wanted, "{text}");
    }
}

#[test]
fn there_is_no_opinion_about_anybody_else() {
    let node = cluster();
    for (name, groups) in [
        ("system:node:n1", vec![]),
        ("alice", vec![GROUP.to_owned()]),
    ] {
        let user = User {
            name: name.to_owned(),
            groups,
            ..User::default()
        };
        assert!(!node.rules_for(&user, "shop").incomplete);
        let asked = crate::authz::tests::asked(Arc::new(user), "get nodes n1");
        assert_eq!(node.authorize(&asked), Decision::no_opinion(""));
    }
}
