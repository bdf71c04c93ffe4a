//! Up to where a cluster is compacted, and compacting another one as far.

use std::time::Duration;

use anyhow::Result;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{CompactionRequest, WatchCreateRequest, WatchRequest};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::super::message;
use super::side::Connection;

/// How long a watch of the oldest history may go on before nothing is taken for compacted.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);
const ALREADY_COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

/// The revision up to which history is gone: what a watch from the first revision is canceled with.
pub(super) async fn compact_revision(side: &Connection) -> Result<Option<i64>> {
    let create = WatchCreateRequest {
        key: vec![0].into(),
        start_revision: 1,
        ..WatchCreateRequest::default()
    };
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    };
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let mut client = side.watch();
    let mut answers = side.within(client.watch(requests)).await?;
    let canceled = async {
        while let Some(answer) = answers.message().await? {
            if answer.canceled {
                return anyhow::Ok(Some(answer.compact_revision));
            }
        }
        Ok(None)
    };
    match timeout(CANCEL_TIMEOUT, canceled).await {
        Ok(canceled) => canceled,
        Err(_) => Ok(None),
    }
}

/// Compacts, unless that is done.
pub(super) async fn compact(side: &Connection, revision: i64) -> Result<()> {
    let request = CompactionRequest {
        revision,
        physical: false,
    };
    match side.within(side.kv().compact(request)).await {
        Err(error) if message(&error) != ALREADY_COMPACTED => Err(error),
        _ => Ok(()),
    }
}
