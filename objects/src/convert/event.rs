//! Events of the core group and of `events.k8s.io`: the same fields under other names.

use crate::Value;

/// Names in the core group and in `events.k8s.io`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

pub(super) fn from_core(object: &mut Value) {
    for (core, other) in NAMES {
        rename(object, core, other);
    }
}

pub(super) fn to_core(object: &mut Value) {
    for (core, other) in NAMES {
        rename(object, other, core);
    }
}

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(fields) = object.as_object_mut()
        && let Some(value) = fields.remove(from)
    {
        fields.insert(to.to_owned(), value);
    }
}
