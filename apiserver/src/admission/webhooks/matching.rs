//! Which webhooks are asked about a request, and in which version of its resource.

use std::sync::Arc;

use objects::Value;
use objects::status::Status;

use super::hook::Hook;
use crate::admission::chain::Parts;
use crate::admission::expressions::{Inputs, Matched, Subject};
use crate::admission::{Review, rules};
use crate::served::Served;

/// The resource that a webhook is asked about.
pub(super) enum Target {
    /// That of the request.
    Own,
    /// The same objects in another version.
    Other(Arc<Served>),
}

impl Target {
    pub(super) fn of<'a>(&'a self, review: &Review<'a>) -> &'a Served {
        match self {
            Target::Own => review.served,
            Target::Other(served) => served,
        }
    }
}

/// What a webhook is asked about, if it is asked.
pub(super) async fn target(
    parts: &Parts,
    hook: &Hook,
    review: &Review<'_>,
    object: Option<&Value>,
) -> Result<Option<Target>, Status> {
    if is_of_another_kind(review, object) {
        return Ok(None);
    }
    let Some(target) = by_rules(parts, hook, review) else {
        return Ok(None);
    };
    let objects = hook.objects.as_ref().map_err(Status::internal)?;
    if !rules::selects_object(review, object, objects) {
        return Ok(None);
    }
    let namespaces = hook.namespaces.as_ref().map_err(Status::internal)?;
    if !rules::selects_namespace(parts, review, object, namespaces).await? {
        return Ok(None);
    }
    let holds = do_conditions_hold(parts, hook, review, (target.of(review), object)).await?;
    Ok(holds.then_some(target))
}

async fn do_conditions_hold(
    parts: &Parts,
    hook: &Hook,
    review: &Review<'_>,
    (served, object): (&Served, Option<&Value>),
) -> Result<bool, Status> {
    let Some(conditions) = &hook.conditions else {
        return Ok(true);
    };
    let new = rules::shown(served, object).await?;
    let old = rules::shown(served, review.old).await?;
    let subject = Subject {
        served,
        object: new.as_ref(),
        old: old.as_ref(),
    };
    let inputs = Inputs::new(review, &subject, &parts.authorizer);
    let asked = review.attributes;
    conditions
        .hold(&inputs)
        .map(|matched| matched == Matched::Yes)
        .map_err(|why| Status::forbidden(&asked.group, &asked.resource, &asked.name, why))
}

/// Whether a part with a kind of its own is changed, while under review is the object that it is a part of.
fn is_of_another_kind(review: &Review<'_>, object: Option<&Value>) -> bool {
    let part = review.served.subresource(&review.attributes.subresource);
    let is_whole = |object: &Value| rules::is_whole(review.served, object);
    part.is_some_and(|part| part.kind != review.served.resource.kind)
        && object.or(review.old).is_some_and(is_whole)
}

fn by_rules(parts: &Parts, hook: &Hook, review: &Review<'_>) -> Option<Target> {
    let matches = |rule: &Value, served: &Served| rules::covers(rule, review, served);
    if hook.rules.iter().any(|rule| matches(rule, review.served)) {
        return Some(Target::Own);
    }
    if !hook.is_equivalent {
        return None;
    }
    let others = rules::other_versions(&parts.resources.table(), review);
    hook.rules.iter().find_map(|rule| {
        let other = others.iter().find(|other| matches(rule, other))?;
        Some(Target::Other(Arc::clone(other)))
    })
}
