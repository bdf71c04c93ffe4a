//! Which webhooks are asked about a request, and in which version of its resource.

use std::sync::Arc;

use objects::status::Status;
use objects::{Value, meta};

use super::hook::Hook;
use super::operation_name;
use crate::admission::chain::Parts;
use crate::admission::expressions::{Inputs, Matched, Subject};
use crate::admission::{Operation, Review};
use crate::registry::as_served;
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
    if is_of_another_kind(review) {
        return Ok(None);
    }
    let Some(target) = by_rules(parts, hook, review) else {
        return Ok(None);
    };
    let selector = hook.objects.as_ref().map_err(Status::internal)?;
    let selected = [object, review.old]
        .into_iter()
        .flatten()
        .any(|object| selector.selects(object));
    if !selector.is_everything() && !selected {
        return Ok(None);
    }
    if !is_namespace_selected(parts, hook, review, object).await? {
        return Ok(None);
    }
    let holds = do_conditions_hold(parts, hook, review, (target.of(review), object)).await?;
    Ok(holds.then_some(target))
}

/// An object in the version that a webhook reads.
pub(super) async fn shown(
    served: &Served,
    object: Option<&Value>,
) -> Result<Option<Value>, Status> {
    match object {
        Some(object) => as_served(served, object.clone()).await.map(Some),
        None => Ok(None),
    }
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
    let new = shown(served, object).await?;
    let old = shown(served, review.old).await?;
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

/// Whether a part of an object is changed that has a kind of its own, which is not what is under review here.
fn is_of_another_kind(review: &Review<'_>) -> bool {
    let part = review.served.subresource(&review.attributes.subresource);
    review.operation != Operation::Connect
        && part.is_some_and(|part| part.kind != review.served.resource.kind)
}

fn by_rules(parts: &Parts, hook: &Hook, review: &Review<'_>) -> Option<Target> {
    let matches = |rule: &Value, served: &Served| is_rule_of(rule, review, served);
    if hook.rules.iter().any(|rule| matches(rule, review.served)) {
        return Some(Target::Own);
    }
    if !hook.is_equivalent {
        return None;
    }
    let own = &review.served.resource;
    let table = parts.resources.table();
    let part = &review.attributes.subresource;
    let others: Vec<&Arc<Served>> = table
        .all
        .iter()
        .filter(|other| {
            let resource = &other.resource;
            resource.storage == own.storage
                && (&resource.group, &resource.version) != (&own.group, &own.version)
                && (part.is_empty() || other.subresource(part).is_some())
        })
        .collect();
    hook.rules.iter().find_map(|rule| {
        let other = others.iter().find(|other| matches(rule, other))?;
        Some(Target::Other(Arc::clone(other)))
    })
}

fn is_rule_of(rule: &Value, review: &Review<'_>, served: &Served) -> bool {
    let resource = &served.resource;
    let has = |field: &str, wanted: &str| {
        meta::list(rule, &[field])
            .iter()
            .any(|item| item == "*" || item == wanted)
    };
    let in_scope = match meta::text(rule, &["scope"]) {
        "Namespaced" => resource.namespaced,
        "Cluster" => !resource.namespaced,
        _ => true,
    };
    in_scope
        && has("operations", operation_name(review.operation))
        && has("apiGroups", &resource.group)
        && has("apiVersions", &resource.version)
        && meta::list(rule, &["resources"])
            .iter()
            .filter_map(Value::as_str)
            .any(|pattern| is_resource(pattern, &resource.plural, &review.attributes.subresource))
}

/// Whether `pods`, `pods/log`, `pods/*`, `*/scale`, `*` or `*/*` means a resource, or a part of it.
fn is_resource(pattern: &str, plural: &str, part: &str) -> bool {
    let (own, own_part) = pattern.split_once('/').unwrap_or((pattern, ""));
    (own == "*" || own == plural) && (own_part == "*" || own_part == part)
}

async fn is_namespace_selected(
    parts: &Parts,
    hook: &Hook,
    review: &Review<'_>,
    object: Option<&Value>,
) -> Result<bool, Status> {
    let selector = hook.namespaces.as_ref().map_err(Status::internal)?;
    let is_namespace = review.is_of("", "namespaces");
    let name = namespace(review, object);
    if name.is_empty() || selector.is_everything() {
        return Ok(true);
    }
    if is_namespace && matches!(review.operation, Operation::Create | Operation::Update) {
        return Ok(object.is_some_and(|object| selector.selects(object)));
    }
    match parts.find(("", "namespaces"), "", name).await? {
        Some(namespace) => Ok(selector.selects(&namespace)),
        None => Err(Status::not_found("", "namespaces", name)),
    }
}

/// The namespace that a request is about: of a namespace, itself.
pub(super) fn namespace<'a>(review: &Review<'a>, object: Option<&'a Value>) -> &'a str {
    let asked = review.attributes;
    if asked.group.is_empty() && asked.resource == "namespaces" {
        name(review, object)
    } else {
        &asked.namespace
    }
}

/// The name that a request is about.
pub(super) fn name<'a>(review: &Review<'a>, object: Option<&'a Value>) -> &'a str {
    let asked = review.attributes;
    match object {
        Some(object) if asked.name.is_empty() => meta::name(object),
        _ => &asked.name,
    }
}

#[cfg(test)]
mod tests {
    use super::is_resource;

    #[test]
    fn a_pattern_means_resources_and_parts_of_them() {
        for (pattern, plural, part, expected) in [
            ("pods", "pods", "", true),
            ("pods", "pods", "log", false),
            ("pods/*", "pods", "log", true),
            ("pods/*", "pods", "", true),
            ("*", "pods", "", true),
            ("*", "pods", "log", false),
            ("*/log", "pods", "log", true),
            ("*/*", "pods", "log", true),
            ("nodes", "pods", "", false),
        ] {
            assert_eq!(
                is_resource(pattern, plural, part),
                expected,
                "{pattern} {plural}/{part}"
            );
        }
    }
}
