//! What becomes of an object, by the state of its owners.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::facts::{FOREGROUND, Facts, ORPHAN};
use super::graph::View;

/// The state of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is there, and stays as far as is known.
    Solid,
    /// It does not exist.
    Dangling,
    /// It goes as soon as its dependents are gone.
    Waiting,
}

/// How dependents of an object that is deleted are dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// What to do with an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// It has somebody else: from now on it has these owners.
    SetOwners(Vec<OwnerReference>),
    /// It goes. With owners, it gets these first, which block nothing any more.
    Delete(Propagation, Option<Vec<OwnerReference>>),
}

/// The verdict about an object that is not being deleted. `standings` are those of its owners, in their order.
pub(super) fn decide(object: &Facts, standings: &[Standing], view: &View) -> Verdict {
    if object.owners.is_empty() {
        return Verdict::Keep;
    }
    let has = |standing| standings.contains(&standing);
    if has(Standing::Solid) {
        let solid = object.owners.iter().zip(standings);
        let solid: Vec<OwnerReference> = solid
            .filter(|(_, standing)| **standing == Standing::Solid)
            .map(|(owner, _)| owner.clone())
            .collect();
        return if solid.len() == object.owners.len() {
            Verdict::Keep
        } else {
            Verdict::SetOwners(solid)
        };
    }
    if has(Standing::Waiting) && view.has_dependents {
        // Objects that own one another in a circle would wait for ever.
        let unblocked = view
            .has_waiting_dependent
            .then(|| unblocked(&object.owners));
        return Verdict::Delete(Propagation::Foreground, unblocked);
    }
    let propagation = if object.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if object.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    Verdict::Delete(propagation, None)
}

fn unblocked(owners: &[OwnerReference]) -> Vec<OwnerReference> {
    let unblock = |owner: &OwnerReference| OwnerReference {
        block_owner_deletion: Some(false),
        ..owner.clone()
    };
    owners.iter().map(unblock).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn object(finalizers: &[&str], owners: &[&str]) -> Facts {
        let owners: Vec<_> = owners
            .iter()
            .map(|uid| {
                json!({"apiVersion": "v1", "kind": "K", "name": uid, "uid": uid, "blockOwnerDeletion": true})
            })
            .collect();
        let object = json!({"metadata": {"name": "o", "uid": "o", "finalizers": finalizers, "ownerReferences": owners}});
        Facts::of(&Arc::from("v1"), &Arc::from("K"), &object)
    }

    fn view(has_dependents: bool, has_waiting_dependent: bool) -> View {
        View {
            identity: object(&[], &[]).identity,
            is_virtual: false,
            is_deleting: false,
            waits_for_dependents: false,
            has_dependents,
            has_waiting_dependent,
        }
    }

    #[test]
    fn an_object_goes_when_no_owner_is_left_that_stays() {
        use Standing::{Dangling, Solid, Waiting};
        let uids = |verdict| match verdict {
            Verdict::SetOwners(owners) => owners.into_iter().map(|owner| owner.uid).collect(),
            other => vec![format!("{other:?}")],
        };
        for (standings, finalizers, view, expected) in [
            (&[][..], &[][..], view(false, false), "Keep"),
            (&[Solid, Solid], &[], view(true, false), "Keep"),
            (&[Solid, Dangling], &[], view(false, false), "0"),
            (&[Waiting, Solid], &[], view(true, true), "1"),
            (
                &[Dangling, Dangling],
                &[],
                view(true, false),
                "Delete(Background, None)",
            ),
            (
                &[Dangling],
                &["orphan"],
                view(true, false),
                "Delete(Orphan, None)",
            ),
            (
                &[Dangling],
                &["foregroundDeletion"],
                view(true, false),
                "Delete(Foreground, None)",
            ),
            (
                &[Waiting],
                &[],
                view(false, false),
                "Delete(Background, None)",
            ),
            (
                &[Waiting, Dangling],
                &[],
                view(true, false),
                "Delete(Foreground, None)",
            ),
        ] {
            let names = &["0", "1"][..standings.len()];
            let verdict = decide(&object(finalizers, names), standings, &view);
            assert_eq!(uids(verdict), [expected], "{standings:?}");
        }
    }

    #[test]
    fn a_circle_of_waiting_objects_is_opened() {
        let verdict = decide(
            &object(&[], &["a"]),
            &[Standing::Waiting],
            &view(true, true),
        );
        let Verdict::Delete(Propagation::Foreground, Some(owners)) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(owners[0].block_owner_deletion, Some(false));
    }
}
