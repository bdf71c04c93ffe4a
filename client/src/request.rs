//! What calls ask for beside their object: queries, patches, options.

use bytes::Bytes;
use proto::api::{self, PatchType, Propagation as Told, Target, VersionMatch};
use serde_json::Value;

use crate::error::Error;

/// Which objects are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Query {
    /// Empty for all.
    pub namespace: String,
    /// A label selector: `app=web,tier!=db`. Empty for all.
    pub labels: String,
    /// A field selector: `spec.nodeName=n1`. Empty for all.
    pub fields: String,
    /// Most objects of one list; 0 for all. Informers do without.
    pub limit: u32,
    /// From the list before this one: goes on behind it.
    pub continue_token: String,
}

impl Query {
    /// All objects of a namespace.
    #[must_use]
    pub fn namespace(namespace: impl Into<String>) -> Query {
        Query {
            namespace: namespace.into(),
            ..Query::default()
        }
    }

    pub(crate) fn list_request(&self, target: Target) -> api::ListRequest {
        api::ListRequest {
            target: Some(target),
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            resource_version: String::new(),
            version_match: VersionMatch::Unspecified.into(),
            limit: self.limit.into(),
            continue_token: self.continue_token.clone(),
        }
    }
}

/// What another server is asked for beside its resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// A label selector. Empty for all.
    pub labels: String,
    /// Further parameters of its query.
    pub parameters: Vec<(&'static str, String)>,
}

/// The objects that a list found, as they were at one moment.
#[derive(Debug, Clone)]
pub struct Listed<K> {
    pub items: Vec<K>,
    /// That moment.
    pub resource_version: String,
    /// Not empty if a limit left objects over.
    pub continue_token: String,
}

/// How an object is changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// RFC 7396: what is named is replaced, null removes. With `metadata.resourceVersion`, only of that version.
    Merge(Value),
    /// Kubernetes' own: lists are merged by the keys of their items. Not for custom resources.
    Strategic(Value),
    /// RFC 6902: operations, of which a `test` is a precondition.
    Json(Value),
    /// Server-side apply.
    Apply {
        /// Who owns the fields from then on.
        manager: String,
        /// Takes fields that others own.
        force: bool,
        /// With `apiVersion` and `kind`.
        object: Value,
    },
}

impl Patch {
    pub(crate) fn write(&self, target: Target, manager: &str) -> api::write::Write {
        let (r#type, patch) = match self {
            Patch::Merge(patch) => (PatchType::Merge, patch),
            Patch::Strategic(patch) => (PatchType::Strategic, patch),
            Patch::Json(patch) => (PatchType::Json, patch),
            Patch::Apply {
                manager,
                force,
                object,
            } => {
                return api::write::Write::Apply(api::ApplyRequest {
                    target: Some(target),
                    configuration: encoded_value(object),
                    options: write_options(manager),
                    force: *force,
                });
            }
        };
        api::write::Write::Patch(api::PatchRequest {
            target: Some(target),
            r#type: r#type.into(),
            patch: encoded_value(patch),
            options: write_options(manager),
        })
    }
}

/// What becomes of the objects that an object owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    /// As the resource and the object's finalizers say.
    #[default]
    Default,
    Orphan,
    Background,
    Foreground,
}

/// How an object is deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds until it may be gone; none for the object's own.
    pub grace_seconds: Option<i64>,
    /// It must have this UID. Empty for any.
    pub uid: String,
    /// It must be of this version. Empty for any.
    pub resource_version: String,
    pub propagation: Propagation,
}

impl DeleteOptions {
    /// Deletes the object with this UID, and no other under its name.
    #[must_use]
    pub fn of_uid(uid: impl Into<String>) -> DeleteOptions {
        DeleteOptions {
            uid: uid.into(),
            ..DeleteOptions::default()
        }
    }

    pub(crate) fn told(&self) -> api::DeleteOptions {
        let propagation = match self.propagation {
            Propagation::Default => Told::Unspecified,
            Propagation::Orphan => Told::Orphan,
            Propagation::Background => Told::Background,
            Propagation::Foreground => Told::Foreground,
        };
        api::DeleteOptions {
            grace_period_seconds: self.grace_seconds,
            uid: self.uid.clone(),
            resource_version: self.resource_version.clone(),
            propagation: propagation.into(),
            dry_run: false,
        }
    }
}

pub(crate) fn write_options(manager: &str) -> Option<api::WriteOptions> {
    Some(api::WriteOptions {
        field_manager: manager.to_owned(),
        ..api::WriteOptions::default()
    })
}

pub(crate) fn encoded_value(value: &Value) -> Bytes {
    serde_json::to_vec(value)
        .expect("a tree of JSON is JSON")
        .into()
}

pub(crate) fn encoded(object: &impl serde::Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(object)
        .map(Bytes::from)
        .map_err(|error| Error::Invalid(format!("the object is no JSON: {error}")))
}

pub(crate) fn decoded<T: serde::de::DeserializeOwned>(object: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(object).map_err(|error| Error::Malformed(error.to_string()))
}
