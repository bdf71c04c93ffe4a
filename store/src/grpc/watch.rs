//! etcd's Watch service: requests of one stream to the hub, and the hub's deliveries to answers.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use proto::encoded::WatchResponse;
use proto::server::etcdserverpb as pb;
use state_machine::KeyRange;
use tokio::time::{Interval, MissedTickBehavior};
use tonic::{Request, Response, Status, Streaming};

use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;

use super::{Edge, stream as streams};
use crate::metrics::Open;
use crate::watch::{Delivery, WatchSpec, WatchStream};

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
        let session = Session::new(self.0.clone(), request.into_inner());
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

/// One gRPC stream and its watches.
struct Session {
    edge: Arc<Edge>,
    requests: Streaming<pb::WatchRequest>,
    /// The client has said all it will say. Its watches live on.
    half_closed: bool,
    watches: WatchStream,
    progress: Interval,
    /// Answers to requests, at most one of each.
    answers: VecDeque<WatchResponse>,
    /// Ids of open watches, for the gauge alone.
    open: std::collections::BTreeMap<i64, Open>,
    _stream: Open,
}

impl Session {
    fn new(edge: Arc<Edge>, requests: Streaming<pb::WatchRequest>) -> Session {
        let interval = progress_interval(edge.limits.watch_progress_interval);
        let mut progress =
            tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Session {
            requests,
            half_closed: false,
            watches: edge.replica.watch_hub().open_stream(),
            progress,
            answers: VecDeque::new(),
            open: std::collections::BTreeMap::new(),
            _stream: edge.metrics.watch_stream_opened(),
            edge,
        }
    }

    /// The next answer; an error ends the stream.
    async fn next(&mut self) -> Result<WatchResponse, Status> {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return Ok(answer);
            }
            tokio::select! {
                delivery = self.watches.next() => return Ok(self.deliver(delivery)),
                request = self.requests.next(), if !self.half_closed => match request {
                    Some(request) => self.serve(request?),
                    None => self.half_closed = true,
                },
                _ = self.progress.tick() => self.watches.progress_tick(),
            }
        }
    }

    fn serve(&mut self, request: pb::WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.create(request),
            Some(RequestUnion::CancelRequest(request)) => self.cancel(request.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.watches.request_progress(),
            None => tracing::debug!("watch request without content"),
        }
    }

    fn create(&mut self, request: pb::WatchCreateRequest) {
        let created = self.watches.create(spec(request)).map_err(|error| error.to_string());
        let (watch_id, refused) = match created {
            Ok(watch_id) => (watch_id, None),
            Err(reason) => (NO_WATCH, Some(reason)),
        };
        if refused.is_none() {
            self.open.insert(watch_id, self.edge.metrics.watch_opened());
        }
        let head = pb_response(&self.edge, watch_id);
        self.answers
            .push_back(whole(&proto::etcdserverpb::WatchResponse {
                created: true,
                canceled: refused.is_some(),
                cancel_reason: refused.unwrap_or_default(),
                ..head
            }));
    }

    /// A watch that is not there is cancelled without a word.
    fn cancel(&mut self, watch_id: i64) {
        if self.watches.cancel(watch_id) {
            self.open.remove(&watch_id);
            let head = pb_response(&self.edge, watch_id);
            self.answers
                .push_back(whole(&proto::etcdserverpb::WatchResponse {
                    canceled: true,
                    ..head
                }));
        }
    }

    fn deliver(&mut self, delivery: Delivery) -> WatchResponse {
        match delivery {
            Delivery::Events {
                watch_id,
                revision,
                events,
                fragment,
            } => {
                let header = self.edge.header(revision);
                WatchResponse {
                    head: response::events_head(&header, watch_id, fragment),
                    tail: events,
                }
            }
            Delivery::Progress { watch_id, revision } => {
                let header = self.edge.header(revision);
                let head = response::events_head(&header, watch_id, false);
                WatchResponse {
                    head,
                    tail: Bytes::new(),
                }
            }
            Delivery::Compacted {
                watch_id,
                compact_revision,
            } => {
                self.open.remove(&watch_id);
                whole(&proto::etcdserverpb::WatchResponse {
                    header: Some(self.edge.header(0)),
                    watch_id,
                    canceled: true,
                    compact_revision,
                    ..Default::default()
                })
            }
        }
    }
}

/// An answer about `watch_id`, with the store as it is now in its header.
fn pb_response(edge: &Edge, watch_id: i64) -> proto::etcdserverpb::WatchResponse {
    proto::etcdserverpb::WatchResponse {
        header: Some(edge.header_now()),
        watch_id,
        ..Default::default()
    }
}

fn whole(response: &proto::etcdserverpb::WatchResponse) -> WatchResponse {
    WatchResponse::from(response)
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
