//! Who names an owner has to be allowed what that leads to: the deletion of what is owned, and a wait at the deletion of the owner.

use objects::status::Status;
use objects::{Value, meta};

use super::chain::Parts;
use super::{Operation, Review};
use crate::attributes::Attributes;
use crate::authz::Decision;

pub(super) fn validate(parts: &Parts, review: &Review<'_>, object: &Value) -> Result<(), Status> {
    let asked = review.attributes;
    // Owners of a pod are not changed through its status.
    let is_kept = review.is_of_part("", "pods", "status");
    let old = review.old.map_or(&[] as &[Value], owners);
    let new = owners(object);
    if is_kept || new == old {
        return Ok(());
    }
    if review.operation != Operation::Create {
        let attributes = Attributes {
            verb: "delete".to_owned(),
            ..asked.clone()
        };
        let decision = parts.authorizer.authorize(&attributes);
        if !decision.is_allowed() {
            let why = reason(
                "cannot set an ownerRef on a resource you can't delete",
                &decision,
            );
            return Err(review.forbidden(Some(object), why));
        }
    }
    let was_blocking = |owner: &Value| {
        old.iter()
            .any(|other| other["uid"] == owner["uid"] && is_blocking(other))
    };
    let blocking: Vec<&Value> = new
        .iter()
        .filter(|owner| is_blocking(owner) && !was_blocking(owner))
        .collect();
    let finalizers = Attributes {
        user: asked.user.clone(),
        verb: "update".to_owned(),
        group: "*".to_owned(),
        version: "*".to_owned(),
        resource: "*".to_owned(),
        subresource: "finalizers".to_owned(),
        name: "*".to_owned(),
        ..Attributes::default()
    };
    if blocking.is_empty() || parts.authorizer.authorize(&finalizers).is_allowed() {
        return Ok(());
    }
    for owner in blocking {
        let attributes = of_owner(parts, &finalizers, &asked.namespace, owner)?
            .map_err(|why| review.forbidden(Some(object), why))?;
        let decision = parts.authorizer.authorize(&attributes);
        if !decision.is_allowed() {
            let why = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on";
            return Err(review.forbidden(Some(object), reason(why, &decision)));
        }
    }
    Ok(())
}

fn owners(object: &Value) -> &[Value] {
    meta::list(object, &["metadata", "ownerReferences"])
}

fn is_blocking(owner: &Value) -> bool {
    owner["blockOwnerDeletion"] == true
}

fn reason(why: &str, decision: &Decision) -> String {
    format!("{why}: {}, <nil>", decision.reason())
}

/// The same for the finalizers of an owner, which is in the namespace of what it owns if it is in any; why not, where its kind does
/// not exist.
///
/// # Errors
///
/// If it is not known yet which kinds there are.
fn of_owner(
    parts: &Parts,
    finalizers: &Attributes,
    namespace: &str,
    owner: &Value,
) -> Result<Result<Attributes, String>, Status> {
    let text = |field| meta::text(owner, &[field]);
    let (group, version) = match text("apiVersion").split_once('/') {
        Some(pair) => pair,
        None => ("", text("apiVersion")),
    };
    let table = parts.resources.table();
    let Some(served) = table.find_kind(group, version, text("kind"))? else {
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        return Ok(Err(format!(
            "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {api_version} Kind {kind}: no matches for kind {kind:?} in version {api_version:?}"
        )));
    };
    let resource = &served.resource;
    Ok(Ok(Attributes {
        group: resource.group.clone(),
        version: resource.version.clone(),
        resource: resource.plural.clone(),
        namespace: if resource.namespaced {
            namespace.to_owned()
        } else {
            String::new()
        },
        name: text("name").to_owned(),
        ..finalizers.clone()
    }))
}
