//! Strategic merge patches: fields are laid over fields, lists are merged as their schema says, and directives say what data cannot.

use super::{UNPROCESSABLE, drop_nulls, go};
use crate::{
    Map, Value,
    schema::{At, Patch, Shape},
    status::{Reason, Status},
};

mod list;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

/// The fields with the patch laid over them. As deep as the patch, whose depth its parser bounds.
pub(super) fn merge(mut original: Map, mut patch: Map, at: At<'_>) -> Result<Map, Status> {
    match patch.get(DIRECTIVE) {
        None => {}
        Some(Value::String(word)) if word == "replace" => {
            patch.remove(DIRECTIVE);
            return Ok(patch);
        }
        Some(Value::String(word)) if word == "delete" => return Ok(Map::new()),
        Some(other) => return Err(unknown_directive(&other.clone(), patch)),
    }
    retain_keys(&mut original, &mut patch)?;
    list::merge_ordered(&mut original, &mut patch, at)?;
    for (name, value) in patch {
        merge_field(&mut original, name, value, at)?;
    }
    Ok(original)
}

/// Clears the fields that `$retainKeys` does not name.
fn retain_keys(original: &mut Map, patch: &mut Map) -> Result<(), Status> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let malformed = || Status::bad_request("invalid patch format of retainKeys");
    let Value::Array(names) = directive else {
        return Err(malformed());
    };
    let retained = |name: &String| names.iter().any(|retained| retained == name);
    for (name, value) in patch.iter() {
        let counts = !value.is_null()
            && !name.starts_with(DELETE_FROM_LIST)
            && !name.starts_with(SET_ELEMENT_ORDER);
        if counts && !retained(name) {
            return Err(malformed());
        }
    }
    original.retain(|name, _| retained(name));
    Ok(())
}

fn merge_field(
    original: &mut Map,
    name: String,
    mut value: Value,
    at: At<'_>,
) -> Result<(), Status> {
    let deletes = name.starts_with(DELETE_FROM_LIST);
    let name = match after_directive(&name, DELETE_FROM_LIST) {
        _ if !deletes => name,
        Some("") => name,
        Some(list) => list.to_owned(),
        None => {
            return Err(Status::bad_request(
                "invalid patch format of primitive list",
            ));
        }
    };
    if value.is_null() {
        original.remove(&name);
        return Ok(());
    }
    let old = original
        .get_mut(&name)
        .filter(|old| go::type_name(old) == go::type_name(&value));
    match (old, value) {
        (None, _) if deletes => {}
        (Some(Value::Object(old)), Value::Object(patch)) => {
            let (inner, rule) = field(at, &name)?;
            *old = if rule.replace {
                patch
            } else {
                merge(std::mem::take(old), patch, inner)?
            };
        }
        (Some(Value::Array(old)), Value::Array(patch)) => {
            let place = list::Place::of(at, &name)?;
            *old = if deletes || place.rule.merge {
                list::merge(std::mem::take(old), patch, place, deletes)?.elements
            } else {
                patch
            };
        }
        (Some(old), new) => *old = new,
        (None, new) => {
            value = new;
            drop_nulls(&mut value);
            match without_directives(value) {
                Some(value) => original.insert(name, value),
                None => original.remove(&name),
            };
        }
    }
    Ok(())
}

/// The name behind a directive's slash, if it is this directive's and has one.
fn after_directive<'a>(name: &'a str, directive: &str) -> Option<&'a str> {
    name.strip_prefix(directive)?.strip_prefix('/')
}

/// The place of a field that both sides have, and how patches go about it.
fn field<'a>(at: At<'a>, name: &str) -> Result<(At<'a>, &'a Patch), Status> {
    let Shape::Object(object) = at.shape() else {
        return Err(match struct_name(at) {
            Some(type_name) => no_field(type_name, name),
            None => refused(format!(
                "merging an object in json but data type is not struct, instead is: {}",
                kind_name(at)
            )),
        });
    };
    let exact = object.fields.get(name);
    let declared = exact.or_else(|| {
        let mut fields = object.fields.iter();
        fields
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, field)| field)
    });
    match declared {
        Some(declared) => {
            let inner = At {
                schema: at.schema,
                id: declared.node,
            };
            Ok((inner, &declared.patch))
        }
        None => Err(no_field(struct_name(at).unwrap_or_default(), name)),
    }
}

fn no_field(type_name: &str, name: &str) -> Status {
    refused(format!(
        "unable to find api field in struct {type_name} for the json field {}",
        Value::from(name)
    ))
}

/// The name of Go's struct for a type, for types that are one.
fn struct_name(at: At<'_>) -> Option<&str> {
    match at.shape() {
        Shape::Object(_) => {
            let mut names = at.schema.names();
            let name = names
                .find(|(name, id)| *id == at.id && !name.contains('/'))?
                .0;
            name.rsplit('.').next()
        }
        Shape::RawExtension => Some("RawExtension"),
        Shape::Json => Some("JSON"),
        _ => None,
    }
}

/// Go's kind of a type.
fn kind_name(at: At<'_>) -> &'static str {
    match at.shape() {
        Shape::Map { .. } => "map",
        Shape::List(_) | Shape::WrappedList { .. } | Shape::Bytes => "slice",
        Shape::String => "string",
        Shape::Integer { bits: 32 } => "int32",
        Shape::Integer { .. } => "int64",
        Shape::Number => "float64",
        Shape::Boolean => "bool",
        Shape::Any => "interface",
        _ => "struct",
    }
}

/// What is new to the object without the objects in it that have a `$patch`; none if it has one itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => Some(
            fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, without_directives(value)?)))
                .collect(),
        ),
        Value::Array(elements) => Some(
            elements
                .into_iter()
                .filter_map(without_directives)
                .collect(),
        ),
        other => Some(other),
    }
}

/// An answer of upstream's that has a text but no reason.
fn refused(message: impl Into<String>) -> Status {
    Status::new(Reason::Unknown, message)
}

/// Upstream's answer to lists of lists, which it keeps the reason of to itself.
fn unprocessable() -> Status {
    Status::new(Reason::Invalid, UNPROCESSABLE)
}

fn unknown_directive(directive: &Value, patch: Map) -> Status {
    refused(format!(
        "unknown patch type: {} in map: {}",
        go::show_text(directive),
        go::show(&Value::Object(patch))
    ))
}

fn no_merge_key(element: &Value, key: &str) -> Status {
    refused(format!(
        "map: {} does not contain declared merge key: {key}",
        go::show(element)
    ))
}

fn wrong_type(expected: &str, value: &Value) -> Status {
    refused(format!(
        "expected a {expected}, but received a {}",
        go::type_name(value)
    ))
}
