//! etcd's JSON gateway: a request in JSON becomes a gRPC request to the same router, and its answer becomes JSON.

mod answer;
mod bodies;
mod frames;
mod paths;
mod request;
mod schema;
mod values;

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request, Response, Uri};
use http_body_util::Full;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::{Code, Status};

use self::bodies::Bodies;
use self::request::RequestFrames;
use self::values::Values;
use super::authn::{BEARER, GATEWAY, TOKEN};
use super::method::{Kind, Method};
use super::router::Router;

/// Where the gateway lives.
pub(super) const PREFIX: &str = "/v3/";

/// A JSON body is at most this many times as long as the longest message: bytes grow by a third in base64, and names
/// take their room.
const BODY_FACTOR: usize = 2;

/// Largest answer that is turned into JSON as a whole; a larger one is refused.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

pub(super) use self::bodies::BODIES_UNITS;

const ANY: HeaderValue = HeaderValue::from_static("*/*");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Headers that are passed on under the name after this prefix, when etcd reads that name.
const METADATA_PREFIX: &str = "grpc-metadata-";
const METADATA: &[&str] = &["hasleader", "client-api-version", TOKEN];

/// Paths of older clients are moved under [`PREFIX`], as in etcd.
pub(super) fn rewrite_beta(uri: &mut Uri) {
    let Some(rest) = uri.path().strip_prefix("/v3beta/") else {
        return;
    };
    let query = uri
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let path = format!("{PREFIX}{rest}{query}");
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    if let Ok(moved) = Uri::from_parts(parts) {
        *uri = moved;
    }
}

/// Answers a request whose path begins with [`PREFIX`].
pub(super) async fn serve<B>(
    router: Arc<Router>,
    request: Request<B>,
) -> Result<Response<Body>, Infallible>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<StdError> + Send + 'static,
{
    let (head, body) = request.into_parts();
    let Some(method) = paths::find(head.uri.path()) else {
        return Ok(answer::refusal(&Status::not_found("Not Found")));
    };
    if head.method != HttpMethod::POST {
        return Ok(answer::refusal(&Status::unimplemented(
            "Method Not Allowed",
        )));
    }
    let message_bytes_max = router.message_bytes_max();
    let body_bytes_max = message_bytes_max.saturating_mul(BODY_FACTOR);
    let bodies = Bodies::new(&router.edge().bodies, body_bytes_max);
    let body = if method.kind == Kind::BidirectionalStream {
        Body::new(RequestFrames::new(body, method, bodies))
    } else {
        match one_message(body, method, bodies).await {
            Ok(body) => body,
            Err(status) => return Ok(answer::refusal(&status)),
        }
    };
    let answer = router.call_grpc(grpc_request(&head, method, body)).await?;
    Ok(match method.kind {
        Kind::Unary => answer::whole(router.edge(), method, answer).await,
        Kind::ServerStream | Kind::BidirectionalStream => answer::lines(method, answer).await,
    })
}

/// Reads a body that is one message; what follows the first JSON value is not looked at, as in etcd.
async fn one_message<B>(body: B, method: &'static Method, bodies: Bodies) -> Result<Body, Status>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<StdError> + Send + 'static,
{
    let (body, _held) = bodies.collect(body).await?;
    let mut values = Values::default();
    values.extend(body);
    let message = match values.next()? {
        Some(json) => schema::encode_request(method, &json)?,
        None if values.is_empty() => Vec::new(),
        None => return Err(values::unexpected_end()),
    };
    Ok(Body::new(Full::new(frames::frame(&message))))
}

fn grpc_request(head: &Parts, method: &Method, body: Body) -> Request<Body> {
    let path = format!("/{}/{}", method.service.name(), method.name);
    let mut request = Request::new(body);
    *request.method_mut() = HttpMethod::POST;
    *request.uri_mut() = path
        .parse()
        .expect("names of services and methods make paths");
    *request.headers_mut() = metadata(&head.headers);
    // What the connection knows of its client stays with the request.
    *request.extensions_mut() = head.extensions.clone();
    request
}

/// The metadata of a gRPC request, from the headers of one in JSON.
fn metadata(headers: &HeaderMap) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    for name in METADATA {
        if let Some(value) = headers.get(format!("{METADATA_PREFIX}{name}")) {
            metadata.insert(HeaderName::from_static(name), value.clone());
        }
    }
    if let Some(value) = headers.get(AUTHORIZATION) {
        metadata.insert(HeaderName::from_static(TOKEN), without_scheme(value));
    }
    metadata.insert(CONTENT_TYPE, GRPC);
    // A certificate is not looked at behind the gateway.
    metadata.insert(HeaderName::from_static(GATEWAY), ANY);
    metadata
}

/// A token may stand behind the word `Bearer`.
fn without_scheme(value: &HeaderValue) -> HeaderValue {
    let token = value.as_bytes().strip_prefix(BEARER.as_bytes());
    token
        .and_then(|token| HeaderValue::from_bytes(token).ok())
        .unwrap_or_else(|| value.clone())
}

/// The code of HTTP for one of gRPC, as grpc-gateway has it.
fn http_status(code: Code) -> http::StatusCode {
    let number = match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::Unauthenticated => 401,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    };
    http::StatusCode::from_u16(number).expect("each is a code of HTTP")
}

#[cfg(test)]
mod tests;
