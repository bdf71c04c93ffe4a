//! Writes the past templates of a workload: the latest is made or renumbered, and old ones go.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::{Client, DeleteOptions, Error, Key, Kind, Patch, Store};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use objects::selector::label::Selector;
use serde_json::json;

use super::Update;
use crate::claims::{self, Unclaimed};
use crate::{owners, patches};

/// Names that are tried for a revision when others have its name.
const COLLISIONS_MAX: i32 = 16;

/// The revisions of an owner, from the oldest to the latest.
pub(crate) async fn claimed<K: Kind>(
    client: &Client,
    store: &Store<ControllerRevision>,
    owner: &K,
    selector: &Selector,
) -> Result<Vec<Arc<ControllerRevision>>, Unclaimed> {
    let candidates = claims::owned_and_orphans(store, owner.metadata());
    let claimed =
        claims::claim::<K, ControllerRevision>(client, owner.metadata(), selector, candidates);
    Ok(super::sorted(claimed.await?))
}

/// The revision of the template that a workload has now, and how many names were taken.
pub(crate) async fn latest<K: Kind>(
    client: &Client,
    owner: &K,
    template: &PodTemplateSpec,
    revisions: &[Arc<ControllerRevision>],
    collisions: i32,
) -> Result<(Arc<ControllerRevision>, i32), Error> {
    match super::update(template, revisions) {
        Update::Latest(revision) => Ok((revision, collisions)),
        Update::Renumber(revision, number) => {
            let patch = patches::when_unchanged(&revision.metadata, json!({"revision": number}));
            let key = Key::of(revision.as_ref());
            let renumbered = client.patch(&key, &Patch::Merge(patch)).await?;
            Ok((Arc::new(renumbered), collisions))
        }
        Update::Create(number) => create(client, owner, template, number, collisions).await,
    }
}

async fn create<K: Kind>(
    client: &Client,
    owner: &K,
    template: &PodTemplateSpec,
    number: i64,
    collisions: i32,
) -> Result<(Arc<ControllerRevision>, i32), Error> {
    let mut collisions = collisions;
    let last = collisions.saturating_add(COLLISIONS_MAX);
    loop {
        let reference = owners::reference::<K>(owner.metadata());
        let revision = super::revision(owner.metadata(), reference, template, number, collisions);
        let taken = match client.create(&revision).await {
            Err(error) if error.is_already_exists() => error,
            created => return Ok((Arc::new(created?), collisions)),
        };
        let found: ControllerRevision = client.get(&Key::of(&revision)).await?;
        let is_same = super::holds(&found, template)
            && owners::is_controlled_by(&found.metadata, owner.metadata());
        if is_same {
            return Ok((Arc::new(found), collisions));
        }
        if collisions >= last {
            return Err(taken);
        }
        collisions += 1;
    }
}

/// Deletes the oldest revisions beyond the limit that nothing uses.
pub(crate) async fn truncate(
    client: &Client,
    revisions: &[Arc<ControllerRevision>],
    used: &BTreeSet<&str>,
    limit: i32,
) -> Result<(), Error> {
    for revision in super::expired(revisions, used, limit) {
        let uid = revision.metadata.uid.clone().unwrap_or_default();
        let key = Key::of(revision.as_ref());
        let deleted = client
            .delete::<ControllerRevision>(&key, &DeleteOptions::of_uid(uid))
            .await;
        match deleted {
            Err(error) if !error.is_not_found() && !error.is_conflict() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
