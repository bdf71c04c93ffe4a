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

    /// One connection, for its own sake.
    pub(super) async fn open(&self, host: &str, port: u16) -> io::Result<Box<dyn DialledStream>> {
        #[cfg(feature = "simulation")]
        if let Some(dial) = &self.dial {
            return dial(host.to_owned(), port).await;
        }
        Ok(Box::new(TcpStream::connect((host, port)).await?))
    }

    /// A channel that connects on first use, and again after a break.
    pub(super) fn connect_lazy(&self, endpoint: &Endpoint) -> Channel {
        #[cfg(feature = "simulation")]
        if let Some(dial) = self.dial.clone() {
            let connect = move |uri: http::Uri| {
                let host = uri.host().unwrap_or_default().to_owned();
                let connected = dial(host, uri.port_u16().unwrap_or_default());
                async move { Ok::<_, io::Error>(hyper_util::rt::TokioIo::new(connected.await?)) }
            };
            return endpoint.connect_with_connector_lazy(tower::service_fn(connect));
        }
        endpoint.connect_lazy()
    }
}
