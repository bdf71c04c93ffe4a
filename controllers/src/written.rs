//! What a controller wrote last, so that it waits for its cache instead of deciding on what it changed itself.

use std::collections::HashMap;
use std::hash::Hash;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;

/// The versions of objects after a controller's own writes, by their keys.
#[derive(Debug)]
pub(crate) struct Written<K> {
    versions: Mutex<HashMap<K, Version>>,
}

#[derive(Debug)]
struct Version {
    uid: Option<String>,
    number: u64,
}

impl<K> Default for Written<K> {
    fn default() -> Self {
        Written {
            versions: Mutex::new(HashMap::new()),
        }
    }
}

/// Versions of one server are numbers that grow; one that is none is taken as the first.
fn number(object: &ObjectMeta) -> u64 {
    let version = object.resource_version.as_deref();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

impl<K: Hash + Eq> Written<K> {
    /// The object is as a write of this controller left it.
    pub(crate) fn note(&self, key: K, object: &ObjectMeta) {
        let version = Version {
            uid: object.uid.clone(),
            number: number(object),
        };
        self.versions.lock().insert(key, version);
    }

    /// Whether the object, as the cache has it, shows the last write. If not, the change that will show it is on its way.
    pub(crate) fn is_seen(&self, key: &K, cached: &ObjectMeta) -> bool {
        let mut versions = self.versions.lock();
        let is_older = versions
            .get(key)
            .is_some_and(|written| written.uid == cached.uid && number(cached) < written.number);
        if !is_older {
            versions.remove(key);
        }
        !is_older
    }

    /// The object of this key is gone.
    pub(crate) fn forget(&self, key: &K) {
        self.versions.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(uid: &str, version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some(uid.into()),
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn a_cache_is_too_old_until_it_shows_the_last_write() {
        let written = Written::default();
        assert!(
            written.is_seen(&"a", &object("u", "5")),
            "nothing was written"
        );
        written.note("a", &object("u", "10"));
        assert!(
            !written.is_seen(&"a", &object("u", "9")),
            "versions are numbers"
        );
        assert!(written.is_seen(&"a", &object("u", "10")));
        assert!(written.is_seen(&"a", &object("u", "9")), "it was seen once");
        written.note("a", &object("u", "12"));
        assert!(
            written.is_seen(&"a", &object("another", "3")),
            "the name is another object's"
        );
        written.note("b", &object("u", "12"));
        written.forget(&"b");
        assert!(written.is_seen(&"b", &object("u", "1")));
    }
}
