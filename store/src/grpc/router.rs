//! From an HTTP request to the service that answers it, with the checks that all services share.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use proto::server::etcdserverpb as pb;
use proto::server::health::health_server::HealthServer;
use proto::server::mainstaypb::pipeline_server::PipelineServer;
use proto::server::v3electionpb::election_server::ElectionServer;
use proto::server::v3lockpb::lock_server::LockServer;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service as _, StdError};

use super::answer::{Answer, Call, Work};
use super::authn::{CertificateCommonName, Credentials, Rule};
use super::method::{self, Method, Service};
use super::status::BadRequest;
use super::{
    Edge, access, auth, cluster, election, gateway, health, kv, lease, lock, maintenance, pipeline,
    status, stream, watch,
};
use crate::http::Pages;
use crate::spans::{Span, Value};

/// etcd's metadata key with the version of the client's API.
const CLIENT_API_VERSION: &str = "client-api-version";

/// etcd's text for a request of the gateway whose sender may think that its certificate says who it is.
const NAMED_BY_CERTIFICATE: &str = "CommonName of client sending a request against gateway will be ignored and not used as expected";

/// The services of one client port.
pub(super) struct Router {
    edge: Arc<Edge>,
    kv: pb::kv_server::KvServer<kv::Kv>,
    watch: pb::watch_server::WatchServer<watch::Watch>,
    lease: pb::lease_server::LeaseServer<lease::Lease>,
    cluster: pb::cluster_server::ClusterServer<cluster::Cluster>,
    maintenance: pb::maintenance_server::MaintenanceServer<maintenance::Maintenance>,
    auth: pb::auth_server::AuthServer<auth::Auth>,
    lock: LockServer<lock::Lock>,
    election: ElectionServer<election::Election>,
    health: HealthServer<health::Health>,
    pipeline: PipelineServer<pipeline::Pipeline>,
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
            lock: sized!(LockServer::new(lock::Lock::new(edge.clone())), edge),
            election: sized!(
                ElectionServer::new(election::Election::new(edge.clone())),
                edge
            ),
            health: sized!(HealthServer::new(health::Health(edge.clone())), edge),
            pipeline: sized!(PipelineServer::new(pipeline::Pipeline(edge.clone())), edge),
            edge,
        }
    }

    pub(super) fn call<B>(self: &Arc<Self>, request: Request<B>) -> Answer
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<StdError> + Send + 'static,
    {
        if is_grpc(&request) {
            self.call_grpc(request)
        } else {
            self.call_http(request)
        }
    }

    /// Plain HTTP on a client port: the JSON gateway and pages, for those who may ask.
    pub(super) fn call_http<B>(self: &Arc<Self>, request: Request<B>) -> Answer
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<StdError> + Send + 'static,
    {
        let router = Arc::clone(self);
        let answer = async move {
            let (mut head, body) = request.into_parts();
            gateway::rewrite_beta(&mut head.uri);
            let access = &router.edge.limits.access;
            if let Some(text) = access.refusal(&head) {
                let refusal = crate::http::error(StatusCode::MISDIRECTED_REQUEST, &text);
                return Ok(refusal.map(Body::new));
            }
            let origin = access.allowed_origin(&head.headers);
            let mut answer = router.answer_http(head, body).await?;
            if let Some(origin) = origin {
                access::allow_origin(answer.headers_mut(), origin);
            }
            Ok(answer)
        };
        Answer {
            work: Work::Running(Box::pin(answer)),
            call: None,
        }
    }

    async fn answer_http<B>(
        self: Arc<Self>,
        head: Parts,
        body: B,
    ) -> Result<Response<Body>, Infallible>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<StdError> + Send + 'static,
    {
        // A browser asks so before it sends its page's request; the headers are the answer.
        if head.method == http::Method::OPTIONS {
            return Ok(Response::new(Body::empty()));
        }
        if self.edge.limits.has_gateway && head.uri.path().starts_with(gateway::PREFIX) {
            let is_named = head.extensions.get::<CertificateCommonName>().is_some();
            if is_named && self.edge.auth_enabled() {
                let refusal = crate::http::error(StatusCode::BAD_REQUEST, NAMED_BY_CERTIFICATE);
                return Ok(refusal.map(Body::new));
            }
            return gateway::serve(self, Request::from_parts(head, body)).await;
        }
        Ok(crate::http::answer(&self.edge, Pages::All, head)
            .await
            .map(Body::new))
    }

    /// For a port without plain HTTP.
    pub(super) fn call_grpc_alone<B>(&self, request: Request<B>) -> Answer
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        if is_grpc(&request) {
            return self.call_grpc(request);
        }
        let text =
            "this port serves gRPC alone; plain HTTP has the ports of --listen-client-http-urls";
        let refusal = crate::http::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        Answer {
            work: Work::Ready(Some(refusal.map(Body::new))),
            call: None,
        }
    }

    pub(super) fn call_grpc<B>(&self, request: Request<B>) -> Answer
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let method = match method::find(request.uri().path()) {
            Ok(method) => method,
            Err(text) => return Answer::ready(Status::unimplemented(text)),
        };
        self.edge.metrics.calls(method).started.add(1);
        let span = self.span(method, request.headers());
        let work = match self.refuse(method, request.headers()) {
            Some(status) => Work::Ready(Some(status.into_http())),
            None if self.edge.auth_enabled() => self.admitted(method, request),
            None => Work::Running(self.dispatch(method.service, request)),
        };
        let work = match (&span, work) {
            (Some(span), Work::Running(work)) => Work::Running(Box::pin(span.around(work))),
            (_, work) => work,
        };
        let call = Some(Call {
            edge: self.edge.clone(),
            method,
            began: Instant::now(),
            span,
        });
        Answer { work, call }
    }

    /// The span of a request, as OpenTelemetry names them, if it is traced.
    fn span(&self, method: &Method, headers: &HeaderMap) -> Option<Span> {
        let tracer = self.edge.replica.tracer()?;
        let service = method.service.name();
        let mut span = tracer.request(headers, format!("{service}/{}", method.name))?;
        span.set("rpc.system", Value::Text("grpc"));
        span.set("rpc.service", Value::Text(service));
        span.set("rpc.method", Value::Text(method.name));
        Some(span)
    }

    /// Serves a request once its sender is found to be someone who may call the method.
    fn admitted<B>(&self, method: &'static Method, request: Request<B>) -> Work
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let Some(access) = Rule::of(method).access() else {
            return Work::Running(self.dispatch(method.service, request));
        };
        let (edge, credentials) = (self.edge.clone(), Credentials::of_head(&request));
        let served = self.dispatch(method.service, request);
        Work::Running(Box::pin(async move {
            match edge.admit(&credentials, access).await {
                Ok(_) => served.await,
                Err(status) => Ok(status.into_http()),
            }
        }))
    }

    /// Pages alone, those that watch over this server.
    pub(super) fn page<B>(&self, request: Request<B>) -> Answer {
        let edge = self.edge.clone();
        let (head, _) = request.into_parts();
        let answer = async move {
            Ok(crate::http::answer(&edge, Pages::Monitoring, head)
                .await
                .map(Body::new))
        };
        Answer {
            work: Work::Running(Box::pin(answer)),
            call: None,
        }
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
            Service::Lock => self.lock.clone().call(request),
            Service::Election => self.election.clone().call(request),
            Service::Health => self.health.clone().call(request),
            Service::Pipeline => self.pipeline.clone().call(request),
        }
    }

    pub(super) fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Longest message that a service takes.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.edge.limits.message_bytes_max()
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

/// A range is looked at again once it is known whether it is serializable. A watch is served as by any member that may be
/// behind.
fn serves_on_learner(method: &Method) -> bool {
    matches!(
        (method.service, method.name),
        (Service::Kv, "Range" | "RangeStream")
            | (Service::Watch, "Watch")
            | (Service::Maintenance, "Status" | "Snapshot")
    )
}

/// gRPC is spoken in HTTP/2 alone. What a browser sends in HTTP/1 has to pass the checks of plain HTTP, whatever it calls
/// itself.
fn is_grpc<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(http::header::CONTENT_TYPE);
    request.version() == http::Version::HTTP_2
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_content_type_tell_grpc_from_http() {
        let request = |version, kind| {
            let request = Request::builder().version(version);
            request.header("content-type", kind).body(()).unwrap()
        };
        let (one, two) = (http::Version::HTTP_11, http::Version::HTTP_2);
        assert!(is_grpc(&request(two, "application/grpc")));
        assert!(is_grpc(&request(two, "application/grpc+proto")));
        assert!(!is_grpc(&request(two, "application/json")));
        assert!(!is_grpc(&request(one, "application/grpc")));
        assert!(!is_grpc(&Request::new(())));
    }
}
