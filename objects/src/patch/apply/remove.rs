//! Taking fields out of an object.

use super::place::{Form, Place};
use super::set::Set;
use crate::{Map, Value};

/// The object without these fields; null where nothing is left. What is in one piece and holds a field is gone as a whole.
pub(super) fn remove(value: Value, fields: &Set, place: Place<'_>) -> Value {
    match (place.form(Some(&value)), value) {
        (Form::Scalar(_), value) => value,
        (Form::List(list), Value::Array(items)) if !list.atomic => {
            let items: Vec<Value> = items
                .into_iter()
                .filter_map(|item| {
                    let node = list
                        .element(&item)
                        .ok()
                        .and_then(|element| fields.get(&element));
                    match node {
                        None => Some(item),
                        Some(node) if node.member => None,
                        Some(node) => Some(remove(item, &node.below, list.items)),
                    }
                })
                .collect();
            if items.is_empty() {
                Value::Null
            } else {
                Value::Array(items)
            }
        }
        (Form::Map(map), Value::Object(object)) if !map.atomic => {
            let mut left = Map::new();
            for (name, value) in object {
                match fields.get_field(&name) {
                    None => {
                        left.insert(name, value);
                    }
                    Some(node) if node.member => {}
                    Some(node) => {
                        let value = match map.field(&name) {
                            Some(field) => remove(value, &node.below, field.place),
                            None => value,
                        };
                        left.insert(name, value);
                    }
                }
            }
            if left.is_empty() {
                Value::Null
            } else {
                Value::Object(left)
            }
        }
        _ => Value::Null,
    }
}
