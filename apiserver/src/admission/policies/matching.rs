//! Whether a policy or a binding is about a request: its rules and selectors, also for other versions of the resource.

use std::sync::Arc;

use objects::selector::label::Selector;
use objects::{Value, meta};

use crate::admission::chain::Parts;
use crate::admission::{Operation, Review};
use crate::served::Served;

/// Finds the resource in the version that resources match in; nothing, and they are not about the request.
///
/// # Errors
///
/// If that cannot be told.
pub(super) async fn matched(
    parts: &Parts,
    review: &Review<'_>,
    object: Option<&Value>,
    resources: &Value,
) -> Result<Option<Arc<Served>>, String> {
    let namespace = in_namespace(parts, review, object, &resources["namespaceSelector"]).await;
    if namespace == Ok(false) {
        return Ok(None);
    }
    let selected = selects(review, object, &resources["objectSelector"]);
    if selected == Ok(false) {
        return Ok(None);
    }
    let exact = meta::text(resources, &["matchPolicy"]) != "Equivalent";
    let versions = versions(parts, review, exact);
    let object_name = review.name_of(object);
    let find = |field: &str| {
        let rules = meta::list(resources, &[field]);
        let of = |served: &&Arc<Served>| {
            let covers = |rule: &Value| is_covered(rule, served, review, object_name);
            rules.iter().any(covers)
        };
        versions.iter().find(of).cloned()
    };
    if find("excludeResourceRules").is_some() {
        return Ok(None);
    }
    let found = if meta::list(resources, &["resourceRules"]).is_empty() {
        versions.first().cloned()
    } else {
        find("resourceRules")
    };
    if found.is_some() {
        namespace?;
        selected?;
    }
    Ok(found)
}

/// The resource as it was asked for, and then the other versions under which its objects are served.
fn versions(parts: &Parts, review: &Review<'_>, exact: bool) -> Vec<Arc<Served>> {
    let table = parts.resources.table();
    let own = &review.served.resource;
    let asked = table.get(&own.group, &own.version, &own.plural);
    let part = &review.attributes.subresource;
    let others = table.all.iter().filter(|served| {
        let other = &served.resource;
        !exact
            && other.storage == own.storage
            && (&other.group, &other.version) != (&own.group, &own.version)
            && (part.is_empty() || served.subresource(part).is_some())
    });
    asked.into_iter().chain(others).cloned().collect()
}

fn is_covered(rule: &Value, served: &Served, review: &Review<'_>, name: &str) -> bool {
    let has = |field: &str, wanted: &str| {
        let items = meta::list(rule, &[field]);
        items.iter().any(|item| item == "*" || item == wanted)
    };
    let operation = match review.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    };
    let resource = &served.resource;
    let part = review.attributes.subresource.as_str();
    let resources = meta::list(rule, &["resources"]).iter();
    let is_resource = resources.filter_map(Value::as_str).any(|pattern| {
        let (own, own_part) = pattern.split_once('/').unwrap_or((pattern, ""));
        (own == "*" || own == resource.plural) && (own_part == "*" || own_part == part)
    });
    let scope = match meta::text(rule, &["scope"]) {
        "" | "*" => true,
        "Namespaced" => resource.namespaced,
        "Cluster" => !resource.namespaced,
        _ => false,
    };
    let names = meta::list(rule, &["resourceNames"]);
    is_resource
        && scope
        && has("operations", operation)
        && has("apiGroups", &resource.group)
        && has("apiVersions", &resource.version)
        && (names.is_empty() || names.iter().any(|own| own == name))
}

fn selects(review: &Review<'_>, object: Option<&Value>, selector: &Value) -> Result<bool, String> {
    let selector = Selector::from_object(selector)?;
    let mut known = object.into_iter().chain(review.old);
    Ok(selector.is_everything() || known.any(|object| selector.selects(object)))
}

async fn in_namespace(
    parts: &Parts,
    review: &Review<'_>,
    object: Option<&Value>,
    selector: &Value,
) -> Result<bool, String> {
    let about_namespace = review.attributes.resource == "namespaces";
    let name = review.namespace_of(object);
    if name.is_empty() && !about_namespace {
        return Ok(true);
    }
    let selector = Selector::from_object(selector)?;
    if selector.is_everything() {
        return Ok(true);
    }
    let changes = matches!(review.operation, Operation::Create | Operation::Update);
    if about_namespace && review.attributes.subresource.is_empty() && changes {
        return Ok(object.is_some_and(|object| selector.selects(object)));
    }
    let found = parts.find(("", "namespaces"), "", name).await;
    match found.map_err(|status| status.message)? {
        Some(namespace) => Ok(selector.selects(&namespace)),
        None => Err(format!("namespaces \"{name}\" not found")),
    }
}
