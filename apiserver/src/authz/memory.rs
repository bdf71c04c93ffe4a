//! Objects in memory, for tests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use objects::{Value, meta};
use parking_lot::Mutex;

use crate::objects_view::ObjectsView;

/// Group, plural name, namespace and name.
type Key = (String, String, String, String);

#[derive(Default)]
pub(crate) struct Memory {
    objects: Mutex<BTreeMap<Key, Arc<Value>>>,
    generation: AtomicU64,
}

impl Memory {
    pub(crate) fn put(&self, group: &str, plural: &str, object: Value) {
        let key = key(group, plural, meta::namespace(&object), meta::name(&object));
        self.objects.lock().insert(key, Arc::new(object));
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn remove(&self, group: &str, plural: &str, namespace: &str, name: &str) {
        self.objects
            .lock()
            .remove(&key(group, plural, namespace, name));
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// The objects of the policy that every cluster begins with.
    pub(crate) fn bootstrapped() -> Arc<Memory> {
        let memory = Memory::default();
        for expected in super::bootstrap::policy() {
            memory.put(super::rbac::GROUP, expected.plural, expected.object.clone());
        }
        Arc::new(memory)
    }
}

fn key(group: &str, plural: &str, namespace: &str, name: &str) -> Key {
    (
        group.to_owned(),
        plural.to_owned(),
        namespace.to_owned(),
        name.to_owned(),
    )
}

impl ObjectsView for Memory {
    fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects
            .lock()
            .get(&key(group, plural, namespace, name))
            .cloned()
    }

    fn list(&self, group: &str, plural: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        self.objects
            .lock()
            .iter()
            .filter(|(key, _)| {
                key.0 == group
                    && key.1 == plural
                    && namespace.is_none_or(|namespace| key.2 == namespace)
            })
            .map(|(_, object)| object.clone())
            .collect()
    }

    fn generation(&self, _: &str, _: &str) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}
