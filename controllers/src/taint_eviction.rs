//! Drives pods away from nodes with taints that they do not tolerate, or not for longer.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition, Taint, Toleration};

use crate::conditions::TRUE;
use crate::events::Event;
use crate::patches;

mod run;

pub(crate) use run::start;

/// How long a pod is waited with that could not be deleted.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// When a pod has to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    Forever,
    For(SignedDuration),
}

/// How long a pod may stay with these taints that drive away. Of the tolerations in use the shortest counts.
pub(crate) fn stay(taints: &[Taint], tolerations: &[Toleration]) -> Stay {
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let Some(toleration) = tolerations
            .iter()
            .find(|toleration| tolerates(toleration, taint))
        else {
            return Stay::For(SignedDuration::ZERO);
        };
        if let Some(seconds) = toleration.toleration_seconds {
            shortest = Some(shortest.map_or(seconds, |shortest| shortest.min(seconds)));
        }
    }
    shortest.map_or(Stay::Forever, |seconds| {
        Stay::For(SignedDuration::from_secs(seconds.max(0)))
    })
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let (effect, key, value) = (
        given(&toleration.effect),
        given(&toleration.key),
        given(&toleration.value),
    );
    let is_meant =
        (effect.is_empty() || effect == taint.effect) && (key.is_empty() || key == taint.key);
    is_meant
        && match toleration.operator.as_deref() {
            None | Some("" | "Equal") => value == given(&taint.value),
            Some("Exists") => true,
            Some(_) => false,
        }
}

/// A pod that has to leave its node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leave {
    uid: String,
    since: Timestamp,
    at: Timestamp,
    /// It is being deleted; it is not deleted twice.
    is_done: bool,
}

/// The pods that have to leave, and when.
#[derive(Debug)]
pub(crate) struct Evictions<K> {
    leaving: HashMap<K, Leave>,
}

impl<K> Default for Evictions<K> {
    fn default() -> Self {
        Evictions {
            leaving: HashMap::new(),
        }
    }
}

impl<K: std::hash::Hash + Eq + Ord + Clone> Evictions<K> {
    /// Looks at a pod and the taints of its node that drive away. Whether its leave was called off.
    pub(crate) fn observe(&mut self, key: &K, pod: &Pod, taints: &[Taint], now: Timestamp) -> bool {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let tolerations = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.tolerations.as_deref())
            .unwrap_or_default();
        let known = self.leaving.get(key).filter(|leave| leave.uid == uid);
        let stay = if taints.is_empty() {
            Stay::Forever
        } else {
            stay(taints, tolerations)
        };
        let Stay::For(time) = stay else {
            return self.cancel(key);
        };
        if known.is_some_and(|leave| leave.is_done) {
            return false;
        }
        let since = known.map_or(now, |leave| leave.since);
        let at = if time.is_zero() {
            now
        } else {
            since.checked_add(time).unwrap_or(Timestamp::MAX)
        };
        if let Some(leave) = known
            && leave.at <= at
        {
            return false;
        }
        let was_known = known.is_some();
        self.leaving.insert(
            key.clone(),
            Leave {
                uid,
                since,
                at,
                is_done: false,
            },
        );
        was_known
    }

    /// A pod is gone or may stay. Whether it would have had to leave.
    pub(crate) fn cancel(&mut self, key: &K) -> bool {
        self.leaving.remove(key).is_some_and(|leave| !leave.is_done)
    }

    /// The pods that have to leave now, each with its uid; they are not named again.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<(K, String)> {
        let mut due = Vec::new();
        for (key, leave) in &mut self.leaving {
            if leave.at <= now && !leave.is_done {
                leave.is_done = true;
                due.push((key.clone(), leave.uid.clone()));
            }
        }
        due.sort();
        due
    }

    /// The pod with this uid was due and could not be deleted; it is due again a little later. Another one of its name has its own time.
    pub(crate) fn retry(&mut self, key: &K, uid: &str, now: Timestamp) {
        let leave = self.leaving.get_mut(key);
        if let Some(leave) = leave.filter(|leave| leave.uid == uid) {
            leave.is_done = false;
            leave.at = now.checked_add(RETRY_AFTER).unwrap_or(now);
        }
    }

    /// When the next pod has to leave.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.leaving
            .values()
            .filter(|leave| !leave.is_done)
            .map(|leave| leave.at)
            .min()
    }
}

/// What the status of a pod that is driven away says.
pub(crate) fn condition(pod: &Pod, now: Timestamp) -> PodCondition {
    PodCondition {
        last_transition_time: Some(patches::time(now)),
        message: Some("Taint manager: deleting due to NoExecute taint".to_owned()),
        observed_generation: crate::pod_gc::observed_generation(pod),
        reason: Some("DeletionByTaintManager".to_owned()),
        status: TRUE.to_owned(),
        type_: "DisruptionTarget".to_owned(),
        ..PodCondition::default()
    }
}

pub(crate) fn marking(pod: &str) -> Event {
    Event::normal(
        "TaintManagerEviction",
        format!("Marking for deletion Pod {pod}"),
    )
}

pub(crate) fn cancelling(pod: &str) -> Event {
    Event::normal(
        "TaintManagerEviction",
        format!("Cancelling deletion of Pod {pod}"),
    )
}

#[cfg(test)]
mod tests;
