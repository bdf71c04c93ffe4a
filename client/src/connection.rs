//! One connection to one server, in TLS of our own: tonic's would change how the whole program connects.

mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::config::{Config, ConfigError, SERVERS_MAX};

/// Time for TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a server is asked whether it is still there, while something is waited for or not.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long it may take to answer that.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// What may be on its way in one stream, and in all together, before it was taken.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// The servers of a cluster, and how to connect to them.
pub(crate) struct Dialer {
    servers: Vec<Server>,
    connector: TlsConnector,
    user_agent: String,
}

struct Server {
    /// `10.0.0.1:6443`.
    authority: String,
    host: String,
    port: u16,
    name: ServerName<'static>,
}

/// Marks what never left: no connection was there to send it on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotConnected(String);

impl Dialer {
    pub(crate) fn new(config: &Config) -> Result<Dialer, ConfigError> {
        if config.servers.is_empty() || config.servers.len() > SERVERS_MAX {
            return Err(ConfigError(format!(
                "there must be 1 to {SERVERS_MAX} servers"
            )));
        }
        let servers = config.servers.iter();
        let servers = servers.map(|server| Server::parse(server, config.server_name.as_deref()));
        Ok(Dialer {
            servers: servers.collect::<Result<_, _>>()?,
            connector: TlsConnector::from(Arc::new(tls::client_config(config)?)),
            user_agent: config.user_agent.clone(),
        })
    }

    /// How many servers there are.
    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    /// Connects to a server. The channel is this one connection: once that is lost, it sends nothing any more.
    pub(crate) async fn connect(&self, at: usize) -> Result<Channel, String> {
        let server = &self.servers[at];
        let endpoint = Endpoint::from_shared(format!("http://{}", server.authority))
            .and_then(|endpoint| endpoint.user_agent(self.user_agent.as_str()))
            .map_err(|error| error.to_string())?
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let connection = secured(server, &self.connector);
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connection)
            .await
            .map_err(|_elapsed| {
                format!("{}: no connection in {CONNECT_TIMEOUT:?}", server.authority)
            })?
            .map_err(|error| format!("{}: {error}", server.authority))?;
        let stream = parking_lot::Mutex::new(Some(stream));
        let once = move |_: Uri| {
            let stream = stream.lock().take();
            async move {
                stream
                    .map(TokioIo::new)
                    .ok_or_else(|| NotConnected("the connection is closed".to_owned()))
            }
        };
        endpoint
            .connect_with_connector(tower::service_fn(once))
            .await
            .map_err(|error| format!("{}: {error}", server.authority))
    }
}

impl Server {
    fn parse(address: &str, name: Option<&str>) -> Result<Server, ConfigError> {
        let refuse = |why: &str| ConfigError(format!("server {address:?}: {why}"));
        let uri: Uri = address
            .parse()
            .map_err(|error: http::uri::InvalidUri| refuse(&error.to_string()))?;
        if uri.scheme_str() != Some("https") {
            return Err(refuse("must begin with https://"));
        }
        if !matches!(uri.path(), "" | "/") {
            return Err(refuse("a path is not supported"));
        }
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(443);
        let authority = format!("{host}:{port}");
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.unwrap_or(host).to_owned())
            .map_err(|error| refuse(&error.to_string()))?;
        Ok(Server {
            authority,
            host: host.to_owned(),
            port,
            name,
        })
    }
}

async fn secured(server: &Server, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
    stream.set_nodelay(true)?;
    connector.connect(server.name.clone(), stream).await
}

/// Whether a call was certainly not sent.
pub(crate) fn was_not_sent(status: &tonic::Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<NotConnected>() {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_kubeconfigs() {
        for (address, authority) in [
            ("https://10.0.0.1:6443", "10.0.0.1:6443"),
            ("https://[fd00::1]:6443/", "[fd00::1]:6443"),
            ("https://api.example", "api.example:443"),
        ] {
            let server = Server::parse(address, None).unwrap();
            assert_eq!(server.authority, authority);
        }
        for address in ["http://a:1", "a:1", "https://a:1/path", "https://", ""] {
            assert!(Server::parse(address, None).is_err(), "{address}");
        }
        let server = Server::parse("https://10.0.0.1:1", Some("kubernetes")).unwrap();
        assert_eq!(server.name, ServerName::try_from("kubernetes").unwrap());
    }
}
