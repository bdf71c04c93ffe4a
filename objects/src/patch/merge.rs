//! Merge patches (RFC 7396), with what upstream makes of nulls in lists.

use super::drop_nulls;
use crate::{Map, Value};

/// The object with the patch laid over it.
pub(super) fn apply(current: Value, patch: Map) -> Value {
    match current {
        Value::Object(mut fields) => {
            merge_fields(&mut fields, patch);
            Value::Object(fields)
        }
        _ => {
            let mut patch = Value::Object(patch);
            drop_nulls(&mut patch);
            patch
        }
    }
}

/// As deep as the patch, whose depth its parser bounds.
fn merge_fields(fields: &mut Map, patch: Map) {
    for (name, mut value) in patch {
        if value.is_null() {
            fields.remove(&name);
            continue;
        }
        match (fields.get_mut(&name), value) {
            (Some(Value::Object(inner)), Value::Object(patch)) => merge_fields(inner, patch),
            // A list over an object is taken as it is written, all else loses its nulls.
            (Some(old @ Value::Object(_)), other) => *old = other,
            (_, other) => {
                value = other;
                drop_nulls(&mut value);
                fields.insert(name, value);
            }
        }
    }
}
