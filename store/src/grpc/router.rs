//! From an HTTP request to the service that answers it, with the checks and counts that all services share.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use proto::server::etcdserverpb as pb;
use proto::server::health::health_server::HealthServer;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service as _, StdError};
use tonic::{Code, Status};

use super::method::{self, Kind, Method, Service};
use super::status::BadRequest;
use super::{Edge, auth, cluster, health, kv, lease, maintenance, status, stream, watch};
use crate::metrics::CODES;

/// etcd's metadata key with the version of the client's API.
const CLIENT_API_VERSION: &str = "client-api-version";

/// Beginning of tonic's text for a message above the limit, for which etcd has another code.
const TONIC_TOO_LONG: &str = "Error, decoded message length too large";

/// The services of one client port.
pub(super) struct Router {
    edge: Arc<Edge>,
    kv: pb::kv_server::KvServer<kv::Kv>,
    watch: pb::watch_server::WatchServer<watch::Watch>,
    lease: pb::lease_server::LeaseServer<lease::Lease>,
    cluster: pb::cluster_server::ClusterServer<cluster::Cluster>,
    maintenance: pb::maintenance_server::MaintenanceServer<maintenance::Maintenance>,
    auth: pb::auth_server::AuthServer<auth::Auth>,
    health: HealthServer<health::Health>,
}

/// Largest answer, as etcd's.
const ANSWER_BYTES_MAX: usize = i32::MAX as usize;

/// Sets a service's message sizes.
macro_rules! sized {
    ($server:expr, $edge:expr) => {
        $server
            .max_decoding_message_size($edge.limits.message_bytes_max())
            .max_encoding_message_size(ANSWER_BYTES_MAX)
    };
}

impl Router {
    pub(super) fn new(edge: Arc<Edge>) -> Router {
        use pb::{
            auth_server::AuthServer, cluster_server::ClusterServer, kv_server::KvServer,
            lease_server::LeaseServer, maintenance_server::MaintenanceServer,
            watch_server::WatchServer,
        };
        Router {
            kv: sized!(KvServer::new(kv::Kv(edge.clone())), edge),
            watch: sized!(WatchServer::new(watch::Watch(edge.clone())), edge),
            lease: sized!(LeaseServer::new(lease::Lease::new(edge.clone())), edge),
            cluster: sized!(ClusterServer::new(cluster::Cluster(edge.clone())), edge),
            maintenance: sized!(
                MaintenanceServer::new(maintenance::Maintenance(edge.clone())),
                edge
            ),
            auth: sized!(AuthServer::new(auth::Auth(edge.clone())), edge),
            health: sized!(HealthServer::new(health::Health(edge.clone())), edge),
            edge,
        }
    }

    pub(super) fn call<B>(&self, request: Request<B>) -> Answer
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        if !is_grpc(request.headers()) {
            return self.page(request);
        }
        let method = match method::find(request.uri().path()) {
            Ok(method) => method,
            Err(text) => return Answer::ready(Status::unimplemented(text)),
        };
        self.edge.metrics.calls(method).started.add(1);
        let call = Some(Call {
            edge: self.edge.clone(),
            method,
        });
        let work = match self.refuse(method, request.headers()) {
            Some(status) => Work::Ready(Some(status.into_http())),
            None => Work::Running(self.dispatch(method.service, request)),
        };
        Answer { work, call }
    }

    /// Answers as plain HTTP.
    pub(super) fn page<B>(&self, request: Request<B>) -> Answer {
        let edge = self.edge.clone();
        let (head, _) = request.into_parts();
        let answer = async move { Ok(crate::http::answer(&edge, head).await.map(Body::new)) };
        Answer { work: Work::Running(Box::pin(answer)), call: None }
    }

    fn dispatch<B>(
        &self,
        service: Service,
        request: Request<B>,
    ) -> BoxFuture<Response<Body>, Infallible>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        match service {
            Service::Kv => self.kv.clone().call(request),
            Service::Watch => self.watch.clone().call(request),
            Service::Lease => self.lease.clone().call(request),
            Service::Cluster => self.cluster.clone().call(request),
            Service::Maintenance => self.maintenance.clone().call(request),
            Service::Auth => self.auth.clone().call(request),
            Service::Health => self.health.clone().call(request),
        }
    }

    /// What etcd refuses before it reads the request.
    fn refuse(&self, method: &Method, headers: &HeaderMap) -> Option<Status> {
        if self.edge.is_learner() && !serves_on_learner(method) {
            return Some(BadRequest::NotSupportedForLearner.into());
        }
        let version = headers.get(CLIENT_API_VERSION);
        if version.is_some_and(|version| std::str::from_utf8(version.as_bytes()).is_err()) {
            return Some(BadRequest::InvalidClientApiVersion.into());
        }
        let requires_leader = headers
            .get(stream::REQUIRE_LEADER)
            .is_some_and(|value| value.as_bytes() == b"true");
        if requires_leader && self.edge.replica.raft_status().leader.is_none() {
            return Some(Status::unavailable(status::NO_LEADER));
        }
        None
    }
}

/// A Range is looked at again once it is known whether it is serializable.
fn serves_on_learner(method: &Method) -> bool {
    matches!(
        (method.service, method.name),
        (Service::Kv, "Range") | (Service::Maintenance, "Status" | "Snapshot")
    )
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// A call that is being counted. Dropped uncounted, it was cancelled by its client.
struct Call {
    edge: Arc<Edge>,
    method: &'static Method,
}

impl Call {
    fn count(&self, code: Code) {
        let code = (code as usize).min(CODES - 1);
        self.edge.metrics.calls(self.method).handled[code].add(1);
    }
}

/// The answer to one request, in the making.
pub(super) struct Answer {
    work: Work,
    call: Option<Call>,
}

enum Work {
    Ready(Option<Response<Body>>),
    Running(BoxFuture<Response<Body>, Infallible>),
}

impl Answer {
    fn ready(status: Status) -> Answer {
        Answer {
            work: Work::Ready(Some(status.into_http())),
            call: None,
        }
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.get_mut();
        let mut response = match &mut answer.work {
            Work::Ready(response) => response.take().expect("a future is not polled once ready"),
            Work::Running(work) => match ready!(work.as_mut().poll(context)) {
                Ok(response) => response,
                Err(never) => match never {},
            },
        };
        let Some(call) = answer.call.take() else {
            return Poll::Ready(Ok(response));
        };
        match Status::from_header_map(response.headers()) {
            Some(status) => {
                let status = as_etcd(status);
                call.count(status.code());
                tracing::debug!(method = call.method.name, code = ?status.code(), "refused");
                response = status.into_http();
            }
            None if call.method.kind == Kind::Unary => call.count(Code::Ok),
            None => {
                let counted = |body| {
                    Body::new(CountedBody {
                        body,
                        call: Some(call),
                    })
                };
                response = response.map(counted);
            }
        }
        Poll::Ready(Ok(response))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call.count(Code::Cancelled);
        }
    }
}

/// grpc-go has its own code and text for a message above the limit.
fn as_etcd(status: Status) -> Status {
    if status.code() != Code::OutOfRange || !status.message().starts_with(TONIC_TOO_LONG) {
        return status;
    }
    let mut numbers = status
        .message()
        .split(|character: char| !character.is_ascii_digit())
        .filter(|number| !number.is_empty());
    let (found, limit) = (numbers.next().unwrap_or("?"), numbers.next().unwrap_or("?"));
    Status::resource_exhausted(format!(
        "grpc: received message larger than max ({found} vs. {limit})"
    ))
}

/// The body of a stream, counted by the status in its trailers.
struct CountedBody {
    body: Body,
    call: Option<Call>,
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
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(call) = counted.call.take()
        {
            let status = Status::from_header_map(trailers);
            call.count(status.map_or(Code::Ok, |status| status.code()));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call.count(Code::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_above_the_limit_is_answered_as_grpc_go_does() {
        let tonic = Status::out_of_range(format!(
            "{TONIC_TOO_LONG}: found 3000000 bytes, the limit is: 2097152 bytes"
        ));
        let status = as_etcd(tonic);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(
            status.message(),
            "grpc: received message larger than max (3000000 vs. 2097152)"
        );
    }

    #[test]
    fn other_statuses_stay() {
        let compacted = status::rejected(state_machine::Rejection::FutureRevision);
        let text = compacted.message().to_string();
        let status = as_etcd(compacted);
        assert_eq!(
            (status.code(), status.message()),
            (Code::OutOfRange, text.as_str())
        );
    }

    #[test]
    fn content_type_tells_grpc_from_http() {
        let headers = |kind: &'static str| {
            HeaderMap::from_iter([(
                http::header::CONTENT_TYPE,
                http::HeaderValue::from_static(kind),
            )])
        };
        assert!(is_grpc(&headers("application/grpc")));
        assert!(is_grpc(&headers("application/grpc+proto")));
        assert!(!is_grpc(&headers("application/json")));
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
