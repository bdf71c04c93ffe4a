//! How connections to other members are made.

use tonic::transport::{Channel, Endpoint};

#[cfg(feature = "simulation")]
mod dialled {
    use std::io;
    use std::sync::Arc;

    use futures::future::BoxFuture;
    use tokio::io::{AsyncRead, AsyncWrite};

    /// A connection of somebody else's making.
    pub trait DialledStream: AsyncRead + AsyncWrite + Send + Unpin {}

    impl<T: AsyncRead + AsyncWrite + Send + Unpin> DialledStream for T {}

    /// Connects to host and port.
    pub type Dial = Arc<
        dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Box<dyn DialledStream>>> + Send + Sync,
    >;
}

#[cfg(feature = "simulation")]
pub use dialled::{Dial, DialledStream};

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

    /// A channel that connects on first use, and again after a break.
    pub(super) fn connect_lazy(&self, endpoint: &Endpoint) -> Channel {
        #[cfg(feature = "simulation")]
        if let Some(dial) = self.dial.clone() {
            let connect = move |uri: http::Uri| {
                let host = uri.host().unwrap_or_default().to_owned();
                let connected = dial(host, uri.port_u16().unwrap_or_default());
                async move { Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(connected.await?)) }
            };
            return endpoint.connect_with_connector_lazy(tower::service_fn(connect));
        }
        endpoint.connect_lazy()
    }
}
