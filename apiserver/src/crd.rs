//! Makes the kinds of CustomResourceDefinitions served, and ends those whose definitions go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use objects::crd::{self, Names};
use objects::status::{Reason, Status};
use objects::{Value, meta};
use tokio::time::Instant;

use crate::cache::{Cache, Scope};
use crate::clock;
use crate::conversion::Conversion;
use crate::registry::{DeleteOptions, ListOptions, Registry, Request, WriteOptions};
use crate::served::{Custom, Declared, Origin, Served};
use crate::webhook::Caller;

/// Pause before definitions are looked at again that could not be seen to, or that wait for objects with finalizers.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How long objects are left alone after their definition was seen to go: until then other servers may not have seen it, and still
/// make some.
const NOTICE: Duration = Duration::from_secs(2);

/// Who writes the status of definitions.
const AGENT: &str = "kube-apiserver";

/// What is served for one definition, and the state of it that this was made from.
struct Known {
    state: Value,
    is_terminating: bool,
    served: Vec<Arc<Served>>,
}

/// Follows the definitions until it is dropped.
pub(crate) async fn run(registry: Arc<Registry>) {
    let table = registry.resources.table();
    let Some(definitions) = table.any_version(crd::GROUP, crd::PLURAL).cloned() else {
        return;
    };
    let cache = loop {
        match registry.feed.add(&definitions.resource.storage).await {
            Ok(cache) => break cache,
            Err(status) => {
                tracing::debug!(error = %status, "cannot read CustomResourceDefinitions; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    };
    // What other servers answer is read by then as well.
    registry.feed.position().reach(1).await;
    let mut changes = cache.changes();
    let mut controller = Controller {
        registry,
        definitions,
        known: HashMap::new(),
        going: HashMap::new(),
    };
    loop {
        changes.borrow_and_update();
        let done = if cache.is_loaded() {
            controller.round(&cache).await
        } else {
            false
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY_PAUSE), if !done => {}
        }
    }
}

struct Controller {
    registry: Arc<Registry>,
    definitions: Arc<Served>,
    known: HashMap<String, Known>,
    /// When definitions that are being deleted were first seen, by their uids.
    going: HashMap<String, Instant>,
}

impl Controller {
    /// Sees to all definitions. False if something is left to be tried again.
    async fn round(&mut self, cache: &Cache) -> bool {
        let scope = Scope {
            namespace: "",
            limit: 0,
        };
        let all: Vec<Value> = cache
            .snapshot(scope)
            .objects
            .iter()
            .map(|object| object.value())
            .collect();
        let mut done = self.serve(&all).await;
        if done {
            self.registry.resources.set_whole();
        }
        self.going
            .retain(|uid, _| all.iter().any(|definition| meta::uid(definition) == uid));
        for definition in &all {
            let seen = if meta::is_deleting(definition) {
                self.finish(definition).await
            } else {
                self.accept(definition, &all).await
            };
            match seen {
                Ok(seen) => done &= seen,
                Err(status) => {
                    tracing::debug!(error = %status, "cannot see to a CustomResourceDefinition; trying again");
                    done = false;
                }
            }
        }
        done
    }

    /// Puts what the definitions bring into the table of resources.
    async fn serve(&mut self, all: &[Value]) -> bool {
        let mut changed = false;
        let mut done = true;
        let mut redefined = Vec::new();
        for definition in all
            .iter()
            .filter(|definition| crd::is_established(definition))
        {
            let state = state(definition);
            let name = meta::name(definition);
            let is_terminating = crd::is_terminating(definition);
            let known = self.known.get(name).filter(|known| known.state == state);
            if known.is_some_and(|known| known.is_terminating == is_terminating) {
                continue;
            }
            let is_same = known.is_some();
            let served = served(definition, &self.registry.webhooks);
            let Some(folder) = served.first().map(|first| first.resource.storage.clone()) else {
                continue;
            };
            if self.registry.feed.add(&folder).await.is_err() {
                done = false;
                continue;
            }
            let known = Known {
                state,
                is_terminating,
                served,
            };
            // Watches go on while a definition goes: they tell how its objects end.
            if self.known.insert(name.to_owned(), known).is_some() && !is_same {
                redefined.push(folder);
            }
            changed = true;
        }
        let is_there = |name: &String| {
            all.iter()
                .any(|definition| meta::name(definition) == name && crd::is_established(definition))
        };
        let gone: Vec<String> = self
            .known
            .keys()
            .filter(|name| !is_there(name))
            .cloned()
            .collect();
        for name in gone {
            changed = true;
            if let Some(known) = self.known.remove(&name)
                && let Some(first) = known.served.first()
            {
                self.registry.feed.remove(&first.resource.storage);
            }
        }
        if changed {
            let mut names: Vec<&String> = self.known.keys().collect();
            names.sort();
            let custom = names
                .iter()
                .flat_map(|name| self.known[*name].served.clone());
            self.registry.resources.set_custom(custom.collect());
        }
        // Behind the table, so that watches that are opened anew are of the new definition.
        for folder in redefined {
            if let Some(cache) = self.registry.feed.cache(&folder) {
                cache.restart();
            }
        }
        done
    }

    /// Writes into a definition which names it gets.
    async fn accept(&self, definition: &Value, all: &[Value]) -> Result<bool, Status> {
        let mut accepted = definition.clone();
        if !crd::accept(
            &mut accepted,
            &Names::of_others(definition, all),
            &clock::now(),
        ) {
            return Ok(true);
        }
        self.write(accepted).await
    }

    /// Ends the objects of a definition that is being deleted, and then the definition.
    async fn finish(&mut self, definition: &Value) -> Result<bool, Status> {
        let waits = meta::list(definition, &["metadata", "finalizers"])
            .iter()
            .any(|name| name == crd::FINALIZER);
        if !waits {
            return Ok(true);
        }
        let uid = meta::uid(definition).to_owned();
        let seen = self.going.entry(uid).or_insert_with(Instant::now);
        if seen.elapsed() < NOTICE {
            return Ok(false);
        }
        let group = meta::text(definition, &["spec", "group"]);
        let plural = meta::text(definition, &["spec", "names", "plural"]);
        let table = self.registry.resources.table();
        // The version that is stored needs nobody to convert it.
        let stored = table.get(group, crd::storage_version(definition), plural);
        if let Some(served) = stored.or_else(|| table.any_version(group, plural)) {
            let request = Request::own(served, "", "", AGENT);
            let options = DeleteOptions::default();
            let list = ListOptions::default();
            self.registry
                .delete_collection(&request, &options, &list)
                .await?;
            if !self.registry.list(&request, &list).await?.items.is_empty() {
                return Ok(false);
            }
        }
        let mut finished = definition.clone();
        crd::finished_deletion(&mut finished, &clock::now());
        self.write(finished).await
    }

    /// Writes the status of a definition, unless another server was faster.
    async fn write(&self, definition: Value) -> Result<bool, Status> {
        let mut request = Request::own(&self.definitions, "", meta::name(&definition), AGENT);
        "status".clone_into(&mut request.subresource);
        match self
            .registry
            .update(&request, definition, &WriteOptions::default())
            .await
        {
            Ok(_) => Ok(true),
            Err(status) if matches!(status.reason, Reason::Conflict | Reason::NotFound) => Ok(true),
            Err(status) => Err(status),
        }
    }
}

/// What of a definition says how its kind is served.
fn state(definition: &Value) -> Value {
    serde_json::json!([
        meta::uid(definition),
        definition["spec"],
        definition["status"]["acceptedNames"]
    ])
}

/// What a definition brings: a resource for every version that is served.
fn served(definition: &Value, webhooks: &Arc<Caller>) -> Vec<Arc<Served>> {
    let storage_version = crd::storage_version(definition);
    let conversion = Conversion::of(definition, webhooks).map(Arc::new);
    let declarations = meta::list(definition, &["spec", "versions"]);
    let versions: Arc<[Declared]> = declarations.iter().map(Declared::new).collect();
    versions
        .iter()
        .filter(|declared| declared.is_served())
        .map(|declared| {
            let version = declared.version().clone();
            let resource = crd::resource(definition, &version);
            let custom = Custom {
                version,
                versions: versions.clone(),
                storage_version: storage_version.to_owned(),
                is_only_version: versions.len() == 1,
                conversion: conversion.clone(),
                is_terminating: crd::is_terminating(definition),
            };
            Arc::new(Served::new(resource, Origin::Custom(Box::new(custom))))
        })
        .collect()
}
