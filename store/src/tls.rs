//! TLS of the client and peer ports: who may connect, from files that may be replaced while the replica runs.

mod acceptor;
mod certificate;
mod der;
mod dialer;
mod files;
mod reload;
mod rules;
mod san;
mod self_signed;
mod settings;
mod stream;
mod suites;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

pub(crate) use self::acceptor::{Accepted, Acceptor, Wire};
pub use self::dialer::{Dialer, Trust};
pub use self::files::Pair;
pub(crate) use self::settings::{Allowed, Settings};
pub(crate) use self::stream::Stream;
pub(crate) use self::suites::{CipherSuite, Offer, Version};

/// A connection that was dialled and secured.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// Time that a handshake between members may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Tells the operator of a connection that was not let in; one that only went away is nobody's business.
pub(crate) fn log_rejection(endpoint: &str, from: Option<SocketAddr>, error: &io::Error) {
    let from = from.map(|from| from.to_string()).unwrap_or_default();
    if matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    ) {
        tracing::debug!(remote_addr = from, %error, "{endpoint} endpoint lost a connection in its handshake");
    } else {
        tracing::warn!(remote_addr = from, %error, "rejected connection on {endpoint} endpoint");
    }
}

#[cfg(test)]
mod tests;
