//! Amounts of resources, which are told to thousandths.

use super::child;
use crate::{Value, quantity::Quantity};

/// The parts of what a container or a claim asks for.
pub(super) const ASKED: [&str; 2] = ["limits", "requests"];

/// Rounds the amounts in some fields of an object up to thousandths.
pub(super) fn round(object: &mut Value, fields: &[&str]) {
    for field in fields {
        let amounts = object.get_mut(field).and_then(Value::as_object_mut);
        for amount in amounts.into_iter().flat_map(|amounts| amounts.values_mut()) {
            // Only such texts can stand for something finer.
            let Some(text) = amount.as_str().filter(|text| text.contains(FINE)) else {
                continue;
            };
            let rounded = Quantity::parse(text).ok();
            if let Some(rounded) = rounded.and_then(|exact| exact.rounded_to_milli()) {
                *amount = Value::from(rounded.to_string());
            }
        }
    }
}

/// What a text of an amount below thousandths has: a small unit, a point or an exponent.
const FINE: [char; 5] = ['n', 'u', '.', 'e', 'E'];

/// Rounds what `resources` in an object says.
pub(super) fn round_asked(object: &mut Value) {
    if let Some(resources) = child(object, "resources") {
        round(resources, &ASKED);
    }
}

/// Rounds the amounts of a claim on a volume.
pub(super) fn round_claim(claim: &mut Value) {
    if let Some(spec) = child(claim, "spec") {
        round_asked(spec);
    }
    if let Some(status) = child(claim, "status") {
        round(status, &["capacity", "allocatedResources"]);
    }
}
