//! Writes and bindings that go to a server together.

use std::collections::HashMap;

use proto::api;
use proto::api::outcome::Outcome;
use proto::api::write::Write as Told;
use serde_json::Value;

use crate::error::{Error, Failure};
use crate::kind::{Key, Kind, Resource};
use crate::request::{DeleteOptions, Patch, encoded, encoded_value};

/// Most writes or bindings of one request.
pub const ITEMS_MAX: usize = 1024;

/// One write of a batch.
#[derive(Debug, Clone)]
pub struct Write {
    part: Result<Part, Error>,
}

#[derive(Debug, Clone)]
enum Part {
    Create(api::Target, bytes::Bytes),
    Patch(api::Target, Patch),
    Delete(api::Target, DeleteOptions),
}

impl Write {
    /// Makes an object, in the namespace that it names.
    #[must_use]
    pub fn create<K: Kind>(object: &K) -> Write {
        let target = K::resource().target(&Key::of(object), "");
        Write {
            part: encoded(object).map(|object| Part::Create(target, object)),
        }
    }

    #[must_use]
    pub fn patch<K: Kind>(key: &Key, patch: Patch) -> Write {
        Write::patch_of(&K::resource(), key, "", patch)
    }

    #[must_use]
    pub fn patch_status<K: Kind>(key: &Key, patch: Patch) -> Write {
        Write::patch_of(&K::resource(), key, "status", patch)
    }

    #[must_use]
    pub fn delete<K: Kind>(key: &Key, options: DeleteOptions) -> Write {
        Write::delete_of(&K::resource(), key, options)
    }

    /// Makes an object of a resource that is known by its names.
    #[must_use]
    pub fn create_of(resource: &Resource, key: &Key, object: &Value) -> Write {
        Write {
            part: Ok(Part::Create(
                resource.target(key, ""),
                encoded_value(object),
            )),
        }
    }

    /// Changes a part of such an object, or of a subresource.
    #[must_use]
    pub fn patch_of(resource: &Resource, key: &Key, subresource: &str, patch: Patch) -> Write {
        Write {
            part: Ok(Part::Patch(resource.target(key, subresource), patch)),
        }
    }

    /// Deletes such an object.
    #[must_use]
    pub fn delete_of(resource: &Resource, key: &Key, options: DeleteOptions) -> Write {
        Write {
            part: Ok(Part::Delete(resource.target(key, ""), options)),
        }
    }

    pub(crate) fn told(self, manager: &str) -> Result<api::Write, Error> {
        let write = match self.part? {
            Part::Create(target, object) => Told::Create(api::CreateRequest {
                target: Some(target),
                object,
                options: crate::request::write_options(manager),
            }),
            Part::Patch(target, patch) => patch.write(target, manager),
            Part::Delete(target, options) => Told::Delete(api::DeleteRequest {
                target: Some(target),
                options: Some(options.told()),
            }),
        };
        Ok(api::Write { write: Some(write) })
    }
}

/// What a write of a batch came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The object's name, which the server may have made up. Empty of a deletion, like the others.
    pub name: String,
    pub uid: String,
    pub resource_version: String,
    /// Whether there was no object before.
    pub created: bool,
    /// Whether there is none any more.
    pub gone: bool,
}

impl Written {
    pub(crate) fn of(outcome: api::Outcome) -> Result<Written, Failure> {
        match outcome.outcome {
            Some(Outcome::Written(written)) => Ok(Written {
                name: written.name,
                uid: written.uid,
                resource_version: written.resource_version,
                created: written.created,
                gone: false,
            }),
            Some(Outcome::Deleted(deleted)) => Ok(Written {
                gone: deleted.gone,
                ..Written::default()
            }),
            Some(Outcome::Failure(failure)) => Err(Failure::of(failure)),
            None => Err(Failure::of(api::Failure::default())),
        }
    }
}

/// A pod and the node it shall run on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    pub pod: Key,
    /// The pod must have this UID, or it is not bound. Empty for any.
    pub uid: String,
    pub node: String,
    /// Annotations that the pod gets with its node.
    pub annotations: HashMap<String, String>,
}

impl Binding {
    pub(crate) fn told(self) -> api::Binding {
        api::Binding {
            namespace: self.pod.namespace,
            name: self.pod.name,
            uid: self.uid,
            node: self.node,
            annotations: self.annotations,
        }
    }
}
