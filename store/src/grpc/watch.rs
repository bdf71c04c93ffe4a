//! etcd's Watch service: requests of one stream to the hub, and the hub's deliveries to answers.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt, stream};
use proto::encoded::WatchResponse;
use proto::etcdserverpb::WatchResponse as PlainResponse;
use proto::server::etcdserverpb as pb;
use state_machine::{Access, KeyRange};
use tokio::time::{Interval, MissedTickBehavior};
use tonic::{Request, Response, Status, Streaming};

use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;

use super::authn::Credentials;
use super::{Edge, stream as streams};
use crate::watch::{Delivery, Hub, WatchSpec, WatchStream};

mod response;

/// Watch id of answers that are about no watch, or about all of the stream.
const NO_WATCH: i64 = -1;

/// Shortest `--watch-progress-notify-interval` that is kept to. etcd's figure.
const PROGRESS_INTERVAL_MIN: Duration = Duration::from_millis(100);

pub(super) struct Watch(pub(super) Arc<Edge>);

#[tonic::async_trait]
impl pb::watch_server::Watch for Watch {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let requires_leader = streams::requires_leader(request.metadata());
        let (edge, watching) = (self.0.clone(), self.0.clone());
        let credentials = Arc::new(Credentials::of(&request));
        let session = Session::new(
            edge.replica.watch_hub().clone(),
            request.into_inner(),
            progress_interval(edge.limits.watch_progress_interval),
            move |revision| edge.header(revision),
            move |keys| may_watch(watching.clone(), credentials.clone(), keys),
        );
        // No task and no queue: the connection polls for the next answer when it has room for one, and until then the
        // hub's cursors wait.
        let answers = stream::unfold(Box::new(session), |mut session| async move {
            let answer = session.next().await;
            Some((answer, session))
        });
        Ok(Response::new(streams::guard(
            &self.0,
            requires_leader,
            answers,
        )))
    }
}

/// etcd asks once, when a watch is made.
fn may_watch(edge: Arc<Edge>, credentials: Arc<Credentials>, keys: KeyRange) -> Permitted {
    Box::pin(async move {
        let admitted = edge.admit(&credentials, Access::Read(&keys)).await;
        admitted.map(|_| ())
    })
}

/// Whether something is allowed, once that is known.
type Permitted = BoxFuture<'static, Result<(), Status>>;

/// One gRPC stream and its watches.
struct Session<R, H, P> {
    hub: Arc<Hub>,
    requests: R,
    /// The client has said all it will say. Its watches live on.
    half_closed: bool,
    watches: WatchStream,
    progress: Interval,
    /// Answers to requests, at most one of each.
    answers: VecDeque<WatchResponse>,
    /// The header of an answer that shows the store at a revision.
    header: H,
    /// Whether the client may watch a range.
    permit: P,
}

impl<R, H, P> Session<R, H, P>
where
    R: Stream<Item = Result<pb::WatchRequest, Status>> + Unpin,
    H: Fn(i64) -> pb::ResponseHeader,
    P: Fn(KeyRange) -> Permitted,
{
    fn new(hub: Arc<Hub>, requests: R, progress_interval: Duration, header: H, permit: P) -> Self {
        let first_tick = tokio::time::Instant::now() + progress_interval;
        let mut progress = tokio::time::interval_at(first_tick, progress_interval);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Session {
            requests,
            half_closed: false,
            watches: hub.open_stream(),
            progress,
            answers: VecDeque::new(),
            header,
            permit,
            hub,
        }
    }

    /// The next answer; an error ends the stream.
    async fn next(&mut self) -> Result<WatchResponse, Status> {
        loop {
            // A client puts the parts of a response together only if nothing comes between them.
            if self.watches.is_mid_response() {
                let part = self.watches.next().await;
                return Ok(self.deliver(part));
            }
            if let Some(answer) = self.answers.pop_front() {
                return Ok(answer);
            }
            tokio::select! {
                delivery = self.watches.next() => return Ok(self.deliver(delivery)),
                request = self.requests.next(), if !self.half_closed => match request {
                    Some(request) => self.serve(request?).await,
                    None => self.half_closed = true,
                },
                _ = self.progress.tick() => self.watches.progress_tick(),
            }
        }
    }

    async fn serve(&mut self, request: pb::WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.create(request).await,
            Some(RequestUnion::CancelRequest(request)) => self.cancel(request.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.watches.request_progress(),
            None => tracing::debug!("watch request without content"),
        }
    }

    async fn create(&mut self, request: pb::WatchCreateRequest) {
        let spec = spec(request);
        let permitted = (self.permit)(spec.keys.clone()).await;
        let created = permitted.map_err(|status| response::denied(&status));
        let created = created.and_then(|()| {
            let created = self.watches.create(spec);
            created.map_err(|error| error.to_string())
        });
        let answer = match created {
            Ok(watch_id) => PlainResponse {
                // Everything after this revision, and nothing up to it, reaches a watch of the present.
                header: Some((self.header)(self.watches.created_revision())),
                watch_id,
                ..Default::default()
            },
            Err(cancel_reason) => PlainResponse {
                header: Some(self.header_now()),
                watch_id: NO_WATCH,
                canceled: true,
                cancel_reason,
                ..Default::default()
            },
        };
        let answer = PlainResponse {
            created: true,
            ..answer
        };
        self.answers.push_back(WatchResponse::from(&answer));
    }

    /// A watch that is not there is cancelled without a word.
    fn cancel(&mut self, watch_id: i64) {
        if self.watches.cancel(watch_id) {
            let header = Some(self.header_now());
            let answer = PlainResponse {
                header,
                watch_id,
                canceled: true,
                ..Default::default()
            };
            self.answers.push_back(WatchResponse::from(&answer));
        }
    }

    /// Watchers know the store as far as its events were published.
    fn header_now(&self) -> pb::ResponseHeader {
        (self.header)(self.hub.revision())
    }

    fn deliver(&self, delivery: Delivery) -> WatchResponse {
        match delivery {
            Delivery::Events {
                watch_id,
                revision,
                events,
                fragment,
            } => {
                let header = (self.header)(revision);
                WatchResponse {
                    head: response::events_head(&header, watch_id, fragment),
                    tail: events,
                }
            }
            Delivery::Progress { watch_id, revision } => {
                let header = (self.header)(revision);
                let head = response::events_head(&header, watch_id, false);
                WatchResponse {
                    head,
                    tail: Bytes::new(),
                }
            }
            Delivery::Compacted {
                watch_id,
                compact_revision,
            } => WatchResponse::from(&PlainResponse {
                header: Some((self.header)(0)),
                watch_id,
                canceled: true,
                compact_revision,
                ..Default::default()
            }),
        }
    }
}

fn spec(request: pb::WatchCreateRequest) -> WatchSpec {
    let has = |filter: FilterType| request.filters.contains(&(filter as i32));
    WatchSpec {
        no_put: has(FilterType::Noput),
        no_delete: has(FilterType::Nodelete),
        keys: KeyRange {
            // An empty key is the smallest key there is.
            start: if request.key.is_empty() {
                Bytes::from_static(b"\0")
            } else {
                request.key
            },
            end: request.range_end,
        },
        start_revision: request.start_revision,
        id: request.watch_id,
        prev_kv: request.prev_kv,
        fragment: request.fragment,
        progress_notify: request.progress_notify,
    }
}

/// With up to a tenth on top, so that streams opened together do not report together.
fn progress_interval(interval: Duration) -> Duration {
    let interval = interval.max(PROGRESS_INTERVAL_MIN);
    let tenth_nanos = (interval.as_nanos() / 10).min(u128::from(u64::MAX)) as u64;
    interval + Duration::from_nanos(RandomState::new().hash_one(0) % tenth_nanos)
}

#[cfg(test)]
mod tests;
