//! Connections to members, for the client and for the line that shows a cluster.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hyper_util::rt::TokioIo;
use proto::etcdserverpb::StatusRequest;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use store::tls::{Dialer, TlsStream, Trust};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// Largest answer taken. etcd's client has no limit of its own either.
pub(crate) const ANSWER_BYTES_MAX: usize = i32::MAX as usize;

/// grpc-go, and so etcdctl, asks no more often; etcd closes connections on which it is asked more often than every 5 s.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(10);

/// How a connection's end is noticed while an answer is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepAlive {
    interval: Duration,
    timeout: Duration,
}

impl KeepAlive {
    pub(crate) fn new(interval: Duration, timeout: Duration) -> KeepAlive {
        KeepAlive {
            interval: interval.max(KEEP_ALIVE_MIN),
            timeout,
        }
    }
}

impl Default for KeepAlive {
    fn default() -> KeepAlive {
        KeepAlive::new(KEEP_ALIVE_MIN, Duration::from_secs(6))
    }
}

/// How a client's connections are secured, and kept.
#[derive(Clone, Default)]
pub(crate) struct Security {
    pub(crate) keep_alive: KeepAlive,
    /// None when no flag speaks of TLS, which is then only for endpoints that say `https`.
    pub(crate) dialer: Option<Dialer>,
}

impl Security {
    /// The endpoint's host and port, and the dialer if it is spoken to in TLS.
    pub(crate) fn of(&self, endpoint: &str) -> Result<(String, Option<Dialer>)> {
        match endpoint.split_once("://") {
            None => Ok((endpoint.to_owned(), self.dialer.clone())),
            Some(("http", place)) => Ok((place.to_owned(), None)),
            Some(("https", place)) => {
                let dialer = match &self.dialer {
                    Some(dialer) => dialer.clone(),
                    None => Dialer::of_client(Trust {
                        verifies: true,
                        trusted_ca_file: None,
                        own: None,
                    })?,
                };
                Ok((place.to_owned(), Some(dialer)))
            }
            Some((scheme, _)) => Err(anyhow!("{endpoint}: scheme {scheme} is not available")),
        }
    }
}

/// Connects to one member. `endpoint` is `host:port`, or a URL with `http` or `https`.
pub(crate) async fn connect(
    endpoint: &str,
    security: &Security,
    dial_timeout: Duration,
) -> Result<Channel> {
    let (place, dialer) = security.of(endpoint)?;
    let target = Endpoint::from_shared(format!("http://{place}"))
        .with_context(|| format!("bad endpoint {endpoint:?}"))?;
    let target = target
        .connect_timeout(dial_timeout)
        .http2_keep_alive_interval(security.keep_alive.interval)
        .keep_alive_timeout(security.keep_alive.timeout)
        .tcp_nodelay(true);
    let connecting = async {
        match dialer {
            None => target.connect().await,
            Some(dialer) => {
                let connect = move |uri: Uri| secured(uri, dialer.clone());
                target
                    .connect_with_connector(tower::service_fn(connect))
                    .await
            }
        }
    };
    match tokio::time::timeout(dial_timeout, connecting).await {
        Err(_) => Err(anyhow!("{endpoint} did not answer in {dial_timeout:?}")),
        Ok(connected) => connected.with_context(|| format!("cannot connect to {endpoint}")),
    }
}

async fn secured(uri: Uri, dialer: Dialer) -> io::Result<TokioIo<TlsStream>> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri
        .port_u16()
        .ok_or_else(|| io::Error::other(format!("{uri} has no port")))?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(dialer.connect(host, stream).await?))
}

/// The first member of a list that takes a connection.
pub(crate) async fn connect_any(
    endpoints: &[String],
    security: &Security,
    dial_timeout: Duration,
) -> Result<Channel> {
    let mut failures = Vec::new();
    for endpoint in endpoints {
        match connect(endpoint, security, dial_timeout).await {
            Ok(channel) => return Ok(channel),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    Err(anyhow!(
        "no endpoint can be reached: {}",
        failures.join("; ")
    ))
}

/// What a member says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemberStatus {
    pub(crate) member_id: u64,
    /// 0 for none.
    pub(crate) leader: u64,
    pub(crate) revision: i64,
}

/// Asks one member. The answer needs no quorum.
pub(crate) async fn status(channel: &Channel) -> Result<MemberStatus> {
    let answer = MaintenanceClient::new(channel.clone())
        .status(StatusRequest {})
        .await?
        .into_inner();
    let header = answer.header.unwrap_or_default();
    Ok(MemberStatus {
        member_id: header.member_id,
        leader: answer.leader,
        revision: header.revision,
    })
}
