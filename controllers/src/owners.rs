//! Who owns what: the one controller an object has, and when an object is taken or given up.

use k8s_openapi::Resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Value, json};

/// The owner that manages an object, if it has one.
pub(crate) fn controller_of(object: &ObjectMeta) -> Option<&OwnerReference> {
    object
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
}

/// Whether the object's controller is the one with this uid.
pub(crate) fn is_controlled_by(object: &ObjectMeta, owner: &ObjectMeta) -> bool {
    controller_of(object).is_some_and(|reference| Some(&reference.uid) == owner.uid.as_ref())
}

/// The reference that makes `owner`, an object of kind `K`, the controller of what carries it.
pub(crate) fn reference<K: Resource>(owner: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        name: owner.name.clone().unwrap_or_default(),
        uid: owner.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// What an owner does about one object of its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is the owner's already.
    Own,
    /// Nobody has it and the owner's selector selects it.
    Adopt,
    /// The owner has it, and its selector does not select it any more.
    Release,
    /// It is none of the owner's business.
    Leave,
}

/// Decides on `object` for `owner`; `is_selected` says whether the owner's selector selects it.
pub(crate) fn claim(owner: &ObjectMeta, object: &ObjectMeta, is_selected: bool) -> Claim {
    let is_owner_going = owner.deletion_timestamp.is_some();
    match controller_of(object) {
        Some(_) if !is_controlled_by(object, owner) => Claim::Leave,
        Some(_) if is_selected => Claim::Own,
        Some(_) if is_owner_going => Claim::Leave,
        Some(_) => Claim::Release,
        None if is_owner_going || !is_selected => Claim::Leave,
        None if object.deletion_timestamp.is_some() => Claim::Leave,
        None if owner.namespace != object.namespace => Claim::Leave,
        None => Claim::Adopt,
    }
}

/// Why an owner that was seen in a cache must not adopt anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotAdopt {
    #[error("original {name} is gone: got uid {live:?}, wanted {seen:?}")]
    Replaced {
        name: String,
        live: Option<String>,
        seen: Option<String>,
    },
    #[error("{name} has just been deleted at {at}")]
    Going { name: String, at: String },
}

/// Whether the owner, read from the server just now, still is what was seen in a cache and stays.
/// It is asked before the first adoption of a turn.
pub(crate) fn may_adopt(seen: &ObjectMeta, live: &ObjectMeta) -> Result<(), CannotAdopt> {
    let namespace = seen.namespace.as_deref().unwrap_or_default();
    let name = format!("{namespace}/{}", seen.name.as_deref().unwrap_or_default());
    if live.uid != seen.uid {
        return Err(CannotAdopt::Replaced {
            name,
            live: live.uid.clone(),
            seen: seen.uid.clone(),
        });
    }
    match &live.deletion_timestamp {
        Some(at) => Err(CannotAdopt::Going {
            name,
            at: at.0.to_string(),
        }),
        None => Ok(()),
    }
}

/// A strategic patch that makes `reference` the object's controller. It fails on another object of the same name.
pub(crate) fn adoption(reference: &OwnerReference, object: &ObjectMeta) -> Value {
    json!({"metadata": {"ownerReferences": [reference], "uid": object.uid}})
}

/// A strategic patch that takes the owner with this uid off the object. It fails on another object of the same name.
pub(crate) fn release(owner: &ObjectMeta, object: &ObjectMeta) -> Value {
    json!({"metadata": {
        "ownerReferences": [{"$patch": "delete", "uid": owner.uid}],
        "uid": object.uid,
    }})
}

#[cfg(test)]
mod tests;
