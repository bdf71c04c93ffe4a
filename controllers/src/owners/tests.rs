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
    let (own, others, orphan) = (owned(&owner), owned(&meta("other")), meta("pod"));
    let elsewhere = ObjectMeta {
        namespace: Some("other".into()),
        ..meta("pod")
    };
    let mut kept = owned(&owner);
    kept.owner_references.as_mut().unwrap()[0].controller = None;
    for (name, object, is_selected, expected) in [
        ("its own", &own, true, Claim::Own),
        ("its own, not selected", &own, false, Claim::Release),
        ("another's", &others, true, Claim::Leave),
        ("an orphan", &orphan, true, Claim::Adopt),
        (
            "an orphan with an owner that does not manage it",
            &kept,
            true,
            Claim::Adopt,
        ),
        ("an orphan, not selected", &orphan, false, Claim::Leave),
        (
            "an orphan that goes",
            &going(meta("pod")),
            true,
            Claim::Leave,
        ),
        ("an orphan elsewhere", &elsewhere, true, Claim::Leave),
    ] {
        assert_eq!(claim(&owner, object, is_selected), expected, "{name}");
    }
}

#[test]
fn an_owner_that_goes_keeps_what_it_has_and_changes_nothing() {
    let owner = going(meta("owner"));
    for (name, object, is_selected, expected) in [
        ("its own", &owned(&owner), true, Claim::Own),
        ("its own, not selected", &owned(&owner), false, Claim::Leave),
        ("an orphan", &meta("pod"), true, Claim::Leave),
    ] {
        assert_eq!(claim(&owner, object, is_selected), expected, "{name}");
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
