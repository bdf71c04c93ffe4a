//! ReplicaSets: their controller makes and deletes pods by what it knows of the specification, and by nothing older.

use serde_json::Value;

use super::story::{Story, Turn};
use super::{Findings, Promise};
use crate::control_plane::fields::{is_active, number, owner_kind, owner_uid};

pub(super) fn judge(turn: &Turn<'_>, story: &Story<'_>, findings: &mut Findings) {
    let pod = turn.after.or(turn.before);
    let Some(pod) = pod.filter(|pod| turn.resource == "pods" && owner_kind(pod) == "ReplicaSet")
    else {
        return;
    };
    let was_active = turn.before.is_some_and(is_active);
    let stays_active = turn.after.is_some_and(is_active);
    let is_controllers = was_active && !stays_active && !story.is_users(pod) && is_deletion(turn);
    if turn.before.is_some() && !is_controllers {
        return;
    }
    let Some((key, set)) = story.with_uid("replicasets", owner_uid(pod)) else {
        return;
    };
    let pods = story.owned("pods", owner_uid(pod));
    let active = pods.iter().filter(|(_, pod)| is_active(pod)).count() as i64;
    let known = story.known(key);
    let desired = known.iter().map(|one| number(one, "/spec/replicas"));
    let Turn {
        key: pod, revision, ..
    } = *turn;
    if turn.before.is_none() {
        let most = desired.max().unwrap_or(0);
        findings.check(Promise::NotTooMany, active < most, || {
            format!("{pod} is made at revision {revision} beside {active} others, and {key} has wished {most} at most")
        });
    } else {
        let least = desired.min().unwrap_or(0);
        let left = active - 1;
        let holds = left + unseen(story, key, set) >= least;
        findings.check(Promise::NotTooFew, holds, || {
            format!("{pod} is deleted at revision {revision} and leaves {left} others, and {key} has wished {least} at least")
        });
    }
}

/// Whether it is deleted, and not over by itself.
fn is_deletion(turn: &Turn<'_>) -> bool {
    turn.after
        .is_none_or(|after| after.pointer("/metadata/deletionTimestamp").is_some())
}

/// Pods that the user deleted since the controller last told a count that was right: it may count them still.
fn unseen(story: &Story<'_>, key: &str, set: &Value) -> i64 {
    let owner = &set["metadata"]["uid"];
    let owner = owner.as_str().unwrap_or_default();
    let since = story.level(key, |revision| active_at(story, owner, revision));
    let marks = story.keys("pods").flat_map(|key| {
        let versions = story.versions(key).iter();
        let gone = versions
            .filter(|(revision, object)| *revision > since && !object.is_some_and(is_active));
        // Only the first version of a pod that is to go counts, and only the user's.
        let first = gone.clone().next();
        first.and_then(|(revision, _)| story.at(key, revision - 1))
    });
    marks
        .filter(|pod| owner_uid(pod) == owner && is_active(pod) && story.is_users(pod))
        .count() as i64
}

fn active_at(story: &Story<'_>, owner: &str, revision: i64) -> i64 {
    story
        .keys("pods")
        .filter_map(|key| story.at(key, revision))
        .filter(|pod| owner_uid(pod) == owner && is_active(pod))
        .count() as i64
}
