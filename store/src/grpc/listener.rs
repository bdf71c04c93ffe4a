//! Accepts clients on every listen address, bounds their number, and lets them finish at shutdown.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::SelectAll;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use super::router::Router;
use super::{Edge, Limits, connection};
use crate::metrics::Metrics;
use crate::replica::Replica;

/// Pause after an accept that failed, as it does while there are no file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Idle time after which the kernel probes whether the other side still lives. Go's figure.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// Election timeouts without a leader after which streams that want one are ended. etcd's figure.
const LEADERLESS_ELECTIONS: u32 = 3;

/// Serves clients on `listeners` until `shutdown`. Then no connection is accepted, streams end with an error that
/// clients retry elsewhere, and running requests get [`Limits::shutdown_grace`].
pub async fn serve(
    listeners: Vec<TcpListener>,
    replica: Arc<Replica>,
    metrics: Arc<Metrics>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let (leaderless, leaderless_seen) = watch::channel(false);
    let connections_max = limits.connections_max.min(Semaphore::MAX_PERMITS);
    let edge = Arc::new(Edge {
        replica,
        limits,
        metrics,
        leaderless: leaderless_seen,
        shutdown,
    });
    let router = Arc::new(Router::new(edge.clone()));
    let places = Arc::new(Semaphore::new(connections_max));
    let mut clients = SelectAll::from_iter(listeners.into_iter().map(TcpListenerStream::new));
    let mut connections = JoinSet::new();
    let mut monitor = std::pin::pin!(watch_for_leader(&edge, &leaderless));
    loop {
        let client = tokio::select! {
            client = clients.next() => client,
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            () = &mut monitor => break,
            () = edge.shutdown.cancelled() => break,
        };
        match client {
            Some(Ok(stream)) => {
                let Ok(place) = places.clone().try_acquire_owned() else {
                    edge.metrics.connections_refused.add(1);
                    tracing::debug!(connections_max, "too many connections, closed a new one");
                    continue;
                };
                keep_alive(&stream);
                let (edge, router) = (edge.clone(), router.clone());
                let open = edge.metrics.connection_opened();
                connections.spawn(async move {
                    connection::serve(edge, router, stream).await;
                    drop((place, open));
                });
            }
            Some(Err(error)) => accept_failed(&error).await,
            None => break,
        }
    }
    drop(clients);
    finish(&edge, connections).await;
}

/// Waits for the connections that are left, and drops those that take too long.
async fn finish(edge: &Edge, mut connections: JoinSet<()>) {
    let grace = tokio::time::timeout(edge.limits.shutdown_grace, async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    });
    if grace.await.is_err() {
        tracing::info!(
            connections = connections.len(),
            "connections dropped at shutdown"
        );
        connections.shutdown().await;
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "connection task failed");
    }
}

async fn accept_failed(error: &io::Error) {
    tracing::warn!(%error, "accept failed");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn keep_alive(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "connection without keepalive");
    }
}

/// Tells streams when there was no leader for [`LEADERLESS_ELECTIONS`], looked at once an election timeout.
async fn watch_for_leader(edge: &Edge, leaderless: &watch::Sender<bool>) {
    let mut without = 0;
    loop {
        tokio::time::sleep(edge.limits.election_timeout).await;
        without = if edge.replica.raft_status().leader.is_some() {
            0
        } else {
            without + 1
        };
        leaderless.send_if_modified(|now| {
            let was = std::mem::replace(now, without >= LEADERLESS_ELECTIONS);
            was != *now
        });
    }
}
