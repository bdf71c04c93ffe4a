//! A request as webhooks and expressions are told of it.

use objects::Value;
use serde_json::json;

use super::Review;
use crate::served::Served;

/// What both are told; `matched` is the resource in the version that they ask for, and `shown` its object, old if there is no new one.
pub(super) fn request(review: &Review<'_>, matched: &Served, shown: Option<&Value>) -> Value {
    let asked = review.attributes;
    let part = asked.subresource.as_str();
    let mut user = asked.user.to_value();
    // Here also nobody has a name.
    user["username"] = json!(asked.user.name);
    let mut request = json!({
        "kind": kind(matched, part),
        "resource": resource(matched),
        "requestKind": kind(review.served, part),
        "requestResource": resource(review.served),
        "operation": review.operation.name(),
        "userInfo": user,
        "dryRun": review.dry_run,
        "options": review.options,
    });
    for (field, text) in [
        ("subResource", part),
        ("requestSubResource", part),
        ("name", review.name_of(shown)),
        ("namespace", review.namespace_of(shown)),
    ] {
        if !text.is_empty() {
            request[field] = text.into();
        }
    }
    request
}

fn kind(served: &Served, part: &str) -> Value {
    let resource = &served.resource;
    let (group, version, kind) = match served.subresource(part) {
        Some(part) => (&part.group, &part.version, &part.kind),
        None => (&resource.group, &resource.version, &resource.kind),
    };
    json!({"group": group, "version": version, "kind": kind})
}

fn resource(served: &Served) -> Value {
    let resource = &served.resource;
    json!({"group": resource.group, "version": resource.version, "resource": resource.plural})
}
