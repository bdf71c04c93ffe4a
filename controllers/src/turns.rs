//! Which owners have a turn when their pods change, and what their earlier turns awaited of those.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use client::{Change, Key, Kind, Next, Store, WorkQueue};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::selector::label::Selector;

use crate::context::Context;
use crate::expectations::Expectations;
use crate::{claims, owners, selectors};

/// The turns of the owners of one kind.
pub(crate) struct Turns<K> {
    pub(crate) owners: Store<K>,
    pub(crate) queue: Arc<WorkQueue<Key>>,
    pub(crate) expectations: Expectations<Key>,
    selector: fn(&K) -> Result<Selector, String>,
    /// How long changes of pods are gathered before their owner's turn.
    delay: Duration,
}

impl<K: Kind> Turns<K> {
    /// The turns of all owners of a kind, in this queue. Their pods are found by them.
    pub(crate) fn of(
        context: &Context,
        queue: Arc<WorkQueue<Key>>,
        selector: fn(&K) -> Result<Selector, String>,
        delay: Duration,
    ) -> Arc<Turns<K>> {
        claims::index(&context.informers.of::<Pod>());
        Arc::new(Turns {
            owners: context.informers.of::<K>().store(),
            queue,
            expectations: Expectations::default(),
            selector,
            delay,
        })
    }

    /// Has them when something changes, after what the controller itself does about that, and begins with them.
    pub(crate) fn start<F, S, E>(self: &Arc<Self>, context: &Context, work: (&str, usize), sync: F)
    where
        F: Fn(Key) -> S + Send + Sync + 'static,
        S: Future<Output = Result<Next, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let turns = self.clone();
        let owners = context.informers.of::<K>();
        owners.on_change(move |change| turns.owner_changed(change));
        let turns = self.clone();
        let pods = context.informers.of::<Pod>();
        pods.on_change(move |change| turns.pod_changed(change));
        context.work(work, self.queue.clone(), context.synced(), sync);
    }

    /// An owner was made or changed, or is gone.
    fn owner_changed(&self, change: &Change<K>) {
        let key = Key::of(change.object().as_ref());
        if let Change::Deleted(_) = change {
            self.expectations.forget(&key);
        }
        self.queue.add(key);
    }

    fn pod_changed(&self, change: &Change<Pod>) {
        match change {
            Change::Added(pod) if pod.metadata.deletion_timestamp.is_some() => self.going(pod),
            Change::Added(pod) => match self.owner(&pod.metadata) {
                Some(key) => {
                    self.expectations.created(&key);
                    self.soon(key);
                }
                None => self.orphaned(pod),
            },
            Change::Modified { old, new } => {
                if new.metadata.deletion_timestamp.is_some() {
                    self.going(new);
                }
                self.modified(old, new);
            }
            Change::Deleted(pod) => self.going(pod),
        }
    }

    fn going(&self, pod: &Pod) {
        if let Some(key) = self.owner(&pod.metadata) {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            self.expectations.deleted(&key, uid);
            self.soon(key);
        }
    }

    fn modified(&self, old: &Pod, new: &Pod) {
        let reference = |pod: &Pod| owners::controller_of(&pod.metadata).cloned();
        let has_new_owner = reference(old) != reference(new);
        if has_new_owner && let Some(key) = self.owner(&old.metadata) {
            self.soon(key);
        }
        match self.owner(&new.metadata) {
            Some(key) => self.soon(key),
            None if has_new_owner || old.metadata.labels != new.metadata.labels => {
                self.orphaned(new);
            }
            None => {}
        }
    }

    /// Every owner that selects a pod without an owner may adopt it.
    fn orphaned(&self, pod: &Pod) {
        if owners::controller_of(&pod.metadata).is_some() {
            return;
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        for owner in self.owners.in_namespace(namespace) {
            if (self.selector)(&owner)
                .is_ok_and(|selector| selectors::selects(&selector, &pod.metadata))
            {
                self.soon(Key::of(owner.as_ref()));
            }
        }
    }

    /// The key of the object's controller, if it is one of these owners.
    pub(crate) fn owner(&self, object: &ObjectMeta) -> Option<Key> {
        let reference = owners::controller_of(object)?;
        let is_kind = reference.kind == K::KIND && reference.api_version == K::API_VERSION;
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let key = Key::new(namespace, reference.name.as_str());
        let owner = self.owners.get(&key).filter(|_| is_kind)?;
        (owner.metadata().uid.as_ref() == Some(&reference.uid)).then_some(key)
    }

    fn soon(&self, key: Key) {
        self.queue.add_after(key, self.delay);
    }
}
