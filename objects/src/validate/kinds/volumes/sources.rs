//! Where the bytes of a volume are: each kind of source and what it needs.

use crate::{
    invalid::{Faults, Invalid},
    validate::{
        kinds::{rules, view::View},
        names,
    },
};

const DRIVER_LENGTH_MAX: usize = 63;
const UNIT_MAX: i64 = 255;
const PATH_NEEDED: &str = "must be an absolute path";

type Check = fn(&View<'_>, &mut Faults);

/// The sources in upstream's order: the field, the name that messages have for it as a second source and as the only one, and its rules.
const SOURCES: &[(&str, &str, &str, Check)] = &[
    ("hostPath", "hostPath", "hostPath", host_path),
    (
        "gcePersistentDisk",
        "gcePersistentDisk",
        "persistentDisk",
        gce_disk,
    ),
    (
        "awsElasticBlockStore",
        "awsElasticBlockStore",
        "awsElasticBlockStore",
        aws_disk,
    ),
    ("glusterfs", "glusterfs", "glusterfs", gluster),
    ("flocker", "flocker", "flocker", flocker),
    ("nfs", "nfs", "nfs", nfs),
    ("rbd", "rbd", "rbd", rbd),
    ("quobyte", "quobyte", "quobyte", quobyte),
    ("cephfs", "cephFS", "cephfs", ceph),
    ("iscsi", "iscsi", "iscsi", iscsi),
    ("cinder", "cinder", "cinder", cinder),
    ("fc", "fc", "fc", fibre_channel),
    ("flexVolume", "flexVolume", "flexVolume", flex),
    ("azureFile", "azureFile", "azureFile", azure_file),
    ("vsphereVolume", "vsphereVolume", "vsphereVolume", vsphere),
    (
        "photonPersistentDisk",
        "photonPersistentDisk",
        "photonPersistentDisk",
        photon,
    ),
    (
        "portworxVolume",
        "portworxVolume",
        "portworxVolume",
        portworx,
    ),
    ("azureDisk", "azureDisk", "azureDisk", azure_disk),
    ("scaleIO", "scaleIO", "scaleIO", scale_io),
    ("local", "local", "local", local),
    ("storageos", "storageos", "storageos", storage_os),
    ("csi", "csi", "csi", csi),
];

/// Asks for exactly one source, and what that source needs.
pub(super) fn check(spec: &View<'_>, _name: &str, placed: bool, faults: &mut Faults) {
    let mut count = 0;
    for (field, second, only, rules) in SOURCES {
        let source = spec.at(field);
        if !source.is_set() {
            continue;
        }
        if count > 0 && *field != "flexVolume" {
            let path = spec.path.child(second);
            let detail = "may not specify more than 1 volume type";
            faults.push(Invalid::forbidden(&path, detail));
            continue;
        }
        count += 1;
        rules(&source.told_as(spec.path.child(only)), faults);
        if *field == "local" && !placed {
            let affinity = spec.at("nodeAffinity");
            faults.push(affinity.required("Local volume requires node affinity"));
        }
    }
    if count == 0 {
        faults.push(spec.required("must specify a volume type"));
    }
}

/// Asks for values in fields.
fn need(source: &View<'_>, fields: &[&str], faults: &mut Faults) {
    for field in fields {
        source.at(field).require("", faults);
    }
}

fn no_steps_back(path: &View<'_>, faults: &mut Faults) {
    if path.text().split('/').any(|part| part == "..") {
        faults.push(path.invalid("must not contain '..'"));
    }
}

fn host_path(source: &View<'_>, faults: &mut Faults) {
    let path = source.at("path");
    if !path.require("", faults) {
        return;
    }
    no_steps_back(&path, faults);
    let kind = source.at("type");
    if kind.is_set() && !kind.is_empty() {
        kind.one_of(
            &[
                "",
                "BlockDevice",
                "CharDevice",
                "Directory",
                "DirectoryOrCreate",
                "File",
                "FileOrCreate",
                "Socket",
            ],
            faults,
        );
    }
}

fn partition(source: &View<'_>, faults: &mut Faults) {
    let partition = source.at("partition");
    if !(0..=UNIT_MAX).contains(&partition.number()) {
        faults.push(partition.invalid(names::between(0, UNIT_MAX)));
    }
}

fn gce_disk(source: &View<'_>, faults: &mut Faults) {
    need(source, &["pdName"], faults);
    partition(source, faults);
}

fn aws_disk(source: &View<'_>, faults: &mut Faults) {
    need(source, &["volumeID"], faults);
    partition(source, faults);
}

fn gluster(source: &View<'_>, faults: &mut Faults) {
    need(source, &["endpoints", "path"], faults);
    let namespace = source.at("endpointsNamespace");
    if namespace.is_set() && namespace.text().is_empty() {
        let detail = "if the endpointnamespace is set, it must be a valid namespace name";
        faults.push(namespace.invalid(detail));
    } else if namespace.is_set() {
        rules::label(&namespace, faults);
    }
}

fn flocker(source: &View<'_>, faults: &mut Faults) {
    let (name, uuid) = (source.at("datasetName"), source.at("datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        faults.push(source.required("one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "resource";
        faults.push(Invalid::value(
            &source.path,
            detail,
            "datasetName and datasetUUID can not be specified simultaneously",
        ));
    }
    if name.text().contains('/') {
        faults.push(name.invalid("must not contain '/'"));
    }
}

fn nfs(source: &View<'_>, faults: &mut Faults) {
    need(source, &["server", "path"], faults);
    let path = source.at("path");
    if !path.text().starts_with('/') {
        faults.push(Invalid::value(&path.path, path.text(), PATH_NEEDED));
    }
}

fn rbd(source: &View<'_>, faults: &mut Faults) {
    need(source, &["monitors", "image"], faults);
}

fn quobyte(source: &View<'_>, faults: &mut Faults) {
    let registry = source.at("registry");
    if registry.is_empty() {
        faults.push(
            registry.required("must be a host:port pair or multiple pairs separated by commas"),
        );
    } else if registry.text().len() >= 65536 {
        faults.push(
            registry.invalid("must be a host:port pair or multiple pairs separated by commas"),
        );
    }
    need(source, &["volume"], faults);
}

fn ceph(source: &View<'_>, faults: &mut Faults) {
    need(source, &["monitors"], faults);
}

fn iscsi(source: &View<'_>, faults: &mut Faults) {
    need(source, &["targetPortal", "iqn"], faults);
    let name = source.at("iqn");
    let known = ["iqn", "eui", "naa"]
        .iter()
        .any(|start| name.text().starts_with(start));
    if !name.is_empty() && !known {
        faults.push(name.invalid("must be valid format"));
    }
    let unit = source.at("lun");
    if !(0..=UNIT_MAX).contains(&unit.number()) {
        faults.push(unit.invalid(names::between(0, UNIT_MAX)));
    }
    let authenticates =
        source.at("chapAuthDiscovery").flag() || source.at("chapAuthSession").flag();
    let secret = source.at("secretRef");
    if authenticates && !secret.is_set() {
        faults.push(secret.required(""));
    }
    if secret.at("name").is_set() {
        secret.at("name").require("", faults);
    }
}

fn cinder(source: &View<'_>, faults: &mut Faults) {
    need(source, &["volumeID"], faults);
    let secret = source.at("secretRef");
    if secret.is_set() {
        need(&secret, &["name", "namespace"], faults);
    }
}

fn fibre_channel(source: &View<'_>, faults: &mut Faults) {
    let (targets, wwids) = (source.at("targetWWNs"), source.at("wwids"));
    let unit = source.at("lun");
    if targets.is_empty() && wwids.is_empty() {
        faults.push(targets.required("must specify either targetWWNs or wwids, but not both"));
    }
    if !targets.is_empty() && !wwids.is_empty() {
        faults.push(targets.invalid("targetWWNs and wwids can not be specified simultaneously"));
    }
    if targets.is_empty() {
        return;
    }
    if !unit.is_set() {
        faults.push(unit.required("lun is required if targetWWNs is specified"));
    } else if !(0..=UNIT_MAX).contains(&unit.number()) {
        faults.push(unit.invalid(names::between(0, UNIT_MAX)));
    }
}

fn flex(source: &View<'_>, faults: &mut Faults) {
    need(source, &["driver"], faults);
    for (key, _) in source.at("options").entries() {
        let domain = key.split('/').next().unwrap_or_default();
        if domain == "kubernetes.io" || domain.ends_with(".kubernetes.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            faults.push(Invalid::value(
                &source.path.child("options").key(key),
                key,
                detail,
            ));
        }
    }
}

fn azure_file(source: &View<'_>, faults: &mut Faults) {
    need(source, &["secretName", "shareName"], faults);
    let namespace = source.at("secretNamespace");
    if namespace.is_set() {
        namespace.require("", faults);
    }
}

fn azure_disk(source: &View<'_>, faults: &mut Faults) {
    need(source, &["diskName", "diskURI"], faults);
    let caching = source.at("cachingMode");
    if caching.is_set() {
        caching.one_of(&["None", "ReadOnly", "ReadWrite"], faults);
    }
}

fn vsphere(source: &View<'_>, faults: &mut Faults) {
    need(source, &["volumePath"], faults);
}

fn photon(source: &View<'_>, faults: &mut Faults) {
    need(source, &["pdID"], faults);
}

fn portworx(source: &View<'_>, faults: &mut Faults) {
    need(source, &["volumeID"], faults);
}

fn scale_io(source: &View<'_>, faults: &mut Faults) {
    need(source, &["gateway", "system", "volumeName"], faults);
}

fn local(source: &View<'_>, faults: &mut Faults) {
    let path = source.at("path");
    if path.require("", faults) {
        no_steps_back(&path, faults);
    }
}

fn storage_os(source: &View<'_>, faults: &mut Faults) {
    for field in ["volumeName", "volumeNamespace"] {
        let name = source.at(field);
        if field == "volumeName" || !name.is_empty() {
            rules::label(&name, faults);
        }
    }
    let secret = source.at("secretRef");
    if secret.is_set() {
        need(&secret, &["name", "namespace"], faults);
    }
}

fn csi(source: &View<'_>, faults: &mut Faults) {
    driver_name(&source.at("driver"), faults);
    need(source, &["volumeHandle"], faults);
    for field in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        let secret = source.at(field);
        if !secret.is_set() {
            continue;
        }
        if secret.at("name").require("", faults) {
            rules::subdomain(&secret.at("name"), faults);
        }
        if secret.at("namespace").require("", faults) {
            rules::label(&secret.at("namespace"), faults);
        }
    }
}

/// The name of a driver of volumes, whose letters may be large.
pub(crate) fn driver_name(name: &View<'_>, faults: &mut Faults) {
    if !name.require("", faults) {
        return;
    }
    if name.text().len() > DRIVER_LENGTH_MAX {
        faults.push(Invalid::too_long(&name.path, DRIVER_LENGTH_MAX));
    }
    name.tell(names::subdomain(&name.text().to_lowercase()), faults);
}
