//! Deletes what has lost its owners, and lets owners go that wait for what they own.

mod check;
mod facts;
mod graph;
mod orphan;
mod verdict;

use std::sync::Arc;

use client::{
    Change, Client, DynamicObject, Error, EventType, Key, Patch, Recorder, Resource, WorkQueue,
};
use k8s_openapi::api::core::v1::ObjectReference;
use objects::Value;
use parking_lot::Mutex;
use serde_json::json;

use crate::context::Context;
use crate::monitors::{Monitors, Watched};
use facts::{Facts, Identity, Uid};
use graph::{Effect, Graph};

/// Names itself in events.
const COMPONENT: &str = "garbage-collector-controller";

pub(crate) fn start(context: &Context) {
    if !context.options.enable_garbage_collector {
        return;
    }
    let collector = Arc::new(Collector {
        client: context.client.clone(),
        monitors: context.monitors.clone(),
        recorder: context.recorder.named(COMPONENT),
        graph: Mutex::default(),
        checks: context.queue("garbage_collector_attempt_to_delete"),
        orphans: context.queue("garbage_collector_attempt_to_orphan"),
    });
    let told = collector.clone();
    context
        .monitors
        .on_change(move |watched, change| told.take(watched, change));
    let workers = context.options.workers.concurrent_gc_syncs;
    let checking = collector.clone();
    context.spawn("garbage collector", async move {
        checking.monitors.synced().await;
        let checks = checking.checks.clone();
        client::work(checks, workers, move |uid: Uid| {
            let collector = checking.clone();
            async move { collector.check(&uid).await }
        })
        .await;
    });
    context.spawn("garbage collector orphans", async move {
        collector.monitors.synced().await;
        let orphans = collector.orphans.clone();
        client::work(orphans, workers, move |uid: Uid| {
            let collector = collector.clone();
            async move { collector.orphan(&uid).await }
        })
        .await;
    });
}

/// Who owns whom, and what has to be looked at.
struct Collector {
    client: Client,
    monitors: Arc<Monitors>,
    recorder: Recorder,
    graph: Mutex<Graph>,
    checks: Arc<WorkQueue<Uid>>,
    orphans: Arc<WorkQueue<Uid>>,
}

/// Why an object cannot be dealt with.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("unable to get REST mapping for {api_version}/{kind}.")]
    UnknownKind { api_version: String, kind: String },
    #[error("{0} is not known to be there yet")]
    NotSeen(Identity),
    #[error(transparent)]
    Call(#[from] Error),
}

/// What the server has under a name.
enum Found {
    /// The object that is meant.
    Object(Facts),
    /// Nothing, or another object.
    Nothing,
    /// The name cannot lead anywhere: an object without a namespace names an owner that would have to be in one.
    Nowhere,
}

impl Collector {
    /// Takes in what became of an object.
    fn take(&self, watched: &Watched, change: &Change<DynamicObject>) {
        let object = change.object().value();
        let facts = Facts::of(&watched.api_version, &watched.kind, object);
        let effects = if matches!(change, Change::Deleted(_)) {
            self.graph.lock().forget(&facts.identity)
        } else {
            self.graph.lock().observe(&facts)
        };
        self.follow(effects);
    }

    fn follow(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Check(uid) => self.checks.add(uid),
                Effect::CheckLater(uid) => self.checks.add_rate_limited(uid),
                Effect::Orphan(uid) => self.orphans.add(uid),
                Effect::Report(dependent, owner) => {
                    let named = Identity::of_owner(&owner, &dependent.namespace);
                    let namespace = &dependent.namespace;
                    let message =
                        format!("ownerRef {named} does not exist in namespace \"{namespace}\"");
                    self.recorder.event(
                        &reference(&dependent),
                        EventType::Warning,
                        "OwnerRefInvalidNamespace",
                        message,
                    );
                }
            }
        }
    }

    /// Where objects of this kind are.
    fn resource(&self, identity: &Identity) -> Result<Resource, Fault> {
        let found = self
            .monitors
            .resource(&identity.api_version, &identity.kind);
        found.ok_or_else(|| unknown(identity))
    }

    /// Asks the server for the object that is meant.
    async fn find(&self, identity: &Identity) -> Result<Found, Fault> {
        let resource = self.resource(identity)?;
        if resource.namespaced && identity.namespace.is_empty() {
            return Ok(Found::Nowhere);
        }
        let key = key(&resource, identity);
        let found = self.client.dynamic(resource).get(&key).await;
        let object = match found {
            Err(error) if error.is_object_not_found() => return Ok(Found::Nothing),
            // A server that has just started may not know the kind yet. Its objects are there all the same.
            Err(error) if error.is_not_found() => return Err(unknown(identity)),
            found => found?,
        };
        let facts = Facts::of(&identity.api_version, &identity.kind, &object);
        Ok(if facts.identity.uid == identity.uid {
            Found::Object(facts)
        } else {
            Found::Nothing
        })
    }

    /// Changes the metadata of an object if it is as it was seen.
    async fn change(&self, seen: &Facts, field: &str, value: Value) -> Result<(), Fault> {
        let resource = self.resource(&seen.identity)?;
        let key = key(&resource, &seen.identity);
        let patch = json!({"metadata": {
            "uid": &*seen.identity.uid, "resourceVersion": seen.resource_version, field: value,
        }});
        let written = self.client.dynamic(resource);
        match written.patch(&key, &Patch::Merge(patch)).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Takes a finalizer from an object, if it has it.
    async fn remove_finalizer(&self, seen: &Facts, name: &str) -> Result<(), Fault> {
        if !seen.has_finalizer(name) {
            return Ok(());
        }
        let mut left = seen.finalizers.clone();
        left.retain(|finalizer| finalizer != name);
        self.change(seen, "finalizers", json!(left)).await
    }
}

fn unknown(identity: &Identity) -> Fault {
    Fault::UnknownKind {
        api_version: identity.api_version.to_string(),
        kind: identity.kind.to_string(),
    }
}

fn key(resource: &Resource, identity: &Identity) -> Key {
    let namespace = if resource.namespaced {
        &*identity.namespace
    } else {
        ""
    };
    Key::new(namespace, &*identity.name)
}

fn reference(identity: &Identity) -> ObjectReference {
    ObjectReference {
        api_version: Some(identity.api_version.to_string()),
        kind: Some(identity.kind.to_string()),
        name: Some(identity.name.to_string()),
        namespace: Some(identity.namespace.to_string()),
        uid: Some(identity.uid.to_string()),
        ..ObjectReference::default()
    }
}
