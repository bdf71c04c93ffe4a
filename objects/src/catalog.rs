//! The built-in kinds: one table of resources and one schema of all their types, read from the data file that is made from upstream's.

use std::sync::LazyLock;

use crate::schema::{At, NodeId, Schema};

mod load;

/// A resource that the server serves: one of the table, or one that a CRD defines.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    /// The name in URLs: `deployments`.
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
    /// The type of its objects in the schema it came with.
    pub node: NodeId,
    /// The folder of its objects in the store below the prefix: `/services/specs/`, `/apiextensions.k8s.io/customresourcedefinitions/`.
    pub storage: String,
}

/// What is served below an object: `status`, `scale`, `log`.
#[derive(Debug, Clone)]
pub struct Subresource {
    pub name: String,
    /// The kind of its bodies, which may be of another group: `autoscaling/v1 Scale`.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<String>,
}

/// The built-in resources and their schema.
#[derive(Debug)]
pub struct Catalog {
    pub resources: Vec<Resource>,
    pub schema: Schema,
}

impl Resource {
    /// `v1`, or `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources
            .iter()
            .find(|subresource| subresource.name == name)
    }
}

/// `v1`, or `apps/v1`.
#[must_use]
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// Group and version of an `apiVersion`.
#[must_use]
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

impl Catalog {
    /// The built-in kinds, read at the first call.
    ///
    /// # Panics
    ///
    /// If the data file that is compiled in is damaged, which a test rules out.
    #[must_use]
    pub fn builtin() -> &'static Catalog {
        static BUILTIN: LazyLock<Catalog> = LazyLock::new(load::builtin);
        &BUILTIN
    }

    #[must_use]
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| {
            resource.plural == plural && resource.group == group && resource.version == version
        })
    }

    /// The type of a kind, also of those that are not resources: `Status`, `DeleteOptions`, `Binding`, `PodList`.
    #[must_use]
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<At<'_>> {
        let name = load::kind_key(group, version, kind);
        self.schema.named(&name).map(|node| self.schema.at(node))
    }
}
