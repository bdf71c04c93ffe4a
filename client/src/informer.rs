//! Informers: a copy of all objects of a query that follows their changes, and whoever is told of these.

mod reflector;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

pub(crate) use self::reflector::Reflector;
pub use self::store::Store;
use crate::kind::{Key, Resource};
use crate::object::Object;
use crate::request::Query;

/// What became of an object.
#[derive(Debug)]
pub enum Change<K> {
    Added(Arc<K>),
    Modified {
        old: Arc<K>,
        new: Arc<K>,
    },
    /// As it was last known.
    Deleted(Arc<K>),
}

impl<K> Change<K> {
    /// The object as it is now, or was last.
    #[must_use]
    pub fn object(&self) -> &Arc<K> {
        match self {
            Change::Added(object)
            | Change::Modified { new: object, .. }
            | Change::Deleted(object) => object,
        }
    }
}

impl<K> Clone for Change<K> {
    fn clone(&self) -> Change<K> {
        match self {
            Change::Added(object) => Change::Added(object.clone()),
            Change::Modified { old, new } => Change::Modified {
                old: old.clone(),
                new: new.clone(),
            },
            Change::Deleted(object) => Change::Deleted(object.clone()),
        }
    }
}

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// What all users of one kind and query share. Objects are without their `managedFields`.
pub struct Informer<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    resource: Resource,
    query: Query,
    store: Store<K>,
    /// Held while a change is put into the store and told, so that all are told in order.
    handlers: Mutex<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Informer<K> {
        Informer {
            shared: self.shared.clone(),
        }
    }
}

impl<K: Object> Informer<K> {
    pub(crate) fn new(resource: Resource, query: Query) -> Informer<K> {
        Informer {
            shared: Arc::new(Shared {
                resource,
                query,
                store: Store::default(),
                handlers: Mutex::new(Vec::new()),
                synced: watch::Sender::new(false),
            }),
        }
    }

    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.shared.resource
    }

    pub(crate) fn query(&self) -> &Query {
        &self.shared.query
    }

    /// The objects as they are known now.
    #[must_use]
    pub fn store(&self) -> Store<K> {
        self.shared.store.clone()
    }

    /// Has a function called for every change, one after the other, after the store has it. What is there already is told as added.
    /// The function must be quick and must not wait: it puts a key into a queue, or the like.
    pub fn on_change(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        let mut handlers = self.shared.handlers.lock();
        for object in self.shared.store.all() {
            handler(&Change::Added(object));
        }
        handlers.push(Box::new(handler));
    }

    /// Keeps objects under the keys that a function finds for each. An index of the same name stays as it was.
    pub fn index(&self, name: &'static str, keys: fn(&K) -> Vec<String>) {
        self.shared.store.add_index(name, keys);
    }

    /// Whether the store has all that there was when it began.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// Waits for that.
    pub async fn synced(&self) {
        let mut synced = self.subscribe();
        // The sender is as long there as this informer.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    pub(crate) fn is_same(&self, other: &Informer<K>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<bool> {
        self.shared.synced.subscribe()
    }

    /// Takes objects as they are now, and tells what that changes.
    pub(crate) fn replace(&self, mut fresh: BTreeMap<Key, Arc<K>>) {
        let handlers = self.shared.handlers.lock();
        let gone = self.shared.store.all();
        let gone = gone.into_iter().filter(|old| {
            let new = fresh.get(&old.key());
            new.is_none_or(|new| new.uid() != old.uid())
        });
        for old in gone {
            self.shared.store.remove(&old.key());
            tell(&handlers, &Change::Deleted(old));
        }
        while let Some((_, object)) = fresh.pop_first() {
            self.put(&handlers, object);
        }
        drop(handlers);
        self.shared.synced.send_replace(true);
    }

    /// Takes an object that is new or has changed.
    pub(crate) fn set(&self, object: Arc<K>) {
        self.put(&self.shared.handlers.lock(), object);
    }

    /// Takes that an object is gone, as it was last.
    pub(crate) fn remove(&self, object: Arc<K>) {
        let handlers = self.shared.handlers.lock();
        if self.shared.store.remove(&object.key()).is_some() {
            tell(&handlers, &Change::Deleted(object));
        }
    }

    fn put(&self, handlers: &[Handler<K>], object: Arc<K>) {
        let known = self.shared.store.get(&object.key());
        if known.is_some_and(|known| known.resource_version() == object.resource_version()) {
            return;
        }
        let change = match self.shared.store.set(object.clone()) {
            None => Change::Added(object),
            Some(old) if old.uid() == object.uid() => Change::Modified { old, new: object },
            Some(old) => {
                tell(handlers, &Change::Deleted(old));
                Change::Added(object)
            }
        };
        tell(handlers, &change);
    }
}

fn tell<K>(handlers: &[Handler<K>], change: &Change<K>) {
    for handler in handlers {
        handler(change);
    }
}
