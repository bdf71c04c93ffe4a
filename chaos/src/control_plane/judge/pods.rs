//! Pods of every kind: bound once, removed when they are over, and never two of one ordinal at a time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::story::Turn;
use super::{Findings, Promise};
use crate::control_plane::fields::{has_ended, owner_kind, text, uid};

/// Where the state of a pod's containers is: all of them do the same.
const STARTED: &str = "/status/containerStatuses/0/state/running/startedAt";
const FINISHED: &str = "/status/containerStatuses/0/state/terminated/finishedAt";

/// When containers of each ordinal's last pod stopped, by the pod's key, with the pod's uid.
#[derive(Debug, Default)]
pub(super) struct Ordinals<'a>(BTreeMap<&'a str, (&'a str, &'a str)>);

pub(super) fn judge<'a>(turn: &Turn<'a>, ordinals: &mut Ordinals<'a>, findings: &mut Findings) {
    if turn.resource != "pods" {
        return;
    }
    let Turn { revision, key, .. } = *turn;
    let node = |pod: &'a Value| text(pod, "/spec/nodeName");
    match (turn.before, turn.after) {
        (Some(before), Some(after)) => {
            if !node(before).is_empty() || !node(after).is_empty() {
                let holds = node(before).is_empty() || node(before) == node(after);
                findings.check(
                    Promise::BoundOnce,
                    holds && uid(before) == uid(after),
                    || {
                        format!(
                            "{key} is on {:?} and at revision {revision} on {:?}",
                            node(before),
                            node(after)
                        )
                    },
                );
            }
            if has_ended(before) {
                let phase = |pod: &'a Value| text(pod, "/status/phase");
                let holds = phase(before) == phase(after);
                findings.check(Promise::OverForGood, holds, || {
                    format!(
                        "{key} was {} and at revision {revision} is {}",
                        phase(before),
                        phase(after)
                    )
                });
            }
        }
        (Some(before), None) if !node(before).is_empty() => {
            findings.check(Promise::RemovedWhenOver, has_ended(before), || {
                format!(
                    "{key} is removed at revision {revision} from {} while it is {}",
                    node(before),
                    text(before, "/status/phase")
                )
            });
        }
        _ => {}
    }
    if let Some(pod) = turn.after.filter(|pod| owner_kind(pod) == "StatefulSet") {
        ordinals.judge(turn, pod, findings);
    }
}

impl<'a> Ordinals<'a> {
    fn judge(&mut self, turn: &Turn<'a>, pod: &'a Value, findings: &mut Findings) {
        let finished = text(pod, FINISHED);
        if !finished.is_empty() {
            self.0.insert(turn.key, (uid(pod), finished));
        }
        let started = text(pod, STARTED);
        let had_started = turn
            .before
            .is_some_and(|before| !text(before, STARTED).is_empty());
        if started.is_empty() || had_started {
            return;
        }
        let former = self
            .0
            .get(turn.key)
            .filter(|(former, _)| *former != uid(pod));
        // Times of one form and zone compare as text.
        let holds = former.is_none_or(|(_, finished)| started >= *finished);
        findings.check(Promise::OrdinalOnce, holds, || {
            format!(
                "{} starts at {started}, and the former one stopped at {} only, revision {}",
                turn.key,
                former.map_or("", |(_, finished)| finished),
                turn.revision
            )
        });
    }
}
