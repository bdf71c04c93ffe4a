//! Requests of the node `n1`.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::admission::Warnings;
use crate::attributes::Attributes;
use crate::authz::memory::Memory;
use crate::dial::Services;
use crate::objects_view::ObjectsView;
use crate::served::Resources;
use crate::storage::{Encryption, Endpoints, Storage, Tls};
use crate::user::User;
use crate::webhook::Caller;

fn cluster() -> Parts {
    let memory = Memory::default();
    for (name, node) in [("own", "n1"), ("far", "n2")] {
        let pod = json!({"metadata": {"name": name, "namespace": "shop", "uid": name}, "spec": {
            "nodeName": node, "volumes": [{"projected": {"sources": [{"serviceAccountToken": {"audience": "vault"}}]}}],
        }});
        memory.put("", "pods", pod);
    }
    let node = json!({"metadata": {"name": "n1", "uid": "u1"}});
    memory.put("", "nodes", node);
    let endpoints = Endpoints::new(&["http://127.0.0.1:1".to_owned()], &Tls::default()).unwrap();
    let view: Arc<dyn ObjectsView> = Arc::new(memory);
    Parts {
        view: view.clone(),
        storage: Storage::new(endpoints, Encryption::none("/registry")),
        resources: Arc::new(Resources::default()),
        prefix: "/registry".to_owned(),
        authorizer: Arc::new(crate::authz::AlwaysDeny),
        webhooks: Arc::new(Caller::new(Services::new(view))),
    }
}

/// What a node is told: `+`, or the end of the refusal. `verb resource[/part] name`.
async fn told(text: &str, old: Option<Value>, new: Option<Value>) -> String {
    let parts = cluster();
    let words: Vec<&str> = text.split(' ').collect();
    let (plural, part) = words[1].split_once('/').unwrap_or((words[1], ""));
    let (plural, group) = plural.split_once('.').unwrap_or((plural, ""));
    let operation = match words[0] {
        "create" => Operation::Create,
        "update" => Operation::Update,
        _ => Operation::Delete,
    };
    let user = User {
        name: "system:node:n1".to_owned(),
        groups: vec!["system:nodes".to_owned()],
        ..User::default()
    };
    let namespace = match plural {
        "leases" => "kube-node-lease",
        _ => "shop",
    };
    let attributes = Attributes {
        user: Arc::new(user),
        group: group.to_owned(),
        resource: plural.to_owned(),
        subresource: part.to_owned(),
        namespace: namespace.to_owned(),
        name: words.get(2).copied().unwrap_or_default().to_owned(),
        ..Attributes::default()
    };
    let table = parts.resources.table();
    let review = Review {
        operation,
        attributes: &attributes,
        served: table.any_version(group, plural).unwrap(),
        old: old.as_ref(),
        options: &Value::Null,
        dry_run: false,
        warnings: &Warnings::default(),
    };
    match judge(&parts, &review, new.as_ref()).await {
        Ok(()) => "+".to_owned(),
        Err(status) => {
            let message = status.message.split_once(" is forbidden: ");
            message.map_or(status.message.clone(), |(_, why)| why.to_owned())
        }
    }
}

fn mirror() -> Value {
    json!({"metadata": {"name": "m", "annotations": {"kubernetes.io/config.mirror": "x"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1", "controller": true}]},
        "spec": {"nodeName": "n1", "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}})
}

#[tokio::test]
async fn a_node_makes_mirrors_of_its_own_that_name_nothing() {
    let with = |path: &str, value: Value| {
        let mut pod = mirror();
        *pod.pointer_mut(path).unwrap() = value;
        pod
    };
    for (pod, wanted) in [
        (mirror(), "+"),
        (
            with("/metadata/annotations", json!({})),
            "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only create mirror pods",
        ),
        (
            with("/spec/nodeName", json!("n2")),
            "node \"n1\" can only create pods with spec.nodeName set to itself",
        ),
        (
            with("/metadata/ownerReferences", json!([])),
            "node \"n1\" can only create pods with an owner reference set to itself",
        ),
        (
            with("/metadata/ownerReferences", json!([1, 2])),
            "node \"n1\" can only create pods with a single owner reference set to itself",
        ),
        (
            with("/metadata/ownerReferences/0/name", json!("n2")),
            "node \"n1\" can only create pods with an owner reference set to itself",
        ),
        (
            with("/metadata/ownerReferences/0/controller", json!(false)),
            "node \"n1\" can only create pods with a controller owner reference set to itself",
        ),
        (
            with("/metadata/ownerReferences/0/uid", json!("u2")),
            "node n1 UID mismatch: expected u2 got u1",
        ),
        (
            with(
                "/spec/volumes/0",
                json!({"name": "v", "secret": {"secretName": "s"}}),
            ),
            "node \"n1\" can not create pods that reference secrets",
        ),
        (
            with(
                "/spec/volumes/0",
                json!({"name": "v", "persistentVolumeClaim": {"claimName": "s"}}),
            ),
            "node \"n1\" can not create pods that reference persistentvolumeclaims",
        ),
        (
            with(
                "/spec/volumes/0",
                json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {}}]}}),
            ),
            "node \"n1\" can not create pods that reference serviceaccounts (via projected volumes)",
        ),
        (
            with("/spec/volumes/0", json!({"name": "v", "new": {}})),
            "error checking mirror pod for API references: unknown volume type for volume  \"v\"",
        ),
    ] {
        assert_eq!(told("create pods", None, Some(pod)).await, wanted);
    }
}

#[tokio::test]
async fn a_node_touches_the_pods_that_it_runs_alone() {
    let pod = |node: &str, labels: Value| json!({"metadata": {"name": "p", "labels": labels}, "spec": {"nodeName": node}});
    let own = pod("n1", json!({"a": "1"}));
    for (text, old, new, wanted) in [
        ("delete pods p", own.clone(), None, "+"),
        (
            "delete pods p",
            pod("n2", json!({})),
            None,
            "node \"n1\" can only delete pods with spec.nodeName set to itself",
        ),
        (
            "update pods p",
            own.clone(),
            Some(own.clone()),
            "unexpected operation \"UPDATE\", node \"n1\" can only create and delete mirror pods",
        ),
        ("update pods/status p", own.clone(), Some(own.clone()), "+"),
        (
            "update pods/status p",
            own.clone(),
            Some(pod("n1", json!({}))),
            "node \"n1\" cannot update labels through pod status",
        ),
        (
            "update pods/status p",
            pod("n2", json!({})),
            Some(own.clone()),
            "node \"n1\" can only update pod status for pods with spec.nodeName set to itself",
        ),
        (
            "create pods/eviction own",
            Value::Null,
            Some(json!({})),
            "+",
        ),
        (
            "create pods/eviction far",
            Value::Null,
            Some(json!({})),
            "node n1 can only evict pods with spec.nodeName set to itself",
        ),
        (
            "create pods/binding own",
            Value::Null,
            Some(json!({})),
            "unexpected pod subresource \"binding\", only 'status' and 'eviction' are allowed",
        ),
    ] {
        assert_eq!(told(text, Some(old), new).await, wanted, "{text}");
    }
}

#[tokio::test]
async fn a_node_writes_about_itself_alone() {
    let node = |labels: Value, taints: Value| json!({"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints}});
    let plain = node(json!({}), json!([]));
    let steered = node(json!({"node-role.kubernetes.io/x": ""}), json!([]));
    for (text, old, new, wanted) in [
        ("create nodes", None, plain.clone(), "+"),
        (
            "create nodes n2",
            None,
            plain.clone(),
            "node \"n1\" is not allowed to modify node \"n2\"",
        ),
        (
            "create nodes",
            None,
            steered.clone(),
            "node \"n1\" is not allowed to set the following labels: node-role.kubernetes.io/x",
        ),
        (
            "update nodes n1",
            Some(plain.clone()),
            steered.clone(),
            "is not allowed to modify labels: node-role.kubernetes.io/x",
        ),
        (
            "update nodes n1",
            Some(steered.clone()),
            steered.clone(),
            "+",
        ),
        (
            "update nodes n1",
            Some(plain.clone()),
            node(json!({}), json!([{"key": "a"}])),
            "node \"n1\" is not allowed to modify taints",
        ),
        (
            "create leases.coordination.k8s.io",
            None,
            plain.clone(),
            "+",
        ),
        (
            "update leases.coordination.k8s.io n2",
            None,
            plain.clone(),
            "can only access node lease with the same name as the requesting node",
        ),
        (
            "update csinodes.storage.k8s.io n2",
            None,
            plain.clone(),
            "can only access CSINode with the same name as the requesting node",
        ),
        (
            "create resourceslices.resource.k8s.io",
            None,
            plain.clone(),
            "can only create ResourceSlice with the same NodeName as the requesting node",
        ),
        (
            "update persistentvolumeclaims p",
            None,
            plain.clone(),
            "may only update PVC status",
        ),
    ] {
        assert_eq!(told(text, old, Some(new)).await, wanted, "{text}");
    }
}

#[tokio::test]
async fn a_node_asks_for_the_tokens_of_its_own_pods() {
    let request = |pod: &str, uid: &str, audiences: Value| json!({"spec": {"audiences": audiences, "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}}});
    for (body, wanted) in [
        (request("own", "own", json!(["vault"])), "+"),
        (
            request("own", "own", json!(["other"])),
            "audience \"other\" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience",
        ),
        (
            request("own", "own", json!(["a", "b"])),
            "node may only request 0 or 1 audiences",
        ),
        (
            request("own", "", json!([])),
            "node requested token with a pod binding without a uid",
        ),
        (
            request("far", "far", json!([])),
            "node requested token bound to a pod scheduled on a different node",
        ),
        (
            json!({"spec": {}}),
            "node requested token not bound to a pod",
        ),
    ] {
        assert_eq!(
            told("create serviceaccounts/token sa", None, Some(body)).await,
            wanted
        );
    }
}
