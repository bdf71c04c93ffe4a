//! The model by hand: a few revisions, and what requests answer at them.

use super::*;
use crate::history::{Answer, DeleteRange, Deleted, Put, Range, Ranged, Request};

fn put(key: &str, value: &str, lease: i64) -> Event {
    Event {
        kind: EventKind::Put,
        kv: KeyValue {
            key: key.into(),
            value: value.into(),
            lease,
            ..KeyValue::default()
        },
        prev_kv: None,
    }
}

fn delete(key: &str) -> Event {
    Event {
        kind: EventKind::Delete,
        kv: KeyValue {
            key: key.into(),
            ..KeyValue::default()
        },
        prev_kv: None,
    }
}

fn model(revisions: &[&[Event]]) -> Model {
    let mut model = Model::new();
    for events in revisions {
        model.append(events);
    }
    model
}

#[test]
fn a_key_counts_its_versions_and_begins_anew_after_a_delete() {
    let model = model(&[
        &[put("a", "1", 0)],
        &[put("a", "2", 0)],
        &[delete("a")],
        &[put("a", "3", 0)],
    ]);
    let of = |revision| {
        model
            .get(b"a", revision)
            .map(|kv| (kv.create_revision, kv.mod_revision, kv.version))
    };
    assert_eq!(of(1), None);
    assert_eq!(of(3), Some((2, 3, 2)));
    assert_eq!(of(4), None);
    assert_eq!(of(5), Some((5, 5, 1)));
}

#[test]
fn a_trimmed_model_has_the_states_it_says_it_has() {
    let mut model = model(&[
        &[put("a", "1", 0)],
        &[put("b", "2", 0)],
        &[delete("a")],
        &[put("b", "3", 0)],
    ]);
    model.trim(1);
    assert_eq!(model.first(), 5);
    assert!(model.has_state(4) && !model.has_state(3));
    assert_eq!(model.get(b"b", 4).unwrap().value, "2".into());
    assert!(model.get(b"a", 5).is_none());
}

#[test]
fn a_key_deleted_long_ago_is_still_there_in_the_past_and_comes_back() {
    let mut model = model(&[&[put("a", "1", 0)], &[delete("a")]]);
    for _ in 0..2 * WARM_REVISIONS {
        model.append(&[put("b", "2", 0)]);
    }
    assert!(model.cold.contains_key(b"a".as_slice()));
    let (key, end) = ("a".into(), [0].as_slice().into());
    let keys = Keys::new(&key, &end);
    let names = |model: &Model, revision| -> Vec<String> {
        let found = model.scan(&keys, revision);
        found.iter().map(|kv| kv.key.to_string()).collect()
    };
    assert_eq!(names(&model, 2), ["a"]);
    assert_eq!(names(&model, model.top()), ["b"]);
    model.append(&[put("a", "3", 0)]);
    assert_eq!(names(&model, model.top()), ["a", "b"]);
    assert_eq!(model.get(b"a", 2).unwrap().value, "1".into());
}

#[test]
fn the_end_of_a_lease_takes_all_its_keys() {
    let mut model = model(&[&[put("a", "1", 7), put("b", "2", 7)]]);
    assert_eq!(model.ending(&[delete("b"), delete("a")]), Ending::Whole(7));
    model.append(&[delete("a")]);
    assert_eq!(model.revision(3).unwrap().ending, Ending::Part(7));
    assert!(model.has_keys(7));
}

#[test]
fn a_delete_answers_what_it_found_and_a_wrong_count_is_noticed() {
    let model = model(&[&[put("a", "1", 0), put("b", "2", 0)]]);
    let request = Request::DeleteRange(DeleteRange {
        key: "a".into(),
        range_end: "c".into(),
        prev_kv: false,
    });
    let answer = |deleted| {
        Answer::DeleteRange(Deleted {
            deleted,
            prev_kvs: Vec::new(),
        })
    };
    let mut state = State::new(&model, 2);
    assert!(state.apply(&request, Some(&answer(2))).is_ok());
    assert_eq!(state.into_events().len(), 2);
    assert!(
        State::new(&model, 2)
            .apply(&request, Some(&answer(1)))
            .is_err()
    );
}

#[test]
fn a_range_after_a_put_of_the_same_txn_sees_it() {
    let model = model(&[&[put("a", "1", 0)]]);
    let mut state = State::new(&model, 2);
    let put = Request::Put(Put {
        key: "b".into(),
        value: "2".into(),
        ..Put::default()
    });
    state
        .apply(&put, Some(&Answer::Put { prev_kv: None }))
        .unwrap();
    let range = Request::Range(Range {
        key: "a".into(),
        range_end: [0].as_slice().into(),
        count_only: true,
        ..Range::default()
    });
    let count = |count| {
        Answer::Range(Ranged {
            count,
            ..Ranged::default()
        })
    };
    assert!(state.apply(&range, Some(&count(2))).is_ok());
    assert!(state.apply(&range, Some(&count(1))).is_err());
}
