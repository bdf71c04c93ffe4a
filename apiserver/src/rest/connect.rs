//! What goes through the server to nodes, pods and services: logs, streams to containers, and requests that others answer.

mod log;
mod places;
mod pods;
mod proxy;

use anyhow::anyhow;
use http::HeaderMap;
use objects::Value;
use objects::status::{Reason, Status};

use super::answer::Answer;
use super::front::Admitted;
use super::objects_api::{Call, method_not_allowed, not_served};
use crate::admission::Operation;
use crate::config::Config;
use crate::dial::{Roots, Tls};
use crate::kubelets::Kubelets;
use crate::registry::Request;
use crate::relay::{Relay, Upgrade, is_upgrade};

/// The way out to nodes and services.
pub(crate) struct Outward {
    pub(crate) kubelets: Kubelets,
    pub(crate) relay: Relay,
    /// Towards pods and services, of whom nobody knows who they have to be.
    unverified: Tls,
}

impl Outward {
    /// # Errors
    ///
    /// If a file cannot be used.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Outward> {
        let unverified = Tls::new(Roots::Unverified, None).map_err(|why| anyhow!(why))?;
        Ok(Outward {
            kubelets: Kubelets::new(config)?,
            relay: Relay::default(),
            unverified,
        })
    }
}

/// Answers a request for a stream.
pub(super) async fn answer(call: &Call<'_>, request: Admitted) -> Result<Answer, Status> {
    let plural = call.request.served.resource.plural.as_str();
    let part = call.request.subresource.split('/').next();
    match (plural, part.unwrap_or_default()) {
        ("pods", "log") => log::answer(call, &request).await,
        ("pods", "exec") => pods::answer(call, request, pods::Stream::Exec).await,
        ("pods", "attach") => pods::answer(call, request, pods::Stream::Attach).await,
        ("pods", "portforward") => pods::answer(call, request, pods::Stream::PortForward).await,
        ("pods" | "services" | "nodes", "proxy") => proxy::answer(call, request).await,
        _ => Err(not_served()),
    }
}

/// Asks admission whether somebody may connect; the options say to what.
async fn admit(call: &Call<'_>, options: Value) -> Result<(), Status> {
    let (registry, mut request) = (&call.front.registry, own(call));
    // What comes behind `proxy` is told in the options.
    if let Some((part, _)) = call.request.subresource.split_once('/') {
        part.clone_into(&mut request.subresource);
    }
    let admitted = registry.admit_part(&request, Operation::Connect, options, false);
    let admitted = admitted.await;
    call.request.warnings.absorb(&request.warnings);
    admitted.map(drop)
}

/// The same request, for something else to be put into.
fn own(call: &Call<'_>) -> Request {
    let request = &call.request;
    Request {
        subresource: request.subresource.clone(),
        ..request.derived(&request.served, &request.namespace, &request.name)
    }
}

/// An object that a request leads to. Whoever may connect need not be allowed to read it.
async fn find(call: &Call<'_>, plural: &str, namespace: &str, name: &str) -> Result<Value, Status> {
    let table = call.front.registry.resources.table();
    let served = table.any_version("", plural).ok_or_else(not_served)?;
    let request = call.request.derived(served, namespace, name);
    call.front
        .registry
        .get(&request, "")
        .await
        .map_err(|mut status| {
            // Upstream names what the request was for, whatever was not found on the way.
            if status.reason == Reason::NotFound {
                let asked = &call.request.served.resource.plural;
                status = Status::not_found("", asked, name);
            }
            status
        })
}

/// What a client has to have sent that wants another protocol.
pub(super) fn upgrade(request: Admitted) -> Result<Upgrade, Status> {
    if !is_upgrade(&request.headers) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let stream = request.upgrade.ok_or_else(method_not_allowed)?;
    Ok(Upgrade {
        user: request.user.name.clone(),
        method: request.method,
        headers: cleared(request.headers),
        peer: request.peer,
        stream,
    })
}

/// Headers without what they say to this server about who sends them.
pub(super) fn cleared(mut headers: HeaderMap) -> HeaderMap {
    crate::relay::headers::remove_credentials(&mut headers);
    headers
}
