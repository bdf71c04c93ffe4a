//! Old ReplicaSets, which are kept so that one can go back, up to a number.

use k8s_openapi::api::apps::v1::ReplicaSet;

use super::limits;
use super::sets::{Sets, age, revision};
use crate::replicaset::replicas;

/// The sets that are deleted: the oldest revisions beyond the number, except those that have or may get pods.
pub(super) fn too_old<'a>(sets: &Sets<'a>) -> Vec<&'a ReplicaSet> {
    let Some(kept_max) = limits::history_max(sets.deployment) else {
        return Vec::new();
    };
    let old = sets.old.iter().filter_map(|draft| draft.seen);
    let mut staying: Vec<&ReplicaSet> = old
        .filter(|set| set.metadata.deletion_timestamp.is_none())
        .collect();
    staying.sort_by_key(|set| (revision(set).unwrap_or(0), age(set)));
    let count = staying.len().saturating_sub(kept_max);
    staying.truncate(count);
    staying.retain(|set| {
        let status = set.status.as_ref();
        let observed = status.and_then(|status| status.observed_generation);
        replicas(set) == 0
            && status.is_none_or(|status| status.replicas == 0)
            && set.metadata.generation.unwrap_or(0) <= observed.unwrap_or(0)
    });
    staying
}
