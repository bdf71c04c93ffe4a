//! Defaults of a pod's volumes.

use serde_json::json;

use super::{field_reference, image};
use crate::{
    Value,
    defaults::{amounts, child, items, set, set_text},
    meta,
};

/// Files of volumes that are written from objects: 0644.
const MODE: i64 = 0o644;
const TOKEN_EXPIRATION_SECONDS: i64 = 3600;

/// Fields of a source: those that are text in Go, where empty is absent, and their values.
const TEXTS: [(&str, &str, &str); 6] = [
    ("iscsi", "iscsiInterface", "default"),
    ("rbd", "pool", "rbd"),
    ("rbd", "user", "admin"),
    ("rbd", "keyring", "/etc/ceph/keyring"),
    ("scaleIO", "storageMode", "ThinProvisioned"),
    ("scaleIO", "fsType", "xfs"),
];

/// Fields of a source that may be empty text.
const POINTERS: [(&str, &str, &str); 4] = [
    ("hostPath", "type", ""),
    ("azureDisk", "cachingMode", "ReadWrite"),
    ("azureDisk", "fsType", "ext4"),
    ("azureDisk", "kind", "Shared"),
];

pub(super) fn apply(volume: &mut Value) {
    no_source(volume);
    for (source, field, value) in TEXTS {
        if let Some(source) = child(volume, source) {
            set_text(source, field, value);
        }
    }
    for (source, field, value) in POINTERS {
        if let Some(source) = child(volume, source) {
            set(source, field, value);
        }
    }
    if let Some(source) = child(volume, "azureDisk") {
        set(source, "readOnly", false);
    }
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = child(volume, source) {
            set(source, "defaultMode", MODE);
        }
    }
    if let Some(source) = child(volume, "downwardAPI") {
        items(source, "items").for_each(field_reference);
    }
    if let Some(source) = child(volume, "projected") {
        items(source, "sources").for_each(projection);
    }
    if let Some(claim) =
        child(volume, "ephemeral").and_then(|source| child(source, "volumeClaimTemplate"))
    {
        set(claim, "metadata", json!({}));
        set(meta::spec_mut(claim), "volumeMode", "Filesystem");
        amounts::round_claim(claim);
    }
    if let Some(source) = child(volume, "image") {
        let policy = image::pull_policy(meta::text(source, &["reference"]));
        set_text(source, "pullPolicy", policy);
    }
}

/// A volume that does not say what it is is an empty folder.
fn no_source(volume: &mut Value) {
    let none = volume.as_object().is_some_and(|fields| {
        fields
            .iter()
            .all(|(field, value)| field == "name" || value.is_null())
    });
    if none {
        volume["emptyDir"] = json!({});
    }
}

fn projection(source: &mut Value) {
    if let Some(downward) = child(source, "downwardAPI") {
        items(downward, "items").for_each(field_reference);
    }
    if let Some(token) = child(source, "serviceAccountToken") {
        set(token, "expirationSeconds", TOKEN_EXPIRATION_SECONDS);
    }
}
