//! Accepts clients on every listen address, bounds their number, and lets them finish at shutdown.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::SelectAll;
use futures::{Stream, StreamExt};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use super::connection::{Client, Face};
use super::router::Router;
use super::{Edge, Limits};
use crate::metrics::Metrics;
use crate::replica::Replica;
use crate::tls::Wire;

/// Pause after an accept that failed, as it does while there are no file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Idle time after which the kernel probes whether the other side still lives. Go's figure.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// Election timeouts without a leader after which streams that want one are ended. etcd's figure.
const LEADERLESS_ELECTIONS: u32 = 3;

/// Where clients come in.
pub(crate) struct Port {
    pub(crate) listener: TcpListener,
    pub(crate) wire: Wire,
}

/// Serves gRPC and plain HTTP, each port what it is for, until `shutdown`. Then no connection is accepted, streams end with an error that
/// clients retry elsewhere, and running requests get [`Limits::shutdown_grace`].
///
/// # Errors
/// When every listener has failed.
pub(crate) async fn serve(
    ports: Vec<(Face, Port)>,
    replica: Arc<Replica>,
    metrics: Arc<Metrics>,
    limits: Limits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (leaderless, leaderless_seen) = watch::channel(false);
    let edge = Arc::new(Edge::new(
        replica,
        (metrics, limits),
        leaderless_seen,
        shutdown,
    ));
    let watched = edge.clone();
    let watch = async move {
        tokio::join!(
            watch_raft(&watched, &leaderless),
            watched.bulk.end_stalled()
        );
    };
    accept_until_shutdown(edge, ports, watch).await
}

/// The same for the pages that watch over this server: they answer before the replica has found a leader, and while it has none.
///
/// # Errors
/// When every listener has failed.
pub(crate) async fn serve_pages(
    ports: Vec<Port>,
    replica: Arc<Replica>,
    metrics: Arc<Metrics>,
    limits: Limits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (_leaderless, leaderless_seen) = watch::channel(false);
    let edge = Arc::new(Edge::new(
        replica,
        (metrics, limits),
        leaderless_seen,
        shutdown,
    ));
    let ports = ports.into_iter().map(|port| (Face::Pages, port));
    accept_until_shutdown(edge, ports.collect(), std::future::pending()).await
}

async fn accept_until_shutdown(
    edge: Arc<Edge>,
    ports: Vec<(Face, Port)>,
    beside: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut clients = SelectAll::new();
    clients.extend(ports.into_iter().map(|(face, Port { listener, wire })| {
        let way = Arc::new((face, wire));
        TcpListenerStream::new(listener).map(move |stream| Ok((stream?, Arc::clone(&way))))
    }));
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(&edge, &mut clients, &mut connections) => {}
        () = beside => {}
        () = edge.shutdown.cancelled() => {}
    }
    drop(clients);
    if !edge.shutdown.is_cancelled() {
        anyhow::bail!("no client can connect: every listener has ended");
    }
    finish(&edge, connections).await;
    Ok(())
}

/// Serves connections until the listeners end, which they do not.
async fn accept(
    edge: &Arc<Edge>,
    clients: &mut (impl Stream<Item = io::Result<(TcpStream, Arc<(Face, Wire)>)>> + Unpin),
    connections: &mut JoinSet<()>,
) {
    let router = Arc::new(Router::new(edge.clone()));
    let connections_max = edge.limits.connections_max;
    loop {
        let stream = tokio::select! {
            client = clients.next() => match client {
                Some(client) => client,
                None => return,
            },
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
        };
        let (stream, way) = match stream {
            Ok(accepted) => accepted,
            Err(error) => {
                accept_failed(&error).await;
                continue;
            }
        };
        if connections.len() >= connections_max {
            edge.metrics.connections_refused.add(1);
            tracing::debug!(connections_max, "too many connections, closed a new one");
            continue;
        }
        keep_alive(&stream);
        let client = Client {
            edge: edge.clone(),
            router: router.clone(),
            face: way.0,
            wire: way.1.clone(),
            is_secured: false,
            common_name: None,
            counted_at: None,
        };
        let open = edge.metrics.connection_opened();
        connections.spawn(async move {
            client.serve(stream).await;
            drop(open);
        });
    }
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

/// Looks at raft once an election timeout: tells streams when there was no leader for [`LEADERLESS_ELECTIONS`], and
/// counts new leaders.
async fn watch_raft(edge: &Edge, leaderless: &watch::Sender<bool>) {
    let mut last_leader = None;
    let mut without = 0;
    loop {
        let raft = edge.replica.raft_status();
        if raft.leader.is_some() {
            without = 0;
            if raft.leader != last_leader {
                last_leader = raft.leader;
                edge.metrics.count_leader_change();
            }
        } else {
            without += 1;
        }
        leaderless.send_if_modified(|now| {
            let was = std::mem::replace(now, without >= LEADERLESS_ELECTIONS);
            was != *now
        });
        tokio::time::sleep(edge.limits.election_timeout).await;
    }
}
