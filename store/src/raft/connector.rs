//! How connections to other members are made.

use std::io;

use http::Uri;
use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use crate::tls::Dialer;

/// Bytes from and to another member.
#[cfg_attr(
    not(feature = "simulation"),
    expect(unreachable_pub, reason = "only simulations reach it from outside")
)]
pub trait DialledStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> DialledStream for T {}

/// Connects to host and port.
#[cfg(feature = "simulation")]
pub type Dial = std::sync::Arc<
    dyn Fn(String, u16) -> futures::future::BoxFuture<'static, io::Result<Box<dyn DialledStream>>>
        + Send
        + Sync,
>;

/// The system's TCP, in TLS where a URL asks for it, or what a simulation has in its place.
#[derive(Clone, Default)]
pub(crate) struct Connector {
    /// None when this member's flags have no TLS for peers.
    tls: Option<Dialer>,
    #[cfg(feature = "simulation")]
    dial: Option<Dial>,
}

impl Connector {
    pub(crate) fn new(tls: Option<Dialer>) -> Self {
        Connector {
            tls,
            ..Connector::default()
        }
    }

    #[cfg(feature = "simulation")]
    pub(crate) fn dialling(dial: Dial) -> Self {
        Connector {
            tls: None,
            dial: Some(dial),
        }
    }

    /// One connection, for its own sake. The caller bounds the time.
    pub(super) async fn open(&self, uri: &Uri) -> io::Result<Box<dyn DialledStream>> {
        let (host, port) = host_and_port(uri)?;
        #[cfg(feature = "simulation")]
        if let Some(dial) = &self.dial {
            return dial(host.to_owned(), port).await;
        }
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(Box::new(connect(host, port).await?));
        }
        let Some(tls) = &self.tls else {
            return Err(io::Error::other(format!(
                "{uri} is spoken to in TLS: give --peer-cert-file, --peer-key-file and --peer-trusted-ca-file"
            )));
        };
        let stream = connect(host, port).await?;
        Ok(Box::new(tls.connect(host, stream).await?))
    }

    /// A channel that connects on first use, and again after a break.
    pub(super) fn connect_lazy(&self, endpoint: &Endpoint) -> Channel {
        if self.is_plain_tcp(endpoint.uri()) {
            return endpoint.connect_lazy();
        }
        let connector = self.clone();
        let connect = move |uri: Uri| {
            let connector = connector.clone();
            async move {
                let opened = connector.open(&uri).await;
                if let Err(error) = &opened {
                    tracing::debug!(%uri, %error, "cannot connect to a member");
                }
                Ok::<_, io::Error>(hyper_util::rt::TokioIo::new(opened?))
            }
        };
        endpoint.connect_with_connector_lazy(tower::service_fn(connect))
    }

    fn is_plain_tcp(&self, uri: &Uri) -> bool {
        #[cfg(feature = "simulation")]
        if self.dial.is_some() {
            return false;
        }
        uri.scheme() != Some(&Scheme::HTTPS)
    }
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Name or address, an IPv6 address without its brackets.
fn host_and_port(uri: &Uri) -> io::Result<(&str, u16)> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri
        .port_u16()
        .filter(|_| !host.is_empty())
        .ok_or_else(|| io::Error::other(format!("{uri} has no host and port")))?;
    Ok((host, port))
}
