//! What has to be done about a volume.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde_json::{Value, json};

use super::{
    AVAILABLE, BOUND, BOUND_BY_CONTROLLER, FAILED, MIGRATED_TO, PROVISIONED_BY, RELEASED, Step,
    annotation, claim_reference, local_path, matching, tell_claim, tell_volume, volume_name,
    volume_phase, volume_status,
};
use crate::events::Event;
use crate::patches;

/// What has to be done about a volume; `claim` is the claim that it names, as the server has it.
pub(crate) fn decide(
    volume: &Arc<PersistentVolume>,
    claim: Option<&Arc<PersistentVolumeClaim>>,
) -> Vec<Step> {
    let uid = claim_reference(volume).and_then(|reference| reference.uid.as_deref());
    let Some(uid) = uid.filter(|uid| !uid.is_empty()) else {
        return volume_status(volume, AVAILABLE, "").into_iter().collect();
    };
    let Some(claim) = claim.filter(|claim| claim.metadata.uid.as_deref() == Some(uid)) else {
        return release(volume);
    };
    let named = volume_name(claim);
    if named.is_empty() {
        return look(volume, claim);
    }
    if Some(named) == volume.metadata.name.as_deref() {
        return volume_status(volume, BOUND, "").into_iter().collect();
    }
    let is_made_for_it =
        annotation(&volume.metadata, PROVISIONED_BY).is_some() && policy(volume) == "Delete";
    if is_made_for_it {
        release(volume)
    } else {
        unbind(volume)
    }
}

fn policy(volume: &PersistentVolume) -> &str {
    let spec = volume.spec.as_ref();
    spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref())
        .unwrap_or("Retain")
}

/// The volume waits for its claim, which is looked at unless the two can never be bound.
fn look(volume: &Arc<PersistentVolume>, claim: &Arc<PersistentVolumeClaim>) -> Vec<Step> {
    if matching::is_mode_same(volume, claim) {
        return vec![Step::Look(Arc::clone(claim))];
    }
    let volume_name = volume.metadata.name.as_deref().unwrap_or_default();
    let claim_name = claim.metadata.name.as_deref().unwrap_or_default();
    let of_volume = format!(
        "Cannot bind PersistentVolume to requested PersistentVolumeClaim {claim_name:?} due to incompatible volumeMode."
    );
    let of_claim = format!(
        "Cannot bind PersistentVolume {volume_name:?} to requested PersistentVolumeClaim due to incompatible volumeMode."
    );
    vec![
        tell_volume(volume, Event::warning("VolumeMismatch", of_volume)),
        tell_claim(claim, Event::warning("VolumeMismatch", of_claim)),
    ]
}

/// The volume's claim is gone: it is released, and reclaimed as its policy says.
fn release(volume: &Arc<PersistentVolume>) -> Vec<Step> {
    let is_over = matches!(volume_phase(volume), RELEASED | FAILED);
    let mut steps: Vec<Step> = if is_over {
        Vec::new()
    } else {
        volume_status(volume, RELEASED, "").into_iter().collect()
    };
    steps.extend(reclaim(volume));
    steps
}

fn reclaim(volume: &Arc<PersistentVolume>) -> Vec<Step> {
    if annotation(&volume.metadata, MIGRATED_TO).is_some_and(|plugin| !plugin.is_empty()) {
        return Vec::new();
    }
    match policy(volume) {
        "Retain" => Vec::new(),
        "Delete" => delete(volume),
        "Recycle" => fail(
            volume,
            "VolumeFailedRecycle",
            "No recycler plugin found for the volume!",
        ),
        _ => fail(
            volume,
            "VolumeUnknownReclaimPolicy",
            "Volume has unrecognized PersistentVolumeReclaimPolicy",
        ),
    }
}

/// Deletes a volume that this controller made; others are their provisioner's business, if they have one.
fn delete(volume: &Arc<PersistentVolume>) -> Vec<Step> {
    let maker = annotation(&volume.metadata, PROVISIONED_BY).unwrap_or_default();
    if maker == local_path::PROVISIONER_NAME {
        let is_going = volume.metadata.deletion_timestamp.is_some();
        return if is_going {
            Vec::new()
        } else {
            vec![Step::Delete(Arc::clone(volume))]
        };
    }
    let is_external = volume.spec.as_ref().is_some_and(|spec| spec.csi.is_some());
    if is_external || (!maker.is_empty() && !maker.starts_with("kubernetes.io/")) {
        return Vec::new();
    }
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    let message = format!(
        "error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched"
    );
    fail(volume, "VolumeFailedDelete", &message)
}

fn fail(volume: &Arc<PersistentVolume>, reason: &str, message: &str) -> Vec<Step> {
    let Some(step) = volume_status(volume, FAILED, message) else {
        return Vec::new();
    };
    vec![step, tell_volume(volume, Event::warning(reason, message))]
}

/// The claim took another volume: this one is free again, or waits again for the claim of a name it was made for.
fn unbind(volume: &Arc<PersistentVolume>) -> Vec<Step> {
    let patch = if annotation(&volume.metadata, BOUND_BY_CONTROLLER).is_some() {
        json!({"spec": {"claimRef": null}, "metadata": {"annotations": {BOUND_BY_CONTROLLER: null}}})
    } else {
        json!({"spec": {"claimRef": {"uid": Value::Null}}})
    };
    let patch = patches::when_unchanged(&volume.metadata, patch);
    let mut steps = vec![Step::Volume {
        volume: Arc::clone(volume),
        patch,
    }];
    steps.extend(volume_status(volume, AVAILABLE, ""));
    steps
}
