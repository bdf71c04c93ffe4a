//! ConfigMaps, Secrets, namespaces, bindings and other small kinds of the core group.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{rules, view::View};
use crate::{
    Map, Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
    validate::names,
};

/// All values of a ConfigMap or Secret together.
const DATA_BYTES_MAX: usize = 1024 * 1024;
const WHEN_IMMUTABLE: &str = "field is immutable when `immutable` is set";
const REDACTED: &str = "<secret contents redacted>";

pub(super) fn config_map(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    let (data, binary) = (root.at("data"), root.at("binaryData"));
    let mut bytes = 0;
    for (key, value) in data.entries() {
        names::check(faults, &value.path, key, names::config_key);
        if binary.key(key).is_set() {
            let detail = "duplicate of key present in binaryData";
            faults.push(Invalid::value(&value.path, key, detail));
        }
        bytes += value.text().len();
    }
    for (key, value) in binary.entries() {
        names::check(faults, &value.path, key, names::config_key);
        bytes += decoded_length(value.text());
    }
    if bytes > DATA_BYTES_MAX {
        // Upstream's text of a path with an empty name.
        faults.push(Invalid::too_long(&Path::new("[]"), DATA_BYTES_MAX));
    }
}

pub(super) fn config_map_update(new: &Value, old: &Value, faults: &mut Faults) {
    immutable_data(new, old, &["data", "binaryData"], faults);
    config_map(new, faults);
}

fn immutable_data(new: &Value, old: &Value, fields: &[&str], faults: &mut Faults) {
    let (new, old) = (View::root(new), View::root(old));
    if !old.at("immutable").flag() {
        return;
    }
    if !new.at("immutable").flag() {
        faults.push(new.at("immutable").forbidden(WHEN_IMMUTABLE));
    }
    for field in fields {
        let empty = Map::new();
        let (after, before) = (new.at(field), old.at(field));
        if after.map().unwrap_or(&empty) != before.map().unwrap_or(&empty) {
            faults.push(after.forbidden(WHEN_IMMUTABLE));
        }
    }
}

/// How many bytes a text in base64 stands for.
pub(super) fn decoded_length(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

pub(super) fn secret(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    let data = root.at("data");
    let mut bytes = 0;
    for (key, value) in data.entries() {
        names::check(faults, &value.path, key, names::config_key);
        bytes += decoded_length(value.text());
    }
    if bytes > DATA_BYTES_MAX {
        faults.push(Invalid::too_long(&data.path, DATA_BYTES_MAX));
    }
    let has = |key: &str| data.map().is_some_and(|data| data.contains_key(key));
    match root.at("type").text() {
        "kubernetes.io/service-account-token" => {
            let annotations = root.at("metadata").at("annotations");
            annotations
                .key("kubernetes.io/service-account.name")
                .require("", faults);
        }
        "kubernetes.io/dockercfg" => docker(&data, ".dockercfg", faults),
        "kubernetes.io/dockerconfigjson" => docker(&data, ".dockerconfigjson", faults),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            faults.push(data.key("username").required(""));
            faults.push(data.key("password").required(""));
        }
        "kubernetes.io/ssh-auth" => {
            data.key("ssh-privatekey").require("", faults);
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if !has(key) {
                    faults.push(data.key(key).required(""));
                }
            }
        }
        _ => {}
    }
}

/// The credentials for a registry of images, which are a JSON object.
fn docker(data: &View<'_>, key: &str, faults: &mut Faults) {
    let value = data.key(key);
    if !data.map().is_some_and(|data| data.contains_key(key)) {
        faults.push(value.required(""));
        return;
    }
    let bytes = BASE64_STANDARD.decode(value.text()).unwrap_or_default();
    if let Err(detail) = go_json::object(&bytes) {
        faults.push(Invalid::value(&value.path, REDACTED, detail));
    }
}

mod go_json;

pub(super) fn secret_update(new: &Value, old: &Value, faults: &mut Faults) {
    let (kind, before) = (View::root(new).at("type"), View::root(old).at("type"));
    kind.immutable(&before, faults);
    immutable_data(new, old, &["data"], faults);
    secret(new, faults);
}

pub(super) fn namespace(new: &Value, faults: &mut Faults) {
    let finalizers = View::root(new).at("spec").at("finalizers");
    for finalizer in finalizers.items() {
        // Upstream tells of no index on creation.
        let told = finalizer.told_as(finalizers.path.clone());
        finalizer_name(&told, faults);
    }
}

fn finalizer_name(name: &View<'_>, faults: &mut Faults) {
    rules::qualified_name(name, faults);
    let standard = ["kubernetes", "orphan", "foregroundDeletion"].contains(&name.text());
    if !name.text().contains('/') && !standard {
        faults.push(
            name.invalid("name is neither a standard finalizer name nor is it fully qualified"),
        );
    }
}

pub(super) fn namespace_status(new: &Value, _old: &Value, faults: &mut Faults) {
    let phase = View::root(new)
        .at("status")
        .at("phase")
        .told_as(Path::new("status").child("Phase"));
    let (wanted, state) = if meta::is_deleting(new) {
        ("Terminating", "is not empty")
    } else {
        ("Active", "is empty")
    };
    if phase.text() != wanted {
        faults.push(Invalid::value(
            &phase.path,
            phase.text(),
            format!("may only be '{wanted}' if `deletionTimestamp` {state}"),
        ));
    }
}

/// An update of the subresource `finalize` of a namespace.
pub(super) fn namespace_finalize(new: &Value, faults: &mut Faults) {
    for finalizer in View::root(new).at("spec").at("finalizers").items() {
        finalizer_name(&finalizer, faults);
    }
}

pub(super) fn binding(new: &Value, faults: &mut Faults) {
    let target = View::root(new).at("target");
    let kind = target.at("kind");
    if !kind.is_empty() {
        kind.one_of(&["Node", "<empty>"], faults);
    }
    target.at("name").require("", faults);
}
