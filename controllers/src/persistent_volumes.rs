//! Brings claims and volumes together: finds or makes a volume for a claim, binds both ways, and reclaims volumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::Value;
use serde_json::json;

use crate::events::Event;
use crate::patches;

mod claims;
mod guard;
mod local_path;
mod matching;
pub(crate) mod protection;
mod run;
mod volumes;

pub(crate) use guard::{start_claims, start_volumes};
pub use local_path::PROVISIONER_NAME as LOCAL_PATH;
pub(crate) use run::start;

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const MIGRATED_TO: &str = "pv.kubernetes.io/migrated-to";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
const CLASS_BETA: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_CLASS_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";

const PENDING: &str = "Pending";
const BOUND: &str = "Bound";
const LOST: &str = "Lost";
const AVAILABLE: &str = "Available";
const RELEASED: &str = "Released";
const FAILED: &str = "Failed";

/// What has to be done, in order, up to the first step that fails.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Changes the volume itself.
    Volume {
        volume: Arc<PersistentVolume>,
        patch: Value,
    },
    VolumeStatus {
        volume: Arc<PersistentVolume>,
        patch: Value,
    },
    /// Changes the claim itself.
    Claim {
        claim: Arc<PersistentVolumeClaim>,
        patch: Value,
    },
    ClaimStatus {
        claim: Arc<PersistentVolumeClaim>,
        patch: Value,
    },
    Create(Box<PersistentVolume>),
    Delete(Arc<PersistentVolume>),
    TellVolume {
        volume: Arc<PersistentVolume>,
        event: Event,
    },
    TellClaim {
        claim: Arc<PersistentVolumeClaim>,
        event: Event,
    },
    /// The claim has to be looked at.
    Look(Arc<PersistentVolumeClaim>),
}

/// An annotation, which may be there without a value.
fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn claim_class(claim: &PersistentVolumeClaim) -> &str {
    let named = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    annotation(&claim.metadata, CLASS_BETA)
        .or(named)
        .unwrap_or_default()
}

fn volume_class(volume: &PersistentVolume) -> &str {
    let named = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    annotation(&volume.metadata, CLASS_BETA)
        .or(named)
        .unwrap_or_default()
}

fn volume_name(claim: &PersistentVolumeClaim) -> &str {
    let spec = claim.spec.as_ref();
    spec.and_then(|spec| spec.volume_name.as_deref())
        .unwrap_or_default()
}

fn claim_reference(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref()?.claim_ref.as_ref()
}

fn claim_phase(claim: &PersistentVolumeClaim) -> &str {
    let status = claim.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

fn volume_phase(volume: &PersistentVolume) -> &str {
    let status = volume.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// Whether the volume names the claim, and no other of that name.
fn names(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    claim_reference(volume).is_some_and(|reference| {
        let is_uid_fit = reference
            .uid
            .as_ref()
            .is_none_or(|uid| uid.is_empty() || Some(uid) == claim.metadata.uid.as_ref());
        reference.name == claim.metadata.name
            && reference.namespace == claim.metadata.namespace
            && is_uid_fit
    })
}

/// A patch that fails on another object of the same name.
fn same_object(metadata: &ObjectMeta, mut patch: Value) -> Value {
    if let Some(uid) = &metadata.uid {
        patch["metadata"]["uid"] = json!(uid);
    }
    patch
}

/// Sets the volume's phase, with a message; nothing if it has that phase.
fn volume_status(volume: &Arc<PersistentVolume>, phase: &str, message: &str) -> Option<Step> {
    (volume_phase(volume) != phase).then(|| {
        let message = if message.is_empty() {
            Value::Null
        } else {
            json!(message)
        };
        let patch = json!({"status": {"phase": phase, "message": message}});
        Step::VolumeStatus {
            volume: Arc::clone(volume),
            patch: same_object(&volume.metadata, patch),
        }
    })
}

/// Sets the claim's phase and what its volume gives it; nothing if that is there already.
fn claim_status(
    claim: &Arc<PersistentVolumeClaim>,
    phase: &str,
    volume: Option<&PersistentVolume>,
) -> Option<Step> {
    let old = claim.status.clone().unwrap_or_default();
    let mut new = old.clone();
    new.phase = Some(phase.to_owned());
    match volume.and_then(|volume| volume.spec.as_ref()) {
        None => {
            new.access_modes = None;
            new.capacity = None;
            new.current_volume_attributes_class_name = None;
        }
        Some(spec) => {
            new.access_modes.clone_from(&spec.access_modes);
            if old.phase.as_deref() != Some(phase) {
                new.capacity.clone_from(&spec.capacity);
            }
            if old.phase.as_deref() == Some(PENDING) && phase == BOUND {
                new.current_volume_attributes_class_name
                    .clone_from(&spec.volume_attributes_class_name);
            }
        }
    }
    let status = patches::between(&old, &new)?;
    let patch = same_object(&claim.metadata, json!({"status": status}));
    Some(Step::ClaimStatus {
        claim: Arc::clone(claim),
        patch,
    })
}

/// Binds a volume and a claim: the volume names the claim and says that it is bound, then the claim the volume.
/// What is done already is left out, so that a binding that was interrupted is completed.
fn bind(volume: &Arc<PersistentVolume>, claim: &Arc<PersistentVolumeClaim>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut patch = BTreeMap::new();
    let has_uid =
        claim_reference(volume).is_some_and(|reference| reference.uid == claim.metadata.uid);
    if !has_uid || !names(volume, claim) {
        let reference = reference_to(claim);
        patch.insert("spec", json!({"claimRef": reference}));
    }
    if !names(volume, claim) && annotation(&volume.metadata, BOUND_BY_CONTROLLER).is_none() {
        patch.insert(
            "metadata",
            json!({"annotations": {BOUND_BY_CONTROLLER: "yes"}}),
        );
    }
    if !patch.is_empty() {
        let patch = patches::when_unchanged(&volume.metadata, json!(patch));
        steps.push(Step::Volume {
            volume: Arc::clone(volume),
            patch,
        });
    }
    steps.extend(volume_status(volume, BOUND, ""));
    let mut annotations = BTreeMap::new();
    let mut patch = json!({});
    if Some(volume_name(claim)) != volume.metadata.name.as_deref() {
        patch = json!({"spec": {"volumeName": volume.metadata.name}});
        if annotation(&claim.metadata, BOUND_BY_CONTROLLER).is_none() {
            annotations.insert(BOUND_BY_CONTROLLER, "yes");
        }
    }
    if annotation(&claim.metadata, BIND_COMPLETED).is_none() {
        annotations.insert(BIND_COMPLETED, "yes");
    }
    if !annotations.is_empty() {
        patch["metadata"] = json!({"annotations": annotations});
    }
    if patch != json!({}) {
        let patch = patches::when_unchanged(&claim.metadata, patch);
        steps.push(Step::Claim {
            claim: Arc::clone(claim),
            patch,
        });
    }
    steps.extend(claim_status(claim, BOUND, Some(volume)));
    steps
}

/// How a volume names its claim.
fn reference_to(claim: &PersistentVolumeClaim) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("PersistentVolumeClaim".to_owned()),
        name: claim.metadata.name.clone(),
        namespace: claim.metadata.namespace.clone(),
        resource_version: claim.metadata.resource_version.clone(),
        uid: claim.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

fn tell_claim(claim: &Arc<PersistentVolumeClaim>, event: Event) -> Step {
    Step::TellClaim {
        claim: Arc::clone(claim),
        event,
    }
}

fn tell_volume(volume: &Arc<PersistentVolume>, event: Event) -> Step {
    Step::TellVolume {
        volume: Arc::clone(volume),
        event,
    }
}

#[cfg(test)]
mod tests;
