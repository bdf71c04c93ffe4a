//! Jobs: every pod that succeeded is counted once, and as many succeed as are desired.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::story::{Story, Turn};
use super::{Findings, Promise};
use crate::control_plane::fields::{is_active, is_true, number, owner_kind, owner_uid, text, uid};

/// The pods of each Job that have succeeded so far, by their uids.
#[derive(Debug, Default)]
pub(super) struct Jobs<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl<'a> Jobs<'a> {
    pub(super) fn judge(&mut self, turn: &Turn<'a>, story: &Story<'a>, findings: &mut Findings) {
        match (turn.resource, turn.after) {
            ("pods", Some(pod)) if owner_kind(pod) == "Job" => {
                self.judge_pod(turn, pod, story, findings);
            }
            ("jobs", Some(job)) => self.judge_count(turn, job, findings),
            _ => {}
        }
    }

    fn judge_pod(
        &mut self,
        turn: &Turn<'a>,
        pod: &'a Value,
        story: &Story<'a>,
        findings: &mut Findings,
    ) {
        let Some((key, job)) = story.with_uid("jobs", owner_uid(pod)) else {
            return;
        };
        if turn.before.is_none() {
            let pods = story.owned("pods", owner_uid(pod));
            let active = pods.iter().filter(|(_, pod)| is_active(pod)).count() as i64;
            let most = number(job, "/spec/parallelism");
            findings.check(Promise::Parallel, active < most, || {
                format!(
                    "{} is made at revision {} beside {active} others of {key}, and {most} may run",
                    turn.key, turn.revision
                )
            });
        }
        if text(pod, "/status/phase") != "Succeeded" {
            return;
        }
        let succeeded = self.0.entry(owner_uid(pod)).or_default();
        if succeeded.insert(uid(pod)) {
            let count = succeeded.len() as i64;
            let desired = number(job, "/spec/completions");
            findings.check(Promise::CountedOnce, count <= desired, || {
                format!(
                    "{} succeeds at revision {} as number {count} of {key}, and {desired} are desired",
                    turn.key, turn.revision
                )
            });
        }
    }

    fn judge_count(&self, turn: &Turn<'a>, job: &Value, findings: &mut Findings) {
        let counted = |job: &Value| number(job, "/status/succeeded");
        let before = turn.before.map_or(0, counted);
        let is_complete = is_true(job, "Complete");
        if counted(job) == before && !is_complete {
            return;
        }
        let real = self.0.get(uid(job)).map_or(0, BTreeSet::len) as i64;
        let desired = number(job, "/spec/completions");
        let is_right = counted(job) >= before && counted(job) <= real.min(desired);
        let holds = is_right && (!is_complete || counted(job) == desired);
        findings.check(Promise::CountedOnce, holds, || {
            format!(
                "{} counts {} at revision {}, complete: {is_complete}; before it was {before}, {real} have succeeded, {desired} are desired",
                turn.key,
                counted(job),
                turn.revision
            )
        });
    }
}
