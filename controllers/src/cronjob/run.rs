//! Carries out what is decided for CronJobs.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::{Client, DeleteOptions, Error, Key, Next, Patch, Propagation, Store};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};

use super::decide::{self, JobId, Plan, Seen, Start, decide};
use crate::context::Context;
use crate::events::Event;
use crate::telling::Teller;
use crate::written::Written;
use crate::{claims, owners, patches};

/// Starts the controller.
pub(crate) fn start(context: &Context) {
    let (cron_jobs, jobs) = (
        context.informers.of::<CronJob>(),
        context.informers.of::<Job>(),
    );
    claims::index(&jobs);
    let queue = context.queue("cronjob");
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        teller: Teller::new(context, "cronjob-controller"),
        cron_jobs: cron_jobs.store(),
        jobs: jobs.store(),
        written: Written::default(),
    });
    let of_cron_jobs = queue.clone();
    cron_jobs.on_change(move |change| of_cron_jobs.add(Key::of(change.object().as_ref())));
    let of_jobs = queue.clone();
    jobs.on_change(move |change| {
        let meta = &change.object().metadata;
        let owner = owners::controller_of(meta).filter(|owner| owner.kind == "CronJob");
        if let Some(owner) = owner {
            let namespace = meta.namespace.as_deref().unwrap_or_default();
            of_jobs.add(Key::new(namespace, owner.name.as_str()));
        }
    });
    let workers = context.options.workers.concurrent_cron_job_syncs;
    context.work(
        ("cronjob-controller", workers),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = controller.clone();
            async move { controller.sync(&key).await }
        },
    );
}

/// Why a turn has to be taken again.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Call(#[from] Error),
    #[error("could not replace job {0}")]
    NotReplaced(Key),
}

struct Controller {
    client: Client,
    teller: Teller,
    cron_jobs: Store<CronJob>,
    jobs: Store<Job>,
    written: Written<Key>,
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next, Failed> {
        let Some(cron_job) = self.cron_jobs.get(key) else {
            self.written.forget(key);
            return Ok(Next::Done);
        };
        if !self.written.is_seen(key, &cron_job.metadata) {
            return Ok(Next::Done);
        }
        let jobs = claims::owned(&self.jobs, &cron_job.metadata);
        let status = cron_job.status.clone().unwrap_or_default();
        let missing = self.missing(key, &status, &jobs).await?;
        let plan = decide(&Seen {
            cron_job: &cron_job,
            jobs: &jobs,
            missing: &missing,
            now: Timestamp::now(),
        });
        let next = plan.next.map_or(Next::Done, |next| {
            Next::After(next.max(jiff::SignedDuration::ZERO).unsigned_abs())
        });
        let (status, outcome) = self.carry_out(key, &cron_job, plan).await;
        let old = cron_job.status.clone().unwrap_or_default();
        if let Some(patch) = patches::status(&cron_job.metadata, &old, &status) {
            let patch = Patch::Merge(patch);
            let patched = self.client.patch_status::<CronJob>(key, &patch).await?;
            self.written.note(key.clone(), &patched.metadata);
        }
        outcome.map(|()| next)
    }

    /// The uids of active Jobs that neither the cache nor the server has.
    async fn missing(
        &self,
        key: &Key,
        status: &CronJobStatus,
        jobs: &[Arc<Job>],
    ) -> Result<BTreeSet<String>, Error> {
        let mut missing = BTreeSet::new();
        for active in status.active.iter().flatten() {
            let (Some(uid), Some(name)) = (&active.uid, &active.name) else {
                continue;
            };
            if jobs
                .iter()
                .any(|job| job.metadata.uid.as_ref() == Some(uid))
            {
                continue;
            }
            let live = self
                .client
                .get::<Job>(&Key::new(key.namespace.as_str(), name.as_str()))
                .await;
            match live {
                Ok(job) if job.metadata.uid.as_ref() == Some(uid) => {}
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {
                    missing.insert(uid.clone());
                }
            }
        }
        Ok(missing)
    }

    /// Carries a plan out as far as that goes, and returns the status that is true then.
    async fn carry_out(
        &self,
        key: &Key,
        cron_job: &CronJob,
        plan: Plan,
    ) -> (CronJobStatus, Result<(), Failed>) {
        for id in &plan.expire {
            self.delete(key, cron_job, id).await;
        }
        plan.events
            .iter()
            .for_each(|event| self.teller.tell(cron_job, event));
        let old = cron_job.status.clone().unwrap_or_default();
        for id in &plan.replace {
            if !self.delete(key, cron_job, id).await {
                let job = Key::new(key.namespace.as_str(), id.name.as_str());
                return (old, Err(Failed::NotReplaced(job)));
            }
        }
        let Some(start) = plan.start else {
            return (plan.status, Ok(()));
        };
        match self.start(key, cron_job, &start).await {
            Ok(Some(job)) if !decide::is_active(&plan.status, job.metadata.uid.as_deref()) => {
                (decide::started(plan.status, &job, start.at), Ok(()))
            }
            Ok(_) => (plan.status, Ok(())),
            Err(error) => (plan.status, Err(error.into())),
        }
    }

    /// Makes a Job, or finds the one that was made before; none if the name is another's.
    async fn start(
        &self,
        key: &Key,
        cron_job: &CronJob,
        start: &Start,
    ) -> Result<Option<Job>, Error> {
        match self.client.create(&start.job).await {
            Ok(job) => {
                let name = job.metadata.name.as_deref().unwrap_or_default();
                let message = format!("Created job {name}");
                self.teller
                    .tell(cron_job, &Event::normal("SuccessfulCreate", message));
                Ok(Some(job))
            }
            Err(error) if error.is_already_exists() => {
                let name = start.job.metadata.name.as_deref().unwrap_or_default();
                let job: Job = self
                    .client
                    .get(&Key::new(key.namespace.as_str(), name))
                    .await?;
                let is_mine = owners::is_controlled_by(&job.metadata, &cron_job.metadata);
                Ok(is_mine.then_some(job))
            }
            Err(error) => {
                if !error.is_namespace_terminating() {
                    let message = format!("Error creating job: {error}");
                    self.teller
                        .tell(cron_job, &Event::warning("FailedCreate", message));
                }
                Err(error)
            }
        }
    }

    /// Deletes a Job with its pods, and says whether it is or will be gone.
    async fn delete(&self, key: &Key, cron_job: &CronJob, id: &JobId) -> bool {
        let options = DeleteOptions {
            propagation: Propagation::Background,
            ..DeleteOptions::of_uid(id.uid.clone())
        };
        let job = Key::new(key.namespace.as_str(), id.name.as_str());
        match self.client.delete::<Job>(&job, &options).await {
            Err(error) if !error.is_not_found() => {
                let message = format!("Deleted job: {error}");
                self.teller
                    .tell(cron_job, &Event::warning("FailedDelete", message));
                false
            }
            _ => {
                let message = format!("Deleted job {}", id.name);
                self.teller
                    .tell(cron_job, &Event::normal("SuccessfulDelete", message));
                true
            }
        }
    }
}
