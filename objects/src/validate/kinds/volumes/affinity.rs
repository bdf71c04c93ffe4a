//! On which nodes a volume can be used.

use crate::{
    invalid::{Faults, Invalid},
    validate::{
        kinds::{
            rules,
            view::{IMMUTABLE, View, same},
        },
        names,
    },
};

/// Asks for a rule of nodes; whether there is one.
pub(super) fn of_volume(affinity: &View<'_>, faults: &mut Faults) -> bool {
    if !affinity.is_set() {
        return false;
    }
    let required = affinity.at("required");
    if required.is_set() {
        node_selector(&required, faults);
    } else {
        faults.push(required.required("must specify required node constraints"));
    }
    true
}

fn node_selector(selector: &View<'_>, faults: &mut Faults) {
    let terms = selector.at("nodeSelectorTerms");
    if !terms.require("must have at least one node selector term", faults) {
        return;
    }
    for term in terms.items() {
        for requirement in term.at("matchExpressions").items() {
            operands(&requirement, faults);
            rules::qualified_name(&requirement.at("key"), faults);
            if matches!(requirement.at("operator").text(), "In" | "NotIn") {
                for value in requirement.at("values").items() {
                    rules::named(&value, names::label_value, faults);
                }
            }
        }
        for requirement in term.at("matchFields").items() {
            field(&requirement, faults);
        }
    }
}

fn operands(requirement: &View<'_>, faults: &mut Faults) {
    let (operator, values) = (requirement.at("operator"), requirement.at("values"));
    let count = values.list().len();
    match operator.text() {
        "In" | "NotIn" if count == 0 => {
            faults.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"))
        }
        "Exists" | "DoesNotExist" if count > 0 => faults.push(
            values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
        ),
        "Gt" | "Lt" if count != 1 => {
            faults.push(
                values.required("must be specified single value when `operator` is 'Lt' or 'Gt'"),
            );
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => faults.push(Invalid::value(
            &operator.path,
            other,
            "not a valid selector operator",
        )),
    }
}

fn field(requirement: &View<'_>, faults: &mut Faults) {
    let (operator, values) = (requirement.at("operator"), requirement.at("values"));
    match operator.text() {
        "In" | "NotIn" => {
            if values.list().len() != 1 {
                faults.push(values.required(
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
                ));
            }
        }
        other => faults.push(Invalid::value(
            &operator.path,
            other,
            "not a valid selector operator",
        )),
    }
    let key = requirement.at("key");
    if key.text() == "metadata.name" {
        for value in values.items() {
            rules::subdomain(&value, faults);
        }
    } else {
        faults.push(key.invalid("not a valid field selector key"));
    }
}

/// Asks that the rule of nodes stays.
pub(super) fn unchanged(affinity: &View<'_>, old: &View<'_>, faults: &mut Faults) {
    if !same(affinity.value, old.value) {
        faults.push(affinity.invalid(IMMUTABLE));
    }
}
