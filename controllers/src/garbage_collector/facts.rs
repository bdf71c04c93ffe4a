//! What the garbage collector knows of an object: what it is called, who owns it, and how its deletion stands.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use objects::{Value, meta};

/// Finalizers that stand for what becomes of dependents.
pub(super) const ORPHAN: &str = "orphan";
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// The name of a node of the graph.
pub(super) type Uid = Arc<str>;

/// What an object is called, as an owner reference and a namespace have it. The order of the fields is the one in which
/// alternatives are tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Identity {
    pub(super) kind: Arc<str>,
    pub(super) api_version: Arc<str>,
    /// Empty for objects that are in none.
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) uid: Uid,
}

impl Identity {
    /// An owner as a dependent in this namespace calls it.
    pub(super) fn of_owner(owner: &OwnerReference, namespace: &Arc<str>) -> Identity {
        Identity {
            kind: owner.kind.as_str().into(),
            api_version: owner.api_version.as_str().into(),
            namespace: namespace.clone(),
            name: owner.name.as_str().into(),
            uid: owner.uid.as_str().into(),
        }
    }

    /// Whether a reference calls it that, whatever the namespace.
    pub(super) fn is_called(&self, owner: &OwnerReference) -> bool {
        *self.uid == *owner.uid
            && *self.name == *owner.name
            && *self.kind == *owner.kind
            && *self.api_version == *owner.api_version
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity {
            kind,
            api_version,
            namespace,
            name,
            uid,
        } = self;
        write!(
            formatter,
            "[{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}]"
        )
    }
}

/// The state of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    pub(super) identity: Identity,
    pub(super) resource_version: String,
    pub(super) owners: Vec<OwnerReference>,
    pub(super) finalizers: Vec<String>,
    pub(super) is_deleting: bool,
}

impl Facts {
    /// The facts of an object of this kind. Owners that cannot be read are left out.
    pub(super) fn of(api_version: &Arc<str>, kind: &Arc<str>, object: &Value) -> Facts {
        let owners = meta::list(object, &["metadata", "ownerReferences"]);
        let finalizers = meta::list(object, &["metadata", "finalizers"]);
        Facts {
            identity: Identity {
                kind: kind.clone(),
                api_version: api_version.clone(),
                namespace: meta::namespace(object).into(),
                name: meta::name(object).into(),
                uid: meta::uid(object).into(),
            },
            resource_version: meta::resource_version(object).to_owned(),
            owners: owners
                .iter()
                .filter_map(|owner| serde_json::from_value(owner.clone()).ok())
                .collect(),
            finalizers: finalizers
                .iter()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect(),
            is_deleting: meta::is_deleting(object),
        }
    }

    pub(super) fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == name)
    }

    /// Whether it goes when its dependents are gone.
    pub(super) fn waits_for_dependents(&self) -> bool {
        self.is_deleting && self.has_finalizer(FOREGROUND)
    }

    /// Whether its dependents are to be left behind.
    pub(super) fn orphans_dependents(&self) -> bool {
        self.is_deleting && self.has_finalizer(ORPHAN)
    }
}
