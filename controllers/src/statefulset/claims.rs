//! Who owns a claim of a StatefulSet, which says with what it is deleted.

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::owners;

/// With what the claims of a set are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retention {
    pub(super) with_set: bool,
    pub(super) with_scaled_down_pod: bool,
}

impl Retention {
    pub(super) fn of(set: &StatefulSet) -> Retention {
        let policy = set
            .spec
            .as_ref()
            .and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
        let deletes = |when: Option<&String>| when.is_some_and(|when| when == "Delete");
        Retention {
            with_set: deletes(policy.and_then(|policy| policy.when_deleted.as_ref())),
            with_scaled_down_pod: deletes(policy.and_then(|policy| policy.when_scaled.as_ref())),
        }
    }
}

/// What is to be done about a claim's owners.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Owners {
    Stay,
    Become(Vec<OwnerReference>),
}

/// Decides on the owners of a claim; `is_surplus` says whether the pod's ordinal lies outside the set.
pub(super) fn owners(
    claim: &PersistentVolumeClaim,
    set: &StatefulSet,
    pod: &Pod,
    is_surplus: bool,
) -> Owners {
    let all = claim.metadata.owner_references.clone().unwrap_or_default();
    // The object that the reference means is gone, and the garbage collector decides on the claim.
    if is_stale::<StatefulSet>(&all, &set.metadata) || is_stale::<Pod>(&all, &pod.metadata) {
        return Owners::Stay;
    }
    let retention = Retention::of(set);
    let is_ours = |owner: &OwnerReference| {
        means::<StatefulSet>(owner, &set.metadata) || means::<Pod>(owner, &pod.metadata)
    };
    let foreign = all
        .iter()
        .any(|owner| !is_ours(owner) && owner.controller == Some(true));
    let mut wanted: Vec<OwnerReference> = all
        .iter()
        .filter(|owner| !is_ours(owner))
        .cloned()
        .collect();
    if !foreign
        || retention
            == (Retention {
                with_set: false,
                with_scaled_down_pod: false,
            })
    {
        if retention.with_scaled_down_pod && is_surplus {
            wanted.push(owners::reference::<Pod>(&pod.metadata));
        } else if retention.with_set {
            wanted.push(owners::reference::<StatefulSet>(&set.metadata));
        }
    }
    let ours = |list: &[OwnerReference]| -> Vec<(String, bool)> {
        let ours = list.iter().filter(|owner| is_ours(owner));
        ours.map(|owner| (owner.uid.clone(), owner.controller == Some(true)))
            .collect()
    };
    if ours(&all) == ours(&wanted) {
        Owners::Stay
    } else {
        Owners::Become(wanted)
    }
}

/// Whether another controller manages a claim that the set's policy would delete.
pub(super) fn is_contested(claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) -> bool {
    let retention = Retention::of(set);
    let is_foreign = |owner: &OwnerReference| {
        owner.controller == Some(true)
            && !means::<StatefulSet>(owner, &set.metadata)
            && !means::<Pod>(owner, &pod.metadata)
    };
    (retention.with_set || retention.with_scaled_down_pod)
        && claim
            .metadata
            .owner_references
            .iter()
            .flatten()
            .any(is_foreign)
}

/// Whether a claim still waits to be deleted with an earlier pod of this name.
pub(super) fn awaits_deletion(claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) -> bool {
    let owners = claim
        .metadata
        .owner_references
        .as_deref()
        .unwrap_or_default();
    Retention::of(set).with_scaled_down_pod && is_stale::<Pod>(owners, &pod.metadata)
}

fn means<K: Resource>(owner: &OwnerReference, object: &ObjectMeta) -> bool {
    owner.api_version == K::API_VERSION
        && owner.kind == K::KIND
        && Some(&owner.name) == object.name.as_ref()
}

/// Whether a reference names the object and means an earlier one of its name.
fn is_stale<K: Resource>(owners: &[OwnerReference], object: &ObjectMeta) -> bool {
    let named = owners.iter().find(|owner| means::<K>(owner, object));
    named.is_some_and(|owner| Some(&owner.uid) != object.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(deleted: &str, scaled: &str) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "uid": "set-uid"},
            "spec": {
                "selector": {}, "template": {},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled},
            },
        }))
        .unwrap()
    }

    fn owner(kind: &str, uid: &str) -> Value {
        let (version, name) = if kind == "Pod" {
            ("v1", "web-0")
        } else {
            ("apps/v1", "web")
        };
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true})
    }

    fn decided(set: &StatefulSet, references: &[Value], is_surplus: bool) -> Option<Vec<String>> {
        let claim = json!({"metadata": {"name": "data-web-0", "ownerReferences": references}});
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "web-0", "uid": "pod-uid"}}))
                .unwrap();
        match owners(
            &serde_json::from_value(claim).unwrap(),
            set,
            &pod,
            is_surplus,
        ) {
            Owners::Stay => None,
            Owners::Become(owners) => Some(owners.into_iter().map(|owner| owner.uid).collect()),
        }
    }

    #[test]
    fn the_owner_of_a_claim_is_what_it_is_deleted_with() {
        for (deleted, scaled, is_surplus, now, expected) in [
            ("Retain", "Retain", false, "", None),
            ("Retain", "Retain", true, "set", Some("")),
            ("Delete", "Retain", false, "", Some("set")),
            ("Delete", "Retain", false, "set", None),
            ("Delete", "Retain", true, "pod", Some("set")),
            ("Retain", "Delete", false, "", None),
            ("Retain", "Delete", true, "", Some("pod")),
            ("Retain", "Delete", false, "pod", Some("")),
            ("Delete", "Delete", false, "pod", Some("set")),
            ("Delete", "Delete", true, "set", Some("pod")),
            ("Delete", "Delete", true, "pod", None),
        ] {
            let references: Vec<Value> = match now {
                "set" => vec![owner("StatefulSet", "set-uid")],
                "pod" => vec![owner("Pod", "pod-uid")],
                _ => vec![],
            };
            let found = decided(&set(deleted, scaled), &references, is_surplus);
            let found = found.map(|uids| uids.join(","));
            let expected = expected.map(|owner| match owner {
                "" => String::new(),
                owner => format!("{owner}-uid"),
            });
            let case = format!("{deleted} {scaled} surplus {is_surplus} owned by {now:?}");
            assert_eq!(found, expected, "{case}");
        }
    }

    #[test]
    fn an_owner_of_an_earlier_life_is_left_to_the_garbage_collector() {
        assert_eq!(
            decided(&set("Delete", "Delete"), &[owner("Pod", "earlier")], true),
            None
        );
        assert_eq!(
            decided(
                &set("Delete", "Delete"),
                &[owner("StatefulSet", "earlier")],
                false
            ),
            None
        );
    }

    #[test]
    fn a_claim_that_another_controller_manages_is_not_taken() {
        let mut other = owner("StatefulSet", "other");
        other["name"] = json!("other");
        let set = set("Delete", "Delete");
        assert_eq!(decided(&set, &[other.clone()], false), None);
        assert_eq!(
            decided(&set, &[other, owner("StatefulSet", "set-uid")], false),
            Some(vec!["other".to_owned()])
        );
    }

    #[test]
    fn an_owner_that_is_no_controller_becomes_one() {
        let mut plain = owner("StatefulSet", "set-uid");
        plain["controller"] = json!(false);
        assert_eq!(
            decided(&set("Delete", "Retain"), &[plain], false),
            Some(vec!["set-uid".to_owned()])
        );
    }
}
