//! What is asked of the metadata of every object.

use serde_json::json;

use super::names;
use crate::{
    Map, Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
};

/// All keys and values of annotations together.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
pub const FIELD_MANAGER_LENGTH_MAX: usize = 128;
const SUBRESOURCE_LENGTH_MAX: usize = 256;

const IMMUTABLE: &str = "field is immutable";

/// Finalizers without a domain that the server knows.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// The metadata of a new object whose name is already made.
pub fn create(object: &Value, namespaced: bool, rule: names::Rule, faults: &mut Faults) {
    general(object, namespaced, rule, faults);
    standard_finalizers(object, faults);
}

/// What holds for the metadata of every object, also of those that a CRD defines.
pub fn general(object: &Value, namespaced: bool, rule: names::Rule, faults: &mut Faults) {
    let metadata = Path::new("metadata");
    let generated = meta::text(object, &["metadata", "generateName"]);
    if !generated.is_empty() {
        let sentences = names::prefix(rule, generated);
        names::add(
            faults,
            &metadata.child("generateName"),
            generated,
            &sentences,
        );
    }
    let name = meta::name(object);
    if name.is_empty() {
        let words = "name or generateName is required";
        faults.push(Invalid::required(&metadata.child("name"), words));
    } else {
        names::check(faults, &metadata.child("name"), name, rule);
    }
    let namespace = meta::namespace(object);
    let path = metadata.child("namespace");
    match (namespaced, namespace.is_empty()) {
        (true, true) => faults.push(Invalid::required(&path, "")),
        (true, false) => names::check(faults, &path, namespace, names::label),
        (false, true) => {}
        (false, false) => faults.push(Invalid::forbidden(&path, "not allowed on this type")),
    }
    let generation = generation(object);
    if generation < 0 {
        let words = "must be greater than or equal to 0";
        faults.push(Invalid::value(
            &metadata.child("generation"),
            generation,
            words,
        ));
    }
    maps(object, faults);
    owners(object, faults);
    finalizers(object, faults);
    managed_fields(object, faults);
}

/// The metadata of an object that is there already. `new` has the resource version of the object that it replaces.
pub fn update(new: &Value, old: &Value, faults: &mut Faults) {
    general_update(new, old, faults);
    standard_finalizers(new, faults);
}

/// What holds for each update of the metadata of every object.
pub fn general_update(new: &Value, old: &Value, faults: &mut Faults) {
    let metadata = Path::new("metadata");
    if meta::is_deleting(old) {
        no_new_finalizers(new, old, faults);
    }
    if meta::resource_version(new).is_empty() {
        let words = "must be specified for an update";
        faults.push(Invalid::value(
            &metadata.child("resourceVersion"),
            "",
            words,
        ));
    }
    if generation(new) < generation(old) {
        let words = "must not be decremented";
        faults.push(Invalid::value(
            &metadata.child("generation"),
            generation(new),
            words,
        ));
    }
    for field in ["name", "namespace", "uid"] {
        let (after, before) = (
            meta::text(new, &["metadata", field]),
            meta::text(old, &["metadata", field]),
        );
        if after != before {
            faults.push(Invalid::value(&metadata.child(field), after, IMMUTABLE));
        }
    }
    for field in [
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let after = meta::at(new, &["metadata", field]).unwrap_or(&Value::Null);
        let before = meta::at(old, &["metadata", field]).unwrap_or(&Value::Null);
        if after != before {
            faults.push(Invalid::value(
                &metadata.child(field),
                after.clone(),
                IMMUTABLE,
            ));
        }
    }
    maps(new, faults);
    owners(new, faults);
    managed_fields(new, faults);
}

fn generation(object: &Value) -> i64 {
    meta::at(object, &["metadata", "generation"])
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn maps(object: &Value, faults: &mut Faults) {
    let metadata = Path::new("metadata");
    labels(meta::labels(object), &metadata.child("labels"), faults);
    annotations(
        meta::map(object, &["metadata", "annotations"]),
        &metadata.child("annotations"),
        faults,
    );
}

/// Keys and values of labels.
pub fn labels(labels: Option<&Map>, path: &Path, faults: &mut Faults) {
    for (key, value) in labels.into_iter().flatten() {
        names::check(faults, path, key, names::qualified);
        names::check(
            faults,
            path,
            value.as_str().unwrap_or_default(),
            names::label_value,
        );
    }
}

/// Keys of annotations, and the size of all of them.
pub fn annotations(annotations: Option<&Map>, path: &Path, faults: &mut Faults) {
    let mut bytes = 0;
    for (key, value) in annotations.into_iter().flatten() {
        names::add(faults, path, key, &names::qualified(&key.to_lowercase()));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        faults.push(Invalid::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
}

fn owners(object: &Value, faults: &mut Faults) {
    let path = Path::new("metadata").child("ownerReferences");
    let references = meta::list(object, &["metadata", "ownerReferences"]);
    let mut controller: Option<String> = None;
    for reference in references {
        owner(reference, &path, faults);
        if meta::at(reference, &["controller"]) != Some(&Value::Bool(true)) {
            continue;
        }
        let this = format!(
            "{}/{}",
            meta::text(reference, &["kind"]),
            meta::text(reference, &["name"])
        );
        if let Some(first) = &controller {
            let words = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
            );
            faults.push(Invalid::value(&path, references.to_vec(), words));
        } else {
            controller = Some(this);
        }
    }
}

fn owner(reference: &Value, path: &Path, faults: &mut Faults) {
    let api_version = meta::text(reference, &["apiVersion"]);
    if api_version.is_empty() || api_version.ends_with('/') || api_version.matches('/').count() > 1
    {
        let words = "version must not be empty";
        faults.push(Invalid::value(
            &path.child("apiVersion"),
            api_version,
            words,
        ));
    }
    for field in ["kind", "name", "uid"] {
        if meta::text(reference, &[field]).is_empty() {
            faults.push(Invalid::value(&path.child(field), "", "must not be empty"));
        }
    }
    if api_version == "v1" && meta::text(reference, &["kind"]) == "Event" {
        let words = "/v1, Kind=Event is disallowed from being an owner";
        faults.push(Invalid::value(path, reference.clone(), words));
    }
}

fn finalizers(object: &Value, faults: &mut Faults) {
    let path = Path::new("metadata").child("finalizers");
    let finalizers = meta::list(object, &["metadata", "finalizers"]);
    for finalizer in finalizers.iter().filter_map(Value::as_str) {
        names::check(faults, &path, finalizer, names::qualified);
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let words = "finalizer orphan and foregroundDeletion cannot be both set";
        faults.push(Invalid::value(&path, finalizers.to_vec(), words));
    }
}

/// Finalizers of built-in kinds have a domain, or are of the three that the server knows.
fn standard_finalizers(object: &Value, faults: &mut Faults) {
    let path = Path::new("metadata").child("finalizers");
    let finalizers = meta::list(object, &["metadata", "finalizers"]);
    for (index, finalizer) in finalizers.iter().filter_map(Value::as_str).enumerate() {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let words = "name is neither a standard finalizer name nor is it fully qualified";
            faults.push(Invalid::value(&path.index(index), finalizer, words));
        }
    }
}

/// What is told of finalizers without a domain that are new to a custom resource, which may have them.
#[must_use]
pub fn finalizer_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map_or(&[][..], |old| meta::list(old, &["metadata", "finalizers"]));
    let mut added: Vec<&str> = meta::list(new, &["metadata", "finalizers"])
        .iter()
        .filter(|finalizer| !before.contains(finalizer))
        .filter_map(Value::as_str)
        .filter(|finalizer| !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(finalizer))
        .collect();
    added.sort_unstable();
    added.dedup();
    added
        .iter()
        .map(|finalizer| {
            format!(
                "metadata.finalizers: {}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers",
                json!(finalizer)
            )
        })
        .collect()
}

fn no_new_finalizers(new: &Value, old: &Value, faults: &mut Faults) {
    let before = meta::list(old, &["metadata", "finalizers"]);
    let mut added: Vec<String> = meta::list(new, &["metadata", "finalizers"])
        .iter()
        .filter(|finalizer| !before.contains(finalizer))
        .map(|finalizer| json!(finalizer).to_string())
        .collect();
    if added.is_empty() {
        return;
    }
    added.sort();
    added.dedup();
    // The list stands there as Go prints the source of a slice.
    let words = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.join(", ")
    );
    faults.push(Invalid::forbidden(
        &Path::new("metadata").child("finalizers"),
        words,
    ));
}

fn managed_fields(object: &Value, faults: &mut Faults) {
    let path = Path::new("metadata").child("managedFields");
    for (index, entry) in meta::list(object, &["metadata", "managedFields"])
        .iter()
        .enumerate()
    {
        let path = path.index(index);
        let operation = meta::text(entry, &["operation"]);
        if operation != "Apply" && operation != "Update" {
            let words = "must be `Apply` or `Update`";
            faults.push(Invalid::value(&path.child("operation"), operation, words));
        }
        let kind = meta::text(entry, &["fieldsType"]);
        if !kind.is_empty() && kind != "FieldsV1" {
            faults.push(Invalid::value(
                &path.child("fieldsType"),
                kind,
                "must be `FieldsV1`",
            ));
        }
        field_manager(
            meta::text(entry, &["manager"]),
            &path.child("manager"),
            faults,
        );
        if meta::text(entry, &["subresource"]).len() > SUBRESOURCE_LENGTH_MAX {
            faults.push(Invalid::too_long(
                &path.child("subresource"),
                SUBRESOURCE_LENGTH_MAX,
            ));
        }
    }
}

/// The name of who changes fields: of an entry of `managedFields`, or the `fieldManager` of a request.
pub fn field_manager(name: &str, path: &Path, faults: &mut Faults) {
    if name.len() > FIELD_MANAGER_LENGTH_MAX {
        faults.push(Invalid::too_long(path, FIELD_MANAGER_LENGTH_MAX));
    }
    for (position, character) in name.char_indices() {
        if character.is_control() {
            let words = format!(
                "invalid character U+{:04X} (at position {position})",
                u32::from(character)
            );
            faults.push(Invalid::value(path, name, words));
        }
    }
}

/// Adds a fault where two values of a field are not the same.
pub fn immutable(new: Option<&Value>, old: Option<&Value>, path: &Path, faults: &mut Faults) {
    if !same(new, old) {
        faults.push(Invalid::value(
            path,
            new.cloned().unwrap_or(Value::Null),
            IMMUTABLE,
        ));
    }
}

/// Whether two values are the same to Go, for which an empty list or map is as good as none.
#[must_use]
pub fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    let present = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    one.filter(|value| present(value)) == other.filter(|value| present(value))
}
