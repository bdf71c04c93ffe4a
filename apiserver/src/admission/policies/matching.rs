//! Whether a policy or a binding is about a request: its rules and selectors, also for other versions of the resource.

use std::sync::Arc;

use objects::selector::label::Selector;
use objects::{Value, meta};

use crate::admission::chain::Parts;
use crate::admission::{Review, rules};
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
    let selected = Selector::from_object(&resources["objectSelector"])
        .map(|selector| rules::selects_object(review, object, &selector));
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
    let asked = table.get(&own.group, &own.version, &own.plural).cloned();
    let others = match exact {
        true => Vec::new(),
        false => rules::other_versions(&table, review),
    };
    asked.into_iter().chain(others).collect()
}

fn is_covered(rule: &Value, served: &Served, review: &Review<'_>, name: &str) -> bool {
    let names = meta::list(rule, &["resourceNames"]);
    rules::covers(rule, review, served) && (names.is_empty() || names.iter().any(|own| own == name))
}

async fn in_namespace(
    parts: &Parts,
    review: &Review<'_>,
    object: Option<&Value>,
    selector: &Value,
) -> Result<bool, String> {
    // What is wrong with a selector is nothing to what is in no namespace.
    if review.namespace_of(object).is_empty() {
        return Ok(true);
    }
    let selector = Selector::from_object(selector)?;
    let selected = rules::selects_namespace(parts, review, object, &selector).await;
    selected.map_err(|status| status.message)
}
