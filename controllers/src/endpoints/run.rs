//! Carries out what is decided on the Endpoints of services.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use client::{Change, Client, DeleteOptions, Key, Next, Patch, Store};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};

use super::{Action, LEADER, Seen};
use crate::context::Context;
use crate::events::Event;
use crate::patches;
use crate::services;
use crate::services::awaited::Awaited;
use crate::services::feed::{self, Triggers};
use crate::telling::Teller;

/// How long a store is waited for that lacks what was written.
const CATCH_UP: Duration = Duration::from_millis(50);

struct Controller {
    client: Client,
    services: Store<Service>,
    pods: Store<Pod>,
    endpoints: Store<Endpoints>,
    awaited: Arc<Awaited>,
    triggers: Triggers,
    teller: Teller,
}

pub(crate) fn start(context: &Context) {
    let queue = context.queue("endpoint");
    let (services, pods) = (
        context.informers.of::<Service>(),
        context.informers.of::<Pod>(),
    );
    let endpoints = context.informers.of::<Endpoints>();
    feed::feed(&context.informers, &queue);
    let awaited = Arc::new(Awaited::default());
    let (added, told) = (Arc::clone(&queue), Arc::clone(&awaited));
    endpoints.on_change(move |change| {
        if let Some(service) = note(&told, change) {
            added.add(service);
        }
    });
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        services: services.store(),
        pods: pods.store(),
        endpoints: endpoints.store(),
        awaited,
        triggers: Triggers::default(),
        teller: Teller::new(context, super::MANAGER),
    });
    let (synced, added) = (context.synced(), Arc::clone(&queue));
    context.spawn("endpoints leftovers", async move {
        synced.await;
        for left in endpoints
            .store()
            .all()
            .iter()
            .filter(|endpoints| !is_lock(endpoints))
        {
            added.add(Key::of(&**left));
        }
    });
    let workers = context.options.workers.concurrent_endpoint_syncs;
    context.work(
        ("endpoints", workers),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = Arc::clone(&controller);
            async move { controller.sync(&key).await }
        },
    );
}

/// Notes that Endpoints were seen. Those that go are no longer awaited, however soon after a write, and have to be looked at.
fn note(awaited: &Awaited, change: &Change<Endpoints>) -> Option<Key> {
    let endpoints = change.object();
    let service = Key::of(&**endpoints);
    let is_gone = matches!(change, Change::Deleted(_));
    awaited.saw(&service, &endpoints.metadata, is_gone);
    is_gone.then_some(service)
}

/// Whether it is a lock of old that has the form of Endpoints.
fn is_lock(endpoints: &Endpoints) -> bool {
    endpoints
        .metadata
        .annotations
        .as_ref()
        .is_some_and(|annotations| annotations.contains_key(LEADER))
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let current = self.endpoints.get(key);
        let Some(service) = self.services.get(key) else {
            self.triggers.forget(key);
            self.awaited.forget(key);
            if let Some(current) = current.filter(|current| !is_lock(current)) {
                self.delete(key, &current).await?;
            }
            return Ok(Next::Done);
        };
        if service.spec.as_ref().and_then(services::selector).is_none() {
            return Ok(Next::Done);
        }
        if self
            .awaited
            .is_missing(key, current.iter().map(|current| &current.metadata))
        {
            return Ok(Next::After(CATCH_UP));
        }
        let pods = feed::selected(&self.pods, &service);
        let trigger = self.triggers.observe(key, &service, &pods);
        let action = super::decide(&Seen {
            service: &service,
            pods: &pods,
            current: current.as_deref(),
            trigger,
        });
        let (outcome, failure) = match (action, &current) {
            (Action::Create(new), _) => {
                let failure = ("FailedToCreateEndpoint", "create endpoint for service");
                (self.client.create(&*new).await, failure)
            }
            (Action::Update(new), Some(current)) => {
                let Some(patch) = patches::between(&**current, &*new) else {
                    return Ok(Next::Done);
                };
                let patch = Patch::Merge(patches::when_unchanged(&current.metadata, patch));
                (
                    self.client.patch(key, &patch).await,
                    ("FailedToUpdateEndpoint", "update endpoint"),
                )
            }
            _ => return Ok(Next::Done),
        };
        match outcome {
            Ok(written) => {
                self.awaited.wrote(key, &written.metadata);
                Ok(Next::Done)
            }
            Err(error) if error.is_namespace_terminating() => Ok(Next::Done),
            Err(error) => {
                let (reason, what) = failure;
                if !error.is_conflict() {
                    let event = Event::warning(reason, format!("Failed to {what} {key}: {error}"));
                    self.teller.tell(&*service, &event);
                }
                Err(error.into())
            }
        }
    }

    async fn delete(&self, key: &Key, current: &Endpoints) -> Result<()> {
        let options = DeleteOptions::of_uid(current.metadata.uid.clone().unwrap_or_default());
        match self.client.delete::<Endpoints>(key, &options).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoints(version: &str) -> Arc<Endpoints> {
        let metadata = json!({"name": "svc", "namespace": "ns", "resourceVersion": version});
        Arc::new(serde_json::from_value(json!({"metadata": metadata})).unwrap())
    }

    #[test]
    fn endpoints_that_go_soon_after_a_write_are_not_awaited() {
        let (awaited, key) = (Awaited::default(), Key::new("ns", "svc"));
        let (old, written) = (endpoints("6"), endpoints("7"));
        awaited.wrote(&key, &written.metadata);
        assert_eq!(note(&awaited, &Change::Added(old)), None);
        assert!(awaited.is_missing(&key, []), "the write is still to come");
        let gone = note(&awaited, &Change::Deleted(endpoints("8")));
        assert_eq!(gone, Some(key.clone()));
        assert!(!awaited.is_missing(&key, []));
    }

    #[test]
    fn a_write_that_was_seen_is_not_awaited() {
        let (awaited, key) = (Awaited::default(), Key::new("ns", "svc"));
        let written = endpoints("7");
        awaited.wrote(&key, &written.metadata);
        let (old, new) = (endpoints("6"), written);
        assert_eq!(note(&awaited, &Change::Modified { old, new }), None);
        assert!(!awaited.is_missing(&key, []));
    }
}
