//! Judges everything that was written to the store of a control plane, and what was there in the end.

mod deployments;
mod jobs;
mod pods;
mod replicasets;
mod statefulsets;
mod story;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::history::{BROKEN, CALM, End, Record};
use super::{end, settled};
use crate::findings;
use story::Story;

/// Most time from the last fault until everything is as it is desired, in seconds.
pub const SETTLED_SECONDS_MAX: u64 = 120;

/// What a control plane promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// `spec.nodeName`.
    BoundOnce,
    /// A pod that is removed.
    RemovedWhenOver,
    /// A phase.
    OverForGood,
    /// An ordinal of a StatefulSet.
    OrdinalOnce,
    /// A new pod of a StatefulSet.
    Ordered,
    /// A pod that a StatefulSet's controller deletes.
    OneByOne,
    /// A ReplicaSet that grows.
    Surge,
    /// A ReplicaSet that shrinks.
    Available,
    /// A new pod of a ReplicaSet.
    NotTooMany,
    /// A pod that a ReplicaSet's controller deletes.
    NotTooFew,
    /// A Job's count.
    CountedOnce,
    /// A Job's new pod.
    Parallel,
    /// The end.
    Settled,
    /// The end against that without faults.
    SameEnd,
}

impl findings::Promise for Promise {
    fn words(self) -> &'static str {
        match self {
            Promise::BoundOnce => "a pod is bound to one node, once",
            Promise::RemovedWhenOver => "a bound pod is removed only when its containers are over",
            Promise::OverForGood => "a pod that is over stays so",
            Promise::OrdinalOnce => {
                "a pod of a StatefulSet starts after the former one of its ordinal has stopped"
            }
            Promise::Ordered => "a pod of a StatefulSet is made when those before it are ready",
            Promise::OneByOne => {
                "a StatefulSet's controller deletes one pod at a time, from the last on"
            }
            Promise::Surge => "a Deployment's controller asks for maxSurge pods more at most",
            Promise::Available => {
                "a Deployment's controller leaves maxUnavailable pods less at most"
            }
            Promise::NotTooMany => "a ReplicaSet's controller makes no pod too many",
            Promise::NotTooFew => "a ReplicaSet's controller deletes no pod that is desired",
            Promise::CountedOnce => {
                "a Job's pod is counted once, and as many succeed as are desired"
            }
            Promise::Parallel => "no more pods of a Job run at a time than its parallelism",
            Promise::Settled => "desired equals observed within the time for it",
            Promise::SameEnd => "the end is that of a run without faults",
        }
    }
}

/// What was found; the newest revision with it.
pub type Findings = findings::Findings<Promise, i64>;

/// Judges a whole history.
pub fn judge(records: &[Record]) -> Findings {
    let mut findings = Findings::default();
    let deleted: BTreeSet<&str> = records
        .iter()
        .filter_map(|record| match record {
            Record::Deleted { uid } => Some(uid.as_str()),
            _ => None,
        })
        .collect();
    let mut story = Story::new(deleted);
    let mut ordinals = pods::Ordinals::default();
    let mut jobs = jobs::Jobs::default();
    for record in records {
        let Record::Change(change) = record else {
            continue;
        };
        let turn = story.turn(change);
        pods::judge(&turn, &mut ordinals, &mut findings);
        replicasets::judge(&turn, &story, &mut findings);
        statefulsets::judge(&turn, &story, &mut findings);
        deployments::judge(&turn, &story, &mut findings);
        jobs.judge(&turn, &story, &mut findings);
        story.take(change);
        findings.revision = change.revision;
    }
    judge_ends(records, &mut findings);
    findings
}

fn judge_ends(records: &[Record], findings: &mut Findings) {
    let find = |namespace: &str| -> Option<&End> {
        records.iter().find_map(|record| match record {
            Record::End(end) if end.namespace == namespace => Some(end),
            _ => None,
        })
    };
    for namespace in [CALM, BROKEN] {
        let Some(end) = find(namespace) else {
            let words = format!("there is no end in the namespace {namespace}");
            findings.doubts.push(words);
            continue;
        };
        let mut complaints = settled::complaints(&end.objects);
        if end.objects.is_empty() {
            complaints.push("nothing could be looked at".to_owned());
        }
        if end.took_ms > SETTLED_SECONDS_MAX * 1_000 {
            complaints.push(format!("it took {} ms", end.took_ms));
        }
        let words = format!("{namespace}: {}", complaints.join("; "));
        if namespace == CALM && !complaints.is_empty() {
            // Nothing was broken: what is slow here is the machine, or nothing works at all.
            findings.doubts.push(format!(
                "not even without faults everything is as it is desired: {words}"
            ));
            continue;
        }
        findings.check(Promise::Settled, complaints.is_empty(), || words);
    }
    if let (Some(calm), Some(broken)) = (find(CALM), find(BROKEN))
        && settled::complaints(&calm.objects).is_empty()
    {
        let differences = end::differences(&calm.objects, &broken.objects);
        findings.check(Promise::SameEnd, differences.is_empty(), || {
            differences.join("; ")
        });
    }
}
