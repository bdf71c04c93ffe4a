//! How the server reaches others: streams in TLS or without, and where a service is.

mod recent;
mod services;
mod tls;

use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

pub(crate) use self::recent::Recent;
pub use self::services::Services;
pub(crate) use self::services::any_of;
pub use self::tls::{Identity, Roots, Tls};

/// Time for a connection and its handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection, as hyper takes it.
pub type Stream = TokioIo<Either<TcpStream, TlsStream<TcpStream>>>;

/// Where somebody listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

/// Opens a stream to a place. With TLS, who listens there has to be the one of a name.
///
/// # Errors
///
/// What kept it from being opened, in the words that clients of Kubernetes know.
pub async fn open(place: &Place, tls: Option<(&Tls, &str)>) -> Result<Stream, String> {
    let opening = async {
        let stream = TcpStream::connect((place.host.as_str(), place.port))
            .await
            .map_err(|error| unconnected(place, &error))?;
        // A connection without it is slow and works.
        let _ = stream.set_nodelay(true);
        let Some((tls, server_name)) = tls else {
            return Ok(Either::Left(stream));
        };
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|error| format!("{server_name:?} is no name of a server: {error}"))?;
        let connector = TlsConnector::from(tls.client.clone());
        let secured = connector.connect(name, stream).await;
        secured
            .map(Either::Right)
            .map_err(|error| tls::unsecured(&error))
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(opened) => opened.map(TokioIo::new),
        Err(_elapsed) => Err(format!("dial tcp {place}: i/o timeout")),
    }
}

fn unconnected(place: &Place, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused",
        io::ErrorKind::HostUnreachable => "connect: no route to host",
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable",
        io::ErrorKind::TimedOut => "connect: connection timed out",
        _ if place.host.parse::<std::net::IpAddr>().is_err() && error.raw_os_error().is_none() => {
            return format!("dial tcp: lookup {}: no such host", place.host);
        }
        _ => return format!("dial tcp {place}: {error}"),
    };
    format!("dial tcp {place}: {why}")
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place { host, port } = self;
        if host.contains(':') {
            write!(out, "[{host}]:{port}")
        } else {
            write!(out, "{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests;
