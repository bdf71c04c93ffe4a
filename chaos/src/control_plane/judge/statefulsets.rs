//! StatefulSets that are `OrderedReady`: pods come in order, and go one at a time from the last on.

use serde_json::Value;

use super::story::{Story, Turn};
use super::{Findings, Promise};
use crate::control_plane::fields::{
    has_ended, is_ready, is_terminating, name, number, ordinal, owner_kind, owner_uid, text, uid,
};

/// What differs between the revisions of a set.
const IMAGE: &str = "/spec/containers/0/image";
const SET_IMAGE: &str = "/spec/template/spec/containers/0/image";

pub(super) fn judge(turn: &Turn<'_>, story: &Story<'_>, findings: &mut Findings) {
    let pod = turn.after.or(turn.before);
    let Some(pod) = pod.filter(|pod| turn.resource == "pods" && owner_kind(pod) == "StatefulSet")
    else {
        return;
    };
    let Some((key, set)) = story.with_uid("statefulsets", owner_uid(pod)) else {
        return;
    };
    let Some(number) = ordinal(name(pod)) else {
        return;
    };
    if text(set, "/spec/podManagementPolicy") == "Parallel" {
        return;
    }
    let one = One {
        turn,
        story,
        set: key,
        number,
    };
    let is_marked = turn.after.is_none_or(is_terminating);
    let was_marked = turn.before.is_some_and(is_terminating);
    if turn.before.is_none() {
        one.judge_made(findings);
    } else if is_marked && !was_marked && !story.is_users(pod) {
        one.judge_deleted(findings);
    }
}

/// A pod of a set.
struct One<'a, 'b> {
    turn: &'a Turn<'b>,
    story: &'a Story<'b>,
    set: &'a str,
    number: u64,
}

impl One<'_, '_> {
    /// The key of another ordinal's pod.
    fn other(&self, number: u64) -> String {
        let stem = self.turn.key.rsplit_once('-').map_or("", |(stem, _)| stem);
        format!("{stem}-{number}")
    }

    /// Revisions from one on at which something about the pods of ordinals changed, and that one itself.
    fn moments(&self, from: i64, ordinals: impl Iterator<Item = u64>) -> Vec<i64> {
        let mut moments = vec![from];
        for number in ordinals {
            let other = self.other(number);
            let versions = self.story.versions(&other).iter();
            moments.extend(
                versions
                    .map(|(revision, _)| *revision)
                    .filter(|at| *at > from),
            );
        }
        moments
    }

    fn is_ready_at(&self, number: u64, revision: i64) -> bool {
        let pod = self.story.at(&self.other(number), revision);
        pod.is_some_and(is_ready)
    }

    /// The ordinals before it were ready all at once, at a time when it was not there.
    fn judge_made(&self, findings: &mut Findings) {
        let Turn { key, revision, .. } = *self.turn;
        let gone = self.story.versions(key).last().map_or(0, |(at, _)| *at);
        let moments = self.moments(gone, 0..self.number);
        let ready = |at: &i64| (0..self.number).all(|number| self.is_ready_at(number, *at));
        let desired = self
            .story
            .known(self.set)
            .iter()
            .any(|set| self.is_desired(set));
        let holds = desired && moments.iter().any(ready);
        findings.check(Promise::Ordered, holds, || {
            format!("{key} is made at revision {revision}, and since {gone} those before it were never all ready, or it is not desired")
        });
    }

    fn is_desired(&self, set: &Value) -> bool {
        i64::try_from(self.number).is_ok_and(|number_| number_ < number(set, "/spec/replicas"))
    }

    /// It is over, or more than is desired and the last one, or all others were ready since the deletion before.
    fn judge_deleted(&self, findings: &mut Findings) {
        let Turn { key, revision, .. } = *self.turn;
        let before = self.turn.before;
        let since = self.since();
        let known = self.story.known(self.set);
        let fits = |set: &&Value| {
            let desired = u64::try_from(number(set, "/spec/replicas")).unwrap_or(0);
            if self.number >= desired {
                let moments = self.moments(since.max(self.level()), 0..=self.highest());
                return moments.iter().any(|at| {
                    let mut above = self.number + 1..=self.highest();
                    above.all(|number| self.story.at(&self.other(number), *at).is_none())
                });
            }
            let moments = self.moments(since, 0..=self.highest());
            let is_old = before.is_some_and(|pod| text(pod, IMAGE) != text(set, SET_IMAGE));
            is_old
                && moments.iter().any(|at| {
                    let mut others = (0..desired).filter(|number| *number != self.number);
                    others.all(|number| self.is_ready_at(number, *at))
                })
        };
        let holds = before.is_some_and(has_ended) || known.iter().any(fits);
        findings.check(Promise::OneByOne, holds, || {
            format!("{key} is deleted at revision {revision}, and since {since} the others were never all ready, nor is it the last of too many")
        });
    }

    /// When the controller last told as many pods as there were: it knew of all of them.
    fn level(&self) -> i64 {
        let there = |revision: i64| {
            let ordinals = 0..=self.highest();
            let count = ordinals.filter(|n| self.story.at(&self.other(*n), revision).is_some());
            count.count() as i64
        };
        self.story.level(self.set, there)
    }

    /// The highest ordinal that there was so far.
    fn highest(&self) -> u64 {
        let stem = self.turn.key.rsplit_once('-').map_or("", |(stem, _)| stem);
        let keys = self.story.keys("pods");
        let ordinals = keys
            .filter(|key| key.rsplit_once('-').is_some_and(|(one, _)| one == stem))
            .filter_map(ordinal);
        ordinals.max().unwrap_or(0)
    }

    /// When this pod was made, or the controller deleted another one of the set later.
    fn since(&self) -> i64 {
        let mut since = 0;
        for number in 0..=self.highest() {
            let other = self.other(number);
            let mut was_marked = true;
            for (revision, object) in self.story.versions(&other) {
                let is_marked = object.is_none_or(is_terminating);
                let users = object.is_some_and(|pod| self.story.is_users(pod));
                let is_own = self.turn.before.map(uid) == object.map(uid);
                if (is_marked && !was_marked && !users && object.is_some())
                    || (is_own && was_marked && !is_marked)
                {
                    since = since.max(*revision);
                }
                was_marked = is_marked;
            }
        }
        since
    }
}
