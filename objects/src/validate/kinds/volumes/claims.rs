//! Claims on volumes.

use super::{VOLUME_MODES, access_modes, amount, difference, resource_version, resources, rules};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
    validate::{
        kinds::view::{IMMUTABLE, View, same},
        names,
    },
};

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const RESIZE_STATES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

pub(crate) fn create(new: &Value, faults: &mut Faults) {
    spec(&View::root(new).at("spec"), faults);
}

/// The spec of a claim, also of one that a template holds.
pub(crate) fn spec(spec: &View<'_>, faults: &mut Faults) {
    let modes = spec.at("accessModes");
    modes.require("at least 1 access mode is required", faults);
    rules::selector(&spec.at("selector"), faults);
    access_modes(&modes, faults);
    let size = spec.at("resources").at("requests").at("storage");
    let told = size.told_as(spec.path.child("resources").key("storage"));
    if size.is_set() {
        amount::positive(&told, faults);
    } else {
        faults.push(told.required(""));
    }
    let class = spec.at("storageClassName");
    if !class.is_empty() {
        rules::subdomain(&class, faults);
    }
    if spec.at("volumeMode").is_set() {
        spec.at("volumeMode").one_of(VOLUME_MODES, faults);
    }
    sources(spec, faults);
    let class = spec.at("volumeAttributesClassName");
    if !class.is_empty() {
        rules::subdomain(&class, faults);
    }
}

fn sources(spec: &View<'_>, faults: &mut Faults) {
    let (source, reference) = (spec.at("dataSource"), spec.at("dataSourceRef"));
    for from in [&source, &reference] {
        if from.is_set() {
            data_source(from, faults);
        }
    }
    if !source.is_set() || !reference.is_set() {
        return;
    }
    let equal = ["apiGroup", "kind", "name"]
        .iter()
        .all(|field| source.at(field).value == reference.at(field).value);
    let detail = if !reference.at("namespace").is_empty() {
        "may not be specified when dataSourceRef.namespace is specified"
    } else if !equal {
        "must match dataSourceRef"
    } else {
        return;
    };
    // Upstream shows the path's own struct, which has no public fields.
    faults.push(spec.invalid(detail).showing("{}"));
}

fn data_source(source: &View<'_>, faults: &mut Faults) {
    source.at("name").require("", faults);
    source.at("kind").require("", faults);
    let (group, kind) = (source.at("apiGroup"), source.at("kind").text());
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        faults.push(Invalid::value(&source.path, kind, detail));
    }
    if !group.is_empty() {
        rules::subdomain(&group, faults);
    }
    if !source.at("namespace").is_empty() {
        rules::label(&source.at("namespace"), faults);
    }
}

pub(crate) fn update(new: &Value, old: &Value, faults: &mut Faults) {
    create(new, faults);
    let root = View::root(new);
    let (spec, before) = (root.at("spec"), View::root(old).at("spec"));
    let (mut after, mut was) = (spec.value.clone(), before.value.clone());
    class_change(new, old, &mut after, faults);
    if before.at("volumeName").is_empty() {
        take(&mut was, spec.value, "volumeName");
    }
    let bound = root.at("status").at("phase").text() == "Bound";
    if bound {
        if let (Some(requests), Some(size)) = (
            after
                .pointer_mut("/resources/requests")
                .and_then(Value::as_object_mut),
            size(&before).value.as_str(),
        ) {
            requests.insert("storage".to_owned(), size.into());
        }
        take(&mut after, before.value, "volumeAttributesClassName");
    }
    if !same(&after, &was) {
        let changes = difference::shown(&was, &after, difference::CLAIM);
        faults.push(spec.forbidden(format!("spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{changes}")));
    }
    let capacity = View::root(old).at("status").at("capacity").at("storage");
    let amount_of = |view: &View<'_>| amount::nano_units(view.value);
    if amount_of(&size(&spec)) < amount_of(&size(&before))
        && amount_of(&size(&spec)) <= amount_of(&capacity)
    {
        faults.push(size(&spec).forbidden("field can not be less than status.capacity"));
    }
    let mode = spec.at("volumeMode").told_as(Path::new("volumeMode"));
    mode.immutable(&before.at("volumeMode"), faults);
    attributes_change(&spec, &before, old, faults);
}

fn size<'a>(spec: &View<'a>) -> View<'a> {
    spec.at("resources").at("requests").at("storage")
}

/// Gives a field the value that it has elsewhere.
fn take(spec: &mut Value, from: &Value, field: &str) {
    crate::strategy::reset(spec, field, from);
}

/// The class of a claim may be told once, and its old annotation never changes.
fn class_change(new: &Value, old: &Value, after: &mut Value, faults: &mut Faults) {
    let class = |object: &Value| {
        meta::at(object, &["spec", "storageClassName"])
            .filter(|class| !class.is_null())
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let (now, was) = (
        meta::annotation(new, CLASS_ANNOTATION),
        meta::annotation(old, CLASS_ANNOTATION),
    );
    let named = class(new);
    let unnamed = class(old).is_none();
    let from_annotation =
        was.is_some() && unnamed && named.as_deref() == was && (now.is_none() || now == was);
    if from_annotation {
        take(after, &Value::Null, "storageClassName");
        return;
    }
    if now.unwrap_or_default() != was.unwrap_or_default() {
        let path = Path::new("metadata")
            .child("annotations")
            .child(CLASS_ANNOTATION);
        faults.push(Invalid::value(&path, now.unwrap_or_default(), IMMUTABLE));
    }
    if named.is_some() && unnamed && (was.is_none() || named.as_deref() == was) {
        take(after, &Value::Null, "storageClassName");
    }
}

fn attributes_change(spec: &View<'_>, before: &View<'_>, old: &Value, faults: &mut Faults) {
    let field = "volumeAttributesClassName";
    let class = spec.at(field);
    let current = meta::at(old, &["status", "currentVolumeAttributesClassName"]);
    if class.value == before.at(field).value || current.is_none_or(Value::is_null) {
        return;
    }
    let when = "is forbidden when status.currentVolumeAttributesClassName is not nil";
    if !class.is_set() {
        faults.push(class.forbidden(format!("update to nil {when}")));
    } else if class.is_empty() {
        faults.push(class.forbidden(format!("update to empty string {when}")));
    }
}

pub(crate) fn status(new: &Value, _old: &Value, faults: &mut Faults) {
    resource_version(new, faults);
    let root = View::root(new);
    if root.at("spec").at("accessModes").is_empty() {
        let path = Path::new("Spec").child("accessModes");
        faults.push(Invalid::required(&path, ""));
    }
    let status = root.at("status");
    for (_, amount) in status.at("capacity").entries() {
        amount::not_below_zero(&amount, faults);
    }
    let states = status.at("allocatedResourceStatuses");
    for (name, state) in states.entries() {
        resource_key(name, &states.path, faults);
        if !RESIZE_STATES.contains(&state.text()) {
            faults.push(Invalid::not_supported(&states.path, name, RESIZE_STATES));
        }
    }
    let allocated = status.at("allocatedResources");
    for (name, amount) in allocated.entries() {
        let before = faults.len();
        resource_key(name, &allocated.path, faults);
        if faults.len() > before {
            continue;
        }
        amount::not_below_zero(&amount, faults);
        if faults.len() == before {
            resources::resource_amount("storage", &amount, faults);
        }
    }
}

/// The resource that a claim has: its storage, or one of somebody's own domain.
fn resource_key(name: &str, path: &Path, faults: &mut Faults) {
    let wrong = names::qualified(name);
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    if !wrong.is_empty() {
        names::add(faults, path, name, &wrong);
    } else if native && name != "storage" {
        faults.push(Invalid::not_supported(path, name, &["storage"]));
    }
}
