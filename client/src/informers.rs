//! The informers of a program, of which all parts share one for each kind and query.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::client::Client;
use crate::informer::{Informer, Reflector};
use crate::kind::{Kind, Resource};
use crate::object::{DynamicObject, Object};
use crate::request::{Query, decoded};

/// Makes informers, one for each kind and query, however often it is asked for. Clones share them.
#[derive(Clone)]
pub struct Informers {
    client: Client,
    shared: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    entries: HashMap<Id, Entry>,
    /// What keeps informers up to date, of those that do not run yet.
    waiting: Vec<(String, BoxFuture<'static, ()>)>,
}

/// What an informer is of.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Id {
    form: Form,
    resource: Resource,
    query: Query,
}

/// In which form its objects are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Typed(TypeId),
    Whole,
    Metadata,
}

struct Entry {
    /// An `Informer<K>`.
    informer: Box<dyn Any + Send + Sync>,
    synced: watch::Receiver<bool>,
}

impl Informers {
    #[must_use]
    pub fn new(client: Client) -> Informers {
        Informers {
            client,
            shared: Arc::default(),
        }
    }

    /// All objects of a kind.
    #[must_use]
    pub fn of<K: Kind>(&self) -> Informer<K> {
        self.with(Query::default())
    }

    /// The objects of a kind that a query means; its limit and continuation are not looked at.
    #[must_use]
    pub fn with<K: Kind>(&self, query: Query) -> Informer<K> {
        let form = Form::Typed(TypeId::of::<K>());
        self.informer(form, (K::resource(), query), decoded)
    }

    /// All objects of a resource that is known by its names.
    #[must_use]
    pub fn dynamic(&self, resource: Resource) -> Informer<DynamicObject> {
        let of = (resource, Query::default());
        self.informer(Form::Whole, of, DynamicObject::decode)
    }

    /// The same with no more than their `apiVersion`, `kind` and `metadata`.
    #[must_use]
    pub fn metadata(&self, resource: Resource) -> Informer<DynamicObject> {
        let of = (resource, Query::default());
        self.informer(Form::Metadata, of, DynamicObject::decode_metadata)
    }

    fn informer<K: Object>(
        &self,
        form: Form,
        (resource, query): (Resource, Query),
        decode: fn(&[u8]) -> Result<K, crate::Error>,
    ) -> Informer<K> {
        let id = Id {
            form,
            resource: resource.clone(),
            query: query.clone(),
        };
        let mut known = self.shared.lock();
        if let Some(entry) = known.entries.get(&id)
            && let Some(informer) = entry.informer.downcast_ref::<Informer<K>>()
        {
            return informer.clone();
        }
        let informer = Informer::new(resource, query);
        let reflector = Reflector::new(self.client.clone(), informer.clone(), decode);
        let name = format!("informer {}", informer.resource());
        known.waiting.push((name, reflector.run().boxed()));
        let entry = Entry {
            synced: informer.subscribe(),
            informer: Box::new(informer.clone()),
        };
        known.entries.insert(id, entry);
        informer
    }

    /// What keeps the informers up to date that were made since this was last asked, each with a name for its task. They run until they
    /// are dropped.
    #[must_use = "informers do nothing before these run"]
    pub fn run(&self) -> Vec<(String, BoxFuture<'static, ()>)> {
        std::mem::take(&mut self.shared.lock().waiting)
    }

    /// Forgets an informer: it is made anew when it is asked for again. Its future is the caller's to drop.
    pub fn forget<K: Object>(&self, informer: &Informer<K>) {
        self.shared.lock().entries.retain(|_, entry| {
            let known = entry.informer.downcast_ref::<Informer<K>>();
            known.is_none_or(|known| !known.is_same(informer))
        });
    }

    /// Waits until all that were made up to now have what there was when they began.
    pub async fn synced(&self) {
        let entries: Vec<_> = {
            let known = self.shared.lock();
            known
                .entries
                .values()
                .map(|entry| entry.synced.clone())
                .collect()
        };
        for mut synced in entries {
            // One that is forgotten meanwhile is not waited for.
            let _ = synced.wait_for(|synced| *synced).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};

    use super::*;
    use crate::config::{Config, Trust};

    #[test]
    fn parts_of_a_program_share_informers_until_they_are_forgotten() {
        let config = Config::new(vec!["https://localhost:1".to_owned()], Trust::Anybody);
        let informers = Informers::new(Client::new(config).unwrap());
        let pods = informers.of::<Pod>();
        assert!(pods.is_same(&informers.clone().of()));
        let some = informers.with::<Pod>(Query::namespace("a"));
        assert!(!pods.is_same(&some));
        let whole = informers.dynamic(ConfigMap::resource());
        assert!(!whole.is_same(&informers.metadata(ConfigMap::resource())));
        assert_eq!(informers.run().len(), 4);
        assert!(informers.run().is_empty());
        informers.forget(&pods);
        assert!(!pods.is_same(&informers.of()));
        assert!(some.is_same(&informers.with(Query::namespace("a"))));
        let names: Vec<_> = informers.run().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["informer pods"]);
    }
}
