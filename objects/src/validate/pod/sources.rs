//! The sources of a pod's volumes.

use super::{
    Faults, Spot, checks,
    environment::{VOLUME_FIELDS, field_reference, resource_reference},
};
use crate::{
    invalid::Invalid,
    path::Path,
    validate::{amount, kinds::volumes::claims, metadata, names},
};

const HOST_PATH_TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];
const DRIVER_NAME_LENGTH_MAX: usize = 63;
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

/// Fields that have to be there.
pub(super) fn filled(source: &Spot<'_>, fields: &[&str], faults: &mut Faults) {
    for field in fields {
        source.get(field).filled(faults);
    }
}

pub(super) fn empty(source: &Spot<'_>, faults: &mut Faults) {
    let limit = source.get("sizeLimit");
    if amount::read(limit.value).is_some_and(|limit| limit.sign() < 0) {
        limit.forbidden(faults, "SizeLimit field must be a valid resource quantity");
    }
}

pub(super) fn host_path(source: &Spot<'_>, faults: &mut Faults) {
    let path = source.get("path");
    if !path.filled(faults) {
        return;
    }
    checks::no_steps_back(&path, faults);
    if let Some(kind) = source.find("type") {
        kind.one_of(faults, &HOST_PATH_TYPES);
    }
}

/// A disk whose faults upstream tells under another name.
pub(super) fn google_disk(source: &Spot<'_>, faults: &mut Faults) {
    let name = source.get("pdName");
    if name.text().is_empty() {
        let parent = source.path.as_str().trim_end_matches("gcePersistentDisk");
        let path = Path::new(&format!("{parent}persistentDisk")).child("pdName");
        faults.push(Invalid::required(&path, ""));
    }
}

pub(super) fn git(source: &Spot<'_>, faults: &mut Faults) {
    source.get("repository").filled(faults);
    checks::descending(&source.get("directory"), faults);
}

pub(super) fn nfs(source: &Spot<'_>, faults: &mut Faults) {
    filled(source, &["server", "path"], faults);
    let path = source.get("path");
    if !path.text().starts_with('/') {
        path.invalid_text(faults, "must be an absolute path");
    }
}

pub(super) fn rados(source: &Spot<'_>, faults: &mut Faults) {
    monitors(source, faults);
    source.get("image").filled(faults);
}

pub(super) fn monitors(source: &Spot<'_>, faults: &mut Faults) {
    let monitors = source.get("monitors");
    if monitors.list().is_empty() {
        monitors.required(faults, "");
    }
}

/// Files that are written from a ConfigMap or a Secret.
pub(super) fn files(source: &Spot<'_>, name: &str, faults: &mut Faults) {
    source.get(name).filled(faults);
    checks::mode(&source.get("defaultMode"), faults);
    for item in source.get("items").each() {
        key_file(&item, faults);
    }
}

fn key_file(item: &Spot<'_>, faults: &mut Faults) {
    item.get("key").filled(faults);
    let path = item.get("path");
    path.filled(faults);
    checks::not_reserved(&path, faults);
    checks::mode(&item.get("mode"), faults);
}

pub(super) fn downward(source: &Spot<'_>, faults: &mut Faults) {
    checks::mode(&source.get("defaultMode"), faults);
    for item in source.get("items").each() {
        downward_file(&item, source, faults);
    }
}

/// A file with a field of the pod; upstream tells its faults with the path of the whole source.
fn downward_file(item: &Spot<'_>, source: &Spot<'_>, faults: &mut Faults) {
    let item = Spot {
        value: item.value,
        path: source.path.clone(),
    };
    let path = item.get("path");
    path.filled(faults);
    checks::not_reserved(&path, faults);
    match (item.find("fieldRef"), item.find("resourceFieldRef")) {
        (Some(field), resource) => {
            field_reference(&field, &VOLUME_FIELDS, faults);
            if resource.is_some() {
                let words = "fieldRef and resourceFieldRef can not be specified simultaneously";
                faults.push(Invalid::value(&item.path, "resource", words));
            }
        }
        (None, Some(resource)) => resource_reference(&resource, true, faults),
        (None, None) => item.required(faults, "one of fieldRef and resourceFieldRef is required"),
    }
    checks::mode(&item.get("mode"), faults);
}

pub(super) fn projected(source: &Spot<'_>, faults: &mut Faults) {
    checks::mode(&source.get("defaultMode"), faults);
    let mut paths = Vec::new();
    for part in source.get("sources").each() {
        let mut count = 0;
        for field in ["secret", "configMap"] {
            if let Some(found) = part.find(field) {
                count += 1;
                projected_files(&found, source, &mut paths, faults);
            }
        }
        if let Some(found) = part.find("downwardAPI") {
            count += 1;
            for item in found.get("items").each() {
                downward_file(&item, &found, faults);
                let path = item.get("path").text();
                conflict(path, path, source, &mut paths, faults);
            }
        }
        if let Some(token) = part.find("serviceAccountToken") {
            count += 1;
            service_account_token(&token, source, faults);
        }
        count += usize::from(part.find("clusterTrustBundle").is_some());
        count += usize::from(part.find("podCertificate").is_some());
        if count > 1 {
            part.forbidden(faults, "may not specify more than 1 volume type per source");
        }
    }
}

fn projected_files<'a>(
    found: &Spot<'a>,
    source: &Spot<'_>,
    paths: &mut Vec<&'a str>,
    faults: &mut Faults,
) {
    let name = found.get("name");
    name.filled(faults);
    for item in found.get("items").each() {
        key_file(&item, faults);
        conflict(item.get("path").text(), name.text(), source, paths, faults);
    }
}

/// Two files cannot have one path.
fn conflict<'a>(
    path: &'a str,
    shown: &str,
    source: &Spot<'_>,
    paths: &mut Vec<&'a str>,
    faults: &mut Faults,
) {
    if path.is_empty() {
        return;
    }
    if paths.contains(&path) {
        faults.push(Invalid::value(
            &source.path,
            shown,
            "conflicting duplicate paths",
        ));
    } else {
        paths.push(path);
    }
}

fn service_account_token(token: &Spot<'_>, source: &Spot<'_>, faults: &mut Faults) {
    let expiration = token.get("expirationSeconds");
    let seconds = expiration.number().unwrap_or(0);
    if seconds < TOKEN_SECONDS_MIN {
        expiration.invalid(faults, "may not specify a duration less than 10 minutes");
    }
    if seconds > TOKEN_SECONDS_MAX {
        expiration.invalid(
            faults,
            "may not specify a duration larger than 2^32 seconds",
        );
    }
    let path = Spot {
        value: token.get("path").value,
        path: source.path.child("path"),
    };
    if path.filled(faults) {
        checks::not_reserved(&path, faults);
    }
}

pub(super) fn driver(source: &Spot<'_>, faults: &mut Faults) {
    let name = source.get("driver");
    if name.filled(faults) {
        if name.text().len() > DRIVER_NAME_LENGTH_MAX {
            faults.push(Invalid::too_long(&name.path, DRIVER_NAME_LENGTH_MAX));
        }
        let lower = name.text().to_lowercase();
        for sentence in names::subdomain(&lower) {
            name.invalid(faults, sentence);
        }
    }
    if let Some(secret) = source.find("nodePublishSecretRef") {
        let secret_name = secret.get("name");
        if secret_name.filled(faults) {
            names::check(
                faults,
                &source.path.child("name"),
                secret_name.text(),
                names::subdomain,
            );
        }
    }
}

pub(super) fn ephemeral(source: &Spot<'_>, faults: &mut Faults) {
    let template = source.get("volumeClaimTemplate");
    if !template.is_present() {
        template.required(faults, "");
        return;
    }
    let inner = template.get("metadata");
    let (labels, annotations) = (inner.get("labels"), inner.get("annotations"));
    metadata::annotations(annotations.map(), &annotations.path, faults);
    metadata::labels(labels.map(), &labels.path, faults);
    claims::spec(&template.get("spec").view(), faults);
}

pub(super) fn image(source: &Spot<'_>, faults: &mut Faults) {
    let policies = ["Always", "IfNotPresent", "Never"];
    source.get("pullPolicy").required_one_of(faults, &policies);
}
