//! What a namespace that ends says about its end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NamespaceCondition;

use crate::{conditions, patches};

/// What one round of deletions came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outcome {
    /// Why it is not known what the namespace may hold.
    pub(super) discovery: Option<String>,
    /// Why content could not be deleted.
    pub(super) failures: Vec<String>,
    /// How many objects are left, by `plural.group`.
    pub(super) remaining: BTreeMap<String, usize>,
    /// How many objects wait for each finalizer.
    pub(super) finalizers: BTreeMap<String, usize>,
    /// Seconds after which what is left may be gone.
    pub(super) estimate_seconds: i64,
}

impl Outcome {
    /// Takes in what another part of the round came to.
    pub(super) fn add(&mut self, other: Outcome) {
        self.failures.extend(other.failures);
        self.remaining.extend(other.remaining);
        for (name, count) in other.finalizers {
            *self.finalizers.entry(name).or_default() += count;
        }
        self.estimate_seconds = self.estimate_seconds.max(other.estimate_seconds);
    }
}

/// The conditions after a round, or nothing if they are what they were.
pub(super) fn after(
    before: &[NamespaceCondition],
    outcome: &Outcome,
    now: Timestamp,
) -> Option<Vec<NamespaceCondition>> {
    let mut after = before.to_vec();
    let mut has_changed = false;
    for wanted in wanted(outcome) {
        let wanted = NamespaceCondition {
            last_transition_time: Some(patches::time(now)),
            ..wanted
        };
        has_changed |= conditions::set(&mut after, wanted);
    }
    has_changed.then_some(after)
}

fn wanted(outcome: &Outcome) -> [NamespaceCondition; 5] {
    [
        condition(
            "NamespaceDeletionDiscoveryFailure",
            outcome
                .discovery
                .clone()
                .map(|why| ("DiscoveryFailed", why)),
            (
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
        ),
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            (
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
        ),
        condition(
            "NamespaceDeletionContentFailure",
            failed(&outcome.failures).map(|why| ("ContentDeletionFailed", why)),
            (
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        condition(
            "NamespaceContentRemaining",
            listed(&outcome.remaining, |name, count| {
                format!("{name} has {count} resource instances")
            })
            .map(|all| {
                let why = format!("Some resources are remaining: {all}");
                ("SomeResourcesRemain", why)
            }),
            ("ContentRemoved", "All content successfully removed"),
        ),
        condition(
            "NamespaceFinalizersRemaining",
            listed(&outcome.finalizers, |name, count| {
                format!("{name} in {count} resource instances")
            })
            .map(|all| {
                let why = format!("Some content in the namespace has finalizers remaining: {all}");
                ("SomeFinalizersRemain", why)
            }),
            (
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            ),
        ),
    ]
}

fn condition(kind: &str, fault: Option<(&str, String)>, fine: (&str, &str)) -> NamespaceCondition {
    let status = if fault.is_some() { "True" } else { "False" };
    let (reason, message) = fault.unwrap_or_else(|| (fine.0, fine.1.to_owned()));
    NamespaceCondition {
        last_transition_time: None,
        message: Some(message),
        reason: Some(reason.to_owned()),
        status: status.to_owned(),
        type_: kind.to_owned(),
    }
}

fn failed(failures: &[String]) -> Option<String> {
    if failures.is_empty() {
        return None;
    }
    let mut sorted = failures.to_vec();
    sorted.sort();
    Some(format!(
        "Failed to delete all resource types, {} remaining: {}",
        sorted.len(),
        sorted.join(", ")
    ))
}

/// The counts that are not zero, in the order of their texts.
fn listed(
    counts: &BTreeMap<String, usize>,
    text: impl Fn(&str, usize) -> String,
) -> Option<String> {
    if counts.is_empty() {
        return None;
    }
    let counted = counts.iter().filter(|(_, count)| **count > 0);
    let mut texts: Vec<String> = counted.map(|(name, count)| text(name, *count)).collect();
    texts.sort();
    Some(texts.join(", "))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn told(conditions: &[NamespaceCondition]) -> Vec<String> {
        let text = |condition: &NamespaceCondition| {
            format!(
                "{}={} {}: {}",
                condition.type_,
                condition.status,
                condition.reason.as_deref().unwrap_or_default(),
                condition.message.as_deref().unwrap_or_default()
            )
        };
        conditions.iter().map(text).collect()
    }

    #[test]
    fn a_namespace_that_is_empty_says_that_all_went_well() {
        let conditions = after(&[], &Outcome::default(), at(5)).unwrap();
        assert_eq!(
            told(&conditions),
            [
                "NamespaceDeletionDiscoveryFailure=False ResourcesDiscovered: All resources successfully discovered",
                "NamespaceDeletionGroupVersionParsingFailure=False ParsedGroupVersions: All legacy kube types successfully parsed",
                "NamespaceDeletionContentFailure=False ContentDeleted: All content successfully deleted, may be waiting on finalization",
                "NamespaceContentRemaining=False ContentRemoved: All content successfully removed",
                "NamespaceFinalizersRemaining=False ContentHasNoFinalizers: All content-preserving finalizers finished",
            ]
        );
        assert_eq!(after(&conditions, &Outcome::default(), at(9)), None);
    }

    #[test]
    fn what_is_left_and_what_failed_is_told_in_a_stable_order() {
        let mut outcome = Outcome {
            discovery: Some("no route".to_owned()),
            ..Outcome::default()
        };
        outcome.add(Outcome {
            failures: vec!["z".to_owned()],
            remaining: BTreeMap::from([("pods.".to_owned(), 2)]),
            finalizers: BTreeMap::from([("b/c".to_owned(), 1)]),
            estimate_seconds: 15,
            ..Outcome::default()
        });
        outcome.add(Outcome {
            failures: vec!["a".to_owned()],
            remaining: BTreeMap::from([("jobs.batch".to_owned(), 1)]),
            finalizers: BTreeMap::from([("b/c".to_owned(), 2)]),
            estimate_seconds: 3,
            ..Outcome::default()
        });
        assert_eq!(outcome.estimate_seconds, 15);
        let told = told(&after(&[], &outcome, at(0)).unwrap());
        assert_eq!(
            (&told[0], &told[2]),
            (
                &"NamespaceDeletionDiscoveryFailure=True DiscoveryFailed: no route".to_owned(),
                &"NamespaceDeletionContentFailure=True ContentDeletionFailed: Failed to delete all resource types, 2 remaining: a, z".to_owned()
            )
        );
        assert_eq!(
            told[3..],
            [
                "NamespaceContentRemaining=True SomeResourcesRemain: Some resources are remaining: \
                 jobs.batch has 1 resource instances, pods. has 2 resource instances",
                "NamespaceFinalizersRemaining=True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: \
                 b/c in 3 resource instances",
            ]
        );
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_turns() {
        let left = |count| Outcome {
            remaining: BTreeMap::from([("pods.".to_owned(), count)]),
            ..Outcome::default()
        };
        let first = after(&[], &left(2), at(1)).unwrap();
        let second = after(&first, &left(1), at(2)).unwrap();
        assert_eq!(second[3].last_transition_time, Some(Time(at(1))));
        let third = after(&second, &Outcome::default(), at(3)).unwrap();
        assert_eq!(third[3].last_transition_time, Some(Time(at(3))));
        assert_eq!(third[0].last_transition_time, Some(Time(at(1))));
    }
}
