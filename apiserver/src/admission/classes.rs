//! What names no class gets the default one: claims a storage class, ingresses an ingress class.

use std::cmp::Reverse;

use objects::{Value, meta};

use super::{Operation, Review};
use crate::objects_view::ObjectsView;

const STORAGE_ANNOTATIONS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];
const INGRESS_ANNOTATIONS: [&str; 1] = ["ingressclass.kubernetes.io/is-default-class"];

pub(super) fn default_storage(view: &dyn ObjectsView, review: &Review<'_>, claim: &mut Value) {
    let is_new = review.operation == Operation::Create;
    if !is_new || !review.is_of("", "persistentvolumeclaims") {
        return;
    }
    let annotation = meta::annotation(claim, "volume.beta.kubernetes.io/storage-class");
    let has = annotation.is_some() || has_class(claim, "storageClassName");
    let classes = || view.list("storage.k8s.io", "storageclasses", None);
    if !has && let Some(name) = newest(&classes(), &STORAGE_ANNOTATIONS) {
        meta::fields_mut(claim, "spec").insert("storageClassName".to_owned(), name.into());
    }
}

pub(super) fn default_ingress(view: &dyn ObjectsView, review: &Review<'_>, ingress: &mut Value) {
    let is_new = review.operation == Operation::Create;
    if !is_new || !review.is_of("networking.k8s.io", "ingresses") {
        return;
    }
    let annotation = meta::annotation(ingress, "kubernetes.io/ingress.class");
    let has = annotation.is_some() || has_class(ingress, "ingressClassName");
    let classes = || view.list("networking.k8s.io", "ingressclasses", None);
    if !has && let Some(name) = newest(&classes(), &INGRESS_ANNOTATIONS) {
        meta::fields_mut(ingress, "spec").insert("ingressClassName".to_owned(), name.into());
    }
}

fn has_class(object: &Value, field: &str) -> bool {
    meta::at(object, &["spec", field]).is_some_and(|name| !name.is_null())
}

/// The newest class that is marked as the default; of several, the first by name.
fn newest(
    classes: &[impl std::ops::Deref<Target = Value>],
    annotations: &[&str],
) -> Option<String> {
    let marked = |class: &Value| {
        let is_set = |key: &&str| meta::annotation(class, key) == Some("true");
        annotations.iter().any(is_set)
    };
    let class = classes
        .iter()
        .filter(|class| marked(class))
        .min_by_key(|class| {
            let created = meta::text(class, &["metadata", "creationTimestamp"]);
            (Reverse(created), meta::name(class))
        })?;
    Some(meta::name(class).to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_default_class_is_chosen() {
        let class = |name: &str, created: &str, default: &str| {
            Arc::new(
                json!({"metadata": {"name": name, "creationTimestamp": created, "annotations": {STORAGE_ANNOTATIONS[0]: default}}}),
            )
        };
        let classes = [
            class("a", "2026-01-01T00:00:00Z", "true"),
            class("c", "2026-01-02T00:00:00Z", "true"),
            class("b", "2026-01-02T00:00:00Z", "true"),
            class("d", "2026-01-03T00:00:00Z", "false"),
        ];
        let chosen = newest(&classes, &STORAGE_ANNOTATIONS);
        assert_eq!(chosen.as_deref(), Some("b"));
    }
}
