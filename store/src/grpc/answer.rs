//! The answer to one request in the making: counted by its outcome, and in etcd's words where tonic has its own.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::{Code, Status};

use super::Edge;
use super::held::{self, Charge};
use super::method::{Kind, Method};
use crate::metrics::CODES;
use crate::spans::{Span, Value};

/// Beginnings of tonic's texts for what grpc-go says otherwise.
const TONIC_TOO_LONG: &str = "Error, decoded message length too large";
const TONIC_MALFORMED: &str = "failed to decode Protobuf message: ";

/// A call that is being counted. Dropped uncounted, it was cancelled by its client.
pub(super) struct Call {
    pub(super) edge: Arc<Edge>,
    pub(super) method: &'static Method,
    pub(super) began: Instant,
    /// When it is traced.
    pub(super) span: Option<Span>,
}

impl Call {
    /// Counts the call, and ends its span.
    fn count(&mut self, code: Code, message: &str) {
        if let Some(mut span) = self.span.take() {
            span.set("rpc.grpc.status_code", Value::Number(code as i64));
            if is_servers_failure(code) {
                span.fail(message);
            }
        }
        let code = (code as usize).min(CODES - 1);
        let calls = self.edge.metrics.calls(self.method);
        calls.handled[code].add(1);
        if let Some(handling) = &calls.handling {
            handling.observe(self.began.elapsed());
        }
    }
}

/// OpenTelemetry's rule for the span of a server: what its client did wrong is no failure.
fn is_servers_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The answer to one request, in the making.
pub(super) struct Answer {
    pub(super) work: Work,
    pub(super) call: Option<Call>,
}

pub(super) enum Work {
    Ready(Option<Response<Body>>),
    Running(BoxFuture<Response<Body>, Infallible>),
}

impl Answer {
    pub(super) fn ready(status: Status) -> Answer {
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
        let Some(mut call) = answer.call.take() else {
            return Poll::Ready(Ok(response));
        };
        match Status::from_header_map(response.headers()) {
            Some(status) => {
                let status = as_etcd(status, call.method.kind);
                call.count(status.code(), status.message());
                tracing::debug!(method = call.method.name, code = ?status.code(), "refused");
                response = status.into_http();
            }
            None if call.method.kind == Kind::Unary => {
                call.count(Code::Ok, "");
                response = counted(&call.edge, response);
            }
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

/// An answer that is counted for its memory is so until it is sent.
fn counted(edge: &Edge, response: Response<Body>) -> Response<Body> {
    let Some(charge) = response.extensions().get::<Charge>().cloned() else {
        return response;
    };
    response.map(|body| held::body(edge, body, charge))
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(call) = &mut self.call {
            call.count(Code::Cancelled, "");
        }
    }
}

/// grpc-go has its own code for a message above the limit, and its own words for one that cannot be read: others for
/// the message of a stream.
fn as_etcd(status: Status, kind: Kind) -> Status {
    let text = status.message();
    if let Some(detail) = text.strip_prefix(TONIC_MALFORMED) {
        let what = match kind {
            Kind::Unary => "grpc: error unmarshalling request",
            Kind::ServerStream | Kind::BidirectionalStream => {
                "grpc: failed to unmarshal the received message"
            }
        };
        return Status::internal(format!("{what}: {detail}"));
    }
    if status.code() != Code::OutOfRange || !text.starts_with(TONIC_TOO_LONG) {
        return status;
    }
    let mut numbers = text
        .split(|character: char| !character.is_ascii_digit())
        .filter(|number| !number.is_empty());
    let (found, limit) = (numbers.next().unwrap_or("?"), numbers.next().unwrap_or("?"));
    Status::resource_exhausted(format!(
        "grpc: received message larger than max ({found} vs. {limit})"
    ))
}

/// Puts the status that ends a stream into etcd's words, and gives it.
fn end_as_etcd(trailers: &mut HeaderMap, kind: Kind) -> Status {
    let Some(status) = Status::from_header_map(trailers) else {
        return Status::ok("");
    };
    let status = as_etcd(status, kind);
    status
        .add_header(trailers)
        .expect("a status can be written whatever its text: it is percent-encoded");
    status
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
        let mut frame = ready!(Pin::new(&mut counted.body).poll_frame(context));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
            && let Some(mut call) = counted.call.take()
        {
            let status = end_as_etcd(trailers, call.method.kind);
            call.count(status.code(), status.message());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        if let Some(call) = &mut self.call {
            call.count(Code::Cancelled, "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_long() -> Status {
        Status::out_of_range(format!(
            "{TONIC_TOO_LONG}: found 3000000 bytes, the limit is: 2097152 bytes"
        ))
    }

    fn malformed() -> Status {
        Status::internal(format!("{TONIC_MALFORMED}RangeRequest.key: invalid varint"))
    }

    const TOO_LONG: &str = "grpc: received message larger than max (3000000 vs. 2097152)";

    #[test]
    fn a_message_above_the_limit_is_answered_as_grpc_go_does() {
        let status = as_etcd(too_long(), Kind::Unary);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), TOO_LONG);
    }

    #[test]
    fn other_statuses_stay() {
        let compacted = crate::grpc::status::rejected(state_machine::Rejection::FutureRevision);
        let text = compacted.message().to_string();
        let status = as_etcd(compacted, Kind::Unary);
        assert_eq!(
            (status.code(), status.message()),
            (Code::OutOfRange, text.as_str())
        );
    }

    #[test]
    fn a_message_that_cannot_be_read_is_answered_as_grpc_go_does() {
        for (kind, text) in [
            (
                Kind::Unary,
                "grpc: error unmarshalling request: RangeRequest.key: invalid varint",
            ),
            (
                Kind::BidirectionalStream,
                "grpc: failed to unmarshal the received message: RangeRequest.key: invalid varint",
            ),
        ] {
            let status = as_etcd(malformed(), kind);
            assert_eq!((status.code(), status.message()), (Code::Internal, text));
        }
    }

    /// The trailers as the client of a stream gets them.
    fn ended(status: &Status) -> Status {
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers).unwrap();
        trailers.insert("x-kept", http::HeaderValue::from_static("1"));
        let code = end_as_etcd(&mut trailers, Kind::BidirectionalStream).code();
        assert_eq!(trailers.get_all("x-kept").iter().count(), 1);
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!(status.code(), code);
        status
    }

    #[test]
    fn the_end_of_an_open_stream_is_told_as_grpc_go_does() {
        let status = ended(&too_long());
        assert_eq!(
            (status.code(), status.message()),
            (Code::ResourceExhausted, TOO_LONG)
        );
        let status = ended(&malformed());
        assert_eq!(status.code(), Code::Internal);
        assert!(
            status
                .message()
                .starts_with("grpc: failed to unmarshal the received message: ")
        );
        let status = ended(&Status::new(Code::Ok, ""));
        assert_eq!((status.code(), status.message()), (Code::Ok, ""));
        assert_eq!(
            end_as_etcd(&mut HeaderMap::new(), Kind::BidirectionalStream).code(),
            Code::Ok
        );
    }
}
