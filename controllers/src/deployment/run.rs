//! Carries out what is decided for Deployments.

mod watch;

use std::sync::Arc;

use client::{Client, DeleteOptions, Error, Key, Next, Patch, Store, WorkQueue};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::sets::REVISION_ANNOTATION;
use super::{Action, Existing, State, after_failure, decide, existing};
use crate::claims::{self, Unclaimed};
use crate::context::Context;
use crate::events::Event;
use crate::telling::Teller;
use crate::written::Written;
use crate::{patches, pods, selectors};

const NAME: &str = "deployment-controller";

/// Starts the controller of Deployments.
pub(crate) fn start(context: &Context) {
    let deployments = context.informers.of::<Deployment>();
    let (sets, pods) = (
        context.informers.of::<ReplicaSet>(),
        context.informers.of::<Pod>(),
    );
    claims::index(&sets);
    claims::index(&pods);
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        teller: Teller::new(context, NAME),
        deployments: deployments.store(),
        sets: sets.store(),
        pods: pods.store(),
        queue: context.queue("deployment"),
        written: Written::default(),
        written_sets: Written::default(),
    });
    let queue = controller.queue.clone();
    deployments.on_change(move |change| queue.add(Key::of(change.object().as_ref())));
    let of_sets = controller.clone();
    sets.on_change(move |change| of_sets.set_changed(change));
    let of_pods = controller.clone();
    pods.on_change(move |change| of_pods.pod_changed(change));
    let queue = controller.queue.clone();
    let workers = context.options.workers.concurrent_deployment_syncs;
    context.work((NAME, workers), queue, context.synced(), move |key: Key| {
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
    #[error("the name of the new replica set is taken")]
    Collision,
}

struct Controller {
    client: Client,
    teller: Teller,
    deployments: Store<Deployment>,
    sets: Store<ReplicaSet>,
    pods: Store<Pod>,
    queue: Arc<WorkQueue<Key>>,
    written: Written<Key>,
    written_sets: Written<Key>,
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next, Failed> {
        let Some(deployment) = self.deployments.get(key) else {
            self.written.forget(key);
            return Ok(Next::Done);
        };
        if !self.written.is_seen(key, &deployment.metadata) {
            return Ok(Next::Done);
        }
        let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
        let selector = match selectors::read(selector) {
            Ok(selector) => selector,
            Err(fault) => {
                tracing::error!(%key, fault, "a selector cannot be read");
                return Ok(Next::Done);
            }
        };
        let metadata = &deployment.metadata;
        let sets = if selector.is_everything() {
            Vec::new()
        } else {
            let candidates = claims::owned_and_orphans(&self.sets, metadata);
            let client = &self.client;
            claims::claim::<Deployment, ReplicaSet>(client, metadata, &selector, candidates).await?
        };
        let sets: Vec<&ReplicaSet> = sets.iter().map(Arc::as_ref).collect();
        let are_seen = |set: &&ReplicaSet| self.written_sets.is_seen(&Key::of(*set), &set.metadata);
        if !sets.iter().all(are_seen) {
            return Ok(Next::Done);
        }
        let with_pods = sets.iter().filter(|set| {
            let owned = claims::owned(&self.pods, &set.metadata);
            owned.iter().any(|pod| !pods::is_terminal(pod))
        });
        let with_pods: Vec<&str> = with_pods
            .filter_map(|set| set.metadata.uid.as_deref())
            .collect();
        let state = State {
            deployment: &deployment,
            sets: &sets,
            with_pods: &with_pods,
        };
        let plan = decide(&state, Timestamp::now());
        for event in &plan.events {
            self.tell(&deployment, event);
        }
        for action in &plan.actions {
            self.carry_out(&deployment, action).await?;
        }
        Ok(plan.next_turn.map_or(Next::Done, Next::After))
    }

    async fn carry_out(&self, deployment: &Deployment, action: &Action) -> Result<(), Failed> {
        match action {
            Action::Create { set, event } => self.create(deployment, set, event.as_ref()).await?,
            Action::Update { seen, set, event } => {
                let Some(patch) = patches::between(seen.as_ref(), set.as_ref()) else {
                    return Ok(());
                };
                let patch = Patch::Merge(patches::when_unchanged(&seen.metadata, patch));
                let key = Key::of(seen.as_ref());
                let set = self.client.patch::<ReplicaSet>(&key, &patch).await?;
                self.written_sets.note(key, &set.metadata);
                event.iter().for_each(|event| self.tell(deployment, event));
            }
            Action::Delete(set) => {
                let uid = set.metadata.uid.clone().unwrap_or_default();
                let options = DeleteOptions {
                    resource_version: set.metadata.resource_version.clone().unwrap_or_default(),
                    ..DeleteOptions::of_uid(uid)
                };
                match self
                    .client
                    .delete::<ReplicaSet>(&Key::of(set.as_ref()), &options)
                    .await
                {
                    Err(error) if !error.is_not_found() => return Err(error.into()),
                    _ => {}
                }
            }
            Action::Status { status, revision } => {
                self.write_status(deployment, status, revision.as_deref())
                    .await?;
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        deployment: &Deployment,
        set: &ReplicaSet,
        event: Option<&Event>,
    ) -> Result<(), Failed> {
        let error = match self.client.create(set).await {
            Ok(_) => {
                event
                    .into_iter()
                    .for_each(|event| self.tell(deployment, event));
                return Ok(());
            }
            Err(error) => error,
        };
        if error.is_already_exists() {
            let found = self.client.get::<ReplicaSet>(&Key::of(set)).await?;
            return match existing(deployment, &found) {
                Existing::Ours => Ok(()),
                Existing::Collision(Action::Status { status, .. }) => {
                    self.write_status(deployment, &status, None).await?;
                    Err(Failed::Collision)
                }
                Existing::Collision(_) => Err(Failed::Collision),
            };
        }
        if !error.is_namespace_terminating() {
            let name = set.metadata.name.as_deref().unwrap_or_default();
            let text = error.to_string();
            let (action, event) = after_failure(deployment, name, &text, Timestamp::now());
            self.tell(deployment, &event);
            if let Some(Action::Status { status, .. }) = action
                && let Err(second) = self.write_status(deployment, &status, None).await
            {
                tracing::warn!(error = %second, "a failure cannot be told in the status");
            }
        }
        Err(error.into())
    }

    async fn write_status(
        &self,
        deployment: &Deployment,
        status: &DeploymentStatus,
        revision: Option<&str>,
    ) -> Result<(), Error> {
        let old = deployment.status.clone().unwrap_or_default();
        let mut patch = match patches::between(&old, status) {
            Some(status) => json!({"status": status}),
            None => json!({}),
        };
        if let Some(revision) = revision {
            patch["metadata"]["annotations"][REVISION_ANNOTATION] = json!(revision);
        }
        let patch = Patch::Merge(patches::when_unchanged(&deployment.metadata, patch));
        let key = Key::of(deployment);
        let written = self.client.patch_status::<Deployment>(&key, &patch).await?;
        self.written.note(key, &written.metadata);
        Ok(())
    }

    fn tell(&self, deployment: &Deployment, event: &Event) {
        self.teller.tell(deployment, event);
    }
}
