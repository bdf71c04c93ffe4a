//! Makes objects fit their schema: fields that it does not know go, and fields that it has defaults for come.

use super::read::DEPTH_MAX;
use crate::{
    Value,
    path::Path,
    schema::{At, Field, Object, Shape},
};

/// Fields of whole objects, which no schema has to declare.
const WHOLE: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes what a schema does not know. Gives the paths of what went, in their order.
pub(super) fn prune(at: At<'_>, object: &mut Value) -> Vec<String> {
    let mut gone = Vec::new();
    prune_at(at, object, true, &Path::root(), &mut gone);
    gone.sort();
    gone
}

fn prune_at(at: At<'_>, value: &mut Value, whole: bool, path: &Path, gone: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let keeps = keeps_unknown(at);
            let is_whole = whole || is_embedded(at);
            fields.retain(|name, value| {
                if is_whole && WHOLE.contains(&name.as_str()) {
                    return true;
                }
                let below = path.child(name);
                if let Some(place) = at.field(name) {
                    prune_at(place, value, false, &below, gone);
                    return true;
                }
                if !keeps {
                    gone.push(below.as_str().to_owned());
                }
                keeps
            });
        }
        Value::Array(items) => {
            let Some(place) = at.items() else { return };
            for (index, item) in items.iter_mut().enumerate() {
                prune_at(place, item, false, &path.index(index), gone);
            }
        }
        _ => {}
    }
}

fn is_embedded(at: At<'_>) -> bool {
    matches!(at.shape(), Shape::Object(object) if object.embedded)
}

fn keeps_unknown(at: At<'_>) -> bool {
    match at.shape() {
        Shape::Object(object) => object.preserve_unknown,
        Shape::Any => true,
        _ => false,
    }
}

/// Removes nulls where null is no value, and fills in defaults.
pub(super) fn apply_defaults(at: At<'_>, object: &mut Value) {
    drop_nulls(at, object);
    default_at(at, object, 0);
}

fn declared(at: At<'_>) -> impl Iterator<Item = (&str, &Field)> {
    let fields = match at.shape() {
        Shape::Object(Object { fields, .. }) => Some(fields),
        _ => None,
    };
    fields
        .into_iter()
        .flatten()
        .map(|(name, field)| (&**name, field))
}

fn drop_nulls(at: At<'_>, value: &mut Value) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let Some(place) = at.field(name) else {
                return true;
            };
            let has_default = at
                .declared(name)
                .is_none_or(|field| field.default.is_some());
            if value.is_null() && !place.node().nullable && !has_default {
                return false;
            }
            drop_nulls(place, value);
            true
        }),
        Value::Array(items) => {
            if let Some(place) = at.items() {
                items.iter_mut().for_each(|item| drop_nulls(place, item));
            }
        }
        _ => {}
    }
}

fn default_at(at: At<'_>, value: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in declared(at) {
                let Some(default) = &field.default else {
                    continue;
                };
                let nullable = at.schema.node(field.node).nullable;
                match fields.get(name) {
                    None => {}
                    Some(Value::Null) if !nullable => {}
                    Some(_) => continue,
                }
                fields.insert(name.to_owned(), default.clone());
            }
            for (name, value) in fields.iter_mut() {
                if let Some(place) = at.field(name) {
                    default_at(place, value, depth + 1);
                }
            }
        }
        Value::Array(items) => {
            if let Some(place) = at.items() {
                items
                    .iter_mut()
                    .for_each(|item| default_at(place, item, depth + 1));
            }
        }
        _ => {}
    }
}

/// Whether a schema says the value of any absent field.
pub(super) fn has_defaults(at: At<'_>, depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    let below = |id| {
        let at = At {
            schema: at.schema,
            id,
        };
        has_defaults(at, depth + 1)
    };
    match at.shape() {
        Shape::Object(object) => {
            object.others.is_some_and(below)
                || object
                    .fields
                    .values()
                    .any(|field| field.default.is_some() || below(field.node))
        }
        Shape::Map { values, .. } => below(*values),
        Shape::List(list) => below(list.items),
        _ => false,
    }
}
