//! Lists whose elements are told apart by their keys hold no two of the same key.

use crate::{
    Map, Value,
    invalid::{Faults, Invalid},
    path::Path,
    schema::{At, List, ListKind, Shape},
};

/// Tells which elements of sets and of lists with keys are there twice.
pub(super) fn check(at: At<'_>, value: &Value, path: &Path, faults: &mut Faults) {
    match value {
        Value::Object(fields) => {
            let keyed = matches!(at.shape(), Shape::Map { .. });
            for (name, value) in fields {
                let below = if keyed {
                    path.key(name)
                } else {
                    path.child(name)
                };
                if let Some(place) = at.field(name) {
                    check(place, value, &below, faults);
                }
            }
        }
        Value::Array(items) => {
            if let Shape::List(list) = at.shape() {
                repeated(list, at, items, path, faults);
            }
            let Some(place) = at.items() else { return };
            for (index, item) in items.iter().enumerate() {
                check(place, item, &path.index(index), faults);
            }
        }
        _ => {}
    }
}

fn repeated(list: &List, at: At<'_>, items: &[Value], path: &Path, faults: &mut Faults) {
    let shown: Vec<Value> = match list.kind {
        ListKind::Atomic => return,
        ListKind::Set => items.to_vec(),
        ListKind::Map => {
            let no_object = |item: &&Value| !item.is_object() && !item.is_null();
            if let Some(index) = items.iter().position(|item| no_object(&item)) {
                let detail = "must be an object for an array of list-type map";
                faults.push(Invalid::value(
                    &path.index(index),
                    items[index].clone(),
                    detail,
                ));
                return;
            }
            items.iter().map(|item| key(list, at, item)).collect()
        }
    };
    for (index, value) in shown.iter().enumerate() {
        // Only the second of several is told.
        if shown[..index]
            .iter()
            .filter(|earlier| *earlier == value)
            .count()
            == 1
        {
            faults.push(Invalid::duplicate(&path.index(index), value.clone()));
        }
    }
}

/// The fields of an element that are together its key.
fn key(list: &List, at: At<'_>, item: &Value) -> Value {
    let items = at.items();
    let fields = list.keys.iter().filter_map(|name| {
        let default = || items?.declared(name)?.default.clone();
        let value = item.get(&**name).cloned().or_else(default)?;
        Some((name.to_string(), value))
    });
    Value::Object(fields.collect::<Map>())
}
