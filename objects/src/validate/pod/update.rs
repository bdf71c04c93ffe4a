//! What an update may change in a pod, and what its subresources may.

use super::{Faults, Spot, resize, scheduling, whole};
use crate::{
    Value,
    invalid::Invalid,
    meta,
    path::Path,
    validate::{
        metadata::{self, same},
        names,
    },
};

const MUTABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
pub(super) const LISTS: [&str; 2] = ["containers", "initContainers"];
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) fn pod(new: &Value, old: &Value, faults: &mut Faults) {
    metadata::create(new, true, names::subdomain, faults);
    whole(new, faults);
    mirror(new, old, faults);
    let (after, before) = (Spot::root(new).get("spec"), Spot::root(old).get("spec"));
    for list in LISTS {
        let (after, before) = (after.get(list), before.get(list));
        if after.list().len() != before.list().len() {
            after.forbidden(faults, "pod updates may not add or remove containers");
            return;
        }
        for container in after.each() {
            let image = container.get("image");
            image.filled(faults);
            if image.text().trim() != image.text() {
                image.invalid(faults, "must not have leading or trailing whitespace");
            }
        }
    }
    if deadline(&after, &before, faults) {
        return;
    }
    tolerations(
        &after.get("tolerations"),
        &before.get("tolerations"),
        faults,
    );
    for gate in after.get("schedulingGates").each() {
        let name = gate.get("name");
        let known = before
            .get("schedulingGates")
            .each()
            .any(|gate| gate.get("name").text() == name.text());
        if !known {
            let words = format!(
                "only deletion is allowed, but found new scheduling gate '{}'",
                name.text()
            );
            name.forbidden(faults, words);
        }
    }
    rest(&after, &before, faults);
}

/// Annotations that neither come nor go.
fn mirror(new: &Value, old: &Value, faults: &mut Faults) {
    let words = match (meta::annotation(new, MIRROR), meta::annotation(old, MIRROR)) {
        (after, Some(before)) if after != Some(before) => {
            "may not remove or update mirror pod annotation"
        }
        (Some(_), None) => "may not add mirror pod annotation",
        _ => return,
    };
    let path = Path::new("metadata").child("annotations").key(MIRROR);
    faults.push(Invalid::forbidden(&path, words));
}

/// A deadline may come nearer. Says whether nothing else is looked at.
fn deadline(after: &Spot<'_>, before: &Spot<'_>, faults: &mut Faults) -> bool {
    let deadline = after.get("activeDeadlineSeconds");
    let previous = before.get("activeDeadlineSeconds").number();
    match (deadline.number(), previous) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            deadline.invalid(
                faults,
                format!("must be between 0 and {}, inclusive", i32::MAX),
            );
            true
        }
        (Some(seconds), Some(previous)) if previous < seconds => {
            deadline.invalid(faults, "must be less than or equal to previous value");
            true
        }
        (None, Some(_)) => {
            deadline.invalid(
                faults,
                "must not update from a positive integer to nil value",
            );
            false
        }
        _ => false,
    }
}

fn tolerations(after: &Spot<'_>, before: &Spot<'_>, faults: &mut Faults) {
    let bare = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Some(fields) = toleration.as_object_mut() {
            fields.remove("tolerationSeconds");
        }
        toleration
    };
    let kept = |old: &Value| after.list().iter().any(|new| bare(new) == bare(old));
    if before.list().iter().all(kept) {
        scheduling::tolerations(after, faults);
    } else {
        after.forbidden(
            faults,
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
}

/// All that is not named above is as it was.
fn rest(after: &Spot<'_>, before: &Spot<'_>, faults: &mut Faults) {
    if same(Some(after.value), Some(before.value)) {
        return;
    }
    let mut munged = after.value.clone();
    for list in LISTS {
        let containers = munged.get_mut(list).and_then(Value::as_array_mut);
        for (container, old) in containers
            .into_iter()
            .flatten()
            .zip(before.get(list).list())
        {
            place(container, "image", old.get("image"));
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        place(&mut munged, field, before.value.get(field));
    }
    let grace = |spec: &Value| {
        spec.get("terminationGracePeriodSeconds")
            .and_then(Value::as_i64)
    };
    if grace(before.value).is_some_and(|seconds| seconds < 0) && grace(&munged) == Some(1) {
        place(
            &mut munged,
            "terminationGracePeriodSeconds",
            before.value.get("terminationGracePeriodSeconds"),
        );
    }
    if !before.get("schedulingGates").list().is_empty() {
        gated(&mut munged, before, &after.path, faults);
    }
    if munged != *before.value {
        let changed = differences(&munged, before.value);
        let words = format!("pod updates may not change fields other than {MUTABLE}\n{changed}");
        faults.push(Invalid::forbidden(&after.path, words));
    }
}

pub(super) fn place(object: &mut Value, field: &str, value: Option<&Value>) {
    if let Some(fields) = object.as_object_mut() {
        match value {
            Some(value) => fields.insert(field.to_owned(), value.clone()),
            None => fields.remove(field),
        };
    }
}

/// Where a pod that waits at a gate may run can be narrowed.
fn gated(munged: &mut Value, before: &Spot<'_>, path: &Path, faults: &mut Faults) {
    let old = before.get("nodeSelector");
    let new = munged.get("nodeSelector").cloned().unwrap_or(Value::Null);
    if !same(Some(&new), Some(old.value)) {
        let narrowed = old
            .map()
            .into_iter()
            .flatten()
            .all(|(key, value)| new.get(key) == Some(value));
        if !narrowed {
            let words =
                "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            faults.push(Invalid::value(&old.path, new, words));
        }
        place(munged, "nodeSelector", before.value.get("nodeSelector"));
    }
    let required = [
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    ];
    let (new, old) = (
        meta::list(munged, &required),
        meta::list(before.value, &required),
    );
    let terms = required
        .iter()
        .fold(path.clone(), |path, field| path.child(field));
    if !old.is_empty() && old.len() != new.len() {
        let words = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        faults.push(Invalid::value(&terms, new.to_vec(), words));
    } else {
        for (index, (new, old)) in new.iter().zip(old).enumerate() {
            if !only_added(new, old) {
                let words = "only additions are allowed (no mutations or deletions)";
                faults.push(Invalid::value(&terms.index(index), new.clone(), words));
            }
        }
    }
    let affinity = before
        .value
        .get("affinity")
        .and_then(|affinity| affinity.get("nodeAffinity"))
        .cloned();
    let all = meta::fields_mut(munged, "affinity");
    match affinity {
        Some(affinity) => all.insert("nodeAffinity".to_owned(), affinity),
        None => all.remove("nodeAffinity"),
    };
    if all.is_empty() {
        place(munged, "affinity", before.value.get("affinity"));
    }
}

fn only_added(new: &Value, old: &Value) -> bool {
    let empty = |term: &Value| {
        ["matchExpressions", "matchFields"]
            .iter()
            .all(|field| meta::list(term, &[field]).is_empty())
    };
    if empty(old) && !empty(new) {
        return false;
    }
    ["matchExpressions", "matchFields"].iter().all(|field| {
        let (new, old) = (meta::list(new, &[field]), meta::list(old, &[field]));
        new.len() >= old.len() && new.iter().zip(old).all(|(new, old)| new == old)
    })
}

/// The fields that differ, one on a line, before and after.
fn differences(new: &Value, old: &Value) -> String {
    let fields: std::collections::BTreeSet<&String> = [new, old]
        .iter()
        .filter_map(|spec| spec.as_object())
        .flat_map(serde_json::Map::keys)
        .collect();
    let mut text = String::new();
    let show = |value: Option<&Value>| value.map_or_else(|| "null".to_owned(), Value::to_string);
    for field in fields {
        if new.get(field) != old.get(field) {
            text.push_str(&format!(
                "-\t{field}: {}\n+\t{field}: {}\n",
                show(old.get(field)),
                show(new.get(field))
            ));
        }
    }
    text
}

/// Updates through `ephemeralcontainers` and `resize`.
pub(super) fn subresource(name: &str, new: &Value, old: &Value, faults: &mut Faults) {
    metadata::create(new, true, names::subdomain, faults);
    whole(new, faults);
    match name {
        "ephemeralcontainers" => ephemeral(new, old, faults),
        "resize" => resize::check(new, old, faults),
        _ => {}
    }
}

fn ephemeral(new: &Value, old: &Value, faults: &mut Faults) {
    if meta::annotation(old, MIRROR).is_some() {
        // Upstream's text of a path with an empty name.
        *faults = vec![Invalid::forbidden(
            &Path::new("[]"),
            "static pods do not support ephemeral containers",
        )];
        return;
    }
    let path = Path::new("spec").child("ephemeralContainers");
    let list = |pod| meta::list(pod, &["spec", "ephemeralContainers"]);
    for before in list(old) {
        let name = meta::text(before, &["name"]);
        match list(new)
            .iter()
            .rfind(|container| meta::text(container, &["name"]) == name)
        {
            None => {
                let words =
                    format!("existing ephemeral containers \"{name}\" may not be removed\n");
                faults.push(Invalid::forbidden(&path, words));
            }
            Some(after) if after != before => {
                let changed = differences(after, before);
                let words = format!(
                    "existing ephemeral containers \"{name}\" may not be changed\n{changed}"
                );
                faults.push(Invalid::forbidden(&path, words));
            }
            Some(_) => {}
        }
    }
}
