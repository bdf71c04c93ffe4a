//! Histories that are right pass, and each way in which one can be wrong is found for what it is.

use super::{Promise, judge};
use crate::kubernetes::history::{
    Change, Key, Kind, Object, Operation, Outcome, Record, Request, Saw, Sight,
};

const KIND: Kind = Kind::ConfigMap;

fn key() -> Key {
    Key {
        kind: KIND,
        name: "o-1".to_owned(),
    }
}

fn object(version: u64, value: &str, patch: &str) -> Object {
    Object {
        name: "o-1".to_owned(),
        uid: "u-1".to_owned(),
        version,
        value: value.to_owned(),
        patch: patch.to_owned(),
    }
}

/// An operation from one second to the next.
fn op(second: u64, request: Request, outcome: Outcome) -> Record {
    Record::Op(Operation {
        client: 1,
        server: 0,
        call_ns: second * 1_000_000_000,
        return_ns: second * 1_000_000_000 + 500_000_000,
        request,
        outcome,
    })
}

fn saw(watcher: u32, saw: Saw) -> Record {
    Record::Watch(Sight {
        watcher,
        kind: KIND,
        server: 0,
        time_ns: 0,
        saw,
    })
}

fn event(watcher: u32, change: Change, object: Object) -> Record {
    saw(watcher, Saw::Event { change, object })
}

fn create(value: &str) -> Request {
    Request::Create {
        key: key(),
        value: value.to_owned(),
    }
}

fn update(version: u64, value: &str) -> Request {
    Request::Update {
        key: key(),
        version,
        value: value.to_owned(),
    }
}

fn delete() -> Request {
    Request::Delete {
        key: key(),
        uid: "u-1".to_owned(),
        version: Some(30),
    }
}

fn list(second: u64, revision: u64, items: Vec<Object>) -> Record {
    let outcome = Outcome::Objects { revision, items };
    op(second, Request::List { kind: KIND }, outcome)
}

fn get(second: u64, outcome: Outcome) -> Record {
    op(second, Request::Get { key: key() }, outcome)
}

/// A read that is called before the delete of [`good`] and returns while that runs.
fn get_during_delete() -> Record {
    let Record::Op(mut operation) = get(5, refused(404)) else {
        unreachable!("a read is an operation");
    };
    operation.call_ns += 700_000_000;
    operation.return_ns = 6_200_000_000;
    Record::Op(operation)
}

fn refused(code: u16) -> Outcome {
    Outcome::Refused {
        code,
        reason: String::new(),
    }
}

fn unknown() -> Outcome {
    Outcome::Unknown {
        error: String::new(),
    }
}

/// Where what is damaged stands in [`good`].
const CREATED: usize = 0;
const UPDATED: usize = 1;
const GOT: usize = 2;
const PATCHED: usize = 3;
const LISTED: usize = 4;
const DELETED: usize = 5;
const MISSED: usize = 6;
const FIRST_WATCHER: usize = 7;
const EVENTS: usize = 4;

/// An object's life, as one client made it and two watchers saw it.
fn good() -> Vec<Record> {
    let patch = Request::Patch {
        key: key(),
        patch: "p".to_owned(),
    };
    let mut records = vec![
        op(1, create("a"), Outcome::Object(object(10, "a", ""))),
        op(2, update(10, "b"), Outcome::Object(object(20, "b", ""))),
        get(3, Outcome::Object(object(20, "b", ""))),
        op(4, patch, Outcome::Object(object(30, "b", "p"))),
        list(5, 35, vec![object(30, "b", "p")]),
        op(6, delete(), Outcome::Deleted),
        get(7, refused(404)),
    ];
    for watcher in [1, 2] {
        let began = Saw::Began {
            revision: 5,
            items: Vec::new(),
        };
        records.extend([
            saw(watcher, began),
            event(watcher, Change::Added, object(10, "a", "")),
            event(watcher, Change::Modified, object(20, "b", "")),
            event(watcher, Change::Modified, object(30, "b", "p")),
            event(watcher, Change::Deleted, object(40, "b", "p")),
            saw(watcher, Saw::Bookmark { revision: 50 }),
        ]);
    }
    records
}

/// Where a watcher's event is, from its first on.
fn place(watcher: usize, event: usize) -> usize {
    FIRST_WATCHER + (watcher - 1) * (EVENTS + 2) + 1 + event
}

fn outcome(records: &mut [Record], at: usize) -> &mut Outcome {
    match &mut records[at] {
        Record::Op(operation) => &mut operation.outcome,
        Record::Watch(_) => panic!("record {at} is of a watcher"),
    }
}

/// Without an event for both watchers.
fn without(event: usize) -> Vec<Record> {
    let mut records = good();
    records.remove(place(2, event));
    records.remove(place(1, event));
    records
}

fn assert_found(records: &[Record], promise: Promise) {
    let found = judge(records).violations;
    assert!(
        found.iter().any(|(broken, _)| *broken == promise),
        "{promise:?} is not among {found:#?}"
    );
}

fn assert_held(records: &[Record]) {
    let findings = judge(records);
    assert_eq!(findings.violations, []);
    assert_eq!(findings.doubts, [""; 0]);
}

#[test]
fn a_right_history_holds_and_every_promise_had_something_to_judge() {
    assert_held(&good());
    let counts = judge(&good()).counts;
    // Nobody was refused a write in it.
    assert_eq!(counts.len(), 8, "{counts:?}");
    assert!(!counts.contains_key(&Promise::Refused));
}

#[test]
fn a_write_that_nobody_knows_of_may_be_there_or_not() {
    let mut records = good();
    *outcome(&mut records, UPDATED) = unknown();
    *outcome(&mut records, DELETED) = unknown();
    records.push(op(8, create("z"), unknown()));
    assert_held(&records);
}

#[test]
fn a_lost_write_is_found() {
    for event in 0..EVENTS {
        assert_found(&without(event), Promise::Acknowledged);
    }
    // Acknowledged as something else than what it became.
    let mut records = good();
    *outcome(&mut records, CREATED) = Outcome::Object(object(10, "x", ""));
    assert_found(&records, Promise::Acknowledged);
}

#[test]
fn an_event_that_one_watcher_missed_is_found() {
    for event in 0..EVENTS {
        let mut records = good();
        records.remove(place(2, event));
        assert_found(&records, Promise::Complete);
    }
}

#[test]
fn an_event_behind_a_bookmark_twice_or_out_of_order_is_found() {
    let mut records = good();
    let bookmark = saw(1, Saw::Bookmark { revision: 25 });
    records.insert(place(1, 1), bookmark);
    assert_found(&records, Promise::Ordered);
    let mut records = good();
    records.insert(place(1, 2), records[place(1, 1)].clone());
    assert_found(&records, Promise::Ordered);
    let mut records = good();
    records.swap(place(1, 1), place(1, 2));
    assert_found(&records, Promise::Ordered);
}

#[test]
fn a_line_that_nobody_can_read_is_found() {
    let mut records = good();
    let line = "{\"type\":\"ADDED\"}".to_owned();
    records.insert(place(1, 1), saw(1, Saw::Unreadable { line }));
    assert_found(&records, Promise::Complete);
}

#[test]
fn watchers_that_are_told_different_things_are_found() {
    let mut records = good();
    records[place(2, 1)] = event(2, Change::Modified, object(20, "c", ""));
    assert_found(&records, Promise::Complete);
}

#[test]
fn events_that_do_not_follow_are_found() {
    let mut records = good();
    for watcher in [1, 2] {
        let at = place(usize::try_from(watcher).unwrap(), 1);
        records[at] = event(watcher, Change::Added, object(20, "b", ""));
    }
    assert_found(&records, Promise::Chain);
}

#[test]
fn a_stale_list_is_found() {
    let mut records = good();
    records[LISTED] = list(5, 25, vec![object(20, "b", "")]);
    assert_found(&records, Promise::Fresh);
    // What is told while it runs may be in it or not.
    let Record::Op(operation) = &mut records[LISTED] else {
        panic!("it is an operation");
    };
    operation.call_ns = 4_000_000_000;
    assert_held(&records);
}

#[test]
fn a_list_of_another_moment_than_it_says_is_found() {
    let mut records = good();
    records[LISTED] = list(5, 35, vec![object(20, "b", "")]);
    assert_found(&records, Promise::Snapshot);
    records[LISTED] = list(5, 35, Vec::new());
    assert_found(&records, Promise::Snapshot);
    records[LISTED] = list(5, 35, vec![object(30, "b", "p"); 2]);
    assert_found(&records, Promise::Snapshot);
}

#[test]
fn a_stale_read_is_found() {
    let mut records = good();
    *outcome(&mut records, GOT) = Outcome::Object(object(10, "a", ""));
    assert_found(&records, Promise::Fresh);
    // Nobody deleted it at any time.
    let mut records = without(EVENTS - 1);
    *outcome(&mut records, GOT) = refused(404);
    assert_found(&records, Promise::Fresh);
    // Somebody deleted it, and only after a write that was asked for when the read was over.
    let mut records = good();
    *outcome(&mut records, GOT) = refused(404);
    assert_found(&records, Promise::Fresh);
    // Whoever asks while it is deleted may be told so.
    let mut records = good();
    records.push(get_during_delete());
    assert_held(&records);
    let mut records = good();
    *outcome(&mut records, MISSED) = Outcome::Object(object(30, "b", "p"));
    assert_found(&records, Promise::Fresh);
}

#[test]
fn two_writes_on_one_version_are_found() {
    let mut records = good();
    let second = op(3, update(10, "c"), Outcome::Object(object(25, "c", "")));
    records.insert(place(2, 2), event(2, Change::Modified, object(25, "c", "")));
    records.insert(place(1, 2), event(1, Change::Modified, object(25, "c", "")));
    records.push(second);
    assert_found(&records, Promise::Optimistic);
    // Also when nobody was told that the second one was done.
    let last = records.len() - 1;
    *outcome(&mut records, last) = unknown();
    assert_found(&records, Promise::Optimistic);
}

#[test]
fn a_patch_that_takes_back_what_it_does_not_name_is_found() {
    let mut records = good();
    *outcome(&mut records, PATCHED) = Outcome::Object(object(30, "a", "p"));
    for watcher in [1, 2] {
        let at = place(usize::try_from(watcher).unwrap(), 2);
        records[at] = event(watcher, Change::Modified, object(30, "a", "p"));
    }
    assert_found(&records, Promise::Optimistic);
}

#[test]
fn a_refused_write_that_is_there_is_found() {
    let mut records = good();
    *outcome(&mut records, UPDATED) = refused(409);
    assert_found(&records, Promise::Refused);
}

#[test]
fn a_refusal_without_a_reason_is_found() {
    let mut records = good();
    records.push(op(6, update(20, "y"), refused(409)));
    assert_held(&records);
    records.push(op(8, update(40, "y"), refused(409)));
    assert_found(&records, Promise::Refused);
}

#[test]
fn what_nobody_asked_for_and_what_is_done_twice_is_found() {
    let mut records = good();
    records.remove(UPDATED);
    assert_found(&records, Promise::Once);
    let mut records = good();
    records.push(op(8, delete(), Outcome::Deleted));
    assert_found(&records, Promise::Once);
    *outcome(&mut records, DELETED) = refused(404);
    let last = records.len() - 1;
    *outcome(&mut records, last) = refused(404);
    assert_found(&records, Promise::Once);
}

#[test]
fn a_time_that_nobody_watched_is_a_doubt() {
    let mut records = good();
    for watcher in [1, 2] {
        let began = Saw::Began {
            revision: 60,
            items: Vec::new(),
        };
        records.push(saw(watcher, began));
    }
    assert_eq!(judge(&records).doubts.len(), 1);
    assert_eq!(judge(&[]).doubts.len(), 1);
}
