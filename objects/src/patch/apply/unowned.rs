//! Merging fields into an object without noting whose they are, as admission policies do.

use super::check::check;
use super::merge::merge;
use super::place::{Form, Place};
use crate::Value;
use crate::schema::At;

/// The object with fields merged in. What is in one piece cannot be set like that.
///
/// # Errors
///
/// In upstream's words, if either does not hold to the type, or something in one piece is set.
pub fn merge_unowned(
    at: At<'_>,
    built_in: bool,
    live: &Value,
    applied: &Value,
) -> Result<Value, String> {
    let place = Place::root(at, built_in);
    check(applied, place, false)
        .map_err(|why| format!("failed to convert patch object to typed object: {why}"))?;
    let mut pieces = Vec::new();
    find_pieces(applied, place, "", &mut pieces);
    if !pieces.is_empty() {
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
            pieces.join(", ")
        ));
    }
    check(live, place, true)
        .map_err(|why| format!("failed to convert original object to typed object: {why}"))?;
    Ok(merge(Some(live), Some(applied), place).unwrap_or_default())
}

/// The paths of all values that are in one piece. The value is checked, so it is not too deep.
fn find_pieces(value: &Value, place: Place<'_>, path: &str, found: &mut Vec<String>) {
    match (value, place.form(Some(value))) {
        (Value::Object(fields), Form::Map(map)) => {
            if map.atomic {
                found.push(path.to_owned());
            }
            for (name, value) in fields {
                if let Some(field) = map.field(name).filter(|field| field.named) {
                    find_pieces(value, field.place, &format!("{path}.{name}"), found);
                }
            }
        }
        (Value::Array(items), Form::List(list)) => {
            if list.atomic {
                found.push(path.to_owned());
            }
            for (index, item) in items.iter().enumerate() {
                find_pieces(item, list.items, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}
