//! Tokens of nodes that want to join: signs the cluster's address with them, and removes those whose time is over.

mod decide;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use client::{Client, DeleteOptions, Key, Next, Patch, Query};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use crate::context::Context;
use crate::patches;
use decide::Life;

const SECRETS: &str = "kube-system";
const TYPE: &str = "bootstrap.kubernetes.io/token";
const MAPS: &str = "kube-public";
const MAP: &str = "cluster-info";
const WORKERS: usize = 1;

fn secrets() -> Query {
    Query {
        fields: format!("type={TYPE}"),
        ..Query::namespace(SECRETS)
    }
}

pub(crate) fn start_signing(context: &Context) {
    let secrets = context.informers.with::<Secret>(secrets());
    let maps = context.informers.with::<ConfigMap>(Query {
        fields: format!("metadata.name={MAP}"),
        ..Query::namespace(MAPS)
    });
    let queue = context.queue("bootstrap_signer_queue");
    let added = queue.clone();
    secrets.on_change(move |_| added.add(()));
    let added = queue.clone();
    maps.on_change(move |_| added.add(()));
    let stores = (secrets.store(), maps.store());
    let client = context.client.clone();
    context.work(
        ("bootstrap signer", WORKERS),
        queue,
        context.synced(),
        move |()| {
            let map = stores.1.get(&Key::new(MAPS, MAP));
            let secrets = stores.0.all();
            let client = client.clone();
            async move {
                if let Some(map) = map {
                    sign(&client, &map, &secrets).await?;
                }
                anyhow::Ok(Next::Done)
            }
        },
    );
}

async fn sign(client: &Client, map: &ConfigMap, secrets: &[Arc<Secret>]) -> Result<()> {
    let now = Timestamp::now();
    let tokens = secrets.iter();
    let tokens = tokens
        .filter_map(|secret| decide::token(secret, now))
        .collect();
    let Some(change) = decide::signatures(map, &tokens) else {
        return Ok(());
    };
    let patch = Patch::Merge(patches::when_unchanged(&map.metadata, change));
    match client.patch::<ConfigMap>(&Key::of(map), &patch).await {
        // It has changed, and will be told of again.
        Err(error) if !error.is_conflict() && !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

pub(crate) fn start_cleaning(context: &Context) {
    let secrets = context.informers.with::<Secret>(secrets());
    let queue = context.queue("token_cleaner");
    let added = queue.clone();
    secrets.on_change(move |change| added.add(Key::of(&**change.object())));
    let store = secrets.store();
    let client = context.client.clone();
    context.work(
        ("bootstrap token cleaner", WORKERS),
        queue,
        context.synced(),
        move |key: Key| {
            let (found, client) = (store.get(&key), client.clone());
            async move {
                let Some(secret) = found else {
                    return anyhow::Ok(Next::Done);
                };
                match decide::life(&secret, Timestamp::now()) {
                    Life::Endless => Ok(Next::Done),
                    Life::Left(left) => Ok(Next::After(left.max(Duration::from_millis(1)))),
                    Life::Over => {
                        remove(&client, &key, &secret).await?;
                        Ok(Next::Done)
                    }
                }
            }
        },
    );
}

async fn remove(client: &Client, key: &Key, secret: &Secret) -> Result<()> {
    let options = DeleteOptions::of_uid(secret.metadata.uid.clone().unwrap_or_default());
    match client.delete::<Secret>(key, &options).await {
        Err(error) if !error.is_conflict() && !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}
