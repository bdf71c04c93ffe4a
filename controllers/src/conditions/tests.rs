//! How conditions change.

use super::*;

fn condition(kind: &str, status: &str, reason: &str, at: i64) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(format!("because of {reason}")),
        last_transition_time: Some(Time(Timestamp::from_second(at).unwrap())),
        last_update_time: None,
    }
}

/// Types and seconds of change, in order.
fn seen(conditions: &[DeploymentCondition]) -> Vec<(&str, i64)> {
    let second = |condition: &DeploymentCondition| condition.changed_at().unwrap().as_second();
    conditions
        .iter()
        .map(|condition| (condition.kind(), second(condition)))
        .collect()
}

#[test]
fn a_set_condition_stays_in_place_and_keeps_the_time_of_its_status() {
    let mut conditions = vec![condition("A", TRUE, "x", 1), condition("B", TRUE, "x", 1)];
    assert!(!set(&mut conditions, condition("A", TRUE, "x", 2)));
    assert!(set(&mut conditions, condition("A", TRUE, "y", 3)));
    assert_eq!(seen(&conditions), [("A", 1), ("B", 1)]);
    assert!(set(&mut conditions, condition("A", FALSE, "y", 4)));
    assert!(set(&mut conditions, condition("C", UNKNOWN, "y", 5)));
    assert_eq!(seen(&conditions), [("A", 4), ("B", 1), ("C", 5)]);
}

#[test]
fn a_replaced_condition_goes_to_the_end_and_its_message_alone_changes_nothing() {
    let mut conditions = vec![condition("A", TRUE, "x", 1), condition("B", TRUE, "x", 1)];
    let mut other_words = condition("A", TRUE, "x", 2);
    other_words.message = Some("in other words".into());
    assert!(!replace(&mut conditions, other_words));
    assert!(replace(&mut conditions, condition("A", TRUE, "y", 3)));
    assert_eq!(seen(&conditions), [("B", 1), ("A", 1)]);
    assert!(replace(&mut conditions, condition("B", FALSE, "x", 4)));
    assert_eq!(seen(&conditions), [("A", 1), ("B", 4)]);
    remove(&mut conditions, "A");
    assert_eq!(seen(&conditions), [("B", 4)]);
}
