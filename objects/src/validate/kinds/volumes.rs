//! Persistent volumes and the claims on them.

use super::{
    amount, resources, rules,
    view::{View, same},
};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
};

mod affinity;
pub(in crate::validate) mod claims;
mod difference;
mod sources;

const ACCESS_MODES: &[&str] = &[
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];

/// The fields of a volume's spec that are not its source.
const NOT_SOURCES: &[&str] = &[
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

pub(super) fn volume(new: &Value, faults: &mut Faults) {
    volume_spec(&View::root(new).at("spec"), meta::name(new), faults);
}

/// The source of a volume: its spec without the fields that say how it is used.
fn source(object: &Value) -> Value {
    let mut spec = object.get("spec").cloned().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|field, _| !NOT_SOURCES.contains(&field.as_str()));
    }
    spec
}

pub(super) fn volume_update(new: &Value, old: &Value, faults: &mut Faults) {
    volume(new, faults);
    let (mut after, before) = (source(new), source(old));
    let expand = "controllerExpandSecretRef";
    let of = |source: &Value| meta::at(source, &["csi", expand]).is_some_and(|at| !at.is_null());
    if before.get("csi").is_some()
        && !of(&before)
        && let Some(csi) = after.get_mut("csi").and_then(Value::as_object_mut)
    {
        csi.remove(expand);
    }
    if !same(&after, &before) {
        let path = Path::new("spec").child("persistentvolumesource");
        let changes = difference::shown(&before, &after, difference::SOURCE);
        faults.push(Invalid::forbidden(
            &path,
            format!("spec.persistentvolumesource is immutable after creation\n{changes}"),
        ));
    }
    let (spec, before) = (View::root(new).at("spec"), View::root(old).at("spec"));
    let mode = spec.at("volumeMode").told_as(Path::new("volumeMode"));
    mode.immutable(&before.at("volumeMode"), faults);
    if before.at("nodeAffinity").is_set() {
        let affinity = spec.at("nodeAffinity").told_as(Path::new("nodeAffinity"));
        affinity::unchanged(&affinity, &before.at("nodeAffinity"), faults);
    }
    let class = spec.at("volumeAttributesClassName");
    if before.at("volumeAttributesClassName").is_set() && !class.is_set() {
        faults.push(class.forbidden("update from non-nil value to nil is forbidden"));
    }
}

/// Access modes of a volume or a claim.
fn access_modes(modes: &View<'_>, faults: &mut Faults) {
    let texts = modes.texts();
    for mode in texts.iter().filter(|mode| !ACCESS_MODES.contains(mode)) {
        faults.push(Invalid::not_supported(&modes.path, *mode, ACCESS_MODES));
    }
    let one_pod = texts.contains(&"ReadWriteOncePod");
    let others = texts
        .iter()
        .any(|mode| *mode != "ReadWriteOncePod" && ACCESS_MODES.contains(mode));
    if one_pod && others {
        faults.push(modes.forbidden("may not use ReadWriteOncePod with other access modes"));
    }
}

pub(super) fn volume_spec(spec: &View<'_>, name: &str, faults: &mut Faults) {
    let (modes, capacity) = (spec.at("accessModes"), spec.at("capacity"));
    modes.require("", faults);
    access_modes(&modes, faults);
    capacity.require("", faults);
    let keys: Vec<&str> = capacity.entries().map(|(key, _)| key).collect();
    if keys != ["storage"] {
        let shown = if capacity.is_set() { "" } else { "null" };
        let fault = capacity.not_supported(&["storage"]);
        faults.push(if shown.is_empty() {
            fault
        } else {
            fault.showing(shown)
        });
    }
    for (_, amount) in capacity.entries() {
        amount::not_below_zero(&amount, faults);
        amount::positive(&amount, faults);
    }
    let policy = spec.at("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        policy.one_of(&["Delete", "Recycle", "Retain"], faults);
    }
    let placed = affinity::of_volume(&spec.at("nodeAffinity"), faults);
    sources::check(spec, name, placed, faults);
    let path = spec.at("hostPath").at("path");
    let is_root = spec.at("hostPath").is_set() && path.text().split('/').all(str::is_empty);
    if is_root && path.text().starts_with('/') && policy.text() == "Recycle" {
        faults.push(policy.forbidden("may not be 'recycle' for a hostPath mount of '/'"));
    }
    if !spec.at("storageClassName").is_empty() {
        rules::subdomain(&spec.at("storageClassName"), faults);
    }
    if spec.at("volumeMode").is_set() {
        spec.at("volumeMode").one_of(VOLUME_MODES, faults);
    }
    let class = spec.at("volumeAttributesClassName");
    if class.is_set() {
        if class.require("an empty string is disallowed", faults) {
            rules::subdomain(&class, faults);
        }
        if !spec.at("csi").is_set() {
            let detail = "has to be specified when using volumeAttributesClassName";
            faults.push(spec.at("csi").required(detail));
        }
    }
}

/// A volume within an attachment, which has no object of its own.
pub(super) fn inline_spec(spec: &View<'_>, faults: &mut Faults) {
    let inline = "in the context of inline volumes";
    for field in ["claimRef", "capacity"] {
        if !spec.at(field).is_empty() {
            faults.push(
                spec.at(field)
                    .forbidden(format!("may not be specified {inline}")),
            );
        }
    }
    if !spec.at("csi").is_set() {
        faults.push(
            spec.at("csi")
                .required(&format!("has to be specified {inline}")),
        );
    }
    spec.at("accessModes").require("", faults);
    access_modes(&spec.at("accessModes"), faults);
    let policy = spec.at("persistentVolumeReclaimPolicy");
    if !policy.is_empty() && policy.text() != "Retain" {
        faults.push(policy.forbidden(format!("may only be Retain {inline}")));
    }
    let affinity = spec.at("nodeAffinity");
    if affinity.is_set() {
        faults.push(affinity.forbidden(format!("may not be specified {inline}")));
    }
    sources::check(spec, "", false, faults);
    let class = spec.at("storageClassName");
    if !class.is_empty() {
        faults.push(class.forbidden(format!("may not be specified {inline}")));
    }
    let mode = spec.at("volumeMode");
    if mode.is_set() && mode.text() != "Filesystem" {
        faults.push(mode.forbidden(format!(
            "may not specify volumeMode other than Filesystem {inline}"
        )));
    }
}

pub(super) use sources::driver_name;

pub(super) fn volume_status(new: &Value, _old: &Value, faults: &mut Faults) {
    resource_version(new, faults);
}

/// What upstream asks of the status of volumes, claims and quotas.
pub(super) fn resource_version(new: &Value, faults: &mut Faults) {
    if meta::resource_version(new).is_empty() {
        faults.push(Invalid::required(&Path::new("resourceVersion"), ""));
    }
}
