//! Answers of the router as JSON: one object, or one object a line.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tonic::body::Body;
use tonic::{Code, Status};

use super::super::Edge;
use super::super::held::{self, Charge};
use super::super::method::Method;
use super::frames::Messages;
use super::{ANSWER_BYTES_MAX, GRPC, http_status, schema};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// grpc-gateway passes on the metadata of answers under names of this kind.
const METADATA_CONTENT_TYPE: HeaderName = HeaderName::from_static("grpc-metadata-content-type");

/// What stands around a message of a stream.
const LINE: (&str, &str) = ("{\"result\":", "}\n");

/// The one message of a unary method.
pub(super) async fn whole(
    edge: &Edge,
    method: &'static Method,
    answer: Response<Body>,
) -> Response<Body> {
    let charge = answer.extensions().get::<Charge>().cloned();
    let json = match Status::from_header_map(answer.headers()) {
        Some(status) => Err(status),
        None => one(method, answer.into_body()).await,
    };
    match json {
        Ok(json) => {
            let body = Body::new(Full::from(json));
            // It stays counted until it is sent as JSON.
            success(match charge {
                Some(charge) => held::body(edge, body, charge),
                None => body,
            })
        }
        Err(status) => refusal(&status),
    }
}

async fn one(method: &'static Method, body: Body) -> Result<Vec<u8>, Status> {
    let mut messages = Messages::new(body, ANSWER_BYTES_MAX);
    let message = messages.next().await?;
    let message = message.ok_or_else(|| Status::internal("there is no answer"))?;
    // An answer of many megabytes takes a while to write, and other clients wait for this thread.
    crate::blocking::run(move || schema::write_answer(method, message, ("", "")))
        .await
        .map_err(|_panic| super::super::status::internal("cannot write the answer"))?
}

/// The messages of a stream, a line each. As long as there is none there is no head either, so that an error that
/// comes first has its own status.
pub(super) async fn lines(method: &'static Method, answer: Response<Body>) -> Response<Body> {
    if let Some(status) = Status::from_header_map(answer.headers()) {
        return stream_refusal(&status);
    }
    let mut messages = Messages::new(answer.into_body(), ANSWER_BYTES_MAX);
    let first = match line(method, &mut messages).await {
        Ok(first) => first,
        Err(status) => return stream_refusal(&status),
    };
    let more = first.is_some();
    let rest = stream::unfold((messages, more), move |(mut messages, more)| async move {
        if !more {
            return None;
        }
        match line(method, &mut messages).await {
            Ok(line) => line.map(|line| (line, (messages, true))),
            Err(status) => Some((error_line(&status), (messages, false))),
        }
    });
    let lines = stream::iter(first).chain(rest);
    let frames = lines.map(|line| Ok::<_, Status>(Frame::data(Bytes::from(line))));
    success(Body::new(StreamBody::new(frames)))
}

async fn line(method: &'static Method, messages: &mut Messages) -> Result<Option<Vec<u8>>, Status> {
    let message = messages.next().await?;
    message
        .map(|message| schema::write_answer(method, message, LINE))
        .transpose()
}

fn success(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(METADATA_CONTENT_TYPE, GRPC);
    response
}

/// An answer that is an error.
pub(super) fn refusal(status: &Status) -> Response<Body> {
    failure(status, error_object(status))
}

/// A stream that begins with its error.
fn stream_refusal(status: &Status) -> Response<Body> {
    failure(status, error_line(status))
}

fn failure(status: &Status, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(json.into())));
    *response.status_mut() = http_status(status.code());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if status.code() == Code::Unauthenticated
        && let Ok(text) = HeaderValue::from_str(status.message())
    {
        headers.insert(WWW_AUTHENTICATE, text);
    }
    response
}

fn error_object(status: &Status) -> String {
    let text = serde_json::Value::from(status.message());
    format!("{{\"code\":{},\"message\":{text}}}", status.code() as i32)
}

fn error_line(status: &Status) -> Vec<u8> {
    format!("{{\"error\":{}}}\n", error_object(status)).into_bytes()
}
