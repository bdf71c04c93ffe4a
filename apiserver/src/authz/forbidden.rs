//! The answer to a request that is not allowed.

use objects::status::Status;

use super::text::quoted;
use crate::attributes::Attributes;

/// A 403 that says who may not do what, and the authorizer's reason if it has one.
#[must_use]
pub fn forbidden(attributes: &Attributes, reason: &str) -> Status {
    // A browser that shows the answer must not find tags in it.
    let mut why = sentence(attributes)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    if !reason.is_empty() {
        why = format!("{why}: {reason}");
    }
    Status::forbidden(
        &attributes.group,
        &attributes.resource,
        &attributes.name,
        why,
    )
}

fn sentence(attributes: &Attributes) -> String {
    let (user, verb) = (quoted(&attributes.user.name), &attributes.verb);
    if !attributes.is_resource() {
        return format!(
            "User {user} cannot {verb} path {}",
            quoted(&attributes.path)
        );
    }
    let scope = if attributes.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {}", quoted(&attributes.namespace))
    };
    format!(
        "User {user} cannot {verb} resource {} in API group {} {scope}",
        quoted(&attributes.resource_and_subresource()),
        quoted(&attributes.group)
    )
}
