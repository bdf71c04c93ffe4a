//! What an owner does about the objects around it.

use super::*;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

fn meta(uid: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(format!("{uid}-name")),
        namespace: Some("default".into()),
        uid: Some(uid.into()),
        ..ObjectMeta::default()
    }
}

fn going(mut meta: ObjectMeta) -> ObjectMeta {
    meta.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    meta
}

fn owned(owner: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        owner_references: Some(vec![reference::<ReplicaSet>(owner)]),
        ..meta("pod")
    }
}

#[test]
fn an_object_is_owned_adopted_released_or_left() {
    let owner = meta("owner");
    let elsewhere = ObjectMeta {
        namespace: Some("other".into()),
        ..meta("pod")
    };
    let mut kept_but_not_managed = owned(&owner);
    kept_but_not_managed.owner_references.as_mut().unwrap()[0].controller = None;
    let table = [
        ("its own", owner.clone(), owned(&owner), true, Claim::Own),
        (
            "its own, not selected",
            owner.clone(),
            owned(&owner),
            false,
            Claim::Release,
        ),
        (
            "another's",
            owner.clone(),
            owned(&meta("other")),
            true,
            Claim::Leave,
        ),
        ("an orphan", owner.clone(), meta("pod"), true, Claim::Adopt),
        (
            "an orphan with owners but no controller",
            owner.clone(),
            kept_but_not_managed,
            true,
            Claim::Adopt,
        ),
        (
            "an orphan, not selected",
            owner.clone(),
            meta("pod"),
            false,
            Claim::Leave,
        ),
        (
            "an orphan that goes",
            owner.clone(),
            going(meta("pod")),
            true,
            Claim::Leave,
        ),
        (
            "an orphan elsewhere",
            owner.clone(),
            elsewhere,
            true,
            Claim::Leave,
        ),
        (
            "its own, while the owner goes",
            going(owner.clone()),
            owned(&owner),
            true,
            Claim::Own,
        ),
        (
            "its own, not selected, while the owner goes",
            going(owner.clone()),
            owned(&owner),
            false,
            Claim::Leave,
        ),
        (
            "an orphan, while the owner goes",
            going(owner),
            meta("pod"),
            true,
            Claim::Leave,
        ),
    ];
    for (name, owner, object, is_selected, expected) in table {
        assert_eq!(claim(&owner, &object, is_selected), expected, "{name}");
    }
}

#[test]
fn only_an_owner_that_still_is_the_same_and_stays_may_adopt() {
    let seen = meta("owner");
    assert_eq!(may_adopt(&seen, &seen), Ok(()));
    let replaced = may_adopt(&seen, &meta("new")).unwrap_err();
    assert!(
        replaced
            .to_string()
            .starts_with("original default/owner-name is gone")
    );
    let gone = may_adopt(&seen, &going(seen.clone())).unwrap_err();
    assert!(
        gone.to_string()
            .contains("has just been deleted at 1970-01-01")
    );
}

#[test]
fn patches_name_the_object_they_are_for() {
    let owner = meta("owner");
    let adoption = adoption(&reference::<ReplicaSet>(&owner), &meta("pod"));
    assert_eq!(adoption["metadata"]["uid"], "pod");
    assert_eq!(
        adoption["metadata"]["ownerReferences"][0]["apiVersion"],
        "apps/v1"
    );
    assert_eq!(
        adoption["metadata"]["ownerReferences"][0]["controller"],
        true
    );
    let release = release(&owner, &owned(&owner));
    assert_eq!(release["metadata"]["uid"], "pod");
    assert_eq!(
        release["metadata"]["ownerReferences"],
        json!([{"$patch": "delete", "uid": "owner"}])
    );
}
