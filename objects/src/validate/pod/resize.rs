//! What an update through `resize` may change: CPU and memory of containers, and of the pod as a whole.

use super::{
    Faults, Spot,
    update::{LISTS, MIRROR},
};
use crate::{
    Value, invalid::Invalid, meta, path::Path, strategy::pod::quality, validate::kinds::view::same,
};

const OTHERS: &str = "only cpu and memory resources are mutable";

pub(super) fn check(new: &Value, old: &Value, faults: &mut Faults) {
    let spec = Path::new("spec");
    if let Some(words) = never(old) {
        // Upstream's text of a path with an empty name.
        *faults = vec![Invalid::forbidden(&Path::new("[]"), words)];
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
    if !is_known_to_node(old) {
        let words = "Pod running on node without support for resize";
        faults.push(Invalid::forbidden(&spec, words));
    }
    let mut munged = meta::at(new, &["spec"]).cloned().unwrap_or(Value::Null);
    whole_pod(new, old, &mut munged, faults);
    if !in_order(new, old, faults) {
        return;
    }
    nothing_removed(new, old, faults);
    containers(old, &mut munged, faults);
    if !faults.is_empty() {
        return;
    }
    if !same(&munged, old.get("spec").unwrap_or(&Value::Null)) {
        faults.push(Invalid::forbidden(&spec, OTHERS));
    }
}

/// Why a pod can never be resized.
fn never(pod: &Value) -> Option<&'static str> {
    if meta::annotation(pod, MIRROR).is_some() {
        Some("static pods cannot be resized")
    } else if meta::text(pod, &["spec", "os", "name"]) == "windows" {
        Some("windows pods cannot be resized")
    } else {
        None
    }
}

/// A node that can resize tells the resources of what runs. Nothing is known of it before something does.
fn is_known_to_node(pod: &Value) -> bool {
    let status = Spot::root(pod).get("status").get("containerStatuses");
    let mut running = status
        .each()
        .filter(|container| container.get("state").find("running").is_some());
    running
        .next()
        .is_none_or(|container| container.find("resources").is_some())
}

/// The resources that the pod itself has.
fn whole_pod(new: &Value, old: &Value, munged: &mut Value, faults: &mut Faults) {
    let (after, before) = (Spot::root(new).get("spec"), Spot::root(old).get("spec"));
    let resources = after.get("resources");
    let says = |spec: &Spot<'_>| {
        let resources = spec.get("resources");
        ["requests", "limits"].iter().any(|part| {
            let amounts = resources.get(part);
            amounts.map().is_some_and(|amounts| !amounts.is_empty())
        })
    };
    if !says(&after) && !says(&before) {
        return;
    }
    if !resources.is_present() && before.find("resources").is_some() {
        resources.forbidden(faults, "pod-level resources cannot be removed");
        return;
    }
    for part in removed(&resources, &before.get("resources")) {
        let words = format!("pod-level resource {part} cannot be removed");
        resources.get(part).forbidden(faults, words);
    }
    keep_resources(munged, before.value);
    let known = before.get("resources");
    if !same(munged.get("resources").unwrap_or(&Value::Null), known.value) {
        after.forbidden(faults, format!("{OTHERS} at pod-level"));
    }
}

fn nothing_removed(new: &Value, old: &Value, faults: &mut Faults) {
    let (after, before) = (Spot::root(new).get("spec"), Spot::root(old).get("spec"));
    for list in LISTS.iter().rev() {
        let (after, before) = (after.get(list), before.get(list));
        for (container, before) in after.each().zip(before.each()) {
            let resources = container.get("resources");
            for part in removed(&resources, &before.get("resources")) {
                let words = format!("resource {part} cannot be removed");
                resources.get(part).forbidden(faults, words);
            }
        }
    }
}

/// The parts of which a resource is gone.
fn removed(new: &Spot<'_>, old: &Spot<'_>) -> Vec<&'static str> {
    let is_shorter = |part: &&str| {
        let after = new.get(part);
        let before = old.get(part);
        let mut names = before.map().into_iter().flatten().map(|(name, _)| name);
        names.any(|name| after.value.get(name).is_none())
    };
    ["requests", "limits"]
        .into_iter()
        .filter(is_shorter)
        .collect()
}

/// Gives the containers the CPU and memory that they had, after which nothing of them may differ.
fn containers(old: &Value, munged: &mut Value, faults: &mut Faults) {
    let path = Path::new("spec");
    for list in LISTS {
        let before = meta::list(old, &["spec", list]);
        let containers = munged.get_mut(list).and_then(Value::as_array_mut);
        let both = containers.into_iter().flatten().zip(before);
        for (index, (container, before)) in both.enumerate() {
            let is_changed = !same(container, before);
            keep_resources(container, before);
            if list == "containers" {
                if !same(container, before) {
                    faults.push(Invalid::forbidden(&path, OTHERS));
                }
                continue;
            }
            let path = path.child(list).index(index);
            if !same(container, before) {
                let words =
                    "only cpu and memory resources for init or sidecar containers are mutable";
                faults.push(Invalid::forbidden(&path, words));
            }
            if is_changed && container["restartPolicy"] != "Always" {
                let policies = meta::list(container, &["resizePolicy"]).iter();
                let words = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
                for _ in policies.filter(|policy| policy["restartPolicy"] == "RestartContainer") {
                    faults.push(Invalid::forbidden(&path, words));
                }
            }
        }
    }
}

/// Gives a container, or the spec of a pod, the CPU and memory that it had.
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
