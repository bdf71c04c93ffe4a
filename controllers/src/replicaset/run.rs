//! Carries out what is decided for ReplicaSets and ReplicationControllers.

mod kinds;
mod watch;

use std::sync::Arc;

use client::{Client, DeleteOptions, Error, Key, Next, Patch, Store, WorkQueue, Write};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::{Change, Seen, change, look_again, next_turn, status};
use crate::claims::{self, Unclaimed};
use crate::context::Context;
use crate::events::Event;
use crate::expectations::Expectations;
use crate::telling::Teller;
use crate::written::Written;
use crate::{owners, patches, pods, selectors};
use kinds::Replicator;

/// Pods that are created or deleted by one request.
const BATCH_MAX: usize = 100;

/// Starts the controller of ReplicaSets.
pub(crate) fn start(context: &Context) {
    let workers = context.options.workers.concurrent_replicaset_syncs;
    start_for::<ReplicaSet>(context, "replicaset-controller", workers);
}

/// Starts the controller of ReplicationControllers.
pub(crate) fn start_replication(context: &Context) {
    let workers = context.options.workers.concurrent_rc_syncs;
    let name = "replicationcontroller-controller";
    start_for::<ReplicationController>(context, name, workers);
}

fn start_for<K: Replicator>(context: &Context, name: &'static str, workers: usize) {
    let (sets, pods) = (context.informers.of::<K>(), context.informers.of::<Pod>());
    claims::index(&sets);
    claims::index(&pods);
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        teller: Teller::new(context, K::COMPONENT),
        sets: sets.store(),
        pods: pods.store(),
        queue: Arc::new(WorkQueue::new()),
        expectations: Expectations::default(),
        written: Written::default(),
    });
    let of_sets = controller.clone();
    sets.on_change(move |change| of_sets.set_changed(change));
    let of_pods = controller.clone();
    pods.on_change(move |change| of_pods.pod_changed(change));
    let queue = controller.queue.clone();
    context.work((name, workers), queue, context.synced(), move |key: Key| {
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
    /// Pods could not be created or deleted, which the status tells.
    #[error("{0}")]
    Pods(String),
}

struct Controller<K> {
    client: Client,
    teller: Teller,
    sets: Store<K>,
    pods: Store<Pod>,
    queue: Arc<WorkQueue<Key>>,
    expectations: Expectations<Key>,
    written: Written<Key>,
}

impl<K: Replicator> Controller<K> {
    async fn sync(&self, key: &Key) -> Result<Next, Failed> {
        let Some(object) = self.sets.get(key) else {
            self.expectations.forget(key);
            self.written.forget(key);
            return Ok(Next::Done);
        };
        if !self.written.is_seen(key, object.metadata()) {
            return Ok(Next::Done);
        }
        let set = object.as_set();
        let now = Timestamp::now();
        // What was asked for before must have shown in the cache before the pods are counted in it.
        let may_change = self.expectations.are_met(key, now);
        let selector = set.spec.as_ref().map(|spec| &spec.selector);
        let selector = match selectors::read(selector) {
            Ok(selector) => selector,
            Err(fault) => {
                tracing::error!(%key, fault, "a selector cannot be read");
                return Ok(Next::Done);
            }
        };
        let metadata = &set.metadata;
        let mut all = claims::owned_and_orphans(&self.pods, metadata);
        let is_terminating = |pod: &&Arc<Pod>| {
            pods::is_terminating(pod)
                && owners::is_controlled_by(&pod.metadata, metadata)
                && selectors::selects(&selector, &pod.metadata)
        };
        let terminating = all.iter().filter(is_terminating).count();
        all.retain(|pod| pods::is_active(pod));
        let mine = claims::claim::<K, Pod>(&self.client, metadata, &selector, all).await?;
        let active: Vec<&Pod> = mine.iter().map(Arc::as_ref).collect();
        let failure = match may_change {
            true => self.change(key, &set, &active, now).await.err(),
            false => None,
        };
        let seen = Seen {
            active: &active,
            terminating: K::COUNTS_TERMINATING.then_some(terminating),
            failure: failure.as_deref(),
        };
        let new = status(&set, seen, now);
        let old = set.status.clone().unwrap_or_default();
        if let Some(patch) = patches::status(metadata, &old, &new) {
            let patch = Patch::Merge(patch);
            let object = self.client.patch_status::<K>(key, &patch).await?;
            self.written.note(key.clone(), object.metadata());
        }
        match failure {
            Some(failure) => Err(Failed::Pods(failure)),
            None => {
                let next = next_turn(&set, &new, &active, now);
                Ok(look_again(next, may_change).map_or(Next::Done, Next::After))
            }
        }
    }

    async fn change(
        &self,
        key: &Key,
        set: &ReplicaSet,
        active: &[&Pod],
        now: Timestamp,
    ) -> Result<(), String> {
        let related = self.related(set);
        let related: Vec<&Pod> = related.iter().map(Arc::as_ref).collect();
        match change(set, active, &related, now) {
            Change::Nothing => Ok(()),
            Change::Create(number) => {
                self.expectations.await_creates(key, number, now);
                self.create(key, set, number).await
            }
            Change::Delete(going) => {
                let uids = going.iter().filter_map(|pod| pod.metadata.uid.clone());
                self.expectations.await_deletes(key, uids, now);
                self.delete(key, set, &going).await
            }
        }
    }

    /// The pods of all sets that have the same owner.
    fn related(&self, set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let Some(owner) = owners::controller_of(&set.metadata) else {
            return claims::owned(&self.pods, &set.metadata);
        };
        let siblings = claims::owned_by_uid(&self.sets, &owner.uid);
        let of_each = siblings
            .iter()
            .map(|sibling| claims::owned(&self.pods, sibling.metadata()));
        of_each.flatten().collect()
    }

    /// Creates pods in batches that double, so that a refusal that concerns all of them is met a few times only.
    async fn create(&self, key: &Key, set: &ReplicaSet, number: usize) -> Result<(), String> {
        let pod = self.pod_of(set);
        let (mut left, mut size) = (number, 1);
        while left > 0 {
            size = left.min(size).min(BATCH_MAX);
            let writes = (0..size).map(|_| Write::create(&pod)).collect();
            let outcomes = match self.client.batch(writes).await {
                Ok(outcomes) => outcomes
                    .into_iter()
                    .map(|one| one.map_err(Error::from))
                    .collect(),
                Err(error) => vec![Err(error); size],
            };
            let mut refused = None;
            for outcome in outcomes {
                match outcome {
                    Ok(written) => {
                        let message = format!("Created pod: {}", written.name);
                        self.tell(set, &Event::normal("SuccessfulCreate", message));
                    }
                    Err(error) => {
                        self.expectations.created(key);
                        self.tell_refused(set, &error);
                        refused = refused.or(Some(error));
                    }
                }
            }
            left -= size;
            if let Some(error) = refused {
                (0..left).for_each(|_| self.expectations.created(key));
                // Every create fails while the namespace goes; there is nothing to tell or to try.
                return if error.is_namespace_terminating() {
                    Ok(())
                } else {
                    Err(error.to_string())
                };
            }
            size *= 2;
        }
        Ok(())
    }

    fn pod_of(&self, set: &ReplicaSet) -> Pod {
        let template = set.spec.as_ref().and_then(|spec| spec.template.clone());
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let reference: OwnerReference = owners::reference::<K>(&set.metadata);
        pods::from_template(&template.unwrap_or_default(), namespace, reference)
    }

    async fn delete(&self, key: &Key, set: &ReplicaSet, going: &[&Pod]) -> Result<(), String> {
        let mut failure = None;
        for batch in going.chunks(BATCH_MAX) {
            let write = |pod: &&Pod| {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                Write::delete::<Pod>(&Key::of_metadata(&pod.metadata), DeleteOptions::of_uid(uid))
            };
            let outcomes = match self.client.batch(batch.iter().map(write).collect()).await {
                Ok(outcomes) => outcomes
                    .into_iter()
                    .map(|one| one.map_err(Error::from))
                    .collect(),
                Err(error) => vec![Err(error); batch.len()],
            };
            for (pod, outcome) in batch.iter().zip(outcomes) {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let Err(error) = outcome else {
                    self.tell(
                        set,
                        &Event::normal("SuccessfulDelete", format!("Deleted pod: {name}")),
                    );
                    continue;
                };
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                self.expectations.deleted(key, uid);
                // A conflict says that another pod has the name by now.
                if !error.is_not_found() && !error.is_conflict() {
                    self.tell(
                        set,
                        &Event::warning("FailedDelete", format!("Error deleting: {error}")),
                    );
                    failure = failure.or(Some(format!("unable to delete pods: {error}")));
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn tell_refused(&self, set: &ReplicaSet, error: &Error) {
        if !error.is_namespace_terminating() {
            self.tell(
                set,
                &Event::warning("FailedCreate", format!("Error creating: {error}")),
            );
        }
    }

    fn tell(&self, set: &ReplicaSet, event: &Event) {
        self.teller.tell_as::<K>(&set.metadata, event);
    }
}
