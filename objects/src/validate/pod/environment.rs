//! Environment variables of containers, and the fields and resources of a pod that they can show.

use super::{Faults, Spot, checks, spec::Around};
use crate::{
    invalid::Invalid,
    validate::{amount, names},
};

const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
pub(super) const VOLUME_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// Fields that upstream can convert, whichever of them a place allows.
const CONVERTIBLE: [&str; 13] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const SOURCES: [&str; 5] = [
    "fieldRef",
    "resourceFieldRef",
    "configMapKeyRef",
    "secretKeyRef",
    "fileKeyRef",
];

pub(super) fn variables(variables: &Spot<'_>, _: &Around<'_>, faults: &mut Faults) {
    for variable in variables.each() {
        let name = variable.get("name");
        if name.filled(faults) {
            name.named(faults, names::environment_variable);
        }
        if let Some(from) = variable.find("valueFrom") {
            source(&from, variable.get("value").text(), faults);
        }
    }
}

fn source(from: &Spot<'_>, value: &str, faults: &mut Faults) {
    if let Some(field) = from.find("fieldRef") {
        field_reference(&field, &FIELDS, faults);
    }
    if let Some(resource) = from.find("resourceFieldRef") {
        resource_reference(&resource, false, faults);
    }
    for field in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(key) = from.find(field) {
            key_reference(&key, faults);
        }
    }
    let words = match checks::found(from, &SOURCES).len() {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !value.is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    faults.push(Invalid::value(&from.path, "", words));
}

/// A key of a ConfigMap or Secret.
fn key_reference(reference: &Spot<'_>, faults: &mut Faults) {
    reference.get("name").named(faults, names::subdomain);
    let key = reference.get("key");
    if key.filled(faults) {
        key.named(faults, names::config_key);
    }
}

/// A field of the pod, which is one of the choices or a key of annotations or labels.
pub(super) fn field_reference(reference: &Spot<'_>, choices: &[&str], faults: &mut Faults) {
    if !reference.get("apiVersion").filled(faults) {
        return;
    }
    let field = reference.get("fieldPath");
    if !field.filled(faults) {
        return;
    }
    let version = reference.get("apiVersion").text();
    if version != "v1" {
        let words = format!("error converting fieldPath: unsupported pod version: {version}");
        field.invalid(faults, words);
        return;
    }
    let text = field.text();
    let subscript = text
        .strip_suffix("']")
        .and_then(|text| text.split_once("['"));
    if let Some((path, key)) = subscript {
        match path {
            "metadata.annotations" => {
                names::add(
                    faults,
                    &reference.path,
                    &key.to_lowercase(),
                    &names::qualified(&key.to_lowercase()),
                );
            }
            "metadata.labels" => names::check(faults, &reference.path, key, names::qualified),
            _ => {
                let words = format!(
                    "error converting fieldPath: field label does not support subscript: {text}"
                );
                field.invalid(faults, words);
            }
        }
        return;
    }
    let known = text == "status.podIPs" || CONVERTIBLE.contains(&text);
    if !known {
        field.invalid(
            faults,
            format!("error converting fieldPath: field label not supported: {text}"),
        );
    } else if !choices.contains(&text) {
        field.not_supported(faults, choices);
    }
}

/// What a container asks for or may use at most.
pub(super) fn resource_reference(reference: &Spot<'_>, in_volume: bool, faults: &mut Faults) {
    let (container, resource) = (reference.get("containerName"), reference.get("resource"));
    let text = resource.text();
    let pages = text.starts_with("requests.hugepages-") || text.starts_with("limits.hugepages-");
    if in_volume && container.text().is_empty() {
        container.required(faults, "");
    } else if text.is_empty() {
        resource.required(faults, "");
    } else if !RESOURCES.contains(&text) && !pages {
        resource.not_supported(faults, &RESOURCES);
    }
    divisor(reference, text, pages, faults);
}

fn divisor(reference: &Spot<'_>, resource: &str, pages: bool, faults: &mut Faults) {
    const SIZES: [&str; 13] = [
        "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
    ];
    let divisor = reference.get("divisor");
    let Some(number) = amount::read(divisor.value).filter(|number| !number.is_zero()) else {
        return;
    };
    let among = |choices: &[&str]| {
        choices
            .iter()
            .any(|choice| amount::read(&(*choice).into()).as_ref() == Some(&number))
    };
    let name = match resource.split_once('.').map(|(_, name)| name) {
        Some("cpu") => "cpu",
        Some("memory") => "memory",
        Some("ephemeral-storage") => "local ephemeral storage",
        _ if pages => "hugepages",
        _ => return,
    };
    let words = if name == "cpu" {
        if among(&["1m", "1"]) {
            return;
        }
        "only divisor's values 1m and 1 are supported with the cpu resource".to_owned()
    } else {
        if among(&SIZES) {
            return;
        }
        format!(
            "only divisor's values {} are supported with the {name} resource",
            SIZES.join(", ")
        )
    };
    faults.push(Invalid::value(&divisor.path, resource, words));
}

/// Whole ConfigMaps and Secrets as environment.
pub(super) fn sources(sources: &Spot<'_>, faults: &mut Faults) {
    for source in sources.each() {
        let prefix = source.get("prefix");
        if !prefix.text().is_empty() {
            prefix.named(faults, names::environment_variable);
        }
        let found = checks::found(&source, &["configMapRef", "secretRef"]);
        for reference in &found {
            let name = reference.get("name");
            if name.filled(faults) {
                let sentences = names::prefix(names::subdomain, name.text());
                names::add(faults, &name.path, name.text(), &sentences);
            }
        }
        let words = match found.len() {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        faults.push(Invalid::value(&sources.path, "", words));
    }
}
