//! What a cache tells of objects that cannot be opened, and of definitions that change.

use std::sync::Arc;

use serde_json::json;

use super::feed::Seen;
use super::{Cache, Contents, Object, Position, Scope};
use crate::storage::Damaged;

fn object(name: &str, revision: i64) -> Object {
    Object::new(
        json!({"metadata": {"name": name, "namespace": "n"}}),
        revision,
    )
}

fn damaged(key: &str, revision: i64) -> Damaged {
    Damaged {
        key: format!("/registry/secrets/{key}").into(),
        why: "no key".to_owned(),
        revision,
    }
}

/// A cache in which `n/a` was written at 5 and could be opened.
fn cache() -> Cache {
    let cache = Cache::new("/secrets/", Arc::new(Position::default()));
    cache.reset(Contents::default(), 4);
    cache.apply(vec![("n/a".to_owned(), Seen::Object(object("a", 5)))], 5);
    cache
}

#[test]
fn an_object_that_cannot_be_opened_is_not_deleted_and_stays_what_others_are_judged_by() {
    let cache = cache();
    let cursor = cache.cursor_after(5).unwrap();
    cache.apply(
        vec![("n/a".to_owned(), Seen::Damaged(damaged("n/a", 6)))],
        6,
    );
    assert_eq!(cache.get("n/a").unwrap().revision, 5);
    assert_eq!(cache.snapshot(Scope::default()).objects.len(), 1);
    assert!(cache.events(cursor, 9).is_err());
    assert!(cache.cursor_after(5).is_err());
    assert!(cache.damaged_at("n/a").is_some() && cache.damaged_at("n/b").is_none());
    assert!(cache.damaged("n").is_some() && cache.damaged("other").is_none());

    // It stays so while the folder is read anew, until it can be opened.
    let mut contents = Contents::default();
    contents.damaged.insert("n/a".to_owned(), damaged("n/a", 6));
    cache.reset(contents, 7);
    assert_eq!(cache.get("n/a").unwrap().revision, 5);
    cache.apply(vec![("n/a".to_owned(), Seen::Object(object("a", 8)))], 8);
    assert_eq!(cache.get("n/a").unwrap().revision, 8);
    assert!(cache.damaged("").is_none());
}

#[test]
fn what_cannot_be_opened_can_be_deleted() {
    let cache = cache();
    cache.apply(
        vec![("n/a".to_owned(), Seen::Damaged(damaged("n/a", 6)))],
        6,
    );
    cache.apply(vec![("n/a".to_owned(), Seen::Nothing)], 7);
    assert!(cache.get("n/a").is_none() && cache.damaged("").is_none());
}

#[test]
fn watches_of_a_definition_that_changed_end_and_objects_stay() {
    let cache = cache();
    let cursor = cache.cursor_after(5).unwrap();
    cache.restart();
    assert!(cache.events(cursor, 9).is_err());
    assert!(cache.get("n/a").is_some());
    assert!(cache.cursor_after(cache.revision()).is_ok());
}
