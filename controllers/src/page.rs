//! The page that says whether the process is well, for probes.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Probes that are answered at a time.
const CONNECTIONS_MAX: usize = 16;
/// How long a probe may take.
const CONNECTION_MAX: Duration = Duration::from_secs(10);

/// Where probes are answered, with a certificate of its own making.
pub(crate) struct Page {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl Page {
    /// # Errors
    ///
    /// If the port is taken.
    pub(crate) async fn bind(address: IpAddr, port: u16) -> Result<Page> {
        let address = SocketAddr::new(address, port);
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
        let names = vec!["localhost".to_owned(), address.ip().to_string()];
        let own = rcgen::generate_simple_self_signed(names)?;
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der());
        let key = key.map_err(anyhow::Error::msg)?;
        let provider = rustls::crypto::ring::default_provider();
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)?;
        Ok(Page {
            listener,
            tls: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            // Nobody closes it.
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = self.listener.accept().await else {
                continue;
            };
            let tls = self.tls.clone();
            connections.spawn(async move {
                let _place = place;
                // A probe that goes away is no matter.
                let _ = tokio::time::timeout(CONNECTION_MAX, answer_all(tls, stream)).await;
            });
        }
    }
}

async fn answer_all(tls: TlsAcceptor, stream: TcpStream) -> Result<()> {
    let stream = TokioIo::new(tls.accept(stream).await?);
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    hyper::server::conn::http1::Builder::new()
        .serve_connection(stream, service)
        .await?;
    Ok(())
}

fn answer(path: &str) -> Response<Full<Bytes>> {
    let (status, text) = match path {
        "/healthz" | "/livez" | "/readyz" => (StatusCode::OK, "ok"),
        _ => (StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_told_that_all_is_well() {
        for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/x", 404)] {
            assert_eq!(answer(path).status(), status, "{path}");
        }
    }
}
