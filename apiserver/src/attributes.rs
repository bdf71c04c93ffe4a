//! What a request wants to do, as authorization and admission see it.

use std::sync::Arc;

use crate::user::User;

/// A request in the terms of Kubernetes' authorization.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    pub user: Arc<User>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or a special verb; of paths the method in small letters.
    pub verb: String,
    pub group: String,
    /// Empty for a request to a path.
    pub version: String,
    /// The plural name; empty for a request to a path, and if a client names none where a resource has to be.
    pub resource: String,
    pub subresource: String,
    /// Empty for all namespaces, and for what has none.
    pub namespace: String,
    /// Empty for a collection.
    pub name: String,
    /// The path, of a request that is not about a resource.
    pub path: String,
    /// The selectors of a list or watch, as they were sent.
    pub field_selector: String,
    pub label_selector: String,
}

impl Attributes {
    #[must_use]
    pub fn is_resource(&self) -> bool {
        !self.resource.is_empty() || !self.version.is_empty()
    }

    /// `pods`, or `pods/log`.
    #[must_use]
    pub fn resource_and_subresource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// Whether a request is a stream to a container: it lasts as long as its client wants, and takes no place.
pub(crate) fn is_stream(subresource: &str) -> bool {
    let first = subresource.split('/').next().unwrap_or_default();
    matches!(first, "log" | "exec" | "attach" | "portforward" | "proxy")
}
