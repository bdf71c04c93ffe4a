//! Reads everything that was written to the store of a control plane, from the first revision on.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use check::history::{Outcome, Put, Request};
use proto::etcdserverpb as pb;
use proto::mvccpb;
use serde_json::Value;
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::history::Change;
use crate::client::Client;

/// Keys of objects begin with this.
const OBJECTS: &[u8] = b"/registry/";
/// A key of nobody's, whose write is the end of a history; it and all objects are from there on and below this end.
const MARK: &str = "/registry.chaos";
const END: &[u8] = b"/registry0";
/// What is judged.
const RESOURCES: [&str; 5] = ["pods", "deployments", "replicasets", "statefulsets", "jobs"];
/// Time without a further event before the end is reached.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Every write of what is judged so far. Nothing may have been compacted.
pub(super) async fn changes(url: &str) -> Result<Vec<Change>> {
    let mut client = Client::new(url)?;
    // The last write is known, so that the end is.
    let mark = Request::Put(Put {
        key: MARK.into(),
        ..Put::default()
    });
    let last = match client.ask_within(&mark, SILENCE_TIMEOUT).await {
        Outcome::Ok(response) => response.revision,
        other => bail!("the end of the history is not marked: {other:?}"),
    };
    let create = pb::WatchCreateRequest {
        key: MARK.as_bytes().to_vec().into(),
        range_end: END.to_vec().into(),
        start_revision: 1,
        ..pb::WatchCreateRequest::default()
    };
    let request = pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)),
    };
    // The stream of requests stays open as long as that of answers is read.
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let mut answers = client.watch(requests).await?;
    let mut changes = Vec::new();
    let mut reached = 0;
    while reached < last {
        let answer = match timeout(SILENCE_TIMEOUT, answers.message()).await {
            Ok(answer) => answer?.context("the watch of the history ended")?,
            Err(_) => bail!("the history ends at revision {reached} and not at {last}"),
        };
        ensure!(
            !answer.canceled,
            "the watch of the history was refused: {}",
            answer.cancel_reason
        );
        for event in &answer.events {
            if let Some(kv) = &event.kv {
                reached = kv.mod_revision;
                changes.extend(change(event, kv)?);
            }
        }
    }
    Ok(changes)
}

fn change(event: &mvccpb::Event, kv: &mvccpb::KeyValue) -> Result<Option<Change>> {
    let Some(key) = kv.key.strip_prefix(OBJECTS) else {
        return Ok(None);
    };
    let key = std::str::from_utf8(key).context("a key is no text")?;
    let is_judged = RESOURCES
        .iter()
        .any(|resource| key.split('/').next() == Some(resource));
    if !is_judged {
        return Ok(None);
    }
    let object = if event.r#type() == mvccpb::event::EventType::Put {
        let mut object: Value =
            serde_json::from_slice(&kv.value).with_context(|| format!("{key} is no JSON"))?;
        strip(&mut object);
        Some(object)
    } else {
        None
    };
    Ok(Some(Change {
        revision: kv.mod_revision,
        key: key.to_owned(),
        object,
    }))
}

/// Takes away what is long and not judged.
pub(super) fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}
