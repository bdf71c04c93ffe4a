//! Puts protection on claims and volumes and takes it off, as is decided.

use std::sync::Arc;

use anyhow::Result;
use client::{Change, Client, Key, Kind, Next, Patch, Query, Store};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use objects::Value;

use super::protection;
use crate::context::Context;
use crate::indices::{self, BY_CLAIM};

/// Claims that are looked at together.
const WORKERS: usize = 2;

pub(crate) fn start_volumes(context: &Context) {
    let queue = context.queue("pvprotection");
    let volumes = context.informers.of::<PersistentVolume>();
    let added = Arc::clone(&queue);
    volumes.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) {
            added.add(Key::of(&**change.object()));
        }
    });
    let (client, store) = (context.client.clone(), volumes.store());
    context.work(
        ("volume protection", 1),
        queue,
        context.synced(),
        move |key: Key| {
            let (client, volume) = (client.clone(), store.get(&key));
            async move {
                match volume.as_deref().and_then(protection::of_volume) {
                    Some(patch) => write::<PersistentVolume>(&client, &key, patch).await,
                    None => Ok(Next::Done),
                }
            }
        },
    );
}

struct Claims {
    client: Client,
    claims: Store<PersistentVolumeClaim>,
    pods: Store<Pod>,
}

pub(crate) fn start_claims(context: &Context) {
    let queue = context.queue("pvcprotection");
    let claims = context.informers.of::<PersistentVolumeClaim>();
    let pods = indices::pods_by_claim(&context.informers);
    let added = Arc::clone(&queue);
    claims.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) {
            added.add(Key::of(&**change.object()));
        }
    });
    let added = Arc::clone(&queue);
    pods.on_change(move |change| {
        // Only a pod that goes lets a claim go.
        let pod = change.object();
        let is_leaving =
            matches!(change, Change::Deleted(_)) || protection::is_going(&pod.metadata);
        if is_leaving {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            for name in protection::claims_of(pod) {
                added.add(Key::new(namespace, name));
            }
        }
    });
    let controller = Arc::new(Claims {
        client: context.client.clone(),
        claims: claims.store(),
        pods: pods.store(),
    });
    context.work(
        ("claim protection", WORKERS),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = Arc::clone(&controller);
            async move { controller.sync(&key).await }
        },
    );
}

impl Claims {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(claim) = self.claims.get(key) else {
            return Ok(Next::Done);
        };
        if protection::of_claim(&claim, false).is_none() {
            return Ok(Next::Done);
        }
        let is_used = protection::is_going(&claim.metadata) && self.is_used(key, &claim).await?;
        match protection::of_claim(&claim, is_used) {
            Some(patch) => write::<PersistentVolumeClaim>(&self.client, key, patch).await,
            None => Ok(Next::Done),
        }
    }

    /// Whether a pod uses the claim. That none does is believed only of the server.
    async fn is_used(&self, key: &Key, claim: &PersistentVolumeClaim) -> Result<bool> {
        let known = self.pods.by_index(BY_CLAIM, &key.to_string());
        if known.iter().any(|pod| protection::is_used_by(pod, claim)) {
            return Ok(true);
        }
        let pods = self
            .client
            .list::<Pod>(&Query::namespace(&*key.namespace))
            .await?;
        Ok(pods
            .items
            .iter()
            .any(|pod| protection::is_used_by(pod, claim)))
    }
}

async fn write<K: Kind>(client: &Client, key: &Key, patch: Value) -> Result<Next> {
    match client.patch::<K>(key, &Patch::Merge(patch)).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(Next::Done),
    }
}
