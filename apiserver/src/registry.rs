//! What can be done with objects: read, watched, created, changed and deleted, with optimistic concurrency. REST and gRPC are two
//! ways to ask for it.

mod act;
mod apply;
mod create;
mod delete;
mod evict;
mod fields;
mod options;
mod privileged;
mod read;
mod rules;
mod scale;
mod services;
mod store;
mod update;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use objects::status::{Reason, Status};
use objects::{Value, meta};
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, Warnings};
use crate::attributes::Attributes;
use crate::audit;
use crate::authz::{Authorizer, forbidden};
use crate::cache::Feed;
use crate::served::{Resources, Served};
use crate::storage::Storage;
use crate::user::User;
use crate::webhook::Caller;

pub use self::apply::Decode;
pub(crate) use self::create::suffix;
pub use self::create::uid;
pub use self::delete::Deleted;
pub use self::options::{DeleteOptions, ListOptions, Validation, VersionMatch, WriteOptions};
pub(crate) use self::options::{flag, integer, number};
pub use self::read::{Items, List};
pub use self::services::Ranges;
pub use self::store::decode;
pub use self::update::Patch;
pub use self::watch::{Told, Watcher};

/// The objects of all resources.
pub struct Registry {
    pub storage: Storage,
    pub feed: Arc<Feed>,
    pub resources: Arc<Resources>,
    pub admission: Arc<dyn Admission>,
    /// Asked when a request turns out to do more than its verb says: an update or an application that creates.
    pub authorizer: Arc<dyn Authorizer>,
    /// Who converts custom objects.
    pub webhooks: Arc<Caller>,
    /// What all keys begin with: `/registry`.
    pub prefix: String,
    /// Seconds that events are kept.
    pub event_ttl_seconds: u32,
    /// Whether containers may be privileged.
    pub allow_privileged: bool,
    /// What services may have.
    pub services: Ranges,
    /// A watch without a time of its own lasts between once and twice as long.
    pub watch_seconds_min: u64,
    /// Whether all that every cluster begins with was there once.
    pub(crate) is_bootstrapped: AtomicBool,
    /// Cancelled when all watches have to end.
    pub draining: CancellationToken,
}

/// Who does what to which object.
#[derive(Debug)]
pub struct Request {
    pub user: Arc<User>,
    pub served: Arc<Served>,
    /// Empty for the object itself.
    pub subresource: String,
    /// Empty for all namespaces, and for what has none.
    pub namespace: String,
    /// Empty for a collection.
    pub name: String,
    /// Who changes fields, where a request does not say so itself: the program's name.
    pub agent: String,
    pub warnings: Warnings,
    pub(crate) audit: audit::Record,
}

impl Request {
    /// The server's own request for an object, or for a collection where the name is empty.
    pub(crate) fn own(served: &Arc<Served>, namespace: &str, name: &str, agent: &str) -> Request {
        Request {
            user: Arc::new(User::apiserver()),
            served: served.clone(),
            subresource: String::new(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            agent: agent.to_owned(),
            warnings: Warnings::default(),
            audit: audit::Record::default(),
        }
    }

    /// A request that is made on behalf of this one for another object: the same user's, with an event of its own that nobody tells.
    /// What is said about it is for `Warnings::absorb`.
    pub(crate) fn derived(&self, served: &Arc<Served>, namespace: &str, name: &str) -> Request {
        Request {
            user: self.user.clone(),
            ..Request::own(served, namespace, name, &self.agent)
        }
    }

    #[must_use]
    pub fn attributes(&self, verb: &str) -> Attributes {
        let resource = &self.served.resource;
        Attributes {
            user: self.user.clone(),
            verb: verb.to_owned(),
            group: resource.group.clone(),
            version: resource.version.clone(),
            resource: resource.plural.clone(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ..Attributes::default()
        }
    }

    /// The key below the folder of the resource.
    fn short_key(&self, name: &str) -> String {
        if self.served.resource.namespaced {
            format!("{}/{name}", self.namespace)
        } else {
            name.to_owned()
        }
    }

    fn not_found(&self) -> Status {
        Status::not_found(
            &self.served.resource.group,
            &self.served.resource.plural,
            &self.name,
        )
    }

    fn invalid(&self, name: &str, faults: &objects::invalid::Faults) -> Status {
        Status::invalid(
            &self.served.resource.group,
            &self.served.resource.kind,
            name,
            faults,
        )
    }

    fn conflict(&self, why: impl std::fmt::Display) -> Status {
        Status::conflict(
            &self.served.resource.group,
            &self.served.resource.plural,
            &self.name,
            why,
        )
    }
}

/// Who manages the fields of what every cluster begins with.
const OWN_AGENT: &str = "mainstay";

/// What a client is told whose object was changed by somebody else.
pub(crate) const CHANGED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

impl Registry {
    /// The server's own request for the object that a tree says it is.
    pub(crate) fn own_request(
        &self,
        resource: (&str, &str),
        object: &Value,
    ) -> Result<Request, Status> {
        let place = (meta::namespace(object), meta::name(object));
        self.request_of_part(resource, place, OWN_AGENT)
    }

    /// The server's own request for an object, by a part of it that manages fields under a name of its own.
    pub(crate) fn request_of_part(
        &self,
        (group, plural): (&str, &str),
        (namespace, name): (&str, &str),
        agent: &str,
    ) -> Result<Request, Status> {
        let table = self.resources.table();
        let served = table
            .any_version(group, plural)
            .ok_or_else(|| Status::internal(format!("{plural} are not served")))?;
        Ok(Request::own(served, namespace, name, agent))
    }

    /// Whether the sender of a request may do something else to its object.
    fn authorize(&self, request: &Request, verb: &str) -> Result<(), Status> {
        let attributes = request.attributes(verb);
        let decision = self.authorizer.authorize(&attributes);
        if decision.is_allowed() {
            Ok(())
        } else {
            Err(forbidden(&attributes, decision.reason()))
        }
    }

    /// The cache of a resource.
    fn cache(&self, served: &Served) -> Result<Arc<crate::cache::Cache>, Status> {
        self.feed
            .cache(&served.resource.storage)
            .filter(|cache| cache.is_loaded())
            .ok_or_else(|| {
                let mut status =
                    Status::new(Reason::TooManyRequests, "storage is (re)initializing");
                status.retry_after_seconds = 1;
                status
            })
    }

    fn full_key(&self, request: &Request, name: &str) -> String {
        format!(
            "{}{}",
            self.prefix,
            request.served.key(&request.namespace, name)
        )
    }
}

/// Whether the objects of a resource are stored in the version that it is: they can be sent as they are.
#[must_use]
pub fn is_stored_as_served(served: &Served) -> bool {
    rules::is_stored_as_served(served)
}

/// Gives an object the version that tables are printed from.
#[must_use]
pub fn as_printed(served: &Served, object: Value) -> Value {
    rules::to_working(served, object)
}

/// Fills in what the author of an object did not say.
#[must_use]
pub fn with_defaults(served: &Served, mut object: Value) -> Value {
    rules::apply_defaults(served, &mut object);
    object
}

/// An object that the server changed itself, read as if it had been sent: its type's form, with defaults.
pub fn as_read(served: &Served, object: Value) -> Result<Value, Status> {
    let mut object = if served.is_custom() {
        object
    } else {
        let read = objects::codec::json::check(&object, served.at());
        read.map_err(|fault| Status::internal(fault.to_string()))?
            .value
    };
    rules::apply_defaults(served, &mut object);
    Ok(object)
}

/// A built-in object in the version under which it is asked for; a custom one as it is.
#[must_use]
pub(crate) fn in_own_version(served: &Served, object: Value) -> Value {
    if served.is_custom() {
        return object;
    }
    objects::convert::convert(object, &served.resource.api_version())
}

/// Gives an object of a resource's folder the version and kind under which it is asked for.
pub async fn as_served(served: &Served, object: Value) -> Result<Value, Status> {
    rules::convert(served, object).await
}
