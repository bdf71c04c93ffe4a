//! What built-in kinds fill in where an author said nothing.

use crate::Value;

mod amounts;
mod kinds;
mod pod;
mod workloads;

/// The function that fills in the fields of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    pub group: &'static str,
    pub kind: &'static str,
    pub apply: fn(&mut Value),
}

/// The tables of all rooms.
const TABLES: [&[Defaults]; 4] = [
    pod::DEFAULTS,
    workloads::DEFAULTS,
    kinds::DEFAULTS,
    crate::crd::DEFAULTS,
];

/// Fills in what an object of a kind does not say.
pub fn apply(group: &str, kind: &str, object: &mut Value) {
    let defaults = TABLES
        .iter()
        .flat_map(|table| table.iter())
        .find(|defaults| defaults.kind == kind && defaults.group == group);
    if let Some(defaults) = defaults {
        (defaults.apply)(object);
    }
}

/// Fills in what follows, in an object that was filled in before, from what admission or another program has changed since: a pod that
/// limits itself as a whole asks for what its containers ask for.
pub fn complete(object: &mut Value) {
    if object["kind"] == "Pod" && object["apiVersion"] == "v1" {
        pod::complete(object);
    }
}

/// Sets a field that is absent or null.
pub(crate) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    let present = fields.get(field).is_some_and(|value| !value.is_null());
    if !present {
        fields.insert(field.to_owned(), value.into());
    }
}

/// Sets a field that is absent, null or empty text: a field whose Go type has no way to be absent.
pub(crate) fn set_text(object: &mut Value, field: &str, value: &str) {
    if object.get(field).and_then(Value::as_str) == Some("") {
        object[field] = Value::from(value);
    } else {
        set(object, field, value);
    }
}

/// Sets a field that is absent, null or zero: a field whose Go type has no way to be absent.
pub(crate) fn set_number(object: &mut Value, field: &str, value: i64) {
    if object.get(field).and_then(Value::as_i64) == Some(0) {
        object[field] = Value::from(value);
    } else {
        set(object, field, value);
    }
}

/// The object in a field, if there is one.
pub(crate) fn child<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    object.get_mut(field).filter(|value| value.is_object())
}

/// The elements of the list in a field.
pub(crate) fn items<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}
