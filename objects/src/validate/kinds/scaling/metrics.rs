//! What an autoscaler measures.

use super::object_reference;
use crate::{
    invalid::Faults,
    validate::{
        kinds::{amount, resources, rules, view::View},
        names,
    },
};

const TYPES: &[&str] = &[
    "ContainerResource",
    "External",
    "Object",
    "Pods",
    "Resource",
];

type Check = fn(&View<'_>, &mut Faults);

/// The sources of metrics in the order in which they are checked: the field, the type that goes with it, and its rules.
const SOURCES: &[(&str, &str, Check)] = &[
    ("object", "Object", object),
    ("external", "External", external),
    ("pods", "Pods", pods),
    ("resource", "Resource", resource),
    ("containerResource", "ContainerResource", container_resource),
];

pub(super) fn metric(metric: &View<'_>, faults: &mut Faults) {
    let kind = metric.at("type");
    kind.require("must specify a metric source type", faults);
    kind.one_of(TYPES, faults);
    let present: Vec<&(&str, &str, Check)> = SOURCES
        .iter()
        .filter(|row| metric.at(row.0).is_set())
        .collect();
    if let Some((field, _, check)) = present.first() {
        check(&metric.at(field), faults);
    }
    let expected = SOURCES.iter().find(|row| row.1 == kind.text());
    match expected {
        Some((field, _, _)) if !metric.at(field).is_set() => {
            let detail = "must populate information for the given metric source";
            faults.push(metric.at(field).required(detail));
        }
        Some(_) => {}
        None => kind.one_of(TYPES, faults),
    }
    if present.len() != 1 {
        for (field, _, _) in present {
            if expected.is_none_or(|row| row.0 != *field) {
                let detail = "must populate the given metric source only";
                faults.push(metric.at(field).forbidden(detail));
            }
        }
    }
}

fn identifier(id: &View<'_>, faults: &mut Faults) {
    let name = id.at("name");
    if name.require("must specify a metric name", faults) {
        rules::named(&name, names::path_segment, faults);
    }
}

fn target(target: &View<'_>, faults: &mut Faults) {
    let kind = target.at("type");
    kind.require("must specify a metric target type", faults);
    if !matches!(kind.text(), "Utilization" | "Value" | "AverageValue") {
        faults.push(crate::invalid::Invalid::value(
            &kind.path,
            kind.text(),
            "must be either Utilization, Value, or AverageValue",
        ));
    }
    for field in ["value", "averageValue"] {
        let value = target.at(field);
        if value.is_set() && amount::nano_units(value.value) <= 0 {
            faults.push(value.invalid("must be positive"));
        }
    }
    let utilization = target.at("averageUtilization");
    if utilization.is_set() && utilization.number() < 1 {
        faults.push(utilization.invalid("must be greater than 0"));
    }
}

fn object(source: &View<'_>, faults: &mut Faults) {
    object_reference(&source.at("describedObject"), faults);
    identifier(&source.at("metric"), faults);
    let value = source.at("target");
    target(&value, faults);
    if !value.at("value").is_set() && !value.at("averageValue").is_set() {
        let detail = "must set either a target value or averageValue";
        faults.push(value.at("averageValue").required(detail));
    }
}

fn external(source: &View<'_>, faults: &mut Faults) {
    identifier(&source.at("metric"), faults);
    let wanted = source.at("target");
    target(&wanted, faults);
    let (value, average) = (wanted.at("value"), wanted.at("averageValue"));
    if !value.is_set() && !average.is_set() {
        let detail = "must set either a target value for metric or a per-pod target";
        faults.push(average.required(detail));
    }
    if value.is_set() && average.is_set() {
        let detail = "may not set both a target value for metric and a per-pod target";
        faults.push(value.forbidden(detail));
    }
}

fn pods(source: &View<'_>, faults: &mut Faults) {
    identifier(&source.at("metric"), faults);
    let wanted = source.at("target");
    target(&wanted, faults);
    if !wanted.at("averageValue").is_set() {
        let detail = "must specify a positive target averageValue";
        faults.push(wanted.at("averageValue").required(detail));
    }
}

fn resource(source: &View<'_>, faults: &mut Faults) {
    source
        .at("name")
        .require("must specify a resource name", faults);
    utilization(&source.at("target"), faults);
}

fn container_resource(source: &View<'_>, faults: &mut Faults) {
    let (name, container) = (source.at("name"), source.at("container"));
    if name.require("must specify a resource name", faults) {
        resources::container_resource_name(name.text(), &name.path, faults);
    }
    if container.require("must specify a container", faults) {
        rules::label(&container, faults);
    }
    utilization(&source.at("target"), faults);
}

fn utilization(wanted: &View<'_>, faults: &mut Faults) {
    target(wanted, faults);
    let (share, value) = (wanted.at("averageUtilization"), wanted.at("averageValue"));
    if !share.is_set() && !value.is_set() {
        let detail = "must set either a target raw value or a target utilization";
        faults.push(share.required(detail));
    }
    if share.is_set() && value.is_set() {
        let detail = "may not set both a target raw value and a target utilization";
        faults.push(value.forbidden(detail));
    }
}
