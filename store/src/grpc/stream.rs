//! What ends a long stream besides its client: a lost leader when the client asked for one, and the shutdown.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

use super::{Edge, status, unavailable};
use crate::replica::Unavailable;

/// etcd's metadata key of clients that rather lose a stream than its leader.
pub(super) const REQUIRE_LEADER: &str = "hasleader";

/// Whether a request's metadata ask for a leader.
pub(super) fn requires_leader(metadata: &MetadataMap) -> bool {
    metadata
        .get(REQUIRE_LEADER)
        .is_some_and(|value| value.as_bytes() == b"true")
}

/// Returns when a stream is to end, and with what.
pub(super) async fn ended(edge: Arc<Edge>, requires_leader: bool) -> Status {
    let mut leaderless = edge.leaderless.clone();
    let no_leader = async {
        // The sender lives as long as the listener; without it no leader is watched for.
        if !requires_leader || leaderless.wait_for(|leaderless| *leaderless).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = no_leader => Status::unavailable(status::NO_LEADER),
        () = edge.shutdown.cancelled() => unavailable(Unavailable::Stopped),
    }
}

/// The answer to a call that may wait for long, unless [`ended`] comes first.
pub(super) async fn answer<T>(
    edge: &Arc<Edge>,
    requires_leader: bool,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<Response<T>, Status> {
    tokio::select! {
        biased;
        done = work => done.map(Response::new),
        status = ended(Arc::clone(edge), requires_leader) => Err(status),
    }
}

/// `items` until [`ended`].
pub(super) fn guard<T: Send + 'static>(
    edge: &Arc<Edge>,
    requires_leader: bool,
    items: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>> {
    let end = stream::once(ended(edge.clone(), requires_leader)).map(Err);
    let state = (Box::pin(items), Box::pin(end), false);
    Box::pin(stream::unfold(
        state,
        |(mut items, mut end, over)| async move {
            if over {
                return None;
            }
            tokio::select! {
                biased;
                Some(error) = end.next() => Some((error, (items, end, true))),
                item = items.next() => item.map(|item| (item, (items, end, false))),
            }
        },
    ))
}
