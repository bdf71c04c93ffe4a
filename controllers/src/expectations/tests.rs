//! When a controller may act again.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn uids(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn is_met(expectations: &Expectations<&str>, key: &&'static str, now: Timestamp) -> bool {
    expectations.left(key, now).is_none()
}

#[test]
fn creates_are_met_when_as_many_were_seen() {
    let expectations = Expectations::default();
    assert!(is_met(&expectations, &"a", at(0)), "nothing is awaited");
    expectations.await_creates(&"a", 2, at(0));
    expectations.created(&"b");
    expectations.created(&"a");
    assert!(!is_met(&expectations, &"a", at(1)));
    assert!(is_met(&expectations, &"b", at(1)));
    expectations.created(&"a");
    assert!(is_met(&expectations, &"a", at(1)));
}

#[test]
fn a_delete_counts_once_however_often_it_is_seen() {
    let expectations = Expectations::default();
    expectations.await_deletes(&"a", uids(&["x", "y"]), at(0));
    expectations.deleted(&"a", "x");
    expectations.deleted(&"a", "x");
    expectations.deleted(&"a", "z");
    assert!(!is_met(&expectations, &"a", at(1)));
    expectations.deleted(&"a", "y");
    assert!(is_met(&expectations, &"a", at(1)));
}

#[test]
fn both_of_one_turn_are_awaited() {
    let expectations = Expectations::default();
    expectations.await_both(&"a", 1, uids(&["x"]), at(0));
    expectations.deleted(&"a", "x");
    assert!(!is_met(&expectations, &"a", at(1)));
    expectations.created(&"a");
    assert!(is_met(&expectations, &"a", at(1)));
}

#[test]
fn what_is_never_seen_is_awaited_for_five_minutes() {
    let expectations = Expectations::default();
    expectations.await_creates(&"a", 1, at(0));
    assert!(!is_met(&expectations, &"a", at(299)));
    let left = expectations.left(&"a", at(290));
    assert_eq!(left, Some(Duration::from_secs(10)));
    assert!(is_met(&expectations, &"a", at(300)));
}

#[test]
fn a_create_that_may_have_failed_is_awaited_for_half_a_minute() {
    let expectations = Expectations::default();
    expectations.doubt(&"a", at(0));
    assert!(is_met(&expectations, &"a", at(0)), "nothing is awaited");
    expectations.await_creates(&"a", 2, at(0));
    expectations.created(&"a");
    expectations.doubt(&"a", at(10));
    assert_eq!(
        expectations.left(&"a", at(10)),
        Some(Duration::from_secs(30))
    );
    assert!(!is_met(&expectations, &"a", at(39)));
    assert!(is_met(&expectations, &"a", at(40)));
    expectations.created(&"a");
    assert!(is_met(&expectations, &"a", at(11)), "it was made after all");
}

#[test]
fn a_doubt_makes_nothing_be_awaited_for_longer() {
    let expectations = Expectations::default();
    expectations.await_creates(&"a", 1, at(0));
    expectations.doubt(&"a", at(290));
    assert!(is_met(&expectations, &"a", at(300)));
}

#[test]
fn a_forgotten_key_awaits_nothing() {
    let expectations = Expectations::default();
    expectations.await_creates(&"a", 1, at(0));
    expectations.forget(&"a");
    assert!(is_met(&expectations, &"a", at(0)));
}
