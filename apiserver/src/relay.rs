//! Passes requests on to others, and their answers back: once, as a stream of bytes, or as a stream inside of another one.

mod copy;
pub(crate) mod headers;
mod tunnel;

use std::sync::Arc;

use daemon::CancellationToken;
use http::header::CONNECTION;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use objects::status::{Reason, Status};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::dial::{self, Place, Tls};
use crate::places::{self, Places};
use crate::rest::{Answer, Body};

/// Upgraded streams that are copied at a time.
const STREAMS_MAX: usize = 4_096;
/// Upgraded streams of one user at a time.
const STREAMS_EACH_MAX: usize = 512;
/// Requests that are passed on at a time, until their answers are told whole.
const SENDS_MAX: usize = 4_096;

/// Where a request is passed on to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) place: Place,
    /// How the stream is secured, and who has to be there.
    pub(crate) tls: Option<(Tls, String)>,
    /// With the query.
    pub(crate) path: String,
}

impl Target {
    /// The address of what is asked for.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.place, self.path)
    }
}

/// What is passed on at a time, and who looks after it.
#[derive(Debug)]
pub(crate) struct Relay {
    streams: Places,
    sends: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What kept a request from being answered by somebody else.
#[derive(Debug)]
pub(crate) enum Failed {
    /// There was no stream to it.
    Dial(String),
    /// It gave no answer.
    Exchange(String),
    /// It was not asked: too much is passed on already.
    Crowded,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failed::Dial(why) | Failed::Exchange(why) => out.write_str(why),
            Failed::Crowded => out.write_str("too many requests are passed on"),
        }
    }
}

/// Two streams that are to be copied, once the client has been told so.
struct Joined {
    client: OnUpgrade,
    backend: OnUpgrade,
    place: places::Place,
}

impl Default for Relay {
    fn default() -> Relay {
        Relay {
            streams: Places::new(STREAMS_MAX, STREAMS_EACH_MAX),
            sends: Arc::new(Semaphore::new(SENDS_MAX)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }
}

impl Relay {
    /// Ends all streams when the server stops.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        stop.cancelled().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Sends a request and gives the beginning of the answer. The request names no place itself.
    pub(crate) async fn send(
        &self,
        target: &Target,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Failed> {
        let sends = self.sends.clone();
        let place = sends.try_acquire_owned().map_err(|_full| Failed::Crowded)?;
        let tls = target.tls.as_ref().map(|(tls, name)| (tls, name.as_str()));
        let stream = dial::open(&target.place, tls).await.map_err(Failed::Dial)?;
        let exchange = |error: hyper::Error| Failed::Exchange(error.to_string());
        let (mut sender, connection) = http1::handshake(stream).await.map_err(exchange)?;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            // The connection is there for one answer, and ends with it.
            let _place = place;
            tokio::select! {
                // Whoever waits for the answer is told of its failure.
                _ended = connection.with_upgrades() => {}
                () = stop.cancelled() => {}
            }
        });
        sender.send_request(request).await.map_err(exchange)
    }

    /// Passes a request for another protocol on, and copies what both sides say in it.
    pub(crate) async fn upgrade(&self, target: &Target, client: Upgrade) -> Result<Answer, Status> {
        let place = self.place(&client.user)?;
        let mut headers = client.headers;
        headers::forward_for(&mut headers, client.peer);
        let request = asked(&client.method, &target.path, headers);
        let response = self.ask(target, request).await?;
        let (response, backend) = match switched(response)? {
            Ok(switched) => switched,
            Err(refused) => return Ok(refused),
        };
        let joined = Joined {
            client: client.stream,
            backend,
            place,
        };
        self.join(joined, copy::both);
        Ok(response)
    }

    /// Opens a SPDY stream for a client that speaks it inside of a websocket.
    pub(crate) async fn tunnel(&self, target: &Target, client: Upgrade) -> Result<Answer, Status> {
        let place = self.place(&client.user)?;
        let opening = tunnel::opening(&client.headers)?;
        let request = asked(&http::Method::POST, &target.path, opening);
        let response = self.ask(target, request).await?;
        let (response, backend) = match switched(response)? {
            Ok(switched) => switched,
            Err(refused) => return Ok(refused),
        };
        let answer = tunnel::accepted(&client.headers, response.headers())?;
        let joined = Joined {
            client: client.stream,
            backend,
            place,
        };
        self.join(joined, tunnel::both);
        Ok(answer)
    }

    fn place(&self, user: &str) -> Result<places::Place, Status> {
        self.streams.try_take(user).ok_or_else(crowded)
    }

    async fn ask(
        &self,
        target: &Target,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Status> {
        self.send(target, request)
            .await
            .map_err(|failed| match failed {
                Failed::Dial(why) => unnamed(format!("error dialing backend: {why}")),
                Failed::Exchange(why) => unnamed(why),
                Failed::Crowded => crowded(),
            })
    }

    fn join<F>(&self, joined: Joined, copy: fn(copy::Upgraded, copy::Upgraded) -> F)
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _place = joined.place;
            let copying = async {
                let (client, backend) = tokio::join!(joined.client, joined.backend);
                if let (Ok(client), Ok(backend)) = (client, backend)
                    && let Err(error) = copy(copy::stream(client), copy::stream(backend)).await
                {
                    tracing::debug!(%error, "a stream ended");
                }
            };
            tokio::select! {
                () = copying => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// A client's request for another protocol.
pub(crate) struct Upgrade {
    /// The name of who asks for it.
    pub(crate) user: String,
    pub(crate) method: http::Method,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: std::net::SocketAddr,
    /// Its stream, once it has been told so.
    pub(crate) stream: OnUpgrade,
}

/// The answer to what would be passed on beside too much else.
pub(crate) fn crowded() -> Status {
    let mut status = Status::new(
        Reason::TooManyRequests,
        "Too many requests, please try again later.",
    );
    status.retry_after_seconds = 1;
    status
}

/// A failure that has no reason on the wire.
pub(crate) fn unnamed(message: String) -> Status {
    Status::new(Reason::Unknown, message)
}

/// A body without anything in it.
pub(crate) fn nothing() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn asked(method: &http::Method, path: &str, headers: HeaderMap) -> Request<Body> {
    let mut request = Request::new(nothing());
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.parse().unwrap_or_default();
    *request.headers_mut() = headers;
    request
}

/// Whether a request is for another protocol.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("upgrade"))
}

/// Whether a request is for a SPDY stream inside of a websocket.
pub(crate) fn is_tunnel(headers: &HeaderMap) -> bool {
    is_upgrade(headers) && tunnel::is_asked(headers)
}

/// The answer by which another protocol begins and the stream of that, or the answer that refuses it.
fn switched(
    mut response: Response<Incoming>,
) -> Result<Result<(Answer, OnUpgrade), Answer>, Status> {
    let code = response.status();
    if code == StatusCode::SWITCHING_PROTOCOLS {
        let stream = hyper::upgrade::on(&mut response);
        return Ok(Ok((streamed(response), stream)));
    }
    if code.as_u16() < 400 {
        return Err(unnamed(format!(
            "invalid upgrade response: status code {}",
            code.as_u16()
        )));
    }
    let mut answer = streamed(response);
    headers::remove_hops(answer.headers_mut());
    Ok(Err(answer))
}

/// Marks an answer of somebody else: nobody knows how large it is and when it ends. An extension of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relayed;

/// An answer of somebody else, whose body comes as it does.
pub(crate) fn streamed(mut response: Response<Incoming>) -> Answer {
    response.extensions_mut().insert(Relayed);
    response.map(|body| body.boxed_unsync())
}
