//! Questions that are answered and never stored: reviews of tokens and permissions, tokens of service accounts.

use objects::status::Status;
use objects::{Value, meta};

use super::front::Front;
use super::objects_api::{method_not_allowed, not_served};
use crate::admission::Operation;
use crate::authn::{self, Clock};
use crate::authz;
use crate::registry::{Registry, Request, WriteOptions};

/// The answer to what was sent to a resource whose objects are not stored.
pub(crate) async fn answer(
    front: &Front,
    request: &Request,
    body: Value,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let authorizer = front.authorizer.as_ref();
    // Who asks knows what was written before: roles and accounts are as new as that.
    front.registry.feed.barrier().await?;
    match request.served.resource.plural.as_str() {
        "bindings" => bind(&front.registry, request, &body, options).await,
        "tokenreviews" => authn::review::token(&front.authenticator, &body),
        "selfsubjectreviews" => Ok(authn::review::self_subject(&request.user, &Clock::system())),
        "subjectaccessreviews" => authz::review::subject_access(authorizer, &body),
        "selfsubjectaccessreviews" => {
            authz::review::self_subject_access(authorizer, &request.user, &body)
        }
        "localsubjectaccessreviews" => {
            authz::review::local_subject_access(authorizer, &request.namespace, &body)
        }
        "selfsubjectrulesreviews" => {
            authz::review::self_subject_rules(authorizer, &request.user, &body)
        }
        _ => Err(method_not_allowed()),
    }
}

/// A token for a service account.
pub(crate) async fn token(
    front: &Front,
    request: &Request,
    body: Value,
    dry_run: bool,
) -> Result<Value, Status> {
    let tokens = front.tokens.as_ref().ok_or_else(not_served)?;
    front.registry.feed.barrier().await?;
    let body = front
        .registry
        .admit_part(request, Operation::Create, body, dry_run)
        .await?;
    let answer = tokens.request(&request.namespace, &request.name, &body)?;
    for warning in answer.warnings {
        request.warnings.add(warning);
    }
    tracing::debug!(credential = answer.credential_id, "a token was issued");
    Ok(answer.object)
}

/// The old way to give a pod its node, with the pod's name in the body alone.
async fn bind(
    registry: &Registry,
    request: &Request,
    body: &Value,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let table = registry.resources.table();
    let pods = table.any_version("", "pods").ok_or_else(not_served)?;
    let pod = Request {
        subresource: "binding".to_owned(),
        ..request.derived(pods, &request.namespace, meta::name(body))
    };
    let bound = registry.bind(&pod, body, options).await;
    request.warnings.absorb(&pod.warnings);
    bound
}
