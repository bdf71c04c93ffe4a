//! How connections to other members are made.

use std::io;

use http::Uri;
use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use super::transport::CONNECT_TIMEOUT;
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

    async fn open(&self, uri: &Uri) -> io::Result<Box<dyn DialledStream>> {
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

    /// A channel that connects on first use, and again after a break, each time to the first of `urls` that answers.
    pub(super) fn channel(
        &self,
        endpoint: &Endpoint,
        urls: impl Fn() -> Vec<String> + Send + 'static,
    ) -> Channel {
        let connector = self.clone();
        let connect = move |_uri: Uri| {
            let (connector, urls) = (connector.clone(), urls());
            async move {
                let stream = connector.open_first(&urls).await?;
                Ok::<_, io::Error>(hyper_util::rt::TokioIo::new(stream))
            }
        };
        endpoint.connect_with_connector_lazy(tower::service_fn(connect))
    }

    async fn open_first(&self, urls: &[String]) -> io::Result<Box<dyn DialledStream>> {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        // A silent one must leave time for those behind it.
        let share = CONNECT_TIMEOUT / u32::try_from(urls.len().max(1)).unwrap_or(u32::MAX);
        for url in urls {
            let opened = tokio::time::timeout(share, self.open_url(url)).await;
            match opened.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    tracing::debug!(url, %error, "cannot connect to a member");
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    /// One connection to a peer URL. The caller bounds the time.
    pub(super) async fn open_url(&self, url: &str) -> io::Result<Box<dyn DialledStream>> {
        let uri = url
            .parse()
            .map_err(|error| io::Error::other(format!("{url} is no peer URL: {error}")))?;
        self.open(&uri).await
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
