//! Carries out what is decided on the slices of services.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use client::{Change, Client, DeleteOptions, Informer, Key, Next, Patch, Store, WorkQueue};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;

use super::{MANAGER, Plan, Seen};
use crate::context::Context;
use crate::events::Event;
use crate::patches;
use crate::pods;
use crate::services::awaited::Awaited;
use crate::services::feed::{self, Triggers};
use crate::services::{self, MANAGED_BY, SERVICE_NAME};
use crate::telling::Teller;

/// How long after somebody else changed a slice it is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a store is waited for that lacks what was written.
const CATCH_UP: Duration = Duration::from_millis(50);

/// Slices by `namespace/name` of their service.
pub(crate) const BY_SERVICE: &str = "service";

struct Controller {
    client: Client,
    services: Store<Service>,
    pods: Store<Pod>,
    nodes: Store<Node>,
    slices: Store<EndpointSlice>,
    awaited: Arc<Awaited>,
    triggers: Triggers,
    /// Services with pods that are left out because their nodes are not known yet.
    lacking: Mutex<BTreeSet<Key>>,
    teller: Teller,
}

/// The service that a slice is of.
pub(crate) fn service_of(metadata: &ObjectMeta) -> Option<Key> {
    let name = metadata
        .labels
        .as_ref()?
        .get(SERVICE_NAME)
        .filter(|name| !name.is_empty())?;
    Some(Key::new(
        metadata.namespace.clone().unwrap_or_default(),
        name.clone(),
    ))
}

pub(crate) fn is_managed_by(metadata: &ObjectMeta, manager: &str) -> bool {
    metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|name| name == manager)
}

/// The slices of a service that this manager keeps and nobody is deleting.
pub(crate) fn managed(
    slices: &Store<EndpointSlice>,
    service: &Key,
    manager: &str,
) -> Vec<Arc<EndpointSlice>> {
    let mut managed = slices.by_index(BY_SERVICE, &service.to_string());
    managed.retain(|slice| {
        is_managed_by(&slice.metadata, manager) && slice.metadata.deletion_timestamp.is_none()
    });
    managed
}

/// Queues the services of slices that somebody else had a hand in.
pub(crate) fn follow(
    slices: &Informer<EndpointSlice>,
    queue: &Arc<WorkQueue<Key>>,
    awaited: &Arc<Awaited>,
    manager: &'static str,
) {
    slices.index(BY_SERVICE, |slice| {
        service_of(&slice.metadata)
            .iter()
            .map(Key::to_string)
            .collect()
    });
    let (queue, awaited) = (Arc::clone(queue), Arc::clone(awaited));
    slices.on_change(move |change| {
        let is_deleted = matches!(change, Change::Deleted(_));
        let before = match change {
            Change::Modified { old, .. } => Some(old),
            _ => None,
        };
        let now = change.object();
        let service = service_of(&now.metadata);
        if let Some(service) = service
            .as_ref()
            .filter(|_| is_managed_by(&now.metadata, manager))
            && awaited.saw(service, &now.metadata, is_deleted)
        {
            queue.add_after(service.clone(), PAUSE);
        }
        let before = before.filter(|before| is_managed_by(&before.metadata, manager));
        if let Some(before) = before
            && (service_of(&before.metadata) != service || !is_managed_by(&now.metadata, manager))
            && let Some(service) = service_of(&before.metadata)
        {
            queue.add_after(service, PAUSE);
        }
    });
}

pub(crate) fn start(context: &Context) {
    let queue = context.queue("endpoint_slice");
    let awaited = Arc::new(Awaited::default());
    let (services, pods) = (
        context.informers.of::<Service>(),
        context.informers.of::<Pod>(),
    );
    let (nodes, slices) = (
        context.informers.of::<Node>(),
        context.informers.of::<EndpointSlice>(),
    );
    follow(&slices, &queue, &awaited, MANAGER);
    feed::feed(&context.informers, &queue);
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        services: services.store(),
        pods: pods.store(),
        nodes: nodes.store(),
        slices: slices.store(),
        awaited,
        triggers: Triggers::default(),
        lacking: Mutex::default(),
        teller: Teller::new(context, "endpoint-slice-controller"),
    });
    let (added, watched) = (Arc::clone(&queue), Arc::clone(&controller));
    nodes.on_change(move |change| {
        if matches!(change, Change::Added(_)) {
            let lacking = std::mem::take(&mut *watched.lacking.lock());
            lacking.into_iter().for_each(|service| added.add(service));
        }
    });
    let workers = context.options.workers.concurrent_service_endpoint_syncs;
    context.work(
        ("endpointslice", workers),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = Arc::clone(&controller);
            async move { controller.sync(&key).await }
        },
    );
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(service) = self.services.get(key) else {
            self.triggers.forget(key);
            self.awaited.forget(key);
            return Ok(Next::Done);
        };
        if service.spec.as_ref().and_then(services::selector).is_none() {
            return Ok(Next::Done);
        }
        let slices = managed(&self.slices, key, MANAGER);
        if self
            .awaited
            .is_missing(key, slices.iter().map(|slice| &slice.metadata))
        {
            return Ok(Next::After(CATCH_UP));
        }
        let pods = feed::selected(&self.pods, &service);
        let nodes = self.nodes_of(&pods);
        let trigger = self.triggers.observe(key, &service, &pods);
        let seen = Seen {
            service: &service,
            pods: &pods,
            nodes: &nodes,
            slices: &slices,
            trigger,
        };
        let plan = super::decide(&seen);
        if !plan.skipped.is_empty() {
            self.lacking.lock().insert(key.clone());
        }
        if let Err(error) = carry_out(&self.client, &self.awaited, key, plan).await {
            if error.is_namespace_terminating() {
                return Ok(Next::Done);
            }
            if !error.is_conflict() {
                let message = format!("Error updating Endpoint Slices for Service {key}: {error}");
                self.teller.tell(
                    &*service,
                    &Event::warning("FailedToUpdateEndpointSlices", message),
                );
            }
            return Err(error.into());
        }
        // A node that came before the service was noted as lacking it is not waited for.
        let has_come = self.nodes_of(&pods).len() != nodes.len();
        Ok(if has_come {
            Next::After(CATCH_UP)
        } else {
            Next::Done
        })
    }

    fn nodes_of(&self, pods: &[Arc<Pod>]) -> BTreeMap<String, Arc<Node>> {
        let mut nodes = BTreeMap::new();
        for name in pods.iter().map(|pod| pods::node_name(pod)) {
            if !nodes.contains_key(name)
                && let Some(node) = self.nodes.get(&Key::new("", name))
            {
                nodes.insert(name.to_owned(), node);
            }
        }
        nodes
    }
}

/// Writes a plan, creates first, so that no endpoint is missing in between.
pub(crate) async fn carry_out(
    client: &Client,
    awaited: &Awaited,
    service: &Key,
    plan: Plan,
) -> Result<(), client::Error> {
    for slice in &plan.create {
        let created = client.create(slice).await?;
        awaited.wrote(service, &created.metadata);
    }
    for (old, new) in &plan.update {
        let Some(patch) = patches::between(&**old, new) else {
            continue;
        };
        let patch = Patch::Merge(patches::when_unchanged(&old.metadata, patch));
        let updated: EndpointSlice = client.patch(&Key::of(&**old), &patch).await?;
        awaited.wrote(service, &updated.metadata);
    }
    for slice in &plan.delete {
        let options = DeleteOptions::of_uid(slice.metadata.uid.clone().unwrap_or_default());
        match client
            .delete::<EndpointSlice>(&Key::of(&**slice), &options)
            .await
        {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => awaited.deleted(service, &slice.metadata),
        }
    }
    Ok(())
}
