//! Follows the metadata of everything that can be deleted, whatever is served, for those who care for all kinds of objects.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use client::{Change, Client, Discovered, DynamicObject, Informer, Informers, Resource, Store};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::resources;

/// Time between two looks at what is served.
const PERIOD: Duration = Duration::from_secs(30);
/// How long after a change of what is served that is looked at; more changes may come.
const PAUSE: Duration = Duration::from_millis(500);
/// How long is waited for kinds that cannot be listed.
const SYNC_MAX: Duration = Duration::from_secs(30);
/// What a resource must be able to do.
const VERBS: [&str; 3] = ["delete", "list", "watch"];

/// A resource that is followed.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) resource: Resource,
    pub(crate) api_version: Arc<str>,
    pub(crate) kind: Arc<str>,
}

type Handler = Arc<dyn Fn(&Watched, &Change<DynamicObject>) + Send + Sync>;

/// All that is followed.
pub(crate) struct Monitors {
    client: Client,
    /// Its own, so that it knows which of them is which.
    informers: Informers,
    handlers: Mutex<Vec<Handler>>,
    running: Mutex<BTreeMap<Resource, Running>>,
    /// Every kind that is served, in all versions.
    kinds: RwLock<HashMap<(String, String), Resource>>,
    /// Wakes the look at what is served.
    look: Notify,
    has_looked: watch::Sender<bool>,
}

struct Running {
    informer: Informer<DynamicObject>,
    task: AbortHandle,
}

impl Monitors {
    pub(crate) fn new(client: Client) -> Arc<Monitors> {
        Arc::new(Monitors {
            informers: Informers::new(client.clone()),
            client,
            handlers: Mutex::default(),
            running: Mutex::default(),
            kinds: RwLock::default(),
            look: Notify::new(),
            has_looked: watch::Sender::new(false),
        })
    }

    /// Whether somebody wants to be told.
    pub(crate) fn are_wanted(&self) -> bool {
        !self.handlers.lock().is_empty()
    }

    /// Has a function called for every change, from the start of [`Monitors::run`] on. It must be quick.
    pub(crate) fn on_change(
        &self,
        handler: impl Fn(&Watched, &Change<DynamicObject>) + Send + Sync + 'static,
    ) {
        self.handlers.lock().push(Arc::new(handler));
    }

    /// Where a kind is served. If it is not, what is served is looked at again soon.
    pub(crate) fn resource(&self, api_version: &str, kind: &str) -> Option<Resource> {
        let name = (api_version.to_owned(), kind.to_owned());
        let found = self.kinds.read().get(&name).cloned();
        if found.is_none() {
            self.look.notify_one();
        }
        found
    }

    /// The metadata of all objects of a resource, if it is followed and all of them are known.
    pub(crate) fn store(&self, group: &str, plural: &str) -> Option<Store<DynamicObject>> {
        let running = self.running.lock();
        let mut found = running
            .iter()
            .filter(|(resource, _)| resource.group == group && resource.plural == plural);
        let (_, running) = found.next()?;
        running
            .informer
            .is_synced()
            .then(|| running.informer.store())
    }

    /// The resources that are followed.
    pub(crate) fn followed(&self) -> Vec<Resource> {
        self.running.lock().keys().cloned().collect()
    }

    /// Waits until all objects are known that were there at the beginning, as far as they can be listed.
    pub(crate) async fn synced(&self) {
        let all = async {
            let mut has_looked = self.has_looked.subscribe();
            // The sender is as long there as this is.
            let _ = has_looked.wait_for(|has_looked| *has_looked).await;
            let informers: Vec<_> = {
                let running = self.running.lock();
                let informers = running.values().map(|running| running.informer.clone());
                informers.collect()
            };
            for informer in informers {
                informer.synced().await;
            }
        };
        if tokio::time::timeout(SYNC_MAX, all).await.is_err() {
            tracing::warn!("not all resources can be listed; going on with the others");
        }
    }

    /// Follows what is served until it is dropped.
    pub(crate) async fn run(self: Arc<Monitors>) {
        let mut tasks = JoinSet::new();
        loop {
            match self.client.discover().await {
                Ok(all) => self.follow(&all, &mut tasks),
                Err(error) => tracing::warn!(%error, "cannot find out what is served"),
            }
            // Those that were ended are taken out.
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = self.look.notified() => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn follow(self: &Arc<Monitors>, all: &Discovered, tasks: &mut JoinSet<()>) {
        let kinds = all.resources.iter().map(|served| {
            let api_version = served.resource.api_version();
            ((api_version, served.kind.clone()), served.resource.clone())
        });
        *self.kinds.write() = kinds.collect();
        let wanted = resources::that_can(&all.resources, &VERBS);
        let wanted = wanted.into_iter().filter(|served| {
            let Resource { group, plural, .. } = &served.resource;
            !is_event(group, plural)
        });
        let wanted: BTreeMap<Resource, String> = wanted
            .map(|served| (served.resource, served.kind))
            .collect();
        // What a server does not tell now may be there all the same.
        let is_unknown = |resource: &Resource| {
            let mut unknown = all.unknown.iter();
            unknown.any(|(group, version)| (group, version) == (&resource.group, &resource.version))
        };
        let mut running = self.running.lock();
        running.retain(|resource, running| {
            let stays = wanted.contains_key(resource) || is_unknown(resource);
            if !stays {
                running.task.abort();
                self.informers.forget(&running.informer);
            }
            stays
        });
        for (resource, kind) in wanted {
            if running.contains_key(&resource) {
                continue;
            }
            if let Some(begun) = self.begin(resource.clone(), &kind, tasks) {
                running.insert(resource, begun);
            }
        }
        drop(running);
        self.has_looked.send_replace(true);
    }

    fn begin(
        self: &Arc<Monitors>,
        resource: Resource,
        kind: &str,
        tasks: &mut JoinSet<()>,
    ) -> Option<Running> {
        let informer = self.informers.metadata(resource.clone());
        let watched = Watched {
            api_version: resource.api_version().into(),
            kind: kind.into(),
            resource,
        };
        let handlers = self.handlers.lock().clone();
        let brings_kinds = brings_kinds(&watched.resource);
        let monitors = Arc::downgrade(self);
        informer.on_change(move |change| {
            for handler in &handlers {
                handler(&watched, change);
            }
            if brings_kinds && let Some(monitors) = monitors.upgrade() {
                monitors.look.notify_one();
            }
        });
        let (_, task) = self.informers.run().pop()?;
        Some(Running {
            informer,
            task: tasks.spawn(task),
        })
    }
}

/// Events come and go by themselves, and there are many.
fn is_event(group: &str, plural: &str) -> bool {
    plural == "events" && (group.is_empty() || group == "events.k8s.io")
}

/// Whether objects of a resource change what is served.
fn brings_kinds(resource: &Resource) -> bool {
    matches!(
        (&*resource.group, &*resource.plural),
        ("apiextensions.k8s.io", "customresourcedefinitions")
            | ("apiregistration.k8s.io", "apiservices")
    )
}
