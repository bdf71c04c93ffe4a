//! Pods: a node makes those that it runs from files of its own, and reports, evicts and deletes those that it runs.

use std::sync::Arc;

use objects::status::Status;
use objects::{Value, meta};

use super::super::Operation;
use super::super::pods::is_mirror;
use super::Asked;

const MIRROR: &str = "kubernetes.io/config.mirror";

/// Volumes that name nothing in the API.
const FREE_VOLUMES: [&str; 22] = [
    "awsElasticBlockStore",
    "azureDisk",
    "cephfs",
    "cinder",
    "downwardAPI",
    "emptyDir",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// Volumes that name objects, and how the refusal calls those.
const NAMING_VOLUMES: [(&str, &str); 7] = [
    ("configMap", "configmaps (via configmap volumes)"),
    ("secret", "secrets (via secret volumes)"),
    ("csi", "csidrivers (via CSI volumes)"),
    ("glusterfs", "endpoints (via glusterFS volumes)"),
    ("persistentVolumeClaim", "persistentvolumeclaims"),
    (
        "ephemeral",
        "persistentvolumeclaims (via ephemeral volumes)",
    ),
    ("azureFile", "secrets (via azureFile volumes)"),
];

/// Sources of projected volumes that name objects, and how the refusal calls those.
const NAMING_SOURCES: [(&str, &str); 5] = [
    ("configMap", "configmaps (via projected volumes)"),
    ("secret", "secrets (via projected volumes)"),
    (
        "serviceAccountToken",
        "serviceaccounts (via projected volumes)",
    ),
    ("clusterTrustBundle", "clustertrustbundles"),
    ("podCertificate", "podcertificates"),
];

/// The lists that the containers of a pod are in.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

pub(super) async fn judge(asked: &Asked<'_>) -> Result<(), Status> {
    let node = asked.node;
    let operation = asked.review.operation.name();
    match (
        asked.review.attributes.subresource.as_str(),
        asked.review.operation,
    ) {
        ("", Operation::Create) => create(asked).await,
        ("", Operation::Delete) => match asked.review.old {
            Some(pod) if is_on(pod, node) => Ok(()),
            _ => asked.refuse(format!(
                "node {node:?} can only delete pods with spec.nodeName set to itself"
            )),
        },
        ("", _) => asked.refuse(format!(
            "unexpected operation {operation:?}, node {node:?} can only create and delete mirror pods"
        )),
        ("status", Operation::Update) => status(asked),
        ("status", _) => asked.refuse(format!("unexpected operation {operation:?}")),
        ("eviction", Operation::Create) => evict(asked).await,
        // An eviction deletes its pod, which was judged when it began.
        ("eviction", Operation::Delete) => Ok(()),
        ("eviction", _) => asked.refuse(format!("unexpected operation {operation}")),
        (part, _) => asked.refuse(format!(
            "unexpected pod subresource {part:?}, only 'status' and 'eviction' are allowed"
        )),
    }
}

fn is_on(pod: &Value, node: &str) -> bool {
    meta::text(pod, &["spec", "nodeName"]) == node
}

async fn create(asked: &Asked<'_>) -> Result<(), Status> {
    let node = asked.node;
    let Some(pod) = asked.object else {
        return Ok(());
    };
    if !is_mirror(pod) {
        return asked.refuse(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if !is_on(pod, node) {
        return asked.refuse(format!(
            "node {node:?} can only create pods with spec.nodeName set to itself"
        ));
    }
    let owner = match meta::list(pod, &["metadata", "ownerReferences"]) {
        [owner] => owner,
        [] => {
            return asked.refuse(format!(
                "node {node:?} can only create pods with an owner reference set to itself"
            ));
        }
        _ => {
            return asked.refuse(format!(
                "node {node:?} can only create pods with a single owner reference set to itself"
            ));
        }
    };
    check_owner(asked, owner).await?;
    match references(pod) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => asked.refuse(format!(
            "node {node:?} can not create pods that reference {what}"
        )),
        Err(why) => asked.refuse(format!(
            "error checking mirror pod for API references: {why}"
        )),
    }
}

async fn check_owner(asked: &Asked<'_>, owner: &Value) -> Result<(), Status> {
    let node = asked.node;
    if owner["apiVersion"] != "v1" || owner["kind"] != "Node" || owner["name"] != node {
        return asked.refuse(format!(
            "node {node:?} can only create pods with an owner reference set to itself"
        ));
    }
    if owner["controller"] != true {
        return asked.refuse(format!(
            "node {node:?} can only create pods with a controller owner reference set to itself"
        ));
    }
    if owner["blockOwnerDeletion"] == true {
        return asked.refuse(format!(
            "node {node:?} must not set blockOwnerDeletion on an owner reference"
        ));
    }
    let found = asked.parts.find(("", "nodes"), "", node).await?;
    let found = found.ok_or_else(|| Status::not_found("", "nodes", node))?;
    let (told, known) = (meta::text(owner, &["uid"]), meta::uid(&found));
    if told == known {
        return Ok(());
    }
    asked.refuse(format!(
        "node {node} UID mismatch: expected {told} got {known}"
    ))
}

fn status(asked: &Asked<'_>) -> Result<(), Status> {
    let node = asked.node;
    let (Some(new), Some(old)) = (asked.object, asked.review.old) else {
        return Ok(());
    };
    if !is_on(old, node) {
        return asked.refuse(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    let labels = |pod| meta::labels(pod).cloned().unwrap_or_default();
    if labels(new) != labels(old) {
        return asked.refuse(format!(
            "node {node:?} cannot update labels through pod status"
        ));
    }
    let claims = ["status", "resourceClaimStatuses"];
    if meta::list(new, &claims) != meta::list(old, &claims) {
        return asked.refuse(format!(
            "node {node:?} cannot update resource claim statues"
        ));
    }
    let extended = ["status", "extendedResourceClaimStatus"];
    if meta::at(new, &extended) != meta::at(old, &extended) {
        return asked.refuse(format!(
            "node {node:?} cannot update extended resource claim status"
        ));
    }
    Ok(())
}

async fn evict(asked: &Asked<'_>) -> Result<(), Status> {
    let name = asked.name();
    if name.is_empty() {
        return asked.refuse("could not determine pod from request data");
    }
    let pod = find(asked, name).await?;
    if is_on(&pod, asked.node) {
        return Ok(());
    }
    asked.refuse(format!(
        "node {} can only evict pods with spec.nodeName set to itself",
        asked.node
    ))
}

/// A pod of the request's namespace.
pub(super) async fn find(asked: &Asked<'_>, name: &str) -> Result<Arc<Value>, Status> {
    let namespace = &asked.review.attributes.namespace;
    let found = asked.parts.find(("", "pods"), namespace, name).await?;
    found.ok_or_else(|| Status::not_found("", "pods", name))
}

fn has(value: &Value, field: &str) -> bool {
    value.get(field).is_some_and(|found| !found.is_null())
}

/// What objects of the API a pod names; one kind of them is told.
fn references(pod: &Value) -> Result<Option<&'static str>, String> {
    if !meta::text(pod, &["spec", "serviceAccountName"]).is_empty() {
        return Ok(Some("serviceaccounts"));
    }
    let volumes = meta::list(pod, &["spec", "volumes"]);
    let pulls = meta::list(pod, &["spec", "imagePullSecrets"]);
    if !pulls.is_empty()
        || containers_name(pod, "secretRef", "secretKeyRef")
        || volumes.iter().any(names_secret)
    {
        return Ok(Some("secrets"));
    }
    let projects = |volume: &Value, kind: &str| {
        meta::list(volume, &["projected", "sources"])
            .iter()
            .any(|source| has(source, kind))
    };
    let maps = volumes
        .iter()
        .any(|volume| has(volume, "configMap") || projects(volume, "configMap"));
    if maps || containers_name(pod, "configMapRef", "configMapKeyRef") {
        return Ok(Some("configmaps"));
    }
    if !meta::list(pod, &["spec", "resourceClaims"]).is_empty() {
        return Ok(Some("resourceclaims"));
    }
    for volume in volumes {
        if let Some(what) = volume_references(volume)? {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

fn containers_name(pod: &Value, whole: &str, key: &str) -> bool {
    CONTAINER_LISTS
        .iter()
        .flat_map(|list| meta::list(pod, &["spec", list]))
        .any(|container| {
            let from = meta::list(container, &["envFrom"]);
            let single = meta::list(container, &["env"]);
            from.iter().any(|own| has(own, whole))
                || single
                    .iter()
                    .any(|own| own.get("valueFrom").is_some_and(|source| has(source, key)))
        })
}

fn names_secret(volume: &Value) -> bool {
    let projected = meta::list(volume, &["projected", "sources"]);
    let referring = volume
        .as_object()
        .into_iter()
        .flatten()
        .any(|(_, source)| has(source, "secretRef") || has(source, "nodePublishSecretRef"));
    has(volume, "secret")
        || has(volume, "azureFile")
        || referring
        || projected.iter().any(|source| has(source, "secret"))
}

fn volume_references(volume: &Value) -> Result<Option<&'static str>, String> {
    let name = meta::text(volume, &["name"]);
    for (field, what) in NAMING_VOLUMES {
        if has(volume, field) {
            return Ok(Some(what));
        }
    }
    if has(volume, "projected") {
        for source in meta::list(volume, &["projected", "sources"]) {
            for (field, what) in NAMING_SOURCES {
                if has(source, field) {
                    return Ok(Some(what));
                }
            }
            if !has(source, "downwardAPI") {
                return Err(format!("unknown source for projected volume {name:?}"));
            }
        }
        return Ok(None);
    }
    if FREE_VOLUMES.iter().any(|field| has(volume, field)) {
        Ok(None)
    } else {
        Err(format!("unknown volume type for volume  {name:?}"))
    }
}
