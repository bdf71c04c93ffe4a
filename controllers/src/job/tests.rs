//! Histories of Jobs: a small model carries the plans out and lets the pods run.

mod histories;
mod indexed;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::backoff::Failures;
use super::decide::{Plan, decide};
use super::view::{Seen, has_finalizer};
use crate::pod_writes::PodId;

/// Sets the fields that are given.
pub(super) fn merge(tree: &mut Value, fields: Value) {
    match (tree, fields) {
        (Value::Object(tree), Value::Object(fields)) => {
            for (name, field) in fields {
                merge(tree.entry(name).or_insert(Value::Null), field);
            }
        }
        (tree, field) => *tree = field,
    }
}

/// A Job and its pods, with a clock that the test moves.
pub(super) struct Model {
    pub(super) job: Job,
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) events: Vec<String>,
    failures: Failures,
    now: Timestamp,
    made: u32,
}

impl Model {
    pub(super) fn of(spec: Value) -> Model {
        let mut whole = json!({
            "backoffLimit": 6, "parallelism": 1,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main"}]}},
        });
        merge(&mut whole, spec);
        let job = json!({"metadata": {"name": "job", "namespace": "ns", "uid": "job-uid"}, "spec": whole});
        Model {
            job: serde_json::from_value(job).unwrap(),
            pods: Vec::new(),
            events: Vec::new(),
            failures: Failures::default(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            made: 0,
        }
    }

    pub(super) fn plan(&self) -> Plan {
        self.decide(true)
    }

    /// What is decided when pods could not be deleted.
    pub(super) fn count_only(&self) -> Plan {
        self.decide(false)
    }

    fn decide(&self, manages: bool) -> Plan {
        let seen = Seen {
            job: &self.job,
            pods: &self.pods,
            failures: &self.failures,
            now: self.now,
            manages,
        };
        decide(&seen)
    }

    /// Decides and carries out until nothing changes.
    pub(super) fn settle(&mut self) -> Plan {
        for _ in 0..30 {
            if self.finished() {
                return Plan::default();
            }
            let plan = self.plan();
            if !self.carry_out(&plan, usize::MAX) {
                return plan;
            }
        }
        panic!("the Job does not come to rest");
    }

    /// Carries out the first `most` writes, and says whether there were any.
    pub(super) fn carry_out(&mut self, plan: &Plan, most: usize) -> bool {
        let mut left = most;
        let mut take = || {
            let may = left > 0;
            left = left.saturating_sub(1);
            may
        };
        for id in &plan.withdraw {
            if take() {
                self.pods
                    .retain(|pod| pod.metadata.uid.as_deref() != Some(&id.uid));
            }
        }
        for id in &plan.delete {
            if take() {
                let now = self.now;
                self.change(id, |pod| pod.metadata.deletion_timestamp = Some(Time(now)));
            }
        }
        for pod in &plan.create {
            if take() {
                self.add(pod.clone());
            }
        }
        if plan.status.as_ref().is_some_and(|_| take()) {
            self.job.status = plan.status.clone();
            self.failures = plan.failures.clone();
            self.events.extend(
                plan.events
                    .iter()
                    .map(|event| format!("{}: {}", event.reason, event.message)),
            );
        }
        for id in &plan.release {
            if take() {
                self.change(id, |pod| pod.metadata.finalizers = None);
            }
        }
        self.pods
            .retain(|pod| pod.metadata.deletion_timestamp.is_none() || has_finalizer(pod));
        let writes =
            plan.withdraw.len() + plan.delete.len() + plan.create.len() + plan.release.len();
        writes > 0 || plan.status.is_some()
    }

    fn add(&mut self, mut pod: Pod) {
        self.made += 1;
        pod.metadata.name = Some(format!("pod-{}", self.made));
        pod.metadata.uid = Some(format!("uid-{}", self.made));
        pod.metadata.creation_timestamp = Some(Time(self.now));
        pod.status.get_or_insert_default().phase = Some("Pending".to_owned());
        self.pods.push(Arc::new(pod));
    }

    fn change(&mut self, id: &PodId, change: impl FnOnce(&mut Pod)) {
        let found = self
            .pods
            .iter_mut()
            .find(|pod| pod.metadata.uid.as_deref() == Some(&id.uid));
        change(Arc::make_mut(
            found.expect("a plan writes to pods that are there"),
        ));
    }

    /// Lets the `at`th of the pods that neither ended nor go come to this phase.
    pub(super) fn run(&mut self, at: usize, phase: &str) {
        let active = self
            .pods
            .iter_mut()
            .filter(|pod| crate::pods::is_active(pod));
        let pod = active.into_iter().nth(at).expect("so many pods are active");
        Arc::make_mut(pod).status.get_or_insert_default().phase = Some(phase.to_owned());
    }

    /// Ends the `at`th active pod with an exit code.
    pub(super) fn exit(&mut self, at: usize, code: i32) {
        let status = json!({
            "phase": if code == 0 { "Succeeded" } else { "Failed" },
            "containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": code, "finishedAt": self.now.to_string()}},
            }],
        });
        let active = self
            .pods
            .iter_mut()
            .filter(|pod| crate::pods::is_active(pod));
        let pod = active.into_iter().nth(at).expect("so many pods are active");
        Arc::make_mut(pod).status = Some(serde_json::from_value(status).unwrap());
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(super) fn restart(&mut self) {
        self.failures = Failures::default();
    }

    pub(super) fn set(&mut self, spec: Value) {
        let mut job = serde_json::to_value(&self.job).unwrap();
        merge(&mut job, json!({"spec": spec}));
        self.job = serde_json::from_value(job).unwrap();
    }

    pub(super) fn status(&self) -> JobStatus {
        self.job.status.clone().unwrap_or_default()
    }

    pub(super) fn active(&self) -> usize {
        self.pods
            .iter()
            .filter(|pod| crate::pods::is_active(pod))
            .count()
    }

    pub(super) fn finished(&self) -> bool {
        let conditions = self.status().conditions.unwrap_or_default();
        conditions
            .iter()
            .any(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed"))
    }

    /// Types and reasons of the true conditions, in their order.
    pub(super) fn conditions(&self) -> Vec<String> {
        let conditions = self.status().conditions.unwrap_or_default();
        let held = conditions
            .iter()
            .filter(|condition| condition.status == "True");
        held.map(|condition| {
            format!(
                "{} {}",
                condition.type_,
                condition.reason.as_deref().unwrap_or_default()
            )
        })
        .collect()
    }
}
