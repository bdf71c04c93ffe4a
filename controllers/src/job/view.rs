//! What a Job's pods amount to: who is active, who ended since the last count, which indexes are done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;

use super::backoff::{self, Failures};
use super::indexes::Indexes;
use super::policies::{self, Verdict};
use crate::pods::{self, phase};

/// The finalizer that keeps a pod until it has been counted.
pub(super) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
pub(super) const INDEX_IGNORED_FAILURES: &str =
    "batch.kubernetes.io/job-index-ignored-failure-count";

/// Everything a decision about a Job rests on. The pods are as recent as the last write to them.
pub(super) struct Seen<'a> {
    pub(super) job: &'a Job,
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) failures: &'a Failures,
    pub(super) now: Timestamp,
    /// Whether pods may be made and deleted. If not, those that ended are counted all the same, but the Job cannot end before its active ones go.
    pub(super) manages: bool,
}

/// The pods of a Job, sorted out.
pub(super) struct View<'a> {
    pub(super) seen: &'a Seen<'a>,
    pub(super) spec: &'a JobSpec,
    pub(super) status: JobStatus,
    pub(super) active: Vec<&'a Pod>,
    pub(super) ready: i32,
    pub(super) terminating: i32,
    /// Those that ended and stand in no count yet.
    pub(super) newly_succeeded: Vec<&'a Pod>,
    pub(super) newly_failed: Vec<&'a Pod>,
    pub(super) succeeded: i32,
    pub(super) failed: i32,
    /// The succeeded indexes of the status, and those with the pods that succeeded since.
    pub(super) succeeded_before: Indexes,
    pub(super) succeeded_indexes: Indexes,
    pub(super) failed_indexes: Option<Indexes>,
    /// With a backoff limit per index: the last failed pod of each index that is to be tried again.
    pub(super) replaceable: BTreeMap<u32, &'a Pod>,
}

impl<'a> View<'a> {
    pub(super) fn of(seen: &'a Seen<'a>) -> Option<View<'a>> {
        let status = seen.job.status.clone().unwrap_or_default();
        let mut view = View {
            seen,
            spec: seen.job.spec.as_ref()?,
            status,
            active: Vec::new(),
            ready: 0,
            terminating: 0,
            newly_succeeded: Vec::new(),
            newly_failed: Vec::new(),
            succeeded: 0,
            failed: 0,
            succeeded_before: Indexes::default(),
            succeeded_indexes: Indexes::default(),
            failed_indexes: None,
            replaceable: BTreeMap::new(),
        };
        view.sort_out();
        view.count();
        if view.indexed() {
            view.count_indexes();
        }
        Some(view)
    }

    fn sort_out(&mut self) {
        for pod in self.seen.pods.iter().map(Arc::as_ref) {
            if pods::is_active(pod) {
                self.ready += i32::from(pods::is_ready(pod));
                self.active.push(pod);
            } else if pods::is_terminating(pod) {
                self.terminating += 1;
            }
        }
    }

    fn count(&mut self) {
        let uncounted = self
            .status
            .uncounted_terminated_pods
            .get_or_insert_default();
        let (succeeded, failed) = (
            uncounted.succeeded.clone().unwrap_or_default(),
            uncounted.failed.clone().unwrap_or_default(),
        );
        let new = |counted: &[String], ended: &dyn Fn(&Pod) -> bool| -> Vec<&'a Pod> {
            let pods = self.seen.pods.iter().map(Arc::as_ref);
            pods.filter(|pod| has_finalizer(pod) && self.concerns(pod) && ended(pod))
                .filter(|pod| !counted.iter().any(|counted| counted == uid(pod)))
                .collect()
        };
        let newly_succeeded = new(&succeeded, &|pod| phase(pod) == "Succeeded");
        let newly_failed = new(&failed, &|pod| self.failed(pod));
        let counted = newly_failed
            .iter()
            .filter(|pod| policies::judge(self.spec, pod) != Verdict::Ignored)
            .count();
        // A status may say anything.
        let and_more = |before: Option<i32>, more| before.unwrap_or(0).saturating_add(amount(more));
        let status = &self.status;
        self.succeeded = and_more(status.succeeded, succeeded.len() + newly_succeeded.len());
        self.failed = and_more(status.failed, failed.len() + counted);
        self.newly_succeeded = newly_succeeded;
        self.newly_failed = newly_failed;
    }

    fn count_indexes(&mut self) {
        let completions = self.completions();
        let parse = |text: &Option<String>| {
            Indexes::parse(text.as_deref().unwrap_or_default(), completions)
        };
        let tracked = |wanted: &dyn Fn(&Pod) -> bool| -> Vec<u32> {
            let pods = self.seen.pods.iter().map(Arc::as_ref);
            let chosen = pods.filter(|pod| has_finalizer(pod) && self.concerns(pod) && wanted(pod));
            chosen.filter_map(completion_index).collect()
        };
        let before = parse(&self.status.completed_indexes);
        let succeeded = before.with(tracked(&|pod| phase(pod) == "Succeeded"));
        let failed = self.spec.backoff_limit_per_index.map(|limit| {
            let failed = tracked(&|pod| self.fails_index(pod, limit));
            parse(&self.status.failed_indexes).with(failed)
        });
        self.succeeded = amount(succeeded.total() as usize);
        self.succeeded_before = before;
        self.succeeded_indexes = succeeded;
        self.failed_indexes = failed;
        if self.failed_indexes.is_some() {
            self.replaceable = self.find_replaceable();
        }
    }

    fn fails_index(&self, pod: &Pod, limit: i32) -> bool {
        self.failed(pod)
            && match policies::judge(self.spec, pod) {
                Verdict::IndexFails => true,
                Verdict::Ignored => false,
                Verdict::Counted | Verdict::JobFails { .. } => {
                    i64::from(number(pod, INDEX_FAILURES)) >= i64::from(limit)
                }
            }
    }

    fn find_replaceable(&self) -> BTreeMap<u32, &'a Pod> {
        let active: BTreeSet<u32> = self
            .active
            .iter()
            .filter_map(|pod| completion_index(pod))
            .collect();
        let failed_for_good = |index| {
            self.failed_indexes
                .as_ref()
                .is_some_and(|failed| failed.contains(index))
        };
        let mut last: BTreeMap<u32, &'a Pod> = BTreeMap::new();
        for pod in self.seen.pods.iter().map(Arc::as_ref) {
            let Some(index) =
                completion_index(pod).filter(|_| has_finalizer(pod) && self.concerns(pod))
            else {
                continue;
            };
            let done = self.succeeded_indexes.contains(index)
                || failed_for_good(index)
                || active.contains(&index);
            if done || !self.failed(pod) {
                continue;
            }
            let age = |pod: &Pod| (failures_of(pod), backoff::finished_at(pod));
            let (tries, at) = age(pod);
            let newer = last
                .get(&index)
                .is_none_or(|before| age(before).0 <= tries && age(before).1 <= at);
            if newer {
                last.insert(index, pod);
            }
        }
        last
    }

    pub(super) fn indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    pub(super) fn completions(&self) -> u32 {
        self.spec
            .completions
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(0)
    }

    pub(super) fn suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    /// Whether a pod of an indexed Job has an index within the completions; every pod of another Job concerns it.
    pub(super) fn concerns(&self, pod: &Pod) -> bool {
        !self.indexed() || completion_index(pod).is_some_and(|index| index < self.completions())
    }

    /// Whether only a pod that has failed is replaced, and not one that is still going.
    pub(super) fn replaces_only_failed(&self) -> bool {
        self.spec.pod_replacement_policy.as_deref() == Some("Failed")
            || self.spec.pod_failure_policy.is_some()
    }

    pub(super) fn failed(&self, pod: &Pod) -> bool {
        let going = pod.metadata.deletion_timestamp.is_some();
        match phase(pod) {
            "Failed" => true,
            "Succeeded" => false,
            _ => going && !self.replaces_only_failed(),
        }
    }
}

pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub(super) fn has_finalizer(pod: &Pod) -> bool {
    pod.metadata
        .finalizers
        .iter()
        .flatten()
        .any(|finalizer| finalizer == TRACKING)
}

pub(super) fn completion_index(pod: &Pod) -> Option<u32> {
    annotation(pod, INDEX)?.parse().ok()
}

/// How often the index of this pod failed before it, counted or ignored.
pub(super) fn failures_of(pod: &Pod) -> u32 {
    number(pod, INDEX_FAILURES).saturating_add(number(pod, INDEX_IGNORED_FAILURES))
}

/// The number an annotation holds; what is no number is 0.
pub(super) fn number(pod: &Pod, name: &str) -> u32 {
    let number = annotation(pod, name).and_then(|text| text.parse::<i32>().ok());
    number
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(0)
}

/// A count as the API writes it.
pub(super) fn amount(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata
        .annotations
        .as_ref()?
        .get(name)
        .map(String::as_str)
}
