//! The caches as those who judge read them.

use std::sync::Arc;

use objects::Value;

use crate::cache::{Cache, Feed, Scope};
use crate::objects_view::ObjectsView;
use crate::served::Resources;

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

impl ObjectsView for CachedObjects {
    fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        };
        let object = self.cache(group, plural)?.get(&key)?;
        Some(Arc::new(object.value()))
    }

    fn list(&self, group: &str, plural: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let Some(cache) = self.cache(group, plural) else {
            return Vec::new();
        };
        let scope = Scope {
            namespace: namespace.unwrap_or_default(),
            limit: 0,
        };
        cache
            .snapshot(scope)
            .objects
            .iter()
            .map(|object| Arc::new(object.value()))
            .collect()
    }

    fn generation(&self, group: &str, plural: &str) -> u64 {
        self.cache(group, plural)
            .map_or(0, |cache| cache.generation())
    }
}
