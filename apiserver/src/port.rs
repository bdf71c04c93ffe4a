//! The port: takes connections, passes what comes over them to REST and to gRPC, and lets them end when the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use daemon::CancellationToken;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proto::api::objects_server::ObjectsServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tonic::codegen::Service;

use crate::dial::any_of;
use crate::grpc;
use crate::rest::{self, Front, Peer};

/// Time for running requests when the server stops; `mainstay up` waits longer for the process than this and all else may take.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(8);
/// Time for a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams of one HTTP/2 connection, as upstream's.
const STREAMS_MAX: u32 = 250;
/// How long a connection may be silent: until it asks something, and until an HTTP/2 client shows that it is still there.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// gRPC calls whose message is read, at a time.
const CALLS_MAX: usize = 256;
/// Time for such a call; streams last longer once they have begun.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// Pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// Of so many requests, a chance says how many are answered with the wish that the client connects anew.
const CHANCES: u32 = 1_000_000;
/// Connections that are served at a time, where the limit of open files leaves room for so many.
const CONNECTIONS_MAX: usize = 16_384;
/// Open files that no connection may take: those towards the store, and towards webhooks and nodes.
const FILES_RESERVED: u64 = 256;

/// The two ways in that the port has.
#[derive(Clone)]
struct Doors {
    rest: Arc<Front>,
    grpc: ObjectsServer<grpc::Api>,
    calls: Arc<Semaphore>,
    /// How likely a client over HTTP/2 is sent to whichever server it finds next.
    goaway_chance: f64,
}

impl Doors {
    fn sends_away(&self) -> bool {
        let one = u32::try_from(any_of(CHANCES as usize)).unwrap_or(CHANCES);
        f64::from(one) < self.goaway_chance * f64::from(CHANCES)
    }

    async fn answer(
        &self,
        mut request: http::Request<Incoming>,
        peer: &Peer,
    ) -> http::Response<Either<rest::Body, tonic::body::Body>> {
        if !grpc::is_call(&request) {
            return self.rest.answer(request, peer).await.map(Either::Left);
        }
        let uri = request.uri().clone();
        request.extensions_mut().insert(peer.clone());
        request.extensions_mut().insert(uri);
        self.call(request).await.map(Either::Right)
    }

    /// Answers a gRPC call. Its message is read before anybody is asked who sends it, so few are read at a time, and none for long.
    async fn call(
        &self,
        mut request: http::Request<Incoming>,
    ) -> http::Response<tonic::body::Body> {
        let Ok(place) = self.calls.clone().try_acquire_owned() else {
            return tonic::Status::resource_exhausted(
                "too many calls are being read; try again later",
            )
            .into_http();
        };
        // It goes with the request, whose extensions are dropped once the message is there: what waits for its turn reads nothing.
        request.extensions_mut().insert(Arc::new(place));
        let answering = self.grpc.clone().call(request);
        match tokio::time::timeout(CALL_TIMEOUT, answering).await {
            Ok(answer) => answer.unwrap_or_else(|never| match never {}),
            Err(_elapsed) => {
                tonic::Status::deadline_exceeded("the call was not answered in time").into_http()
            }
        }
    }
}

/// A port that is listened on.
pub(crate) struct Port {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    doors: Doors,
    connections: TaskTracker,
    /// Cancelled when connections have to end as soon as their requests are answered.
    draining: CancellationToken,
    /// Cancelled when they have to end at once.
    ending: CancellationToken,
}

impl Port {
    pub(crate) fn new(
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        front: Arc<Front>,
        goaway_chance: f64,
    ) -> Port {
        let draining = front.registry.draining.clone();
        let doors = Doors {
            rest: front.clone(),
            grpc: grpc::service(front),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            goaway_chance,
        };
        Port {
            listener,
            acceptor: TlsAcceptor::from(tls),
            doors,
            connections: TaskTracker::new(),
            draining,
            ending: CancellationToken::new(),
        }
    }

    /// Takes connections until it has to stop, and then waits for them.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        tokio::select! {
            () = self.accept() => {}
            () = stop.cancelled() => {}
        }
        let Port {
            listener,
            connections,
            draining,
            ending,
            ..
        } = self;
        drop(listener);
        draining.cancel();
        connections.close();
        if tokio::time::timeout(DRAIN_MAX, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = connections.len(),
                "requests were not answered in time"
            );
            ending.cancel();
            connections.wait().await;
        }
        Ok(())
    }

    /// Takes connections. One that cannot be taken is one less, and no reason to end.
    async fn accept(&self) {
        let connections_max =
            daemon::connections_max(daemon::open_files_max(), FILES_RESERVED, CONNECTIONS_MAX);
        let places = Arc::new(Semaphore::new(connections_max));
        loop {
            let place = places.clone().acquire_owned().await;
            let place = place.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, from)) => self.spawn(stream, from, place),
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, from: SocketAddr, place: OwnedSemaphorePermit) {
        let (acceptor, doors) = (self.acceptor.clone(), self.doors.clone());
        let (draining, ending) = (self.draining.clone(), self.ending.clone());
        self.connections.spawn(async move {
            tokio::select! {
                () = serve((stream, from), acceptor, doors, draining) => {}
                () = ending.cancelled() => {}
            }
            drop(place);
        });
    }
}

async fn serve(
    (stream, from): (TcpStream, SocketAddr),
    acceptor: TlsAcceptor,
    doors: Doors,
    draining: CancellationToken,
) {
    // A connection without it is slow and works.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "a handshake failed"),
        Err(_elapsed) => return tracing::debug!(%from, "a handshake took too long"),
    };
    let certificates = stream
        .get_ref()
        .1
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|one| one.clone().into_owned());
    let peer = Peer {
        address: from,
        certificates: certificates.collect(),
    };
    let leaving = draining.child_token();
    let left = leaving.clone();
    let service = service_fn(move |request| {
        // What was asked before, and this, is answered in the connection.
        if request.version() == http::Version::HTTP_2 && doors.sends_away() {
            left.cancel();
        }
        let (doors, peer) = (doors.clone(), peer.clone());
        async move { Ok::<_, Infallible>(doors.answer(request, &peer).await) }
    });
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    let ended = if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(Some(SILENCE_MAX))
            .timer(TokioTimer::new());
        let connection = pin!(builder.serve_connection(stream, service));
        drained(connection, leaving, |connection| {
            connection.graceful_shutdown()
        })
        .await
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(SILENCE_MAX);
        let connection = builder.serve_connection(stream, service).with_upgrades();
        let connection = pin!(connection);
        drained(connection, leaving, |connection| {
            connection.graceful_shutdown()
        })
        .await
    };
    if let Err(error) = ended {
        tracing::debug!(%from, %error, "a connection ended");
    }
}

/// Serves a connection to its end, and from a moment on only what was asked before it.
async fn drained<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    draining: CancellationToken,
    shut: impl FnOnce(Pin<&mut C>),
) -> hyper::Result<()> {
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = draining.cancelled() => shut(connection.as_mut()),
    }
    connection.await
}
