//! Heartbeats: single calls, so that a round for a linearizable read opens no stream.

use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::base::BoxStream;
use openraft::errors::{NetworkError, RPCError};
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};

use super::{Client, Rpc, deadline_error, rpc_error};
use crate::raft::types::TypeConfig;
use crate::raft::wire;

/// A heartbeat that names no entry can conflict with none. openraft takes that for granted.
fn check_heartbeat(
    is_bare: bool,
    result: StreamAppendResult<TypeConfig>,
) -> Rpc<StreamAppendResult<TypeConfig>> {
    if is_bare && matches!(result, Err(StreamAppendError::Conflict(_))) {
        let error = std::io::Error::other("a conflict with an entry that was not named");
        return Err(RPCError::Network(NetworkError::new(&error)));
    }
    Ok(result)
}

/// Heartbeats as single calls, so that a round for a linearizable read opens no stream.
pub(super) fn heartbeats<'s, S>(
    client: Client,
    input: S,
    ttl: Duration,
) -> BoxStream<'s, Rpc<StreamAppendResult<TypeConfig>>>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    Box::pin(input.then(move |request| {
        let mut client = client.clone();
        let is_bare = request.prev_log_id.is_none();
        async move {
            let call = client.heartbeat(wire::append_request(&request));
            match tokio::time::timeout(ttl, call).await {
                Ok(Ok(reply)) => wire::append_result(reply.into_inner())
                    .and_then(|result| check_heartbeat(is_bare, result)),
                Ok(Err(status)) => Err(rpc_error(&status)),
                Err(_elapsed) => Err(deadline_error()),
            }
        }
    }))
}
