//! Volumes, their claims and classes, and devices.

use serde_json::json;

use super::{Kind, NAME_AND_AGE, kind};
use crate::table::column::{AGE, Column, NAME, Row, boolean, count, join, text, text_or, with};
use crate::table::format;
use crate::{Value, meta};

pub(super) const KINDS: &[Kind] = &[
    kind("", "PersistentVolume", VOLUME),
    kind("", "PersistentVolumeClaim", CLAIM),
    kind("storage.k8s.io", "StorageClass", STORAGE_CLASS),
    kind("storage.k8s.io", "VolumeAttachment", VOLUME_ATTACHMENT),
    kind(
        "storage.k8s.io",
        "VolumeAttributesClass",
        &[NAME, text("DriverName", "driverName"), AGE],
    ),
    kind("storage.k8s.io", "CSIDriver", CSI_DRIVER),
    kind(
        "storage.k8s.io",
        "CSINode",
        &[NAME, count("Drivers", "spec.drivers"), AGE],
    ),
    kind("resource.k8s.io", "DeviceClass", NAME_AND_AGE),
    kind(
        "resource.k8s.io",
        "ResourceClaim",
        &[NAME, with("State", claim_state), AGE],
    ),
    kind("resource.k8s.io", "ResourceClaimTemplate", NAME_AND_AGE),
    kind("resource.k8s.io", "ResourceSlice", RESOURCE_SLICE),
];

const ATTRIBUTES_CLASS: Column = text_or(
    "VolumeAttributesClass",
    "spec.volumeAttributesClassName",
    "<unset>",
);
const VOLUME_MODE: Column = text_or("VolumeMode", "spec.volumeMode", "<unset>").wide();
const CLASS: Column = with("StorageClass", storage_class);
const STATUS: Column = with("Status", phase);

const VOLUME: &[Column] = &[
    NAME,
    with("Capacity", |row| {
        json!(quantity(row, "spec.capacity.storage"))
    }),
    with("Access Modes", |row| {
        json!(access_modes(row.list("spec.accessModes")))
    }),
    text("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"),
    STATUS,
    with("Claim", claim_of_volume),
    CLASS,
    ATTRIBUTES_CLASS,
    text("Reason", "status.reason"),
    AGE,
    VOLUME_MODE,
];

const CLAIM: &[Column] = &[
    NAME,
    STATUS,
    text("Volume", "spec.volumeName"),
    with("Capacity", |row| {
        json!(if is_bound(row) {
            quantity(row, "status.capacity.storage")
        } else {
            String::new()
        })
    }),
    with("Access Modes", |row| {
        json!(if is_bound(row) {
            access_modes(row.list("status.accessModes"))
        } else {
            String::new()
        })
    }),
    CLASS,
    ATTRIBUTES_CLASS,
    AGE,
    VOLUME_MODE,
];

const STORAGE_CLASS: &[Column] = &[
    with("Name", |row| {
        json!(format::name_or_default(
            row.object,
            &[
                "storageclass.kubernetes.io/is-default-class",
                "storageclass.beta.kubernetes.io/is-default-class",
            ]
        ))
    })
    .formatted("name"),
    text("Provisioner", "provisioner"),
    text_or("ReclaimPolicy", "reclaimPolicy", "Delete"),
    text_or("VolumeBindingMode", "volumeBindingMode", "Immediate"),
    boolean("AllowVolumeExpansion", "allowVolumeExpansion", false).of("string"),
    AGE,
];

const VOLUME_ATTACHMENT: &[Column] = &[
    NAME,
    text("Attacher", "spec.attacher").formatted("name"),
    text("PV", "spec.source.persistentVolumeName"),
    text("Node", "spec.nodeName"),
    boolean("Attached", "status.attached", false),
    AGE,
];

const CSI_DRIVER: &[Column] = &[
    NAME,
    boolean("AttachRequired", "spec.attachRequired", true),
    boolean("PodInfoOnMount", "spec.podInfoOnMount", false),
    boolean("StorageCapacity", "spec.storageCapacity", false),
    with("TokenRequests", token_requests),
    boolean("RequiresRepublish", "spec.requiresRepublish", false),
    join("Modes", "spec.volumeLifecycleModes", "<none>"),
    AGE,
];

const RESOURCE_SLICE: &[Column] = &[
    NAME,
    text("Node", "spec.nodeName"),
    text("Driver", "spec.driver"),
    text("Pool", "spec.pool.name"),
    AGE,
];

/// The class that an annotation of old names, or the field.
fn storage_class(row: &Row<'_>) -> Value {
    let annotated = meta::annotation(row.object, "volume.beta.kubernetes.io/storage-class");
    json!(annotated.unwrap_or_else(|| row.text("spec.storageClassName")))
}

fn phase(row: &Row<'_>) -> Value {
    json!(if meta::is_deleting(row.object) {
        "Terminating"
    } else {
        row.text("status.phase")
    })
}

fn quantity(row: &Row<'_>, path: &str) -> String {
    format::scalar(row.at(path)).unwrap_or_else(|| "0".to_owned())
}

fn is_bound(row: &Row<'_>) -> bool {
    !row.text("spec.volumeName").is_empty()
}

/// Access modes in short, each once and in a fixed order.
fn access_modes(modes: &[Value]) -> String {
    let short: Vec<&str> = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ]
    .into_iter()
    .filter(|(mode, _)| modes.iter().any(|value| value == mode))
    .map(|(_, short)| short)
    .collect();
    short.join(",")
}

fn claim_of_volume(row: &Row<'_>) -> Value {
    let claim = row.at("spec.claimRef").map(|claim| {
        format!(
            "{}/{}",
            meta::text(claim, &["namespace"]),
            meta::text(claim, &["name"])
        )
    });
    json!(claim.unwrap_or_default())
}

fn token_requests(row: &Row<'_>) -> Value {
    if row.at("spec.tokenRequests").is_none() {
        return json!("<unset>");
    }
    let requests = row.list("spec.tokenRequests").iter();
    let audiences: Vec<&str> = requests
        .map(|request| meta::text(request, &["audience"]))
        .collect();
    json!(audiences.join(","))
}

fn claim_state(row: &Row<'_>) -> Value {
    let is_allocated = row.at("status.allocation").is_some();
    let is_deleting = meta::is_deleting(row.object);
    let is_reserved = is_allocated && !row.list("status.reservedFor").is_empty();
    let states: Vec<&str> = [
        (is_deleting, "deleted"),
        (!is_allocated && !is_deleting, "pending"),
        (is_allocated, "allocated"),
        (is_reserved, "reserved"),
    ]
    .into_iter()
    .filter_map(|(holds, state)| holds.then_some(state))
    .collect();
    json!(states.join(","))
}
