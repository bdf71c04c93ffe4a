//! Connections of a port: taken in TLS, answered in HTTP, and bounded in number and time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 64;
/// Time for a handshake, and for the head of a request to come.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Longest that a connection is kept, so that those that wait have their turn.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// Pause after a connection could not be taken.
const FAILED_PAUSE: Duration = Duration::from_millis(100);

/// Answers until it is dropped.
pub async fn serve<A, F>(listener: TcpListener, tls: TlsAcceptor, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // Nobody closes it.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(FAILED_PAUSE).await;
                continue;
            }
        };
        let (tls, answer) = (tls.clone(), answer.clone());
        connections.spawn(async move {
            let _place = place;
            let _ = tokio::time::timeout(CONNECTION_MAX, answer_all(tls, stream, answer)).await;
        });
    }
}

/// Whoever asks may go away at any time, which is no matter.
async fn answer_all<A, F>(tls: TlsAcceptor, stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let Ok(Ok(stream)) = tokio::time::timeout(SILENCE_MAX, tls.accept(stream)).await else {
        return;
    };
    let service = service_fn(|request| {
        let answering = answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
