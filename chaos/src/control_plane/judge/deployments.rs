//! Deployments: what their controller asks of ReplicaSets keeps to `maxSurge` and `maxUnavailable`.

use serde_json::Value;

use super::story::{Story, Turn};
use super::{Findings, Promise};
use crate::control_plane::fields::{annotation, number, owner_uid, uid};

/// What the controller writes on a ReplicaSet whenever it changes its size: by what it decided.
const MOST: &str = "deployment.kubernetes.io/max-replicas";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const REPLICAS: &str = "/spec/replicas";
const SURGE: &str = "/spec/strategy/rollingUpdate/maxSurge";
const UNAVAILABLE: &str = "/spec/strategy/rollingUpdate/maxUnavailable";

pub(super) fn judge(turn: &Turn<'_>, story: &Story<'_>, findings: &mut Findings) {
    let Some(set) = turn.after.filter(|_| turn.resource == "replicasets") else {
        return;
    };
    let Some((key, deployment)) = story.with_uid("deployments", owner_uid(set)) else {
        return;
    };
    let size = number(set, REPLICAS);
    let before = turn.before.map_or(0, |before| number(before, REPLICAS));
    let others: Vec<(&str, &Value)> = story
        .owned("replicasets", owner_uid(set))
        .into_iter()
        .filter(|(_, one)| uid(one) != uid(set))
        .collect();
    if size > before {
        let total: i64 = size
            + others
                .iter()
                .map(|(_, one)| number(one, REPLICAS))
                .sum::<i64>();
        let most: i64 = annotation(set, MOST).parse().unwrap_or(0);
        let was_wished = story.versions(key).iter().any(|(_, one)| {
            one.is_some_and(|one| number(one, REPLICAS) + number(one, SURGE) == most)
        });
        findings.check(Promise::Surge, was_wished && total <= most, || {
            format!(
                "{} grows to {size} at revision {}, {total} with the others, and {most} is the most{}",
                turn.key,
                turn.revision,
                if was_wished { "" } else { ", which was never wished" }
            )
        });
        return;
    }
    let is_rollout = turn
        .before
        .is_some_and(|before| annotation(before, DESIRED) == annotation(set, DESIRED));
    if size < before && is_rollout {
        let least = annotation(set, DESIRED).parse().unwrap_or(0) - number(deployment, UNAVAILABLE);
        let others: Vec<&str> = others.iter().map(|(key, _)| *key).collect();
        let shrinking = Shrinking {
            turn,
            story,
            others: &others,
            gone: before - size,
        };
        findings.check(Promise::Available, shrinking.leaves(least), || {
            format!(
                "{} shrinks from {before} to {size} at revision {} and leaves {} available, fewer than {least}",
                turn.key, turn.revision, shrinking.left_at(turn.revision)
            )
        });
    }
}

struct Shrinking<'a, 'b> {
    turn: &'a Turn<'b>,
    story: &'a Story<'b>,
    others: &'a [&'b str],
    gone: i64,
}

impl Shrinking<'_, '_> {
    /// Whether enough pods are available behind it, or none that is goes: by some moment since the version that it
    /// replaces, for the controller has seen that version, and not less of the others.
    fn leaves(&self, least: i64) -> bool {
        let versions = self.story.versions(self.turn.key);
        let seen = versions.last().map_or(0, |(revision, _)| *revision);
        let mut moments = vec![seen];
        for key in self.others {
            let versions = self.story.versions(key).iter();
            moments.extend(versions.map(|(at, _)| *at).filter(|at| *at > seen));
        }
        self.killed() == 0 || moments.iter().any(|at| self.left_at(*at) >= least)
    }

    /// Pods that are available and go: the others go first.
    fn killed(&self) -> i64 {
        // Of one that has just shrunk, more may still be told as available than it has.
        let unready = |own: &Value| (number(own, REPLICAS) - available(own)).max(0);
        let unready = self.turn.before.map_or(0, unready);
        (self.gone - unready).max(0)
    }

    fn left_at(&self, revision: i64) -> i64 {
        let others = self.others.iter().map(|key| self.story.at(key, revision));
        let others: i64 = others.map(|then| then.map_or(0, available)).sum();
        others + self.turn.before.map_or(0, available) - self.killed()
    }
}

fn available(set: &Value) -> i64 {
    number(set, "/status/availableReplicas")
}
