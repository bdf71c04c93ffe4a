//! Counts bytes, failures and round trips between this member and the others, on the way out and on the way in.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Layer, Service};

use super::MemberTable;
use super::peer_service::MEMBER_ID;
use crate::metrics::{Counter, Metrics, Peer};

/// Calls that the other side answers at once, so that their time is that of a round trip.
const ROUND_TRIPS: &[&str] = &["/Heartbeat", "/Members"];

/// Where traffic is counted.
#[derive(Clone)]
pub(crate) struct Traffic {
    metrics: Arc<Metrics>,
    members: MemberTable,
}

impl Traffic {
    pub(crate) fn new(metrics: Arc<Metrics>, members: MemberTable) -> Traffic {
        Traffic { metrics, members }
    }

    /// The counters of a member whose id the configuration or the log has.
    pub(super) fn peer(&self, member: u64) -> Arc<Peer> {
        self.metrics.peers.of(member)
    }

    /// Whoever says that it calls.
    fn caller<B>(&self, request: &Request<B>) -> Option<Whose> {
        let id = request.headers().get(MEMBER_ID)?.to_str().ok()?;
        Some(Whose::Said {
            id: u64::from_str_radix(id, 16).ok()?,
            traffic: self.clone(),
        })
    }
}

/// The other side of a call.
#[derive(Clone)]
enum Whose {
    Known(Arc<Peer>),
    /// It said so itself. Streams are opened before a new member has heard who the members are, and anybody can say
    /// anything, so it is looked up while the stream goes on.
    Said {
        id: u64,
        traffic: Traffic,
    },
}

impl Whose {
    fn peer(&mut self) -> Option<&Peer> {
        if let Whose::Said { id, traffic } = self {
            traffic.members.peer_url(*id)?;
            *self = Whose::Known(traffic.peer(*id));
        }
        match self {
            Whose::Known(peer) => Some(peer),
            Whose::Said { .. } => None,
        }
    }
}

/// Calls to one member.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(super) channel: Channel,
    pub(super) peer: Arc<Peer>,
}

impl Service<Request<Body>> for Outgoing {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = Arc::clone(&self.peer);
        let path = request.uri().path();
        let is_round_trip = ROUND_TRIPS.iter().any(|call| path.ends_with(call));
        let began = Instant::now();
        let count = Counting {
            whose: Whose::Known(Arc::clone(&peer)),
            bytes: |peer| &peer.sent_bytes,
            failures: |peer| &peer.sent_failures,
        };
        let call = self.channel.call(request.map(|body| count.body(body)));
        Box::pin(async move {
            let answer = call.await.inspect_err(|_error| peer.sent_failures.add(1))?;
            if is_round_trip {
                peer.round_trip.observe(began.elapsed());
            }
            let count = Counting {
                whose: Whose::Known(peer),
                bytes: |peer| &peer.received_bytes,
                failures: |peer| &peer.sent_failures,
            };
            Ok(answer.map(|body| count.body(body)))
        })
    }
}

impl<S> Layer<S> for Traffic {
    type Service = Incoming<S>;

    fn layer(&self, inner: S) -> Incoming<S> {
        Incoming {
            inner,
            traffic: self.clone(),
        }
    }
}

/// Calls of other members.
#[derive(Clone)]
pub(crate) struct Incoming<S> {
    inner: S,
    traffic: Traffic,
}

impl<S> Service<Request<Body>> for Incoming<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(whose) = self.traffic.caller(&request) else {
            return Box::pin(self.inner.call(request));
        };
        let count = Counting {
            whose: whose.clone(),
            bytes: |peer| &peer.received_bytes,
            failures: |peer| &peer.received_failures,
        };
        let call = self.inner.call(request.map(|body| count.body(body)));
        Box::pin(async move {
            let count = Counting {
                whose,
                bytes: |peer| &peer.sent_bytes,
                failures: |peer| &peer.sent_failures,
            };
            Ok(call.await?.map(|body| count.body(body)))
        })
    }
}

/// Which counters a body goes to.
struct Counting {
    whose: Whose,
    bytes: fn(&Peer) -> &Counter,
    failures: fn(&Peer) -> &Counter,
}

impl Counting {
    fn body(self, body: Body) -> Body {
        Body::new(CountedBody {
            body,
            count: self,
            uncounted: (0, 0),
        })
    }
}

struct CountedBody {
    body: Body,
    count: Counting,
    /// Bytes and failures of a caller that is not known yet.
    uncounted: (u64, u64),
}

impl CountedBody {
    fn add(&mut self, bytes: u64, failures: u64) {
        let uncounted = &mut self.uncounted;
        *uncounted = (uncounted.0 + bytes, uncounted.1 + failures);
        let count = &mut self.count;
        if let Some(peer) = count.whose.peer() {
            let (bytes, failures) = std::mem::take(uncounted);
            (count.bytes)(peer).add(bytes);
            (count.failures)(peer).add(failures);
        }
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let counted = self.get_mut();
        let frame = ready!(Pin::new(&mut counted.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    counted.add(data.len() as u64, 0);
                }
            }
            Some(Err(_)) => counted.add(0, 1),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
