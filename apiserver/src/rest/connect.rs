//! Streams to containers, pods, services and nodes: what is said where nothing can be reached.

use objects::status::{Reason, Status};
use objects::{Value, meta};

use super::answer::{self, Answer};
use super::objects_api::{Call, not_served};
use crate::registry::Request;

/// What a server says that has no way to a node.
const NO_WAY: &str = "error dialing backend: this server opens no connections to nodes";

/// Answers a request for a stream.
pub(super) async fn answer(call: &Call<'_>) -> Result<Answer, Status> {
    let request = &call.request;
    let object = call.front.registry.get(request, "").await?;
    let part = request.subresource.split('/').next().unwrap_or_default();
    match (request.served.resource.plural.as_str(), part) {
        ("services", _) => Err(Status::new(
            Reason::ServiceUnavailable,
            format!("no endpoints available for service {:?}", request.name),
        )),
        ("nodes", _) => Err(Status::internal(NO_WAY)),
        ("pods", "proxy") if meta::text(&object, &["status", "podIP"]).is_empty() => {
            Err(Status::bad_request("address not allowed"))
        }
        ("pods", "proxy") => Err(Status::internal(NO_WAY)),
        ("pods", _) => pod(call, part, &object).await,
        _ => Err(not_served()),
    }
}

async fn pod(call: &Call<'_>, part: &str, pod: &Value) -> Result<Answer, Status> {
    let node = meta::text(pod, &["spec", "nodeName"]);
    // A pod that runs nowhere has no logs yet, which is no failure.
    if node.is_empty() && part == "log" {
        return Ok(answer::bytes(204, "", ""));
    }
    if node.is_empty() {
        return Err(Status::bad_request(format!(
            "pod {} does not have a host assigned",
            call.request.name
        )));
    }
    let registry = &call.front.registry;
    let table = registry.resources.table();
    let nodes = table.any_version("", "nodes").ok_or_else(not_served)?;
    let request = Request {
        user: call.request.user.clone(),
        served: nodes.clone(),
        subresource: String::new(),
        namespace: String::new(),
        name: node.to_owned(),
        agent: String::new(),
        warnings: crate::admission::Warnings::default(),
        audit: crate::audit::Record::default(),
    };
    registry.get(&request, "").await?;
    Err(Status::internal(NO_WAY))
}
