//! Events, in their old form and in that of the group `events.k8s.io`.

use super::view::{View, same};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
    validate::{metadata, names},
};

const INSTANCE_LENGTH_MAX: usize = 128;
const ACTION_LENGTH_MAX: usize = 128;
const REASON_LENGTH_MAX: usize = 128;
const NOTE_LENGTH_MAX: usize = 1024;

/// The names of an event's fields in either form, with that of `v1` first.
const FORMS: [Form; 2] = [
    Form {
        object: "involvedObject",
        controller: "reportingComponent",
        note: "message",
    },
    Form {
        object: "regarding",
        controller: "reportingController",
        note: "note",
    },
];

#[derive(Clone, Copy)]
struct Form {
    object: &'static str,
    controller: &'static str,
    note: &'static str,
}

fn is_old(event: &Value) -> bool {
    meta::text(event, &["apiVersion"]) == "v1"
}

pub(super) fn create(new: &Value, faults: &mut Faults) {
    every(new, faults);
    if is_old(new) {
        return;
    }
    let root = View::root(new);
    metadata::create(new, true, names::subdomain, faults);
    series(&root, faults);
    if root.at("eventTime").is_empty() {
        faults.push(root.at("eventTime").required(""));
    }
    let kind = root.at("type").text();
    if !matches!(kind, "Normal" | "Warning") {
        told("type", &format!("has invalid value: {kind}"), faults);
    }
    let source = root.at("deprecatedSource");
    let deprecated = [
        (
            "firstTimestamp",
            !root.at("deprecatedFirstTimestamp").is_empty(),
        ),
        (
            "lastTimestamp",
            !root.at("deprecatedLastTimestamp").is_empty(),
        ),
        ("count", root.at("deprecatedCount").number() != 0),
        (
            "source",
            !source.at("component").is_empty() || !source.at("host").is_empty(),
        ),
    ];
    for (field, _) in deprecated.into_iter().filter(|(_, set)| *set) {
        told(field, "needs to be unset", faults);
    }
}

/// A fault that shows no value.
fn told(field: &str, detail: &str, faults: &mut Faults) {
    faults.push(Invalid::value(&Path::new(field), "", detail));
}

fn series(root: &View<'_>, faults: &mut Faults) {
    let series = root.at("series");
    if !series.is_set() {
        return;
    }
    if series.at("count").number() < 2 {
        told("series.count", "should be at least 2", faults);
    }
    if series.at("lastObservedTime").is_empty() {
        faults.push(series.at("lastObservedTime").required(""));
    }
}

/// What holds for events in both forms.
fn every(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    let form = if is_old(new) { FORMS[0] } else { FORMS[1] };
    let namespace = meta::namespace(new);
    let object_namespace = root.at(form.object).at("namespace").text();
    let modern = !root.at("eventTime").is_empty();
    let mismatch = match (object_namespace.is_empty(), modern) {
        (true, true) => !matches!(namespace, "default" | "kube-system"),
        (true, false) => !matches!(namespace, "default" | ""),
        (false, true) => false,
        (false, false) => namespace != object_namespace,
    };
    if mismatch {
        faults.push(Invalid::value(
            &Path::new("involvedObject").child("namespace"),
            object_namespace,
            "does not match event.namespace",
        ));
    }
    if modern {
        reported(&root, form, faults);
    }
    names::check(faults, &Path::new("namespace"), namespace, names::subdomain);
}

fn reported(root: &View<'_>, form: Form, faults: &mut Faults) {
    let controller = root.at(form.controller);
    controller.require("", faults);
    super::rules::qualified_name(&controller, faults);
    for (field, length_max) in [
        ("reportingInstance", INSTANCE_LENGTH_MAX),
        ("action", ACTION_LENGTH_MAX),
        ("reason", REASON_LENGTH_MAX),
    ] {
        root.at(field).require("", faults);
        length(&root.at(field), field, length_max, faults);
    }
    length(&root.at(form.note), "message", NOTE_LENGTH_MAX, faults);
}

fn length(text: &View<'_>, field: &str, length_max: usize, faults: &mut Faults) {
    if text.text().len() > length_max {
        told(
            field,
            &format!("can have at most {length_max} characters"),
            faults,
        );
    }
}

pub(super) fn update(new: &Value, old: &Value, faults: &mut Faults) {
    every(new, faults);
    if is_old(new) {
        return;
    }
    metadata::update(new, old, faults);
    let (root, before) = (View::root(new), View::root(old));
    if !same(root.at("series").value, before.at("series").value) {
        series(&root, faults);
    }
    // The name that is told, and the field.
    for (name, field) in [
        ("involvedObject", "regarding"),
        ("reason", "reason"),
        ("message", "note"),
        ("source", "deprecatedSource"),
        ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"),
        ("count", "deprecatedCount"),
        ("reason", "reason"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingController", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        let told = root.at(field).told_as(Path::new(name));
        told.immutable(&before.at(field), faults);
    }
}
