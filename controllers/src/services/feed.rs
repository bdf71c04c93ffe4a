//! Puts services into a queue when a change of them or of a pod may change their endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use client::{Change, Informers, Key, Store, WorkQueue};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use parking_lot::Mutex;

use super::trigger::Trigger;

/// Feeds the queue from now on.
pub(crate) fn feed(informers: &Informers, queue: &Arc<WorkQueue<Key>>) {
    let services = informers.of::<Service>();
    let added = Arc::clone(queue);
    services.on_change(move |change| added.add(Key::of(&**change.object())));
    let (added, services) = (Arc::clone(queue), services.store());
    informers.of::<Pod>().on_change(move |change| {
        let (old, new) = match change {
            Change::Added(new) => (None, Some(&**new)),
            Change::Modified { old, new } => (Some(&**old), Some(&**new)),
            Change::Deleted(old) => (Some(&**old), None),
        };
        let namespace = change
            .object()
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default();
        for service in services.in_namespace(namespace) {
            let selector = service.spec.as_ref().and_then(super::selector);
            if selector.is_some_and(|selector| super::is_touched(selector, old, new)) {
                added.add(Key::of(&*service));
            }
        }
    });
}

/// The pods that a service selects.
pub(crate) fn selected(pods: &Store<Pod>, service: &Service) -> Vec<Arc<Pod>> {
    let Some(selector) = service.spec.as_ref().and_then(super::selector) else {
        return Vec::new();
    };
    let mut selected = pods.in_namespace(service.metadata.namespace.as_deref().unwrap_or_default());
    selected.retain(|pod| super::selects(selector, pod.metadata.labels.as_ref()));
    selected
}

/// The times that were seen of every service.
#[derive(Debug, Default)]
pub(crate) struct Triggers {
    services: Mutex<HashMap<Key, Trigger>>,
}

impl Triggers {
    /// What happened that endpoints are now written for.
    pub(crate) fn observe(
        &self,
        key: &Key,
        service: &Service,
        pods: &[Arc<Pod>],
    ) -> Option<Timestamp> {
        let mut services = self.services.lock();
        services
            .entry(key.clone())
            .or_default()
            .observe(service, pods.iter().map(|pod| &**pod))
    }

    pub(crate) fn forget(&self, key: &Key) {
        self.services.lock().remove(key);
    }
}
