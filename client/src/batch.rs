//! Writes and bindings that go to a server together.

use std::collections::HashMap;

use prost::Message;
use proto::api;
use proto::api::outcome::Outcome;
use proto::api::write::Write as Told;
use serde_json::Value;

use crate::error::{Error, Failure};
use crate::kind::{Key, Kind, Resource};
use crate::request::{DeleteOptions, Patch, encoded, encoded_value};

/// Most writes or bindings of one request.
pub const ITEMS_MAX: usize = 1024;

/// Most bytes of one request that a server takes.
pub(crate) const BYTES_MAX: usize = 3 << 20;
/// What a write takes in a request beside its own bytes.
const FRAME_BYTES: usize = 8;

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

/// Writes in as many requests as their bytes need, in their order. One that is too large for any is by itself, as its size.
pub(crate) fn requests(writes: Vec<api::Write>) -> Vec<Result<api::BatchRequest, usize>> {
    let mut requests = Vec::new();
    let mut request = api::BatchRequest::default();
    let mut bytes = 0;
    for write in writes {
        let more = write.encoded_len() + FRAME_BYTES;
        if bytes + more > BYTES_MAX && !request.writes.is_empty() {
            requests.push(Ok(std::mem::take(&mut request)));
            bytes = 0;
        }
        if more > BYTES_MAX {
            requests.push(Err(more));
        } else {
            bytes += more;
            request.writes.push(write);
        }
    }
    if !request.writes.is_empty() {
        requests.push(Ok(request));
    }
    requests
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn sizes(bytes: &[usize]) -> Vec<Result<usize, ()>> {
        let writes = bytes.iter().map(|&bytes| {
            let target = ConfigMap::resource().target(&Key::new("a", "b"), "");
            let part = Ok(Part::Create(target, vec![b'x'; bytes].into()));
            Write { part }.told("m").unwrap()
        });
        let requests = requests(writes.collect()).into_iter();
        let sizes = requests.map(|request| {
            let request = request.map_err(drop)?;
            assert!(request.encoded_len() <= BYTES_MAX);
            Ok(request.writes.len())
        });
        sizes.collect()
    }

    #[test]
    fn large_writes_are_spread_over_requests_and_what_fits_in_none_is_refused() {
        let third = BYTES_MAX / 3;
        assert_eq!(sizes(&[]), []);
        assert_eq!(sizes(&[1; 1024]), [Ok(1024)]);
        assert_eq!(sizes(&[third; 5]), [Ok(2), Ok(2), Ok(1)]);
        assert_eq!(sizes(&[1, BYTES_MAX, 1, 1]), [Ok(1), Err(()), Ok(2)]);
        assert_eq!(sizes(&[BYTES_MAX - 100, BYTES_MAX - 100]), [Ok(1), Ok(1)]);
    }
}
