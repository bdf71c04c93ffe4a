//! Counts what the quotas of a namespace have used. Admission counts what is taken; this counts what has gone.

mod changes;
mod count;

use std::sync::Arc;

use anyhow::Result;
use client::{Change, Client, Informer, Key, Kind, Next, Patch, Store, WorkQueue};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use objects::{Value, quota};
use serde::Serialize;

use crate::context::Context;
use crate::monitors::Monitors;
use crate::patches;
use count::Counted;

/// Resources of the core group whose objects count by more than their number.
const MEASURED: [&str; 3] = ["pods", "services", "persistentvolumeclaims"];

pub(crate) fn start(context: &Context) {
    let quotas = context.informers.of::<ResourceQuota>();
    let pods = context.informers.of::<Pod>();
    let services = context.informers.of::<Service>();
    let claims = context.informers.of::<PersistentVolumeClaim>();
    let queue = context.queue("resourcequota_primary");
    let recount = Arc::new(Recount {
        quotas: quotas.store(),
        queue: queue.clone(),
    });
    let added = queue.clone();
    quotas.on_change(move |change| {
        let wanted = match change {
            Change::Added(_) => true,
            Change::Modified { old, new } => hard(old) != hard(new),
            Change::Deleted(_) => false,
        };
        if wanted {
            added.add(Key::of(&**change.object()));
        }
    });
    recount.follow(&pods, changes::of_pod);
    recount.follow(&services, changes::of_service);
    recount.follow(&claims, changes::of_claim);
    let of_others = recount.clone();
    context.monitors.on_change(move |watched, change| {
        let (group, plural) = (&*watched.resource.group, &*watched.resource.plural);
        let is_measured = group.is_empty() && MEASURED.contains(&plural);
        if !is_measured && let Change::Deleted(object) = change {
            of_others.of(group, plural, object.namespace());
        }
    });
    let counter = Arc::new(Counter {
        client: context.client.clone(),
        monitors: context.monitors.clone(),
        quotas: quotas.store(),
        pods: pods.store(),
        services: services.store(),
        claims: claims.store(),
    });
    let period = context.options.resource_quota_sync_period;
    let (all, added) = (quotas.store(), queue.clone());
    if !period.is_zero() {
        context.spawn("quota resync", async move {
            let mut turns = tokio::time::interval(period);
            loop {
                turns.tick().await;
                for quota in all.all() {
                    added.add(Key::of(&*quota));
                }
            }
        });
    }
    let workers = context.options.workers.concurrent_resource_quota_syncs;
    let (synced, monitors) = (context.synced(), context.monitors.clone());
    let ready = async move {
        synced.await;
        // Once: a resource that cannot be listed would hold up every turn.
        monitors.synced().await;
    };
    context.work(("quota", workers), queue, ready, move |key: Key| {
        let counter = counter.clone();
        async move { counter.sync(&key).await }
    });
}

fn hard(quota: &ResourceQuota) -> Option<&impl PartialEq> {
    quota.spec.as_ref().and_then(|spec| spec.hard.as_ref())
}

/// Has quotas counted anew.
struct Recount {
    quotas: Store<ResourceQuota>,
    queue: Arc<WorkQueue<Key>>,
}

impl Recount {
    /// Counts anew when an object goes, or changes in what it takes.
    fn follow<K: Kind>(
        self: &Arc<Recount>,
        informer: &Informer<K>,
        counts_otherwise: fn(&K, &K) -> bool,
    ) {
        let recount = self.clone();
        let resource = K::resource();
        informer.on_change(move |change| {
            let wanted = match change {
                Change::Added(_) => false,
                Change::Modified { old, new } => counts_otherwise(old, new),
                Change::Deleted(_) => true,
            };
            if wanted {
                let namespace = Key::of(&**change.object()).namespace;
                recount.of(&resource.group, &resource.plural, &namespace);
            }
        });
    }

    /// Counts those quotas of a namespace anew that count a resource.
    fn of(&self, group: &str, plural: &str, namespace: &str) {
        if namespace.is_empty() {
            return;
        }
        for quota in self.quotas.in_namespace(namespace) {
            let status = quota.status.as_ref();
            let names = status.and_then(|status| status.hard.as_ref());
            let mut names = names.into_iter().flatten();
            if names.any(|(name, _)| quota::counts(group, plural, name)) {
                self.queue.add(Key::of(&*quota));
            }
        }
    }
}

struct Counter {
    client: Client,
    monitors: Arc<Monitors>,
    quotas: Store<ResourceQuota>,
    pods: Store<Pod>,
    services: Store<Service>,
    claims: Store<PersistentVolumeClaim>,
}

impl Counter {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(found) = self.quotas.get(key) else {
            return Ok(Next::Done);
        };
        let quota = serde_json::to_value(&*found)?;
        let counted = self.objects(&quota, &key.namespace);
        let now = Timestamp::now().as_second();
        if let Some(status) = count::status(&quota, &counted, now)
            && let Some(patch) = patches::status(&found.metadata, &quota["status"], &status)
        {
            let patch = Patch::Merge(patch);
            self.client
                .patch_status::<ResourceQuota>(key, &patch)
                .await?;
        }
        Ok(Next::Done)
    }

    /// The objects of the namespace that the quota counts.
    fn objects(&self, quota: &Value, namespace: &str) -> Vec<Counted> {
        let mut all = Vec::new();
        for resource in self.monitors.followed() {
            let (group, plural) = (resource.group, resource.plural);
            let ignored = !resource.namespaced || quota::is_ignored(&group, &plural);
            if ignored || !count::is_counted(quota, &group, &plural) {
                continue;
            }
            let objects = match (&*group, &*plural) {
                ("", "pods") => values(&self.pods, namespace),
                ("", "services") => values(&self.services, namespace),
                ("", "persistentvolumeclaims") => values(&self.claims, namespace),
                _ => {
                    // What cannot be listed stays as it was counted.
                    let Some(store) = self.monitors.store(&group, &plural) else {
                        continue;
                    };
                    let objects = store.in_namespace(namespace);
                    let objects = objects.iter().map(|object| object.value().clone());
                    objects.collect()
                }
            };
            all.push(Counted {
                group,
                plural,
                objects,
            });
        }
        all
    }
}

fn values<K: Kind + Serialize>(store: &Store<K>, namespace: &str) -> Vec<Value> {
    let objects = store.in_namespace(namespace);
    let objects = objects
        .iter()
        .filter_map(|object| serde_json::to_value(&**object).ok());
    objects.collect()
}
