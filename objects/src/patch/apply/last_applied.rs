//! The annotation in which client-side apply keeps what it applied, as far as server-side apply minds it.

use super::Context;
use super::check::check;
use super::compare::compare;
use super::extract::set_of;
use super::golang;
use super::set::Set;
use crate::{Value, meta};

/// The annotation of client-side apply.
pub const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The most bytes of all annotations of an object together.
const ANNOTATIONS_LENGTH_MAX: usize = 256 * 1024;

/// The manager that the annotation belongs to.
pub(super) const MANAGER: &str = "kubectl";

/// The fields that client-side apply set and nobody changed since: who applies as `kubectl` may take them from anybody.
pub(super) fn takeable(context: &Context<'_>, live: &Value) -> Option<Set> {
    let text = meta::annotation(live, ANNOTATION).filter(|text| !text.is_empty())?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(context.api_version) {
        return None;
    }
    let place = context.place();
    check(live, place, false).ok()?;
    check(&last, place, false).ok()?;
    let comparison = compare(&last, live, place);
    let set = set_of(&last, place)
        .difference(&comparison.modified)
        .difference(&comparison.added)
        .difference(&comparison.removed);
    Some(set)
}

/// Writes the applied configuration into the annotation, where the object has it. It goes where it would be too long.
pub(super) fn refresh(object: &mut Value, applied: &Value) {
    if meta::annotation(object, ANNOTATION).is_none_or(str::is_empty) {
        return;
    }
    let mut applied = applied.clone();
    if let Some(annotations) = applied
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(ANNOTATION);
    }
    let mut text = golang::json(&applied);
    text.push('\n');
    let Some(annotations) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    annotations.insert(ANNOTATION.to_owned(), Value::from(text));
    let length: usize = annotations
        .iter()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if length > ANNOTATIONS_LENGTH_MAX {
        annotations.remove(ANNOTATION);
    }
}
