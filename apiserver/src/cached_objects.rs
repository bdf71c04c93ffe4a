//! The caches as those who judge read them.

use std::sync::Arc;

use objects::Value;

use crate::cache::{Cache, Feed, NODE, Object, Scope};
use crate::objects_view::ObjectsView;
use crate::served::Resources;

/// Resources of at most so many objects keep the trees of those that were looked at: limits, quotas, classes, roles, and
/// namespaces where they are few. Of others each look parses anew, and costs no memory.
const KEPT_OBJECTS_MAX: usize = 256;

/// Objects of the feed's caches.
#[derive(Debug)]
pub struct CachedObjects {
    feed: Arc<Feed>,
    resources: Arc<Resources>,
}

impl CachedObjects {
    #[must_use]
    pub fn new(feed: Arc<Feed>, resources: Arc<Resources>) -> CachedObjects {
        CachedObjects { feed, resources }
    }

    fn cache(&self, group: &str, plural: &str) -> Option<Arc<Cache>> {
        let table = self.resources.table();
        self.feed
            .cache(&table.any_version(group, plural)?.resource.storage)
    }
}

/// The tree of an object of a resource that has so many.
fn tree(object: &Object, count: usize) -> Arc<Value> {
    if count <= KEPT_OBJECTS_MAX {
        object.kept_value()
    } else {
        Arc::new(object.value())
    }
}

impl ObjectsView for CachedObjects {
    fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        };
        let cache = self.cache(group, plural)?;
        let object = cache.get(&key)?;
        Some(tree(&object, cache.count()))
    }

    fn list(&self, group: &str, plural: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let Some(cache) = self.cache(group, plural) else {
            return Vec::new();
        };
        let scope = Scope {
            namespace: namespace.unwrap_or_default(),
            limit: 0,
        };
        let count = cache.count();
        let objects = cache.snapshot(scope).objects;
        objects.iter().map(|object| tree(object, count)).collect()
    }

    fn pods_on_node(&self, namespace: &str, node: &str) -> Vec<Arc<Value>> {
        let Some(cache) = self.cache("", "pods") else {
            return Vec::new();
        };
        let scope = Scope {
            namespace,
            limit: 0,
        };
        let count = cache.count();
        let objects = cache.snapshot(scope).objects;
        // A namespace has pods on many nodes. The node of each is looked up once, and only those of this one become trees.
        let on_node = objects.iter().filter(|object| object.field(NODE) == node);
        on_node.map(|object| tree(object, count)).collect()
    }

    fn generation(&self, group: &str, plural: &str) -> u64 {
        self.cache(group, plural)
            .map_or(0, |cache| cache.generation())
    }
}
