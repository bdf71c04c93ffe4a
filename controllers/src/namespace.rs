//! Ends namespaces: deletes all that is in them, pods first, and then lets them go.

mod conditions;
mod content;

use std::time::Duration;

use anyhow::{Result, bail};
use client::{Change, Client, Key, Kind, Next, Patch};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::{Value, meta};
use serde_json::json;

use crate::context::Context;
use crate::patches;
use conditions::Outcome;

/// How long after a change of a namespace its content is looked at: by then no server makes objects in it any more.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a namespace that could not be emptied waits for the next attempt: the first time, and at most.
const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_MAX: Duration = Duration::from_mins(1);
/// What a namespace waits for until all is deleted.
const FINALIZER: &str = "kubernetes";
const TERMINATING: &str = "Terminating";

pub(crate) fn start(context: &Context) {
    let informer = context.informers.of::<Namespace>();
    let queue = context.queue_with("namespace", RETRY_FIRST, RETRY_MAX);
    let added = queue.clone();
    informer.on_change(move |change| {
        let namespace = change.object();
        let is_gone = matches!(change, Change::Deleted(_));
        if namespace.metadata.deletion_timestamp.is_some() && !is_gone {
            added.add_after(Key::of(&**namespace).name, PAUSE);
        }
    });
    let client = context.client.clone();
    let workers = context.options.workers.concurrent_namespace_syncs;
    context.work(
        ("namespace", workers),
        queue,
        context.synced(),
        move |name: String| {
            let client = client.clone();
            async move { sync(&client, &name).await }
        },
    );
}

async fn sync(client: &Client, name: &str) -> Result<Next> {
    let key = Key::new("", name);
    let found = client.get::<Namespace>(&key).await;
    let mut namespace = match found {
        Err(error) if error.is_not_found() => return Ok(Next::Done),
        found => found?,
    };
    let Some(deleted) = namespace.metadata.deletion_timestamp.clone() else {
        return Ok(Next::Done);
    };
    let phase = namespace
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if phase != Some(TERMINATING) {
        let patch = json!({"status": {"phase": TERMINATING}});
        let patch = Patch::Merge(patches::when_unchanged(&namespace.metadata, patch));
        namespace = client.patch_status(&key, &patch).await?;
    }
    let finalizers = namespace
        .spec
        .as_ref()
        .and_then(|spec| spec.finalizers.as_ref());
    if finalizers.is_none_or(Vec::is_empty) {
        return Ok(Next::Done);
    }
    let outcome = content::delete(client, name, deleted.0).await;
    tell(client, &namespace, &outcome).await;
    if let Some(fault) = outcome.discovery.iter().chain(&outcome.failures).next() {
        bail!("{fault}");
    }
    if outcome.estimate_seconds > 0 {
        let seconds = outcome.estimate_seconds / 2 + 1;
        let seconds = u64::try_from(seconds).unwrap_or_default();
        return Ok(Next::After(Duration::from_secs(seconds)));
    }
    finalize(client, &namespace.metadata).await?;
    Ok(Next::Done)
}

/// Writes into the namespace how its end goes. Whether that can be written does not matter for its end.
async fn tell(client: &Client, namespace: &Namespace, outcome: &Outcome) {
    let before = namespace
        .status
        .as_ref()
        .and_then(|status| status.conditions.clone());
    let before = before.unwrap_or_default();
    let Some(after) = conditions::after(&before, outcome, Timestamp::now()) else {
        return;
    };
    let patch = json!({"status": {"conditions": after}});
    let patch = Patch::Merge(patches::when_unchanged(&namespace.metadata, patch));
    let key = Key::of(namespace);
    if let Err(error) = client.patch_status::<Namespace>(&key, &patch).await {
        tracing::warn!(%error, "cannot tell how the end of a namespace goes");
    }
}

/// Takes our finalizer away, after which the server lets the namespace go if there is no other.
async fn finalize(client: &Client, ended: &ObjectMeta) -> Result<()> {
    let key = &Key::of_metadata(ended);
    let namespaces = client.dynamic(Namespace::resource());
    let found = namespaces.get(key).await;
    let mut namespace = match found {
        Err(error) if error.is_not_found() => return Ok(()),
        found => found?,
    };
    if !is_the_same(&namespace, ended) {
        return Ok(());
    }
    if let Some(finalizers) = namespace["spec"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
    let written = namespaces.subresource("finalize");
    match written.update(key, &namespace).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether a namespace is the one that was emptied. Another one of its name does not end with it.
fn is_the_same(found: &Value, emptied: &ObjectMeta) -> bool {
    meta::is_deleting(found) && Some(meta::uid(found)) == emptied.uid.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_namespace_that_was_emptied_is_let_go() {
        let emptied = ObjectMeta {
            uid: Some("u".to_owned()),
            ..ObjectMeta::default()
        };
        let found =
            |uid: &str, at: &str| json!({"metadata": {"uid": uid, "deletionTimestamp": at}});
        let at = "2026-01-01T00:00:00Z";
        assert!(is_the_same(&found("u", at), &emptied));
        assert!(!is_the_same(&found("another", at), &emptied));
        assert!(!is_the_same(&json!({"metadata": {"uid": "u"}}), &emptied));
    }
}
