//! One connection of a client, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::body::Body;

use super::Edge;
use super::access::OverTls;
use super::answer::Answer;
use super::authn::CertificateCommonName;
use super::authority::Repair;
use super::router::Router;
use super::sniff::{Protocol, Replayed, sniff};
use crate::tls::{self, Accepted, Stream, Wire};

/// HTTP/2 flow control: bytes a client may send ahead on one stream, and on all of a connection.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Bytes of answers one HTTP/2 stream may hold that the client has not taken; further ones are not made until it does.
const STREAM_SEND_BYTES_MAX: usize = 1 << 20;

/// Head of an HTTP/1 request.
const HTTP1_HEAD_BYTES_MAX: usize = 64 * 1024;

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// gRPC, the JSON gateway and pages.
    Client,
    /// gRPC alone: the rest has ports of its own.
    Grpc,
    /// The JSON gateway and pages.
    Http,
    /// The pages that watch over this server.
    Pages,
}

/// The other side of a connection, and what serves it.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) edge: Arc<Edge>,
    pub(super) router: Arc<Router>,
    pub(super) face: Face,
    pub(super) wire: Wire,
    /// Whether it speaks TLS, once that is known.
    pub(super) is_secured: bool,
    /// Once the client has shown who it is.
    pub(super) common_name: Option<CertificateCommonName>,
    /// Its place among the clients that are counted, once that is known.
    pub(super) counted_at: Option<usize>,
}

impl Service<Request<Incoming>> for Client {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        let clients = &self.edge.metrics.clients;
        clients.at(self.counted_at).requests.add(1);
        if self.is_secured {
            request.extensions_mut().insert(OverTls);
        }
        if let Some(name) = &self.common_name {
            request.extensions_mut().insert(name.clone());
        }
        match self.face {
            Face::Client => self.router.call(request),
            Face::Grpc => self.router.call_grpc_alone(request),
            Face::Http => self.router.call_http(request),
            Face::Pages => self.router.page(request),
        }
    }
}

impl Client {
    /// Serves until the client leaves, or until the shutdown and the end of the running requests.
    pub(super) async fn serve(mut self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "connection without nodelay");
        }
        let edge = self.edge.clone();
        let deadline = Instant::now() + edge.limits.handshake_timeout;
        let accepted = tokio::select! {
            accepted = self.accept(stream, deadline) => accepted,
            () = edge.shutdown.cancelled() => return,
        };
        let Some(mut stream) = accepted else {
            return;
        };
        let sniffed = tokio::select! {
            sniffed = tokio::time::timeout_at(deadline, sniff(&mut stream)) => sniffed,
            () = edge.shutdown.cancelled() => return,
        };
        let (protocol, first) = match sniffed {
            Ok(Ok(Some(sniffed))) => sniffed,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => return tracing::debug!(%error, "connection lost"),
            Err(_) => return tracing::debug!("connection said nothing in time"),
        };
        let stream = Replayed {
            first,
            stream,
            metrics: edge.metrics.clone(),
            client: self.counted_at,
            repair: (protocol == Protocol::Http2).then(Repair::default),
        };
        let io = TokioIo::new(stream);
        let ended = match protocol {
            Protocol::Http1 => serve_http1(&edge, io, self).await,
            Protocol::Http2 => serve_http2(&edge, io, self).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }

    /// Shakes hands, where the port asks for it, and notes who the client is.
    async fn accept(&mut self, stream: TcpStream, deadline: Instant) -> Option<Stream> {
        let from = stream.peer_addr().ok();
        match tokio::time::timeout_at(deadline, self.wire.accept(stream)).await {
            Ok(Ok(Accepted {
                stream,
                common_name,
            })) => {
                self.is_secured = matches!(stream, Stream::Tls(_));
                let name = match (&common_name, from) {
                    (Some(name), _) => name.clone(),
                    (None, Some(from)) => from.ip().to_canonical().to_string(),
                    (None, None) => String::new(),
                };
                self.counted_at = self.edge.metrics.clients.place(name.as_bytes());
                self.common_name = common_name.map(CertificateCommonName);
                Some(stream)
            }
            Ok(Err(error)) => {
                tls::log_rejection("client", from, &error);
                None
            }
            Err(_) => {
                tracing::debug!("connection did not finish its handshake in time");
                None
            }
        }
    }
}

type Io = TokioIo<Replayed<Stream>>;

async fn serve_http1(edge: &Edge, io: Io, client: Client) -> hyper::Result<()> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(edge.limits.handshake_timeout)
        .max_buf_size(HTTP1_HEAD_BYTES_MAX)
        .serve_connection(io, client);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = edge.shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn serve_http2(edge: &Edge, io: Io, client: Client) -> hyper::Result<()> {
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(STREAM_SEND_BYTES_MAX)
        .max_concurrent_streams(edge.limits.concurrent_streams_max)
        .keep_alive_interval(edge.limits.keepalive_interval)
        .keep_alive_timeout(edge.limits.keepalive_timeout)
        .serve_connection(io, client);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = edge.shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
