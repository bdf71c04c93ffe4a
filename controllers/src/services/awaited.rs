//! What was written for a service and has not been seen yet, and whether others had a hand in what is seen.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use client::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use tokio::time::Instant;

/// After this a watch is taken to have lost what is awaited.
const AWAITED_MAX: Duration = Duration::from_mins(1);

/// The writes of all services, each by the name of what was written.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    services: Mutex<HashMap<Key, BTreeMap<String, Write>>>,
}

#[derive(Debug)]
struct Write {
    /// The version that was written; none if the object was deleted.
    version: Option<u64>,
    since: Instant,
}

fn version(metadata: &ObjectMeta) -> u64 {
    let text = metadata.resource_version.as_deref().unwrap_or_default();
    text.parse().unwrap_or_default()
}

impl Awaited {
    /// An object was written, and became this.
    pub(crate) fn wrote(&self, service: &Key, written: &ObjectMeta) {
        self.await_version(service, written, Some(version(written)));
    }

    /// An object was deleted.
    pub(crate) fn deleted(&self, service: &Key, deleted: &ObjectMeta) {
        self.await_version(service, deleted, None);
    }

    fn await_version(&self, service: &Key, metadata: &ObjectMeta, version: Option<u64>) {
        let write = Write {
            version,
            since: Instant::now(),
        };
        let name = metadata.name.clone().unwrap_or_default();
        self.services
            .lock()
            .entry(service.clone())
            .or_default()
            .insert(name, write);
    }

    /// An object was seen as it is, or was last. Whether somebody else had a hand in it.
    pub(crate) fn saw(&self, service: &Key, seen: &ObjectMeta, is_deleted: bool) -> bool {
        let mut services = self.services.lock();
        let name = seen.name.clone().unwrap_or_default();
        let Some(write) = services
            .get_mut(service)
            .and_then(|writes| writes.remove(&name))
        else {
            return true;
        };
        match write.version {
            Some(_) if is_deleted => true,
            None if is_deleted => false,
            Some(version) if self::version(seen) == version => false,
            Some(version) if self::version(seen) > version => true,
            _ => {
                services
                    .entry(service.clone())
                    .or_default()
                    .insert(name, write);
                false
            }
        }
    }

    /// Whether something that was written is not among these objects of the service yet.
    pub(crate) fn is_missing<'a>(
        &self,
        service: &Key,
        objects: impl IntoIterator<Item = &'a ObjectMeta>,
    ) -> bool {
        let mut services = self.services.lock();
        let Some(writes) = services.get_mut(service) else {
            return false;
        };
        writes.retain(|_, write| write.since.elapsed() < AWAITED_MAX);
        let known: BTreeMap<&str, u64> = objects
            .into_iter()
            .map(|seen| (seen.name.as_deref().unwrap_or_default(), version(seen)))
            .collect();
        writes.retain(
            |name, write| match (known.get(name.as_str()), write.version) {
                (Some(seen), Some(version)) => *seen < version,
                (None, Some(_)) | (Some(_), None) => true,
                (None, None) => false,
            },
        );
        !writes.is_empty()
    }

    /// The service is gone.
    pub(crate) fn forget(&self, service: &Key) {
        self.services.lock().remove(service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: u64) -> ObjectMeta {
        ObjectMeta {
            name: Some("a".into()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_missing_until_it_or_a_later_one_is_seen() {
        let (awaited, key) = (Awaited::default(), Key::new("ns", "svc"));
        assert!(!awaited.is_missing(&key, []));
        awaited.wrote(&key, &object(7));
        assert!(awaited.is_missing(&key, []), "a new object is not there");
        assert!(
            awaited.is_missing(&key, [&object(6)]),
            "an old version is there"
        );
        assert!(!awaited.is_missing(&key, [&object(8)]));
        assert!(
            !awaited.is_missing(&key, []),
            "what was there once is not awaited"
        );
        awaited.deleted(&key, &object(8));
        assert!(awaited.is_missing(&key, [&object(8)]));
        assert!(!awaited.is_missing(&key, []));
        awaited.wrote(&key, &object(9));
        tokio::time::advance(AWAITED_MAX).await;
        assert!(!awaited.is_missing(&key, []), "it is not awaited for ever");
    }

    #[test]
    fn only_what_others_did_is_news() {
        let (awaited, key) = (Awaited::default(), Key::new("ns", "svc"));
        assert!(awaited.saw(&key, &object(1), false));
        awaited.wrote(&key, &object(7));
        assert!(
            !awaited.saw(&key, &object(6), false),
            "the write is still to come"
        );
        assert!(!awaited.saw(&key, &object(7), false));
        assert!(awaited.saw(&key, &object(7), false));
        awaited.wrote(&key, &object(8));
        assert!(awaited.saw(&key, &object(9), false));
        awaited.deleted(&key, &object(9));
        assert!(!awaited.saw(&key, &object(9), true));
        awaited.wrote(&key, &object(10));
        assert!(awaited.saw(&key, &object(10), true));
    }
}
