//! What a cluster serves.

use proto::api;

use crate::kind::Resource;

/// A resource in one version, and what can be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedResource {
    pub resource: Resource,
    pub kind: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub verbs: Vec<String>,
    /// `status`, `scale`, each with its verbs.
    pub subresources: Vec<(String, Vec<String>)>,
    /// Whether no other version of the resource comes before this one.
    pub preferred: bool,
}

impl ServedResource {
    pub(crate) fn of(told: api::Resource) -> ServedResource {
        let below = told.subresources.into_iter();
        ServedResource {
            resource: Resource {
                group: told.group,
                version: told.version,
                plural: told.resource,
                namespaced: told.namespaced,
            },
            kind: told.kind,
            singular: told.singular,
            short_names: told.short_names,
            verbs: told.verbs,
            subresources: below.map(|one| (one.name, one.verbs)).collect(),
            preferred: told.preferred,
        }
    }

    /// Whether all of these can be done with its objects.
    #[must_use]
    pub fn can(&self, verbs: &[&str]) -> bool {
        let known = |verb: &&str| self.verbs.iter().any(|own| own == verb);
        verbs.iter().all(known)
    }
}

/// All that is served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    pub resources: Vec<ServedResource>,
    /// Groups and versions of other servers that do not tell their resources now.
    pub unknown: Vec<(String, String)>,
}
