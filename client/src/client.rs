//! Calls about objects whose kinds are types.

use std::sync::Arc;
use std::time::Duration;

use proto::api::write::Write as Told;
use proto::api::{self, Target};

use crate::batch::{self, Binding, ITEMS_MAX, Write, Written};
use crate::config::{Config, ConfigError};
use crate::connection::Dialer;
use crate::discovery::{Discovered, ServedResource};
use crate::dynamic::Dynamic;
use crate::error::{Error, Failure};
use crate::fence::Fence;
use crate::kind::{Key, Kind, Resource};
use crate::link::{Effect, Link, Stub, Token, whole};
use crate::request::{DeleteOptions, Listed, Patch, Query, decoded, encoded, encoded_value};
use crate::watches::{Watches, Watching};

/// How much longer a list may take than another call.
const LIST_TIMES: u32 = 4;

/// A client of a cluster's servers. Clones share its connections: one for calls, and others for watches.
///
/// A call that cannot be sent goes to the next server. A read whose connection is lost is made again at another server, four times at
/// most. A write is never made again once it may have been sent: [`Error::outcome_unknown`] says that it may have been done.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Who owns the fields that are written; empty for the user agent's name.
    manager: Arc<str>,
    timeout: Duration,
    fence: Option<Fence>,
}

struct Shared {
    calls: Link,
    watches: Watches,
}

impl Client {
    /// Makes a client. It connects when it is first asked for something.
    ///
    /// # Errors
    ///
    /// If the configuration makes no sense.
    pub fn new(config: Config) -> Result<Client, ConfigError> {
        let dialer = Arc::new(Dialer::new(&config)?);
        let token = Arc::new(Token::new(config.credentials));
        Ok(Client {
            shared: Arc::new(Shared {
                calls: Link::new(dialer.clone(), token.clone()),
                watches: Watches::new(&dialer, &token),
            }),
            manager: Arc::from(""),
            timeout: config.call_timeout,
            fence: None,
        })
    }

    /// The same client, which owns the fields that it writes under this name.
    #[must_use]
    pub fn with_manager(&self, manager: &str) -> Client {
        Client {
            manager: Arc::from(manager),
            ..self.clone()
        }
    }

    /// The same client with another time for each call.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Client {
        Client {
            timeout,
            ..self.clone()
        }
    }

    /// The same client, which writes only before the end of a term.
    pub(crate) fn fenced(&self, fence: Fence) -> Client {
        Client {
            fence: Some(fence),
            ..self.clone()
        }
    }

    /// An object.
    ///
    /// # Errors
    ///
    /// If there is none, or no server can tell.
    pub async fn get<K: Kind>(&self, key: &Key) -> Result<K, Error> {
        let object = self.get_raw(K::resource().target(key, "")).await?;
        decoded(&object)
    }

    /// Objects as they are at one moment.
    ///
    /// # Errors
    ///
    /// If no server can tell, or the query makes no sense.
    pub async fn list<K: Kind>(&self, query: &Query) -> Result<Listed<K>, Error> {
        self.list_raw(&K::resource(), query, decoded).await
    }

    /// Makes an object, in the namespace that it names. The server makes up its name if it has only a `generateName`.
    ///
    /// # Errors
    ///
    /// If it is refused, or the outcome is not known.
    pub async fn create<K: Kind>(&self, object: &K) -> Result<K, Error> {
        let key = Key::of(object);
        let told = api::CreateRequest {
            target: Some(K::resource().target(&key, "")),
            object: encoded(object)?,
            options: self.options(),
        };
        decoded(&self.write(Told::Create(told)).await?.object)
    }

    /// Changes a part of an object.
    ///
    /// # Errors
    ///
    /// If it is refused, or the outcome is not known.
    pub async fn patch<K: Kind>(&self, key: &Key, patch: &Patch) -> Result<K, Error> {
        let told = patch.write(K::resource().target(key, ""), &self.manager);
        decoded(&self.write(told).await?.object)
    }

    /// Changes a part of an object's status.
    ///
    /// # Errors
    ///
    /// If it is refused, or the outcome is not known.
    pub async fn patch_status<K: Kind>(&self, key: &Key, patch: &Patch) -> Result<K, Error> {
        let told = patch.write(K::resource().target(key, "status"), &self.manager);
        decoded(&self.write(told).await?.object)
    }

    /// Deletes an object, or begins to where it has finalizers or a grace period.
    ///
    /// # Errors
    ///
    /// If it is refused, or the outcome is not known.
    pub async fn delete<K: Kind>(&self, key: &Key, options: &DeleteOptions) -> Result<(), Error> {
        self.delete_raw(K::resource().target(key, ""), options)
            .await?;
        Ok(())
    }

    /// Several writes at once, at most 1024, in no order. Each has its own outcome, in the order of the writes. What is more than 3 MiB
    /// goes in several requests, one after the other; a write that is larger by itself is not sent.
    ///
    /// # Errors
    ///
    /// If the batch as a whole was not taken, or nothing is known of its outcomes. Once a part of it was taken, each write of the
    /// others fails by itself.
    pub async fn batch(&self, writes: Vec<Write>) -> Result<Vec<Result<Written, Failure>>, Error> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        checked(writes.len())?;
        let writes = writes.into_iter().map(|write| write.told(&self.manager));
        let mut outcomes = Vec::new();
        for request in batch::requests(writes.collect::<Result<_, _>>()?) {
            let request = match request {
                Ok(request) => request,
                Err(bytes) => {
                    outcomes.push(Err(Failure::too_large(bytes, batch::BYTES_MAX)));
                    continue;
                }
            };
            let count = request.writes.len();
            match self.batch_part(request).await {
                Ok(part) => outcomes.extend(part),
                Err(error) if outcomes.is_empty() => return Err(error),
                Err(error) => {
                    let failure = Failure::unknown(&error);
                    outcomes.extend(std::iter::repeat_n(Err(failure), count));
                }
            }
        }
        Ok(outcomes)
    }

    async fn batch_part(
        &self,
        message: api::BatchRequest,
    ) -> Result<Vec<Result<Written, Failure>>, Error> {
        let count = message.writes.len();
        let limit = self.write_timeout()?;
        let send = |mut stub: Stub, request| async move { whole(stub.batch(request)).await };
        let calls = &self.shared.calls;
        let answer = calls.call(Effect::Write, limit, message, send).await?;
        let outcomes: Vec<_> = answer.outcomes.into_iter().map(Written::of).collect();
        counted(outcomes, count)
    }

    /// Gives pods their nodes, at most 1024 at once, in no order. Each has its own outcome, in the order of the bindings.
    ///
    /// # Errors
    ///
    /// If the request as a whole was not taken, or nothing is known of its outcomes.
    pub async fn bind(&self, bindings: Vec<Binding>) -> Result<Vec<Result<(), Failure>>, Error> {
        if bindings.is_empty() {
            return Ok(Vec::new());
        }
        let count = checked(bindings.len())?;
        let message = api::BindRequest {
            bindings: bindings.into_iter().map(Binding::told).collect(),
            dry_run: false,
        };
        let limit = self.write_timeout()?;
        let send = |mut stub: Stub, request| async move { whole(stub.bind(request)).await };
        let calls = &self.shared.calls;
        let answer = calls.call(Effect::Write, limit, message, send).await?;
        let outcomes = answer.outcomes.into_iter();
        let outcomes = outcomes.map(|outcome| {
            outcome
                .failure
                .map_or(Ok(()), |failure| Err(Failure::of(failure)))
        });
        counted(outcomes.collect(), count)
    }

    /// Asks for a pod to go, which budgets may refuse with `TooManyRequests`.
    ///
    /// # Errors
    ///
    /// If it is refused, or the outcome is not known.
    pub async fn evict(&self, pod: &Key, uid: Option<&str>) -> Result<(), Error> {
        let mut eviction = serde_json::json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
        });
        if let Some(uid) = uid {
            eviction["deleteOptions"] = serde_json::json!({"preconditions": {"uid": uid}});
        }
        let pods = k8s_openapi::api::core::v1::Pod::resource();
        let told = api::CreateRequest {
            target: Some(pods.target(pod, "eviction")),
            object: encoded_value(&eviction),
            options: self.options(),
        };
        self.write(Told::Create(told)).await?;
        Ok(())
    }

    /// All resources that are served, in all their versions.
    ///
    /// # Errors
    ///
    /// If no server can tell.
    pub async fn resources(&self) -> Result<Vec<ServedResource>, Error> {
        Ok(self.discover().await?.resources)
    }

    /// The same, and what is served by servers that do not answer now.
    ///
    /// # Errors
    ///
    /// If no server can tell.
    pub async fn discover(&self) -> Result<Discovered, Error> {
        let send = |mut stub: Stub, request| async move { whole(stub.resources(request)).await };
        let (calls, timeout) = (&self.shared.calls, self.timeout);
        let message = api::ResourcesRequest {};
        let told = calls.call(Effect::None, timeout, message, send).await?;
        let unknown = told.unknown.into_iter();
        Ok(Discovered {
            resources: told.resources.into_iter().map(ServedResource::of).collect(),
            unknown: unknown.map(|one| (one.group, one.version)).collect(),
        })
    }

    /// The same calls about a resource that is known by its names.
    #[must_use]
    pub fn dynamic(&self, resource: Resource) -> Dynamic {
        Dynamic::new(self.clone(), resource)
    }

    pub(crate) fn options(&self) -> Option<api::WriteOptions> {
        crate::request::write_options(&self.manager)
    }

    pub(crate) fn manager(&self) -> &str {
        &self.manager
    }

    /// How long a write may take; an error if the term may be over.
    fn write_timeout(&self) -> Result<Duration, Error> {
        match &self.fence {
            None => Ok(self.timeout),
            Some(fence) => {
                let left = fence.left().ok_or(Error::TermOver)?;
                Ok(left.min(self.timeout))
            }
        }
    }

    pub(crate) async fn get_raw(&self, target: Target) -> Result<bytes::Bytes, Error> {
        let message = api::GetRequest {
            target: Some(target),
            resource_version: String::new(),
        };
        let send = |mut stub: Stub, request| async move { whole(stub.get(request)).await };
        let (calls, timeout) = (&self.shared.calls, self.timeout);
        let answer = calls.call(Effect::None, timeout, message, send).await?;
        Ok(answer.object)
    }

    pub(crate) async fn read_raw(&self, message: api::ReadRequest) -> Result<bytes::Bytes, Error> {
        let send = |mut stub: Stub, request| async move { whole(stub.read(request)).await };
        let (calls, timeout) = (&self.shared.calls, self.timeout);
        let answer = calls.call(Effect::None, timeout, message, send).await?;
        Ok(answer.body)
    }

    pub(crate) async fn list_raw<T>(
        &self,
        resource: &Resource,
        query: &Query,
        decode: impl Fn(&[u8]) -> Result<T, Error>,
    ) -> Result<Listed<T>, Error> {
        let message = query.list_request(resource.target(&Key::new(&*query.namespace, ""), ""));
        let send = |mut stub: Stub, request| async move {
            let mut stream = whole(stub.list(request)).await?;
            let mut chunks = Vec::new();
            while let Some(chunk) = stream.message().await? {
                chunks.push(chunk);
            }
            Ok(chunks)
        };
        let timeout = self.timeout * LIST_TIMES;
        let calls = &self.shared.calls;
        let chunks = calls.call(Effect::None, timeout, message, send).await?;
        let mut listed = Listed {
            items: Vec::new(),
            resource_version: String::new(),
            continue_token: String::new(),
        };
        for chunk in chunks {
            listed.resource_version = chunk.resource_version;
            listed.continue_token = chunk.continue_token;
            for object in chunk.objects {
                listed.items.push(decode(&object)?);
            }
        }
        Ok(listed)
    }

    pub(crate) async fn watch(&self, message: api::WatchRequest) -> Result<Watching, Error> {
        self.shared.watches.begin(message, self.timeout).await
    }

    /// Any write that is neither a deletion nor a batch.
    pub(crate) async fn write(&self, write: Told) -> Result<api::WriteResponse, Error> {
        let limit = self.write_timeout()?;
        let send = |mut stub: Stub, request: tonic::Request<Told>| async move {
            let (metadata, extensions, write) = request.into_parts();
            macro_rules! sent {
                ($method:ident, $message:expr) => {
                    whole(stub.$method(tonic::Request::from_parts(metadata, extensions, $message)))
                        .await
                };
            }
            match write {
                Told::Create(message) => sent!(create, message),
                Told::Update(message) => sent!(update, message),
                Told::Patch(message) => sent!(patch, message),
                Told::Apply(message) => sent!(apply, message),
                Told::Delete(_) => Err(tonic::Status::internal("a deletion has another answer")),
            }
        };
        let calls = &self.shared.calls;
        calls.call(Effect::Write, limit, write, send).await
    }

    pub(crate) async fn delete_raw(
        &self,
        target: Target,
        options: &DeleteOptions,
    ) -> Result<api::DeleteResponse, Error> {
        let message = api::DeleteRequest {
            target: Some(target),
            options: Some(options.told()),
        };
        let limit = self.write_timeout()?;
        let send = |mut stub: Stub, request| async move { whole(stub.delete(request)).await };
        let calls = &self.shared.calls;
        calls.call(Effect::Write, limit, message, send).await
    }

    pub(crate) async fn delete_collection_raw(
        &self,
        message: api::DeleteCollectionRequest,
    ) -> Result<api::DeleteCollectionResponse, Error> {
        let limit = self.write_timeout()?;
        let send =
            |mut stub: Stub, request| async move { whole(stub.delete_collection(request)).await };
        let calls = &self.shared.calls;
        calls.call(Effect::Write, limit, message, send).await
    }
}

fn checked(count: usize) -> Result<usize, Error> {
    if count > ITEMS_MAX {
        return Err(Error::Invalid(format!(
            "{count} items are more than {ITEMS_MAX}"
        )));
    }
    Ok(count)
}

/// Outcomes, if there are as many as there were items.
fn counted<T>(outcomes: Vec<T>, count: usize) -> Result<Vec<T>, Error> {
    if outcomes.len() != count {
        let found = outcomes.len();
        return Err(Error::Malformed(format!(
            "{found} outcomes of {count} items"
        )));
    }
    Ok(outcomes)
}
