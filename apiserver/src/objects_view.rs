//! How the parts that decide (authorization, admission, tokens) read objects: from memory, at once, as fresh as the watch of the store.

use std::sync::Arc;

use objects::{Value, meta};

/// Objects of this server's caches. A resource that is not cached has no objects.
pub trait ObjectsView: Send + Sync {
    /// An object by its resource (group and plural name), namespace (empty where it has none) and name.
    fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;

    /// All objects of a resource, or those of a namespace.
    fn list(&self, group: &str, plural: &str, namespace: Option<&str>) -> Vec<Arc<Value>>;

    /// The pods of a namespace that are on a node.
    fn pods_on_node(&self, namespace: &str, node: &str) -> Vec<Arc<Value>> {
        let mut pods = self.list("", "pods", Some(namespace));
        pods.retain(|pod| meta::text(pod, &["spec", "nodeName"]) == node);
        pods
    }

    /// A number that changes whenever an object of the resource does: what is derived from them is good as long as it is the same.
    fn generation(&self, group: &str, plural: &str) -> u64;
}
