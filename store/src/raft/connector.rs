//! How connections to other members are made.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

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

/// The system's TCP, or what a simulation has in its place.
#[derive(Clone, Default)]
pub(crate) struct Connector {
    #[cfg(feature = "simulation")]
    dial: Option<Dial>,
}

impl Connector {
    #[cfg(feature = "simulation")]
    pub(crate) fn dialling(dial: Dial) -> Self {
        Connector { dial: Some(dial) }
    }

    async fn open(&self, host: &str, port: u16) -> io::Result<Box<dyn DialledStream>> {
        #[cfg(feature = "simulation")]
        if let Some(dial) = &self.dial {
            return dial(host.to_owned(), port).await;
        }
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    /// A channel that connects on first use, and again after a break, each time to the first of `urls` that answers.
    pub(super) fn channel(
        &self,
        endpoint: &Endpoint,
        urls: impl Fn() -> Vec<String> + Send + 'static,
    ) -> Channel {
        let connector = self.clone();
        let connect = move |_uri: http::Uri| {
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
        for url in urls {
            match self.open_url(url).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// One connection to a peer URL.
    pub(super) async fn open_url(&self, url: &str) -> io::Result<Box<dyn DialledStream>> {
        let unusable = || io::Error::from(io::ErrorKind::InvalidInput);
        let uri: http::Uri = url.parse().map_err(|_not_a_url| unusable())?;
        let host = uri.host().ok_or_else(unusable)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.open(host, uri.port_u16().ok_or_else(unusable)?).await
    }
}
