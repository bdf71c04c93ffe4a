//! Answers: objects and lists in the encoding that was asked for, and failures as `Status`.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY, WARNING,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Body as _;
use objects::Value;
use objects::codec::{protobuf, yaml};
use objects::status::Status;

use super::media::{Encoding, Media};
use crate::fairness::Refused;

/// Why a body does not go on: somebody else who was to tell it has failed.
pub type Failure = hyper::Error;
/// The bytes of an answer, at once or as they come.
pub type Body = UnsyncBoxBody<Bytes, Failure>;
/// An answer.
pub type Answer = Response<Body>;

/// Answers from this size on are compressed for who can read that.
const COMPRESSED_BYTES_MIN: usize = 128 << 10;

/// An answer of some bytes.
pub(super) fn bytes(code: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(whole(body.into()));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(CONTENT_TYPE, value);
    }
    answer
}

/// A body that is there as a whole.
pub(super) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A page of text.
pub(super) fn text(code: u16, body: impl Into<String>) -> Answer {
    bytes(code, "text/plain; charset=utf-8", body.into())
}

/// An object in JSON, whatever was asked for: pages that have no other form.
pub(super) fn json(value: &Value) -> Answer {
    bytes(200, "application/json", to_json(value, false))
}

/// An object in the encoding that was asked for.
pub(super) fn object(code: u16, media: &Media, value: &Value) -> Answer {
    match media.encoding {
        Encoding::Json => bytes(code, Encoding::Json.name(), to_json(value, media.pretty)),
        Encoding::Yaml => bytes(code, Encoding::Yaml.name(), yaml::write(value)),
        Encoding::Protobuf => match protobuf::encode(value) {
            Ok(body) => bytes(code, Encoding::Protobuf.name(), body),
            // What protobuf has no words for goes as JSON, which every client reads.
            Err(_) => bytes(code, Encoding::Json.name(), to_json(value, media.pretty)),
        },
    }
}

/// A failure, in the encoding that was asked for where that was understood.
pub(super) fn failure(status: &Status, media: Option<&Media>) -> Answer {
    let value = status.to_value();
    let mut answer = match media {
        Some(media) => object(status.code, media, &value),
        None => bytes(status.code, Encoding::Json.name(), to_json(&value, false)),
    };
    if status.retry_after_seconds > 0 {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, status.retry_after_seconds.into());
    }
    answer
}

/// The head of an answer alone. It tells how long the body would have been, and over HTTP/2 nobody else leaves that out.
pub(super) fn without_body(answer: Answer) -> Answer {
    let length = answer.body().size_hint().exact();
    let (mut head, _body) = answer.into_parts();
    if let Some(length) = length {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, whole(Bytes::new()))
}

fn to_json(value: &Value, pretty: bool) -> Vec<u8> {
    let written = if pretty {
        serde_json::to_vec_pretty(value)
    } else {
        serde_json::to_vec(value)
    };
    let mut body = written.expect("a tree is JSON");
    body.push(b'\n');
    body
}

/// The answer to a request that there is no place for: a page, as no server has the time to look what its client reads.
pub(super) fn refused(refused: &Refused) -> Answer {
    let status = refused.status();
    let mut answer = text(status.code, format!("{}\n", status.message));
    let headers = answer.headers_mut();
    headers.insert(RETRY_AFTER, status.retry_after_seconds.into());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(marks) = &refused.marks {
        marks.write(headers);
    }
    answer
}

/// Puts warnings into the headers of an answer.
pub(super) fn warn(answer: &mut Answer, warnings: Vec<String>) {
    for text in warnings {
        let quoted: String = text
            .chars()
            .filter(|letter| !letter.is_control())
            .flat_map(|letter| {
                matches!(letter, '"' | '\\')
                    .then_some('\\')
                    .into_iter()
                    .chain([letter])
            })
            .collect();
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            answer.headers_mut().append(WARNING, value);
        }
    }
}

/// An answer that is large enough, compressed.
pub(super) fn compressed(
    code: u16,
    content_type: &str,
    body: Bytes,
    accept_encoding: &str,
) -> Answer {
    let accepts = accept_encoding
        .split(',')
        .any(|word| word.trim().starts_with("gzip"));
    if body.len() < COMPRESSED_BYTES_MIN || !accepts {
        return bytes(code, content_type, body);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    let packed = encoder.write_all(&body).and_then(|()| encoder.finish());
    match packed {
        Ok(packed) => {
            let mut answer = bytes(code, content_type, packed);
            answer
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer
                .headers_mut()
                .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            answer
        }
        Err(_) => bytes(code, content_type, body),
    }
}
