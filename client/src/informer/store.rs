//! Objects by namespace and name, and by the indices that users want.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::kind::Key;
use crate::object::Object;

/// The objects of an informer. Clones share them; readers take what is there now, in the order of namespaces and names.
pub struct Store<K> {
    shared: Arc<RwLock<Tables<K>>>,
}

struct Tables<K> {
    namespaces: BTreeMap<String, BTreeMap<String, Arc<K>>>,
    indices: Vec<Index<K>>,
    count: usize,
}

struct Index<K> {
    name: &'static str,
    keys: fn(&K) -> Vec<String>,
    objects: HashMap<String, BTreeMap<Key, Arc<K>>>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Store<K> {
        Store {
            shared: self.shared.clone(),
        }
    }
}

impl<K> Default for Store<K> {
    fn default() -> Store<K> {
        Store {
            shared: Arc::new(RwLock::new(Tables {
                namespaces: BTreeMap::new(),
                indices: Vec::new(),
                count: 0,
            })),
        }
    }
}

impl<K: Object> Store<K> {
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        let tables = self.shared.read();
        tables
            .namespaces
            .get(&key.namespace)?
            .get(&key.name)
            .cloned()
    }

    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        let tables = self.shared.read();
        let mut all = Vec::with_capacity(tables.count);
        all.extend(
            tables
                .namespaces
                .values()
                .flat_map(BTreeMap::values)
                .cloned(),
        );
        all
    }

    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let tables = self.shared.read();
        let objects = tables.namespaces.get(namespace);
        objects.map_or_else(Vec::new, |objects| objects.values().cloned().collect())
    }

    /// The objects under a key of an index; none if there is no such index.
    #[must_use]
    pub fn by_index(&self, index: &'static str, key: &str) -> Vec<Arc<K>> {
        let tables = self.shared.read();
        let index = tables.indices.iter().find(|known| known.name == index);
        let objects = index.and_then(|index| index.objects.get(key));
        objects.map_or_else(Vec::new, |objects| objects.values().cloned().collect())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.read().count
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn add_index(&self, name: &'static str, keys: fn(&K) -> Vec<String>) {
        let mut tables = self.shared.write();
        if tables.indices.iter().any(|index| index.name == name) {
            return;
        }
        let mut index = Index {
            name,
            keys,
            objects: HashMap::new(),
        };
        for object in tables.namespaces.values().flat_map(BTreeMap::values) {
            index.add(object);
        }
        tables.indices.push(index);
    }

    /// Puts an object in, and gives what was there under its key.
    pub(super) fn set(&self, object: Arc<K>) -> Option<Arc<K>> {
        let key = object.key();
        let tables = &mut *self.shared.write();
        for index in &mut tables.indices {
            index.add(&object);
        }
        let namespace = tables.namespaces.entry(key.namespace).or_default();
        let Some(old) = namespace.insert(key.name, object.clone()) else {
            tables.count += 1;
            return None;
        };
        for index in &mut tables.indices {
            index.remove(&old, Some(&object));
        }
        Some(old)
    }

    pub(super) fn remove(&self, key: &Key) -> Option<Arc<K>> {
        let tables = &mut *self.shared.write();
        let namespace = tables.namespaces.get_mut(&key.namespace)?;
        let old = namespace.remove(&key.name)?;
        if namespace.is_empty() {
            tables.namespaces.remove(&key.namespace);
        }
        tables.count -= 1;
        for index in &mut tables.indices {
            index.remove(&old, None);
        }
        Some(old)
    }
}

impl<K: Object> Index<K> {
    fn add(&mut self, object: &Arc<K>) {
        for key in (self.keys)(object) {
            let objects = self.objects.entry(key).or_default();
            objects.insert(object.key(), object.clone());
        }
    }

    /// Takes an object away from where the one that replaces it does not stand.
    fn remove(&mut self, old: &K, new: Option<&K>) {
        let kept = new.map_or_else(Vec::new, self.keys);
        for key in (self.keys)(old) {
            if kept.contains(&key) {
                continue;
            }
            if let Some(objects) = self.objects.get_mut(&key) {
                objects.remove(&old.key());
                if objects.is_empty() {
                    self.objects.remove(&key);
                }
            }
        }
    }
}
