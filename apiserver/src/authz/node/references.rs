//! What pods and volumes refer to.

use objects::{Value, meta};

/// Kinds of objects that a pod needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needed {
    Secret,
    ConfigMap,
    Claim,
    ResourceClaim,
    ServiceAccount,
}

/// Where a pod's volume names a secret.
const VOLUME_SECRETS: [&[&str]; 10] = [
    &["secret", "secretName"],
    &["azureFile", "secretName"],
    &["cephfs", "secretRef", "name"],
    &["cinder", "secretRef", "name"],
    &["flexVolume", "secretRef", "name"],
    &["rbd", "secretRef", "name"],
    &["scaleIO", "secretRef", "name"],
    &["iscsi", "secretRef", "name"],
    &["storageos", "secretRef", "name"],
    &["csi", "nodePublishSecretRef", "name"],
];

/// Where a persistent volume names a secret that the node reads.
const PERSISTENT_SECRETS: [&[&str]; 10] = [
    &["cephfs", "secretRef"],
    &["cinder", "secretRef"],
    &["flexVolume", "secretRef"],
    &["rbd", "secretRef"],
    &["scaleIO", "secretRef"],
    &["iscsi", "secretRef"],
    &["storageos", "secretRef"],
    &["csi", "nodePublishSecretRef"],
    &["csi", "nodeStageSecretRef"],
    &["csi", "nodeExpandSecretRef"],
];

/// Kinds of volumes whose secrets lie in no other namespace than the one they name.
const NAMED_NAMESPACE: [&str; 3] = ["cinder", "storageos", "csi"];

/// Whether a pod needs an object of its namespace. A pod that a node made by itself needs nothing.
pub(super) fn pod_needs(pod: &Value, kind: Needed, name: &str) -> bool {
    if meta::annotation(pod, "kubernetes.io/config.mirror").is_some() || name.is_empty() {
        return false;
    }
    match kind {
        Needed::ServiceAccount => meta::text(pod, &["spec", "serviceAccountName"]) == name,
        Needed::Secret => {
            let pulls = meta::list(pod, &["spec", "imagePullSecrets"]);
            pulls.iter().any(|own| meta::text(own, &["name"]) == name)
                || containers_name(pod, "secretRef", "secretKeyRef", name)
                || volumes(pod).iter().any(|volume| {
                    VOLUME_SECRETS
                        .iter()
                        .any(|path| meta::text(volume, path) == name)
                        || projects(volume, "secret", name)
                })
        }
        Needed::ConfigMap => {
            containers_name(pod, "configMapRef", "configMapKeyRef", name)
                || volumes(pod).iter().any(|volume| {
                    meta::text(volume, &["configMap", "name"]) == name
                        || projects(volume, "configMap", name)
                })
        }
        Needed::Claim => volumes(pod).iter().any(|volume| {
            meta::text(volume, &["persistentVolumeClaim", "claimName"]) == name
                || (volume.get("ephemeral").is_some_and(Value::is_object)
                    && is_joined(name, meta::name(pod), meta::text(volume, &["name"])))
        }),
        Needed::ResourceClaim => resource_claims(pod).any(|own| own == name),
    }
}

fn volumes(pod: &Value) -> &[Value] {
    meta::list(pod, &["spec", "volumes"])
}

/// Whether a name is those of the pod and of its volume with a dash between.
fn is_joined(name: &str, pod: &str, volume: &str) -> bool {
    let rest = name.strip_prefix(pod);
    rest.and_then(|rest| rest.strip_prefix('-')) == Some(volume)
}

fn projects(volume: &Value, kind: &str, name: &str) -> bool {
    meta::list(volume, &["projected", "sources"])
        .iter()
        .any(|source| meta::text(source, &[kind, "name"]) == name)
}

/// Whether the environment of a container is made of an object: of all its keys, or of one.
fn containers_name(pod: &Value, whole: &str, key: &str, name: &str) -> bool {
    ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| meta::list(pod, &["spec", list]))
        .any(|container| {
            let from = meta::list(container, &["envFrom"]);
            let single = meta::list(container, &["env"]);
            from.iter()
                .any(|own| meta::text(own, &[whole, "name"]) == name)
                || single
                    .iter()
                    .any(|own| meta::text(own, &["valueFrom", key, "name"]) == name)
        })
}

/// The claims of devices that a pod names, that were made for it, and the one for its extended resources.
fn resource_claims(pod: &Value) -> impl Iterator<Item = &str> {
    let named = meta::list(pod, &["spec", "resourceClaims"]).iter();
    let made = meta::list(pod, &["status", "resourceClaimStatuses"]).iter();
    let extended = ["status", "extendedResourceClaimStatus", "resourceClaimName"];
    named
        .chain(made)
        .map(|own| meta::text(own, &["resourceClaimName"]))
        .chain([meta::text(pod, &extended)])
}

/// Whether a node reads a secret to mount a persistent volume.
pub(super) fn pv_needs_secret(volume: &Value, namespace: &str, name: &str) -> bool {
    let Some(spec) = volume.get("spec") else {
        return false;
    };
    let claim_namespace = meta::text(spec, &["claimRef", "namespace"]);
    let or_claim = |own: &str| namespace == if own.is_empty() { claim_namespace } else { own };
    let azure = |field| meta::text(spec, &["azureFile", field]);
    if azure("secretName") == name && or_claim(azure("secretNamespace")) {
        return true;
    }
    PERSISTENT_SECRETS.iter().any(|path| {
        let Some(reference) = meta::at(spec, path) else {
            return false;
        };
        let own = meta::text(reference, &["namespace"]);
        let there = if NAMED_NAMESPACE.contains(&path[0]) {
            own == namespace
        } else {
            or_claim(own)
        };
        there && meta::text(reference, &["name"]) == name
    })
}
