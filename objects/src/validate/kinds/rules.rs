//! Rules that the fields of many kinds share: names, labels, selectors, ports, quantities.

use super::view::View;
use crate::{
    invalid::{Faults, Invalid},
    validate::names,
};

/// Tells what a rule of names says about the text here, which is empty where there is none.
pub(crate) fn named(view: &View<'_>, rule: names::Rule, faults: &mut Faults) {
    names::check(faults, &view.path, view.text(), rule);
}

pub(crate) fn label(view: &View<'_>, faults: &mut Faults) {
    named(view, names::label, faults);
}

pub(crate) fn subdomain(view: &View<'_>, faults: &mut Faults) {
    named(view, names::subdomain, faults);
}

pub(crate) fn qualified_name(view: &View<'_>, faults: &mut Faults) {
    named(view, names::qualified, faults);
}

/// A map of labels.
pub(crate) fn labels(view: &View<'_>, faults: &mut Faults) {
    crate::validate::metadata::labels(view.map(), &view.path, faults);
}

pub(crate) fn port_number(view: &View<'_>, faults: &mut Faults) {
    for detail in names::port_number(view.number()) {
        faults.push(view.number_invalid(detail));
    }
}

/// The number of a port, or the name of one.
pub(crate) fn port_number_or_name(view: &View<'_>, faults: &mut Faults) {
    if view.value.is_string() {
        named(view, names::port_name, faults);
    } else {
        port_number(view, faults);
    }
}

/// A selector of labels, if there is one.
pub(crate) fn selector(view: &View<'_>, faults: &mut Faults) {
    if !view.is_set() {
        return;
    }
    labels(&view.at("matchLabels"), faults);
    for requirement in view.at("matchExpressions").items() {
        selector_requirement(&requirement, faults);
    }
}

fn selector_requirement(requirement: &View<'_>, faults: &mut Faults) {
    let (key, values) = (requirement.at("key"), requirement.at("values"));
    let operator = requirement.at("operator");
    match operator.text() {
        "In" | "NotIn" => {
            if values.is_empty() {
                faults
                    .push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                faults.push(values.forbidden(
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ));
            }
        }
        other => faults.push(Invalid::value(
            &operator.path,
            other,
            "not a valid selector operator",
        )),
    }
    qualified_name(&key, faults);
    for value in values.items() {
        named(&value, names::label_value, faults);
    }
}
