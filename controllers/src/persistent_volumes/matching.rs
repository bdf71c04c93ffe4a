//! Which volume suits a claim.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use objects::quantity::Quantity;

use super::{AVAILABLE, claim_class, names, volume_class, volume_phase};
use crate::selectors;

fn quantity(text: Option<&Text>) -> Quantity {
    text.and_then(|text| Quantity::parse(&text.0).ok())
        .unwrap_or_else(Quantity::zero)
}

fn capacity(volume: &PersistentVolume) -> Quantity {
    let spec = volume.spec.as_ref();
    quantity(spec.and_then(|spec| spec.capacity.as_ref()?.get("storage")))
}

/// What the claim asks for.
pub(crate) fn request(claim: &PersistentVolumeClaim) -> Option<&Text> {
    claim
        .spec
        .as_ref()?
        .resources
        .as_ref()?
        .requests
        .as_ref()?
        .get("storage")
}

/// Whether a volume holds as many bytes as the claim asks for, in the way it asks for, and will stay.
fn can_hold(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    is_large_enough(volume, claim)
        && is_mode_same(volume, claim)
        && attributes_of_volume(volume) == attributes_of_claim(claim)
        && volume.metadata.deletion_timestamp.is_none()
}

fn is_large_enough(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    capacity(volume) >= quantity(request(claim))
}

/// Whether both are file systems, or both are blocks.
pub(crate) fn is_mode_same(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let of_volume = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_mode.as_deref());
    let of_claim = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_mode.as_deref());
    of_volume.unwrap_or("Filesystem") == of_claim.unwrap_or("Filesystem")
}

fn attributes_of_volume(volume: &PersistentVolume) -> &str {
    let spec = volume.spec.as_ref();
    spec.and_then(|spec| spec.volume_attributes_class_name.as_deref())
        .unwrap_or_default()
}

fn attributes_of_claim(claim: &PersistentVolumeClaim) -> &str {
    let spec = claim.spec.as_ref();
    spec.and_then(|spec| spec.volume_attributes_class_name.as_deref())
        .unwrap_or_default()
}

fn modes(volume: &PersistentVolume) -> &[String] {
    let spec = volume.spec.as_ref();
    spec.and_then(|spec| spec.access_modes.as_deref())
        .unwrap_or_default()
}

fn is_accessible(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let wanted = claim
        .spec
        .iter()
        .flat_map(|spec| spec.access_modes.iter().flatten());
    let offered = modes(volume);
    wanted.into_iter().all(|mode| offered.contains(mode))
}

/// Why a volume that a claim asks for by name does not suit it.
pub(crate) fn misfit(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    if volume.metadata.deletion_timestamp.is_some() {
        Some(format!("the volume is marked for deletion {name:?}"))
    } else if !is_large_enough(volume, claim) {
        Some("requested PV is too small".to_owned())
    } else if volume_class(volume) != claim_class(claim) {
        Some("storageClassName does not match".to_owned())
    } else if attributes_of_volume(volume) != attributes_of_claim(claim) {
        Some("volumeAttributesClassName does not match".to_owned())
    } else if !is_mode_same(volume, claim) {
        Some("incompatible volumeMode".to_owned())
    } else if !is_accessible(volume, claim) {
        Some("incompatible accessMode".to_owned())
    } else {
        None
    }
}

/// The volume that suits the claim best: one that names it, else a free one, with as few ways of access
/// and then as small as can be. A claim that is to be bound only when a pod needs it gets no free one here.
pub(crate) fn best<'a>(
    claim: &PersistentVolumeClaim,
    volumes: &'a [Arc<PersistentVolume>],
    is_delayed: bool,
) -> Result<Option<&'a Arc<PersistentVolume>>, String> {
    let fitting = || {
        volumes
            .iter()
            .filter(|volume| is_accessible(volume, claim) && can_hold(volume, claim))
    };
    if let Some(named) = fitting().find(|volume| names(volume, claim)) {
        return Ok(Some(named));
    }
    if is_delayed {
        return Ok(None);
    }
    let selector = match claim.spec.as_ref().and_then(|spec| spec.selector.as_ref()) {
        Some(selector) => Some(selectors::read(Some(selector))?),
        None => None,
    };
    let free = fitting().filter(|volume| {
        super::claim_reference(volume).is_none()
            && volume_phase(volume) == AVAILABLE
            && volume_class(volume) == claim_class(claim)
            && selector
                .as_ref()
                .is_none_or(|selector| selectors::selects(selector, &volume.metadata))
    });
    Ok(free.min_by(|a, b| {
        let by_size = capacity(a).cmp(&capacity(b));
        let by_modes = modes(a).len().cmp(&modes(b).len());
        by_modes
            .then(by_size)
            .then_with(|| a.metadata.name.cmp(&b.metadata.name))
    }))
}
