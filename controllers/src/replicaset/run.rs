//! Carries out what is decided for ReplicaSets and ReplicationControllers.

mod kinds;

use std::sync::Arc;
use std::time::Duration;

use client::{Client, Error, Key, Next, Patch, Store};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};

use super::{Change, Seen, change, look_again, next_turn, status};
use crate::claims::{self, Unclaimed};
use crate::context::Context;
use crate::pod_writes::{PodId, PodWrites};
use crate::telling::Teller;
use crate::turns::Turns;
use crate::written::Written;
use crate::{owners, patches, pods, selectors};
use kinds::Replicator;

/// Starts the controller of ReplicaSets.
pub(crate) fn start(context: &Context) {
    let workers = context.options.workers.concurrent_replicaset_syncs;
    start_for::<ReplicaSet>(context, ("replicaset-controller", "replicaset"), workers);
}

/// Starts the controller of ReplicationControllers.
pub(crate) fn start_replication(context: &Context) {
    let workers = context.options.workers.concurrent_rc_syncs;
    let names = ("replicationcontroller-controller", "replicationmanager");
    start_for::<ReplicationController>(context, names, workers);
}

fn start_for<K: Replicator>(
    context: &Context,
    (name, queue): (&'static str, &'static str),
    workers: usize,
) {
    claims::index(&context.informers.of::<K>());
    let turns = Turns::of(context, context.queue(queue), K::selector, Duration::ZERO);
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        teller: Teller::new(context, K::COMPONENT),
        pods: context.informers.of().store(),
        turns: turns.clone(),
        written: Written::default(),
    });
    turns.start(context, (name, workers), move |key| {
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
    pods: Store<Pod>,
    turns: Arc<Turns<K>>,
    written: Written<Key>,
}

impl<K: Replicator> Controller<K> {
    async fn sync(&self, key: &Key) -> Result<Next, Failed> {
        let Some(object) = self.turns.owners.get(key) else {
            self.turns.expectations.forget(key);
            self.written.forget(key);
            return Ok(Next::Done);
        };
        if !self.written.is_seen(key, object.metadata()) {
            return Ok(Next::Done);
        }
        let set = object.as_set();
        let now = Timestamp::now();
        // What was asked for before must have shown in the cache before the pods are counted in it.
        let given_up = self.turns.expectations.left(key, now);
        let selector = match object.selector() {
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
        let failure = match given_up {
            None => self.change(&object, &set, &active).await.err(),
            Some(_) => None,
        };
        let seen = Seen {
            active: &active,
            terminating: K::COUNTS_TERMINATING.then_some(terminating),
            is_tried: given_up.is_none(),
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
                Ok(look_again(next, given_up).map_or(Next::Done, Next::After))
            }
        }
    }

    async fn change(&self, object: &K, set: &ReplicaSet, active: &[&Pod]) -> Result<(), String> {
        let (key, now) = (Key::of(object), Timestamp::now());
        let expectations = &self.turns.expectations;
        let writes = PodWrites {
            client: &self.client,
            teller: &self.teller,
            expectations,
            owner: object,
        };
        let related = self.related(set);
        let related: Vec<&Pod> = related.iter().map(Arc::as_ref).collect();
        match change(set, active, &related, now) {
            Change::Nothing => Ok(()),
            Change::Create(number) => {
                expectations.await_creates(&key, number, now);
                match writes.create(&vec![pod_of::<K>(set); number]).await {
                    // Every create fails while the namespace goes; there is nothing to try again.
                    Err(refused) if !refused.error.is_namespace_terminating() => {
                        Err(refused.error.to_string())
                    }
                    _ => Ok(()),
                }
            }
            Change::Delete(going) => {
                let going: Vec<PodId> = going.into_iter().map(PodId::of).collect();
                let uids = going.iter().map(|pod| pod.uid.clone());
                expectations.await_deletes(&key, uids, now);
                let deleted = writes.delete(&going).await;
                deleted.map_err(|error| format!("unable to delete pods: {error}"))
            }
        }
    }

    /// The pods of all sets that have the same owner.
    fn related(&self, set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let Some(owner) = owners::controller_of(&set.metadata) else {
            return claims::owned(&self.pods, &set.metadata);
        };
        let siblings = claims::owned_by_uid(&self.turns.owners, &owner.uid);
        let of_each = siblings
            .iter()
            .map(|sibling| claims::owned(&self.pods, sibling.metadata()));
        of_each.flatten().collect()
    }
}

fn pod_of<K: Replicator>(set: &ReplicaSet) -> Pod {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone());
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let reference = owners::reference::<K>(&set.metadata);
    pods::from_template(&template.unwrap_or_default(), namespace, reference)
}
