//! Pods that no Job counts any more: their finalizer comes off, so that they can go.

use client::{Change, Error, Key, Next};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::{Controller, TRACKING, has_finalizer, is_finished, is_managed_elsewhere};
use crate::pod_writes::without_finalizer;
use crate::{claims, owners};

impl Controller {
    /// Looks after the pods of a Job that is finished or gone.
    pub(super) fn job_changed(&self, change: &Change<Job>) {
        let job = change.object();
        let is_over = matches!(change, Change::Deleted(_)) || is_finished(job);
        if !is_over {
            return;
        }
        for pod in claims::owned(&self.pods, &job.metadata) {
            if has_finalizer(&pod) {
                self.orphans.add(Key::of(pod.as_ref()));
            }
        }
    }

    /// Notes finalizers that are off, and pods that nobody counts.
    pub(super) fn pod_changed(&self, change: &Change<Pod>) {
        let pod = change.object();
        let is_gone = matches!(change, Change::Deleted(_));
        let owner = self.turns.owner(&pod.metadata);
        if let Some(key) = &owner
            && (is_gone || !has_finalizer(pod))
        {
            self.releases
                .deleted(key, pod.metadata.uid.as_deref().unwrap_or_default());
        }
        if !is_gone && has_finalizer(pod) && self.is_orphan(pod) {
            self.orphans.add(Key::of(pod.as_ref()));
        }
    }

    pub(super) async fn release_orphan(&self, key: &Key) -> Result<Next, Error> {
        let pod = self.pods.get(key);
        let Some(pod) = pod.filter(|pod| has_finalizer(pod) && self.is_orphan(pod)) else {
            return Ok(Next::Done);
        };
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        match self
            .client
            .patch::<Pod>(key, &without_finalizer(uid, TRACKING))
            .await
        {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(Next::Done),
        }
    }

    /// Whether no Job will count a pod: it has no owner, or its Job is finished or gone.
    fn is_orphan(&self, pod: &Pod) -> bool {
        let Some(owner) = owners::controller_of(&pod.metadata) else {
            return true;
        };
        if owner.kind != "Job" || owner.api_version != "batch/v1" {
            return false;
        }
        let job = self
            .turns
            .owner(&pod.metadata)
            .and_then(|key| self.turns.owners.get(&key));
        job.is_none_or(|job| is_finished(&job) && !is_managed_elsewhere(&job))
    }
}
