//! Volumes and claims are not deleted while they are used, and only some claims grow.

use objects::quantity::Quantity;
use objects::status::Status;
use objects::{Value, meta};

use super::{Operation, Review};
use crate::objects_view::ObjectsView;

/// Resources with the finalizer that keeps their objects.
const FINALIZERS: [(&str, &str, &str); 3] = [
    ("", "persistentvolumes", "kubernetes.io/pv-protection"),
    ("", "persistentvolumeclaims", "kubernetes.io/pvc-protection"),
    (
        "storage.k8s.io",
        "volumeattributesclasses",
        "kubernetes.io/vac-protection",
    ),
];

pub(super) fn protect(review: &Review<'_>, object: &mut Value) {
    if review.operation != Operation::Create {
        return;
    }
    for (group, plural, finalizer) in FINALIZERS {
        if review.is_of(group, plural) {
            add_finalizer(object, finalizer);
        }
    }
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let own = meta::list(object, &["metadata", "finalizers"]);
    if !own.iter().any(|other| other == finalizer) {
        super::pods::push(&mut object["metadata"], "finalizers", finalizer.into());
    }
}

/// Judges a claim that asks for more than it did.
pub(super) fn resize(
    view: &dyn ObjectsView,
    review: &Review<'_>,
    claim: &Value,
) -> Result<(), Status> {
    let Some(old) = review.old else {
        return Ok(());
    };
    if !review.is_of("", "persistentvolumeclaims") || size(claim) <= size(old) {
        return Ok(());
    }
    let refuse = |why: &str| Err(review.forbidden(Some(claim), why));
    if meta::text(old, &["status", "phase"]) != "Bound" {
        return refuse("Only bound persistent volume claims can be expanded");
    }
    let name = class(claim);
    let grows = !name.is_empty()
        && name == class(old)
        && view
            .get("storage.k8s.io", "storageclasses", "", name)
            .is_some_and(|class| class["allowVolumeExpansion"] == true);
    if grows {
        return Ok(());
    }
    refuse(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    )
}

fn size(claim: &Value) -> Quantity {
    meta::at(claim, &["spec", "resources", "requests", "storage"])
        .and_then(|value| Quantity::from_value(value).ok())
        .unwrap_or_else(Quantity::zero)
}

fn class(claim: &Value) -> &str {
    meta::annotation(claim, "volume.beta.kubernetes.io/storage-class")
        .unwrap_or_else(|| meta::text(claim, &["spec", "storageClassName"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_finalizer_is_added_once() {
        let mut claim = json!({"metadata": {}});
        add_finalizer(&mut claim, FINALIZERS[1].2);
        add_finalizer(&mut claim, FINALIZERS[1].2);
        assert_eq!(claim["metadata"]["finalizers"], json!([FINALIZERS[1].2]));
    }

    #[test]
    fn sizes_compare_as_amounts() {
        let claim = |text: &str| json!({"spec": {"resources": {"requests": {"storage": text}}}});
        assert!(size(&claim("1Gi")) > size(&claim("1000Mi")));
        assert!(size(&claim("1024Mi")) == size(&claim("1Gi")));
    }
}
