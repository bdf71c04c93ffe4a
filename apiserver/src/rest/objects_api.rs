//! Requests to resources: which verb a method and a path are, and who answers it.

use std::sync::Arc;

use http::Method;
use http::header::ACCEPT;
use objects::status::{Reason, Status};

use super::answer::{self, Answer};
use super::front::{Admitted, Front};
use super::media::{self, Media};
use super::path::ResourcePath;
use super::{connect, measured, stream, verbs, writes};
use crate::admission::Warnings;
use crate::attributes::is_stream;
use crate::registry::{ListOptions, Request};
use crate::served::Served;

/// Kinds that every request to is warned of.
const DEPRECATED: &[(&str, &str, &str)] = &[
    (
        "v1",
        "ComponentStatus",
        "v1 ComponentStatus is deprecated in v1.19+",
    ),
    (
        "v1",
        "Endpoints",
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ),
];

/// A request to a resource that is served.
pub(super) struct Call<'a> {
    pub(super) front: &'a Front,
    pub(super) request: Request,
    pub(super) media: Media,
}

/// The verb of a request, in the words of authorization.
pub(super) fn verb(request: &Admitted, found: &ResourcePath) -> &'static str {
    let one = !found.name.is_empty();
    let watches = found.watch || !matches!(request.query("watch"), "" | "false" | "0");
    match request.method {
        Method::GET | Method::HEAD if watches && found.subresource.is_empty() => "watch",
        Method::GET | Method::HEAD if one => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if one => "delete",
        Method::DELETE => "deletecollection",
        _ => "",
    }
}

/// Answers a request that was authorized.
pub(super) async fn answer(
    front: &Front,
    request: Admitted,
    found: ResourcePath,
    verb: &'static str,
) -> Result<Answer, Status> {
    let table = front.registry.resources.table();
    let Some(served) = table.find(&found.group, &found.version, &found.resource)? else {
        let is_own_group =
            |served: &Arc<Served>| !served.is_custom() && served.resource.group == found.group;
        if table.all.iter().any(is_own_group) {
            return Err(not_served());
        }
        return Ok(answer::text(404, "404 page not found\n"));
    };
    let served = served.clone();
    check_served(
        &served,
        (&found.namespace, &found.name),
        &found.subresource,
        verb,
    )?;
    let accept = match request.header(ACCEPT) {
        // What is told through a stream is in no form of this server's.
        _ if is_stream(&found.subresource) => "",
        accept => accept,
    };
    let media = media::negotiate(accept, served.has_protobuf(), request.wants_pretty())
        .map_err(|status| media::refusal(accept, (&served, verb), status))?;
    if request.method == Method::HEAD && !is_stream(&found.subresource) {
        return Err(method_not_allowed());
    }
    let call = Call {
        front,
        request: Request {
            user: request.user.clone(),
            served,
            subresource: found.subresource.clone(),
            namespace: found.namespace.clone(),
            name: found.name.clone(),
            agent: request.agent(),
            warnings: Warnings::default(),
            audit: request.audit.clone(),
        },
        media,
    };
    for (api_version, kind, warning) in DEPRECATED {
        let resource = &call.request.served.resource;
        if resource.kind == *kind && resource.api_version() == *api_version {
            call.request.warnings.add(*warning);
        }
    }
    let result = dispatch(&call, request, verb).await;
    let warnings = call.request.warnings.take();
    for (key, text) in call.request.warnings.take_annotations() {
        call.request.audit.annotate(&key, &text);
    }
    let mut answer = match result {
        Ok(answer) => answer,
        Err(status) => answer::failure(&status, Some(&call.media)),
    };
    answer::warn(&mut answer, warnings);
    Ok(answer)
}

async fn dispatch(
    call: &Call<'_>,
    request: Admitted,
    verb: &'static str,
) -> Result<Answer, Status> {
    if is_stream(&call.request.subresource) {
        return connect::answer(call, request).await;
    }
    match verb {
        "get" if call.request.served.is_measured() => measured::get(call, &request).await,
        "list" if call.request.served.is_measured() => measured::list(call, &request).await,
        "get" => verbs::get(call, &request).await,
        "list" => verbs::list(call, &request).await,
        "watch" => {
            let mut options = ListOptions::from_query(&request.query)?;
            options.watch = true;
            stream::watch(call, &options).await
        }
        "create" => writes::create(call, request).await,
        "update" => writes::update(call, request).await,
        "patch" => writes::patch(call, request).await,
        "delete" => writes::delete(call, request).await,
        "deletecollection" => writes::delete_collection(call, request).await,
        _ => Err(method_not_allowed()),
    }
}

/// The answer to a path under which nothing is served.
pub(crate) fn not_served() -> Status {
    Status::new(
        Reason::NotFound,
        "the server could not find the requested resource",
    )
}

pub(super) fn method_not_allowed() -> Status {
    Status::new(
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    )
}

/// Whether a resource has the part and the verb that a request wants.
pub(crate) fn check_served(
    served: &Served,
    (namespace, name): (&str, &str),
    subresource: &str,
    verb: &str,
) -> Result<(), Status> {
    let resource = &served.resource;
    // A namespace is inside itself, and nothing else without a namespace is inside of any.
    let is_itself =
        resource.group.is_empty() && resource.plural == "namespaces" && namespace == name;
    if !namespace.is_empty() && !resource.namespaced && !is_itself {
        return Err(not_served());
    }
    let first = subresource.split('/').next().unwrap_or_default();
    if subresource != first && first != "proxy" {
        return Err(not_served());
    }
    let is_misplaced = match verb {
        "create" => first.is_empty() && !name.is_empty(),
        "update" | "patch" => name.is_empty(),
        _ => false,
    };
    if is_misplaced {
        return Err(method_not_allowed());
    }
    // Whom a request is passed on to knows methods that are no verb here.
    let is_passed = first == "proxy" && verb.is_empty();
    let verbs = if first.is_empty() {
        &resource.verbs
    } else {
        &resource.subresource(first).ok_or_else(not_served)?.verbs
    };
    // An object in a namespace is written where it is; a list may span all of them.
    let spans = resource.namespaced && namespace.is_empty() && !matches!(verb, "list" | "watch");
    if (is_passed || verbs.iter().any(|known| known == verb))
        && !(spans && resource.verbs.iter().any(|known| known == "get"))
    {
        return Ok(());
    }
    Err(method_not_allowed())
}

#[cfg(test)]
mod tests {
    use crate::served::Resources;

    use super::check_served;

    fn code(resource: (&str, &str), place: (&str, &str), subresource: &str, verb: &str) -> u16 {
        let table = Resources::default().table();
        let served = table.get(resource.0, "v1", resource.1).unwrap();
        check_served(served, place, subresource, verb).map_or_else(|status| status.code, |()| 200)
    }

    #[test]
    fn nothing_without_a_namespace_is_reached_through_one() {
        let namespaces = ("", "namespaces");
        assert_eq!(code(namespaces, ("a", "a"), "", "delete"), 200);
        assert_eq!(code(namespaces, ("a", "b"), "", "delete"), 404);
        assert_eq!(code(namespaces, ("a", ""), "", "create"), 404);
        assert_eq!(code(("", "nodes"), ("a", "a"), "", "get"), 404);
    }

    #[test]
    fn a_part_has_nothing_behind_it_and_a_new_object_no_name_in_its_path() {
        let deployments = ("apps", "deployments");
        assert_eq!(code(deployments, ("a", "d"), "scale", "update"), 200);
        assert_eq!(code(deployments, ("a", "d"), "scale/x", "update"), 404);
        assert_eq!(code(("", "services"), ("a", "s"), "proxy/x/y", "get"), 200);
        assert_eq!(code(deployments, ("a", "d"), "", "create"), 405);
        assert_eq!(code(deployments, ("a", ""), "", "create"), 200);
    }
}
