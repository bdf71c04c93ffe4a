//! Which sets have a turn when sets and pods change.

use std::sync::Arc;

use client::Key;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Controller;
use super::kinds::Replicator;
use crate::{owners, selectors};

type SetChange<K> = client::Change<K>;
type PodChange = client::Change<Pod>;

impl<K: Replicator> Controller<K> {
    pub(super) fn set_changed(&self, change: &SetChange<K>) {
        let key = Key::of(change.object().as_ref());
        if let SetChange::Deleted(_) = change {
            self.expectations.forget(&key);
        }
        self.queue.add(key);
    }

    pub(super) fn pod_changed(&self, change: &PodChange) {
        match change {
            PodChange::Added(pod) if pod.metadata.deletion_timestamp.is_some() => self.going(pod),
            PodChange::Added(pod) => match self.owner(&pod.metadata) {
                Some(key) => {
                    self.expectations.created(&key);
                    self.queue.add(key);
                }
                None => self.orphaned(pod),
            },
            PodChange::Modified { old, new } if new.metadata.deletion_timestamp.is_some() => {
                // It counts for the set that had it, too.
                self.going(old);
                self.going(new);
            }
            PodChange::Modified { old, new } => self.pod_modified(old, new),
            PodChange::Deleted(pod) => self.going(pod),
        }
    }

    fn pod_modified(&self, old: &Arc<Pod>, new: &Arc<Pod>) {
        let reference = |pod: &Pod| owners::controller_of(&pod.metadata).cloned();
        let has_new_owner = reference(old) != reference(new);
        if has_new_owner && let Some(key) = self.owner(&old.metadata) {
            self.queue.add(key);
        }
        match self.owner(&new.metadata) {
            Some(key) => self.queue.add(key),
            None if has_new_owner || old.metadata.labels != new.metadata.labels => {
                self.orphaned(new);
            }
            None => {}
        }
    }

    /// The set that is the object's controller, if it is known.
    fn owner(&self, object: &ObjectMeta) -> Option<Key> {
        let reference = owners::controller_of(object)?;
        if reference.kind != K::KIND || reference.api_version != K::API_VERSION {
            return None;
        }
        let namespace = object.namespace.clone().unwrap_or_default();
        let key = Key::new(namespace, reference.name.clone());
        let set = self.sets.get(&key)?;
        (set.metadata().uid.as_ref() == Some(&reference.uid)).then_some(key)
    }

    fn going(&self, pod: &Pod) {
        if let Some(key) = self.owner(&pod.metadata) {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            self.expectations.deleted(&key, uid);
            self.queue.add(key);
        }
    }

    /// Somebody may want to adopt it.
    fn orphaned(&self, pod: &Pod) {
        if owners::controller_of(&pod.metadata).is_some() {
            return;
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        for object in self.sets.in_namespace(namespace) {
            let set = object.as_set();
            let selector = selectors::read(set.spec.as_ref().map(|spec| &spec.selector));
            if selector.is_ok_and(|selector| selectors::selects(&selector, &pod.metadata)) {
                self.queue.add(Key::of(object.as_ref()));
            }
        }
    }
}
