//! What a Deployment notes on its ReplicaSets: revisions and the sizes it had when it last sized them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use crate::deployment::limits;

pub(in crate::deployment) const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";
pub(in crate::deployment) const MAX_REPLICAS_ANNOTATION: &str =
    "deployment.kubernetes.io/max-replicas";
pub(in crate::deployment) const DESIRED_REPLICAS_ANNOTATION: &str =
    "deployment.kubernetes.io/desired-replicas";

/// Revisions that the set had before, with commas.
const REVISION_HISTORY_ANNOTATION: &str = "deployment.kubernetes.io/revision-history";
const HISTORY_LENGTH_MAX: usize = 2000;

/// Annotations of a Deployment that its sets do not take over.
const KEPT_BACK: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION_ANNOTATION,
    REVISION_HISTORY_ANNOTATION,
    DESIRED_REPLICAS_ANNOTATION,
    MAX_REPLICAS_ANNOTATION,
];

pub(super) fn get<'a>(set: &'a ReplicaSet, name: &str) -> Option<&'a str> {
    let annotations = set.metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

fn all(set: &mut ReplicaSet) -> &mut BTreeMap<String, String> {
    set.metadata.annotations.get_or_insert_default()
}

/// The set's revision; none if it is no number.
pub(in crate::deployment) fn revision(set: &ReplicaSet) -> Option<i64> {
    get(set, REVISION_ANNOTATION)?.parse().ok()
}

/// A number of pods that was noted; none if it is none.
pub(in crate::deployment) fn number(text: Option<&str>) -> Option<i32> {
    text?.parse().ok().filter(|number| *number >= 0)
}

/// Copies what a Deployment's users noted on it.
pub(super) fn copy(deployment: &Deployment, set: &mut ReplicaSet) {
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !KEPT_BACK.contains(&name.as_str()) && get(set, name) != Some(value) {
            all(set).insert(name.clone(), value.clone());
        }
    }
}

/// Gives the set this revision if its own is less, which is then history. A revision that is no number stays.
pub(super) fn renumber(set: &mut ReplicaSet, revision: i64) {
    let old = get(set, REVISION_ANNOTATION).map(str::to_owned);
    let number = match old.as_deref() {
        None | Some("") => 0,
        Some(text) => match text.parse() {
            Ok(number) => number,
            Err(_no_number) => return,
        },
    };
    if number >= revision {
        return;
    }
    all(set).insert(REVISION_ANNOTATION.to_owned(), revision.to_string());
    if let Some(old) = old {
        let history = get(set, REVISION_HISTORY_ANNOTATION).unwrap_or_default();
        if let Some(history) = extended(history, &old) {
            all(set).insert(REVISION_HISTORY_ANNOTATION.to_owned(), history);
        }
    }
}

/// The history with one revision more; the oldest fall out of one that is too long.
fn extended(history: &str, revision: &str) -> Option<String> {
    let mut revisions: Vec<&str> = history.split(',').filter(|one| !one.is_empty()).collect();
    revisions.push(revision);
    let mut length = revisions.iter().map(|one| one.len() + 1).sum::<usize>() - 1;
    let mut first = 0;
    while length > HISTORY_LENGTH_MAX && first + 1 < revisions.len() {
        length -= revisions[first].len() + 1;
        first += 1;
    }
    (length <= HISTORY_LENGTH_MAX).then(|| revisions[first..].join(","))
}

/// Notes how many pods the Deployment wants, and how many it may have.
pub(super) fn note_sizes(set: &mut ReplicaSet, deployment: &Deployment) {
    let desired = limits::desired(deployment).to_string();
    let max = limits::total_max(deployment).to_string();
    all(set).insert(DESIRED_REPLICAS_ANNOTATION.to_owned(), desired);
    all(set).insert(MAX_REPLICAS_ANNOTATION.to_owned(), max);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_that_is_too_long_loses_its_oldest() {
        assert_eq!(extended("", "1").unwrap(), "1");
        assert_eq!(extended("1,2", "3").unwrap(), "1,2,3");
        let long = vec!["100"; 500].join(",");
        let history = extended(&format!("1,{long}"), "777").unwrap();
        assert!(
            history.len() <= HISTORY_LENGTH_MAX && history.ends_with(",777"),
            "{history}"
        );
        assert!(!history.starts_with("1,"));
        assert_eq!(extended("1", &"9".repeat(2001)), None);
    }
}
