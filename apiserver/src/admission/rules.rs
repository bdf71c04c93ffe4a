//! Whether rules and selectors of webhooks and policies are about a request.

use std::sync::Arc;

use objects::selector::label::Selector;
use objects::status::Status;
use objects::{Value, meta};

use super::chain::Parts;
use super::{Operation, Review};
use crate::registry::as_served;
use crate::served::{Served, Table};

const GROUP: &str = "admissionregistration.k8s.io";
/// What neither webhooks nor policies are asked about: a wrong one could not be mended any more.
const EXEMPT: [&str; 6] = [
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];

/// Whether a request is about what admission itself is made of.
pub(super) fn is_exempt(review: &Review<'_>) -> bool {
    let asked = review.attributes;
    asked.group == GROUP && EXEMPT.contains(&asked.resource.as_str())
}

/// Whether a value is an object of a resource, and not the body of a part that has a kind of its own.
pub(super) fn is_whole(served: &Served, value: &Value) -> bool {
    meta::text(value, &["kind"]) == served.resource.kind
}

/// An object in the version that a webhook or a policy reads. What is no object of the resource has one version.
pub(super) async fn shown(
    served: &Served,
    object: Option<&Value>,
) -> Result<Option<Value>, Status> {
    match object {
        Some(object) if is_whole(served, object) => {
            as_served(served, object.clone()).await.map(Some)
        }
        other => Ok(other.cloned()),
    }
}

/// The other versions under which the objects of a request are served.
pub(super) fn other_versions(table: &Table, review: &Review<'_>) -> Vec<Arc<Served>> {
    let own = &review.served.resource;
    let part = &review.attributes.subresource;
    let others = table.all.iter().filter(|served| {
        let other = &served.resource;
        other.storage == own.storage
            && (&other.group, &other.version) != (&own.group, &own.version)
            && (part.is_empty() || served.subresource(part).is_some())
    });
    others.cloned().collect()
}

/// Whether a rule is about a request for a resource.
pub(super) fn covers(rule: &Value, review: &Review<'_>, served: &Served) -> bool {
    let resource = &served.resource;
    let has = |field: &str, wanted: &str| {
        let items = meta::list(rule, &[field]);
        items.iter().any(|item| item == "*" || item == wanted)
    };
    let in_scope = match meta::text(rule, &["scope"]) {
        "Namespaced" => resource.namespaced,
        "Cluster" => !resource.namespaced,
        _ => true,
    };
    let part = &review.attributes.subresource;
    let mut patterns = meta::list(rule, &["resources"])
        .iter()
        .filter_map(Value::as_str);
    in_scope
        && has("operations", review.operation.name())
        && has("apiGroups", &resource.group)
        && has("apiVersions", &resource.version)
        && patterns.any(|pattern| is_resource(pattern, &resource.plural, part))
}

/// Whether `pods`, `pods/log`, `pods/*`, `*/scale`, `*` or `*/*` means a resource, or a part of it.
fn is_resource(pattern: &str, plural: &str, part: &str) -> bool {
    let (own, own_part) = pattern.split_once('/').unwrap_or((pattern, ""));
    (own == "*" || own == plural) && (own_part == "*" || own_part == part)
}

/// Whether a selector means the object of a request, as it will be or as it is.
pub(super) fn selects_object(
    review: &Review<'_>,
    object: Option<&Value>,
    selector: &Selector,
) -> bool {
    let mut known = object.into_iter().chain(review.old);
    selector.is_everything() || known.any(|object| selector.selects(object))
}

/// Whether a selector means the namespace of a request. What has none is always meant.
pub(super) async fn selects_namespace(
    parts: &Parts,
    review: &Review<'_>,
    object: Option<&Value>,
    selector: &Selector,
) -> Result<bool, Status> {
    let name = review.namespace_of(object);
    if name.is_empty() || selector.is_everything() {
        return Ok(true);
    }
    let changes = matches!(review.operation, Operation::Create | Operation::Update);
    if changes && review.is_of("", "namespaces") {
        return Ok(object.is_some_and(|object| selector.selects(object)));
    }
    match parts.find(("", "namespaces"), "", name).await? {
        Some(namespace) => Ok(selector.selects(&namespace)),
        None => Err(Status::not_found("", "namespaces", name)),
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
