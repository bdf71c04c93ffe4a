//! When a controller may act again.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn uids(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn creates_are_met_when_as_many_were_seen() {
    let expectations = Expectations::default();
    assert!(expectations.are_met(&"a", at(0)), "nothing is awaited");
    expectations.await_creates(&"a", 2, at(0));
    expectations.created(&"b");
    expectations.created(&"a");
    assert!(!expectations.are_met(&"a", at(1)));
    assert!(expectations.are_met(&"b", at(1)));
    expectations.created(&"a");
    assert!(expectations.are_met(&"a", at(1)));
}

#[test]
fn a_delete_counts_once_however_often_it_is_seen() {
    let expectations = Expectations::default();
    expectations.await_deletes(&"a", uids(&["x", "y"]), at(0));
    expectations.deleted(&"a", "x");
    expectations.deleted(&"a", "x");
    expectations.deleted(&"a", "z");
    assert!(!expectations.are_met(&"a", at(1)));
    expectations.deleted(&"a", "y");
    assert!(expectations.are_met(&"a", at(1)));
}

#[test]
fn both_of_one_turn_are_awaited() {
    let expectations = Expectations::default();
    expectations.await_both(&"a", 1, uids(&["x"]), at(0));
    expectations.deleted(&"a", "x");
    assert!(!expectations.are_met(&"a", at(1)));
    expectations.created(&"a");
    assert!(expectations.are_met(&"a", at(1)));
}

#[test]
fn what_is_never_seen_is_awaited_for_five_minutes() {
    let expectations = Expectations::default();
    expectations.await_creates(&"a", 1, at(0));
    assert!(!expectations.are_met(&"a", at(300)));
    assert!(expectations.are_met(&"a", at(301)));
}

#[test]
fn a_forgotten_key_awaits_nothing() {
    let expectations = Expectations::default();
    expectations.await_creates(&"a", 1, at(0));
    expectations.forget(&"a");
    assert!(expectations.are_met(&"a", at(0)));
}
