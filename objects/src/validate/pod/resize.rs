//! What an update through `resize` may change: CPU and memory of containers.

use super::{
    Faults, Spot,
    update::{LISTS, MIRROR, place},
};
use crate::{Value, invalid::Invalid, meta, path::Path, strategy::pod::quality};

pub(super) fn check(new: &Value, old: &Value, faults: &mut Faults) {
    let spec = Path::new("spec");
    if meta::annotation(old, MIRROR).is_some() {
        *faults = vec![Invalid::forbidden(
            &Path::new(""),
            "static pods cannot be resized",
        )];
        return;
    }
    let class = meta::text(old, &["status", "qosClass"]);
    let class = if class.is_empty() {
        quality::class(old)
    } else {
        class
    };
    if class != quality::class(new) {
        let words = "Pod QOS Class may not change as a result of resizing";
        faults.push(Invalid::value(
            &spec,
            meta::text(new, &["status", "qosClass"]),
            words,
        ));
    }
    if !in_order(new, old, faults) {
        return;
    }
    for list in LISTS {
        let (after, before) = (
            Spot::root(new).get("spec").get(list),
            meta::list(old, &["spec", list]),
        );
        for (container, before) in after.each().zip(before) {
            for field in ["requests", "limits"] {
                let left = container.get("resources").get(field);
                let removed = meta::map(before, &["resources", field])
                    .is_some_and(|before| before.keys().any(|name| left.value.get(name).is_none()));
                if removed {
                    left.forbidden(faults, format!("resource {field} cannot be removed"));
                }
            }
        }
    }
    if !faults.is_empty() {
        return;
    }
    let mut munged = meta::at(new, &["spec"]).cloned().unwrap_or(Value::Null);
    for list in LISTS {
        let before = meta::list(old, &["spec", list]);
        let containers = munged.get_mut(list).and_then(Value::as_array_mut);
        for (container, before) in containers.into_iter().flatten().zip(before) {
            place(container, "resizePolicy", before.get("resizePolicy"));
            keep_resources(container, before);
        }
    }
    if Some(&munged) != meta::at(old, &["spec"]) {
        faults.push(Invalid::forbidden(
            &spec,
            "only cpu and memory resources are mutable",
        ));
    }
}

/// Gives a container the CPU and memory that it had.
fn keep_resources(container: &mut Value, before: &Value) {
    for field in ["requests", "limits"] {
        let old = meta::map(before, &["resources", field]);
        let resources = meta::fields_mut(container, "resources");
        let entry = resources
            .entry(field)
            .or_insert_with(|| Value::Object(crate::Map::new()));
        if let Some(amounts) = entry.as_object_mut() {
            for name in ["cpu", "memory"] {
                match old.and_then(|old| old.get(name)) {
                    Some(amount) => amounts.insert(name.to_owned(), amount.clone()),
                    None => amounts.remove(name),
                };
            }
        }
        if entry.as_object().is_some_and(crate::Map::is_empty) && old.is_none() {
            resources.remove(field);
        }
    }
}

/// Whether the containers are those of before, by number, order and name.
fn in_order(new: &Value, old: &Value, faults: &mut Faults) -> bool {
    let before = faults.len();
    for list in LISTS {
        let (after, previous) = (
            Spot::root(new).get("spec").get(list),
            meta::list(old, &["spec", list]),
        );
        if after.list().len() != previous.len() {
            after.forbidden(
                faults,
                format!("{list} may not be added or removed on resize"),
            );
            continue;
        }
        for (container, previous) in after.each().zip(previous) {
            let name = container.get("name");
            if name.text() != meta::text(previous, &["name"]) {
                name.forbidden(
                    faults,
                    format!("{list} may not be renamed or reordered on resize"),
                );
            }
        }
    }
    faults.len() == before
}
