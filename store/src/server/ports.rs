//! The ports of a replica: bound as the flags say, and secured where their URLs ask for it.

use std::io;

use anyhow::Context;
use daemon::{OnFailure, Tasks};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::config::{Config, Url};
use crate::grpc::{Face, Port};
use crate::tls::{self, Acceptor, Dialer, Settings, Wire};

/// Members' connections that may shake hands at a time. Beyond it a new one is closed.
const HANDSHAKES_MAX: usize = 1024;
/// Pause after an accept that failed, as it does while there are no file descriptors.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
/// Connections that the kernel keeps until they are accepted; the same as without the flag.
const BACKLOG: u32 = 1024;
/// Members' connections that are ready and not yet served.
const READY_MAX: usize = 16;

/// Every port, bound and not yet served.
pub(super) struct Ports {
    pub(super) clients: Vec<(Face, Port)>,
    /// For health pages and metrics alone.
    pub(super) pages: Vec<Port>,
    pub(super) peers: Vec<Port>,
    /// How other members are dialled where their URLs ask for TLS.
    pub(super) dialer: Option<Dialer>,
}

impl Ports {
    /// Reads the certificates and listens.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Ports> {
        let clients = client_settings(config)?.map(Acceptor::new).transpose()?;
        let peers = peer_settings(config)?;
        let dialer = peers.clone().map(Dialer::new).transpose()?;
        let peers = peers.map(Acceptor::new).transpose()?;
        let reuses_port = config.socket_reuse_port;
        let [clients, peers] = [clients.as_ref(), peers.as_ref()];
        let http = bind_all(&config.listen_client_http_urls, clients, reuses_port).await?;
        // Client ports are for everything, unless plain HTTP has ports of its own.
        let face = if http.is_empty() {
            Face::Client
        } else {
            Face::Grpc
        };
        let bound = bind_all(&config.listen_client_urls, clients, reuses_port).await?;
        let bound = bound.into_iter().map(|port| (face, port));
        let http = http.into_iter().map(|port| (Face::Http, port));
        Ok(Ports {
            peers: bind_all(&config.listen_peer_urls, peers, reuses_port).await?,
            pages: bind_all(&config.listen_metrics_urls, clients, reuses_port).await?,
            clients: bound.chain(http).collect(),
            dialer,
        })
    }
}

fn client_settings(config: &Config) -> anyhow::Result<Option<Settings>> {
    let lists = [
        &config.listen_client_urls,
        &config.listen_client_http_urls,
        &config.listen_metrics_urls,
    ];
    let urls: Vec<&Url> = lists.into_iter().flatten().collect();
    settings(config, &urls, "client").context("TLS of the client ports")
}

fn peer_settings(config: &Config) -> anyhow::Result<Option<Settings>> {
    let urls: Vec<&Url> = config.listen_peer_urls.iter().collect();
    settings(config, &urls, "peer").context("TLS of the peer ports")
}

fn settings(config: &Config, urls: &[&Url], kind: &str) -> anyhow::Result<Option<Settings>> {
    let security = match kind {
        "peer" => &config.peer_security,
        _ => &config.client_security,
    };
    // The folders are etcd's.
    let folder = config.data_dir.join("fixtures").join(kind);
    Settings::prepare(security, urls, &folder)
}

/// One listener for each host and port; URLs that differ in the scheme alone share one.
async fn bind_all(
    urls: &[Url],
    acceptor: Option<&Acceptor>,
    reuses_port: bool,
) -> anyhow::Result<Vec<Port>> {
    let mut ports: Vec<Port> = Vec::new();
    let mut places: Vec<(&str, u16)> = Vec::new();
    for url in urls {
        let wire = wire(url, acceptor)?;
        let place = (url.host(), url.port());
        if let Some(index) = places.iter().position(|known| *known == place) {
            let bound = &mut ports[index];
            bound.wire = join(&bound.wire, &wire);
            continue;
        }
        let listener = listen(place, reuses_port).await;
        let listener = listener.with_context(|| format!("cannot listen on {url}"))?;
        places.push(place);
        ports.push(Port { listener, wire });
    }
    Ok(ports)
}

/// Listens on the first address of the host that can be listened on.
async fn listen(place: (&str, u16), reuses_port: bool) -> io::Result<TcpListener> {
    if !reuses_port {
        return TcpListener::bind(place).await;
    }
    let mut last = io::Error::other("the host has no address");
    for address in tokio::net::lookup_host(place).await? {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn wire(url: &Url, acceptor: Option<&Acceptor>) -> anyhow::Result<Wire> {
    if !url.is_secure() {
        return Ok(Wire::Plain);
    }
    let acceptor = acceptor.with_context(|| format!("no certificate for {url}"))?;
    Ok(Wire::Tls(acceptor.clone()))
}

fn join(one: &Wire, other: &Wire) -> Wire {
    match (one, other) {
        (Wire::Plain, Wire::Plain) => Wire::Plain,
        (Wire::Tls(acceptor), Wire::Tls(_)) => Wire::Tls(acceptor.clone()),
        (Wire::Both(acceptor) | Wire::Tls(acceptor), _)
        | (_, Wire::Both(acceptor) | Wire::Tls(acceptor)) => Wire::Both(acceptor.clone()),
    }
}

/// Connections of other members on every peer port, ready to be served.
pub(super) fn peer_connections(
    ports: Vec<Port>,
    tasks: &Tasks,
) -> BoxStream<'static, io::Result<tls::Stream>> {
    let streams = ports.into_iter().map(|Port { listener, wire }| match wire {
        Wire::Plain => TcpIncoming::from(listener)
            .with_nodelay(Some(true))
            .map_ok(tls::Stream::Plain)
            .boxed(),
        wire => {
            let (ready, connections) = mpsc::channel(READY_MAX);
            tasks.spawn("peer handshakes", OnFailure::Stop, |stop| async move {
                shake_hands(&listener, &wire, &ready, &stop).await;
                Ok::<(), anyhow::Error>(())
            });
            ReceiverStream::new(connections).map(Ok).boxed()
        }
    });
    futures::stream::select_all(streams).boxed()
}

/// Shakes hands with many at once, so that one who stalls is waited for by nobody.
async fn shake_hands(
    listener: &TcpListener,
    wire: &Wire,
    ready: &mpsc::Sender<tls::Stream>,
    stop: &CancellationToken,
) {
    let mut handshakes = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = handshakes.join_next() => continue,
            () = stop.cancelled() => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if handshakes.len() >= HANDSHAKES_MAX {
            tracing::warn!(
                remote_addr = %from,
                handshakes_max = HANDSHAKES_MAX,
                "too many handshakes on a peer port, closed a new connection"
            );
            continue;
        }
        let (wire, ready) = (wire.clone(), ready.clone());
        handshakes.spawn(async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "connection without nodelay");
            }
            match tokio::time::timeout(tls::HANDSHAKE_TIMEOUT, wire.accept(stream)).await {
                Ok(Ok(accepted)) => {
                    ready.send(accepted.stream).await.ok();
                }
                Ok(Err(error)) => tls::log_rejection("peer", Some(from), &error),
                Err(_elapsed) => tracing::debug!(
                    remote_addr = %from,
                    "a member's connection did not finish its handshake in time"
                ),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_shared_when_the_operator_wants_it() {
        let first = listen(("127.0.0.1", 0), true).await.unwrap();
        let port = first.local_addr().unwrap().port();
        listen(("127.0.0.1", port), true).await.unwrap();
        let refused = listen(("127.0.0.1", port), false).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_secured_url_needs_a_certificate() {
        let urls = Url::parse_list("http://127.0.0.1:0,http://localhost:0").unwrap();
        assert_eq!(bind_all(&urls, None, false).await.unwrap().len(), 2);
        let secured = Url::parse_list("https://127.0.0.1:0").unwrap();
        assert!(bind_all(&secured, None, false).await.is_err());
    }
}
