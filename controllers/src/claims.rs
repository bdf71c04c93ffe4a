//! Carries claims out: an owner's objects, after it adopted orphans and released what it does not select.

use std::sync::Arc;

use client::{Client, Error, Informer, Key, Kind, Patch, Store};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::selector::label::Selector;

use crate::owners::{self, Claim};
use crate::selectors;

/// The index of objects by the uid of their controller; those without one are together by namespace.
const INDEX: &str = "controller";

/// Keeps a kind's objects by their controllers.
pub(crate) fn index<K: Kind>(informer: &Informer<K>) {
    informer.index(INDEX, |object| {
        let metadata = object.metadata();
        vec![match owners::controller_of(metadata) {
            Some(owner) => owner.uid.clone(),
            None => orphans(metadata),
        }]
    });
}

/// No uid has a slash.
fn orphans(metadata: &ObjectMeta) -> String {
    format!("/{}", metadata.namespace.as_deref().unwrap_or_default())
}

/// The objects whose controller is `owner`.
pub(crate) fn owned<K: Kind>(store: &Store<K>, owner: &ObjectMeta) -> Vec<Arc<K>> {
    owned_by_uid(store, owner.uid.as_deref().unwrap_or_default())
}

/// The objects whose controller has this uid.
pub(crate) fn owned_by_uid<K: Kind>(store: &Store<K>, uid: &str) -> Vec<Arc<K>> {
    store.by_index(INDEX, uid)
}

/// The objects whose controller is `owner`, and those of its namespace that have none.
pub(crate) fn owned_and_orphans<K: Kind>(store: &Store<K>, owner: &ObjectMeta) -> Vec<Arc<K>> {
    let mut all = owned(store, owner);
    all.extend(store.by_index(INDEX, &orphans(owner)));
    all
}

/// Why an owner could not see to its objects.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unclaimed {
    #[error(transparent)]
    Call(#[from] Error),
    #[error(transparent)]
    CannotAdopt(#[from] owners::CannotAdopt),
}

/// The objects of `candidates` that are the owner's, an object of kind `O`, when this is done.
///
/// Before the first adoption the owner is read from the server, for what the cache says of it may be old.
/// All candidates are seen to before the first error is returned.
pub(crate) async fn claim<O: Kind, K: Kind>(
    client: &Client,
    owner: &ObjectMeta,
    selector: &Selector,
    candidates: Vec<Arc<K>>,
) -> Result<Vec<Arc<K>>, Unclaimed> {
    let mut claimed = Vec::new();
    let mut may_adopt = None;
    let mut first_error = None;
    for object in candidates {
        let metadata = object.metadata();
        let is_selected = selectors::selects(selector, metadata);
        let patch = match owners::claim(owner, metadata, is_selected) {
            Claim::Leave => continue,
            Claim::Own => {
                claimed.push(object);
                continue;
            }
            Claim::Adopt => {
                if may_adopt.is_none() {
                    let live: O = client.get(&Key::of_metadata(owner)).await?;
                    owners::may_adopt(owner, live.metadata())?;
                    may_adopt = Some(owners::reference::<O>(owner));
                }
                may_adopt
                    .as_ref()
                    .map(|reference| owners::adoption(reference, metadata))
            }
            Claim::Release => Some(owners::release(owner, metadata)),
        };
        let Some(patch) = patch else { continue };
        let is_adoption = owners::controller_of(metadata).is_none();
        let key = Key::of_metadata(metadata);
        match client.patch::<K>(&key, &Patch::Strategic(patch)).await {
            Ok(_) if is_adoption => claimed.push(object),
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            // Another object has the name of the one that was to be released.
            Err(error) if !is_adoption && (error.is_invalid() || error.is_conflict()) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        Some(error) => Err(error.into()),
        None => Ok(claimed),
    }
}
