//! The end of a request in the audit log: its code, its object where that is told, and of a watch that it began.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use objects::Value;
use objects::codec::{protobuf, yaml};
use objects::status::Status;

use super::answer::{self, Answer};
use super::media::Encoding;
use crate::audit::Record;
use crate::relay::Relayed;

/// Largest answer that is read for the log; of a larger one only the code is told.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Largest object of an answer that is unpacked for the log.
const OBJECT_BYTES_MAX: u64 = 256 << 20;

/// Ends the event of a request that is answered so. That of a stream ends with the stream.
pub(super) async fn end(record: Record, answer: Answer) -> Answer {
    if !record.is_wanted() {
        return answer;
    }
    let code = answer.status().as_u16();
    let Some(size_bytes) = answer.body().size_hint().exact() else {
        record.started(code).await;
        let (head, body) = answer.into_parts();
        let body = body.map_frame(move |frame| {
            // The frames hold the event: it ends when they are dropped.
            let _event = &record;
            frame
        });
        return Answer::from_parts(head, body.boxed_unsync());
    };
    let is_here = answer.extensions().get::<Relayed>().is_none() && size_bytes <= ANSWER_BYTES_MAX;
    let is_told = code >= 400 || record.wants_response() || record.deletes();
    // A failed negotiation has no form to be told in.
    if !is_told || !is_here || answer.status() == StatusCode::NOT_ACCEPTABLE {
        record.answered(code, None);
        record.end().await;
        return answer;
    }
    let (head, body) = answer.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        // What others answer may end too early.
        Err(failure) => {
            record.answered(code, None);
            record.end().await;
            return answer::failure(&Status::internal(failure), None);
        }
    };
    let object = if record.is_of_resource() {
        object(&head.headers, &bytes)
    } else {
        None
    };
    record.answered(code, object.as_ref());
    record.end().await;
    Answer::from_parts(head, answer::whole(bytes))
}

/// The object of an answer, whatever it is encoded in.
fn object(headers: &HeaderMap, bytes: &Bytes) -> Option<Value> {
    let mut plain = Vec::new();
    let bytes = if headers.get(CONTENT_ENCODING).is_some() {
        let mut unpacking = GzDecoder::new(bytes.as_ref()).take(OBJECT_BYTES_MAX);
        unpacking.read_to_end(&mut plain).ok()?;
        plain.as_slice()
    } else {
        bytes.as_ref()
    };
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    match Encoding::of(content_type.split(';').next()?)? {
        Encoding::Json => serde_json::from_slice(bytes).ok(),
        Encoding::Yaml => yaml::read(bytes).ok().map(|read| read.value),
        Encoding::Protobuf => protobuf::decode(bytes).ok(),
    }
}
