//! Objects and their bytes in the store: JSON without a resource version, for that is the revision they are stored at.

use objects::codec::protobuf;
use objects::status::Status;
use objects::{Value, defaults, meta};

use super::{Registry, Request};
use crate::cache::Object;
use crate::storage::Stored;

/// Bytes that most objects have room in, so that theirs are not moved again and again while they are written.
const BYTES_USUAL: usize = 4 << 10;

/// An object, and the revision it was written at.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) value: Value,
    pub(super) revision: i64,
    /// Whether it came from the store just now, and not from memory.
    pub(super) is_newest: bool,
    /// Whether it has to be written even if nothing changes.
    pub(super) is_stale: bool,
}

/// The bytes of an object for the store. It loses its resource version, which is another one once it is written.
pub(super) fn encode(object: &mut Value) -> Vec<u8> {
    let metadata = meta::metadata_mut(object);
    metadata.remove("resourceVersion");
    metadata.remove("selfLink");
    let mut bytes = Vec::with_capacity(BYTES_USUAL);
    serde_json::to_writer(&mut bytes, object).expect("a tree is JSON, and memory takes it");
    bytes
}

/// Sets the resource version of an object.
pub(super) fn stamp(object: &mut Value, revision: i64) {
    meta::metadata_mut(object).insert("resourceVersion".to_owned(), revision.to_string().into());
}

/// The tree of bytes from the store, whoever wrote them.
///
/// # Errors
///
/// If they are no object.
pub fn decode(bytes: &[u8]) -> Result<Value, String> {
    let decoded = if protobuf::is_protobuf(bytes) {
        protobuf::decode(bytes).map_err(|error| error.to_string())
    } else {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    };
    let mut object = decoded?;
    // As a kube-apiserver reads what it has stored.
    defaults::complete(&mut object);
    Ok(object)
}

impl Registry {
    /// The object as the store has it now.
    pub(super) async fn load(
        &self,
        request: &Request,
        name: &str,
    ) -> Result<Option<Current>, Status> {
        let key = self.full_key(request, name);
        let (stored, _) = self.storage.get(key.as_bytes()).await?;
        stored.map(|stored| self.current(&stored)).transpose()
    }

    /// The object as it was when the store was last heard of: good enough to begin with, for every write names the revision it is of.
    pub(super) fn glance(&self, request: &Request, name: &str) -> Option<Current> {
        let cache = self.feed.cache(&request.served.resource.storage)?;
        let key = request.short_key(name);
        if cache.damaged_at(&key).is_some() {
            return None;
        }
        let object: std::sync::Arc<Object> = cache.get(&key)?;
        let mut value = object.value();
        defaults::complete(&mut value);
        Some(Current {
            value,
            revision: object.revision,
            is_newest: false,
            is_stale: false,
        })
    }

    pub(super) fn current(&self, stored: &Stored) -> Result<Current, Status> {
        let mut value = decode(&stored.value).map_err(|why| {
            Status::internal(format!("an object in the store cannot be read: {why}"))
        })?;
        stamp(&mut value, stored.revision);
        Ok(Current {
            value,
            revision: stored.revision,
            is_newest: true,
            is_stale: stored.is_stale,
        })
    }

    /// Seconds after which an object of a resource ends by itself; 0 for never.
    pub(super) fn ttl_seconds(&self, request: &Request) -> u32 {
        let resource = &request.served.resource;
        if resource.plural == "events" && matches!(resource.group.as_str(), "" | "events.k8s.io") {
            self.event_ttl_seconds
        } else {
            0
        }
    }
}
