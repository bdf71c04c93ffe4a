//! Keeps claims that pods use and volumes that are bound from going away under them.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::Value;
use serde_json::json;

use super::{BOUND, volume_phase};
use crate::{owners, patches, pods};

const OF_CLAIMS: &str = "kubernetes.io/pvc-protection";
const OF_VOLUMES: &str = "kubernetes.io/pv-protection";

/// Whether a look at the claim could change anything, and whether it depends on who uses it.
pub(crate) fn is_going(metadata: &ObjectMeta) -> bool {
    metadata.deletion_timestamp.is_some()
}

/// The patch that protects a claim, or that lets one go that nobody uses any more.
pub(crate) fn of_claim(claim: &PersistentVolumeClaim, is_used: bool) -> Option<Value> {
    patch(&claim.metadata, OF_CLAIMS, is_used)
}

/// The patch that protects a volume, or that lets one go that is not bound any more.
pub(crate) fn of_volume(volume: &PersistentVolume) -> Option<Value> {
    patch(&volume.metadata, OF_VOLUMES, volume_phase(volume) == BOUND)
}

fn patch(metadata: &ObjectMeta, finalizer: &str, is_used: bool) -> Option<Value> {
    let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
    let is_protected = finalizers.iter().any(|known| known == finalizer);
    match (is_going(metadata), is_protected) {
        (false, false) => finalizers.push(finalizer.to_owned()),
        (true, true) if !is_used => finalizers.retain(|known| known != finalizer),
        _ => return None,
    }
    Some(patches::when_unchanged(
        metadata,
        json!({"metadata": {"finalizers": finalizers}}),
    ))
}

/// The names of the claims that a pod mounts, its own ephemeral ones among them.
pub(crate) fn claims_of(pod: &Pod) -> Vec<String> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let names =
        volumes.filter_map(
            |volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
                (Some(source), _) => Some(source.claim_name.clone()),
                (None, Some(_)) => Some(format!("{pod_name}-{}", volume.name)),
                (None, None) => None,
            },
        );
    names.collect()
}

/// Whether a pod, which has a node, still needs the claim.
pub(crate) fn is_used_by(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let Some(name) = &claim.metadata.name else {
        return false;
    };
    if pods::node_name(pod).is_empty() || pod.metadata.namespace != claim.metadata.namespace {
        return false;
    }
    let is_shut_down = pod.metadata.deletion_timestamp.is_some()
        && pod.metadata.deletion_grace_period_seconds == Some(0);
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes.any(
        |volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(source), _) => source.claim_name == *name,
            (None, Some(_)) => {
                let is_named = format!("{pod_name}-{}", volume.name) == *name;
                is_named
                    && !is_shut_down
                    && owners::is_controlled_by(&claim.metadata, &pod.metadata)
            }
            (None, None) => false,
        },
    )
}
