//! Carries out what is decided for Jobs.

mod orphans;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Error, Key, Next, Patch, Store, WorkQueue};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use serde_json::json;

use super::backoff::Failures;
use super::decide::{Plan, decide};
use super::view::{Seen, TRACKING, has_finalizer};
use crate::claims::{self, Unclaimed};
use crate::context::Context;
use crate::events::Event;
use crate::expectations::Expectations;
use crate::pod_writes::{PodId, PodWrites};
use crate::telling::Teller;
use crate::turns::Turns;
use crate::written::Written;
use crate::{owners, patches, selectors};

/// Changes of a Job's pods are gathered for so long, for many of them often come together.
const GATHER: Duration = Duration::from_millis(100);
/// How long a Job whose turn failed waits for the next: the first time, and at most.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);
/// The name of this controller in `spec.managedBy`.
const MANAGER: &str = "kubernetes.io/job-controller";

/// Starts the controller.
pub(crate) fn start(context: &Context) {
    let (jobs, pods) = (context.informers.of::<Job>(), context.informers.of::<Pod>());
    let selector =
        |job: &Job| selectors::read(job.spec.as_ref().and_then(|spec| spec.selector.as_ref()));
    let queue = |name| context.queue_with(name, RETRY_FIRST, RETRY_MAX);
    let turns = Turns::of(context, queue("job"), selector, GATHER);
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        teller: Teller::new(context, "job-controller"),
        pods: pods.store(),
        turns: turns.clone(),
        releases: Expectations::default(),
        written: Written::default(),
        failures: Mutex::new(HashMap::new()),
        orphans: queue("job_orphan_pod"),
    });
    let told = controller.clone();
    jobs.on_change(move |change| told.job_changed(change));
    let told = controller.clone();
    pods.on_change(move |change| told.pod_changed(change));
    let workers = context.options.workers.concurrent_job_syncs;
    let orphans = controller.orphans.clone();
    let of_orphans = controller.clone();
    context.work(
        ("job-controller orphans", workers),
        orphans,
        context.synced(),
        move |key: Key| {
            let controller = of_orphans.clone();
            async move { controller.release_orphan(&key).await }
        },
    );
    turns.start(context, ("job-controller", workers), move |key| {
        let controller = controller.clone();
        async move { controller.sync(&key).await }
    });
}

/// Why a turn has to be taken again.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Call(#[from] Error),
    #[error(transparent)]
    Unclaimed(#[from] Unclaimed),
}

struct Controller {
    client: Client,
    teller: Teller,
    pods: Store<Pod>,
    turns: Arc<Turns<Job>>,
    /// Finalizers that were taken off and whose absence has not been seen.
    releases: Expectations<Key>,
    written: Written<Key>,
    failures: Mutex<HashMap<Key, Failures>>,
    orphans: Arc<WorkQueue<Key>>,
}

/// Whether the cache, as it is now, shows that a pod has no finalizer any more. No other change may come that shows it.
fn shows_release(seen: Option<&Pod>, pod: &PodId) -> bool {
    let same = seen.filter(|seen| seen.metadata.uid.as_deref() == Some(&*pod.uid));
    !same.is_some_and(has_finalizer)
}

/// Whether another controller sees to a Job.
fn is_managed_elsewhere(job: &Job) -> bool {
    let manager = job
        .spec
        .as_ref()
        .and_then(|spec| spec.managed_by.as_deref());
    manager.is_some_and(|manager| manager != MANAGER)
}

fn is_finished(job: &Job) -> bool {
    let conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ends = conditions.filter(|condition| condition.status == "True");
    ends.any(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed"))
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next, Failed> {
        let job = self.turns.owners.get(key).filter(|job| !is_finished(job));
        let Some(job) = job else {
            self.turns.expectations.forget(key);
            self.releases.forget(key);
            self.written.forget(key);
            self.failures.lock().remove(key);
            return Ok(Next::Done);
        };
        if is_managed_elsewhere(&job) || !self.written.is_seen(key, &job.metadata) {
            return Ok(Next::Done);
        }
        let now = Timestamp::now();
        let pods = self.turns.expectations.left(key, now);
        if let Some(left) = pods.max(self.releases.left(key, now)) {
            return Ok(Next::After(left));
        }
        let mode = job
            .spec
            .as_ref()
            .and_then(|spec| spec.completion_mode.as_deref());
        if !matches!(mode, None | Some("Indexed" | "NonIndexed")) {
            let message = "Skipped Job sync because completion mode is unknown";
            self.teller.tell(
                job.as_ref(),
                &Event::warning("UnknownCompletionMode", message),
            );
            return Ok(Next::Done);
        }
        let Some(pods) = self.claim(key, &job).await? else {
            return Ok(Next::Done);
        };
        let failures = self.failures.lock().get(key).cloned().unwrap_or_default();
        let seen = Seen {
            job: &job,
            pods: &pods,
            failures: &failures,
            now,
            manages: true,
        };
        self.carry_out(key, &seen, decide(&seen)).await
    }

    /// The Job's pods; none when some were adopted just now, whose change calls for another turn.
    async fn claim(&self, key: &Key, job: &Job) -> Result<Option<Vec<Arc<Pod>>>, Failed> {
        let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let selector = match selectors::read(selector) {
            Ok(selector) => selector,
            Err(fault) => {
                tracing::error!(%key, fault, "a selector cannot be read");
                return Ok(None);
            }
        };
        let candidates = claims::owned_and_orphans(&self.pods, &job.metadata);
        let metadata = &job.metadata;
        let claimed = claims::claim::<Job, Pod>(&self.client, metadata, &selector, candidates);
        let claimed = claimed.await?;
        let is_adopted = |pod: &&Arc<Pod>| owners::controller_of(&pod.metadata).is_none();
        let adopted: Vec<&Arc<Pod>> = claimed.iter().filter(is_adopted).collect();
        for pod in &adopted {
            // A pod that is not kept by the finalizer might go uncounted.
            let finalizer = json!({"uid": pod.metadata.uid, "finalizers": [TRACKING]});
            let patch = Patch::Strategic(json!({"metadata": finalizer}));
            self.client
                .patch::<Pod>(&Key::of(pod.as_ref()), &patch)
                .await?;
        }
        Ok(adopted.is_empty().then_some(claimed))
    }

    async fn carry_out(&self, key: &Key, seen: &Seen<'_>, mut plan: Plan) -> Result<Next, Failed> {
        let writes = PodWrites {
            client: &self.client,
            teller: &self.teller,
            expectations: &self.turns.expectations,
            owner: seen.job,
        };
        let going = plan.withdraw.iter().chain(&plan.delete);
        let uids: Vec<String> = going.map(|pod| pod.uid.clone()).collect();
        if !uids.is_empty() || !plan.create.is_empty() {
            let expectations = &self.turns.expectations;
            expectations.await_both(key, plan.create.len(), uids, seen.now);
        }
        if let Err(error) = self.remove(key, &writes, &plan).await {
            plan.create
                .iter()
                .for_each(|_| self.turns.expectations.created(key));
            // What ended is counted even if a pod can never be deleted.
            let counted = decide(&Seen {
                manages: false,
                ..*seen
            });
            self.account(key, &writes, counted, seen.now).await?;
            return Err(error.into());
        }
        let refused = writes.create(&plan.create).await.err();
        if let (Some(refused), Some(status)) = (&refused, &mut plan.status) {
            let missing = i32::try_from(refused.count).unwrap_or(i32::MAX);
            let active = status.active.unwrap_or(0).saturating_sub(missing);
            status.active = patches::count(active);
        }
        let next = plan.next;
        self.account(key, &writes, plan, seen.now).await?;
        match refused {
            Some(refused) if !refused.error.is_namespace_terminating() => Err(refused.error.into()),
            _ => Ok(next.map_or(Next::Done, |next| Next::After(next.unsigned_abs()))),
        }
    }

    /// Writes the status that counts pods, and then lets those go.
    async fn account(
        &self,
        key: &Key,
        writes: &PodWrites<'_, Job>,
        plan: Plan,
        now: Timestamp,
    ) -> Result<(), Error> {
        let job = writes.owner;
        if let Some(status) = &plan.status {
            self.write_status(key, job, status).await?;
        }
        self.failures.lock().insert(key.clone(), plan.failures);
        plan.events
            .iter()
            .for_each(|event| self.teller.tell(job, event));
        self.release(key, writes, &plan.release, now).await
    }

    async fn remove(
        &self,
        key: &Key,
        writes: &PodWrites<'_, Job>,
        plan: &Plan,
    ) -> Result<(), Error> {
        if let Some((_, error)) = writes
            .release(&plan.withdraw, TRACKING)
            .await
            .into_iter()
            .next()
        {
            let all = plan.withdraw.iter().chain(&plan.delete);
            all.for_each(|pod| self.turns.expectations.deleted(key, &pod.uid));
            return Err(error);
        }
        let withdrawn = writes.delete(&plan.withdraw).await;
        let deleted = writes.delete(&plan.delete).await;
        withdrawn.and(deleted)
    }

    async fn write_status(&self, key: &Key, job: &Job, status: &JobStatus) -> Result<(), Error> {
        let old = job.status.clone().unwrap_or_default();
        let Some(patch) = patches::status(&job.metadata, &old, status) else {
            return Ok(());
        };
        let patched = self
            .client
            .patch_status::<Job>(key, &Patch::Merge(patch))
            .await?;
        self.written.note(key.clone(), &patched.metadata);
        Ok(())
    }

    async fn release(
        &self,
        key: &Key,
        writes: &PodWrites<'_, Job>,
        pods: &[PodId],
        now: Timestamp,
    ) -> Result<(), Error> {
        if pods.is_empty() {
            return Ok(());
        }
        let uids = pods.iter().map(|pod| pod.uid.clone());
        self.releases.await_deletes(key, uids, now);
        let failed = writes.release(pods, TRACKING).await;
        for (pod, _) in &failed {
            self.releases.deleted(key, &pod.uid);
        }
        for pod in pods {
            let seen = self.pods.get(&Key::new(&*key.namespace, &*pod.name));
            if shows_release(seen.as_deref(), pod) {
                self.releases.deleted(key, &pod.uid);
            }
        }
        failed
            .into_iter()
            .next()
            .map_or(Ok(()), |(_, error)| Err(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_went_before_its_finalizer_was_taken_off_is_not_awaited() {
        let pod = |uid: &str, finalizers: &[&str]| -> Pod {
            let metadata = json!({"name": "p", "uid": uid, "finalizers": finalizers});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        let released = PodId {
            name: "p".to_owned(),
            uid: "u".to_owned(),
        };
        for (seen, shows) in [
            (None, true),
            (Some(pod("another", &[TRACKING])), true),
            (Some(pod("u", &[])), true),
            (Some(pod("u", &[TRACKING])), false),
        ] {
            assert_eq!(shows_release(seen.as_ref(), &released), shows, "{seen:?}");
        }
    }
}
