//! Asks other servers about what they answer, for callers that cannot be passed on to them.

use http::Request as HttpRequest;
use http::header::{ACCEPT, HOST, HeaderValue};
use http_body_util::{BodyExt, Limited};
use objects::status::{Reason, Status};
use objects::{Value, meta};

use super::introduce;
use crate::relay::nothing;
use crate::rest::Front;
use crate::user::User;

/// What another server tells of a path, in JSON that has no more than so many bytes.
///
/// # Errors
///
/// What it refused with, or why it told nothing.
pub(crate) async fn ask(
    front: &Front,
    user: &User,
    service: &Value,
    (path, bytes_max): (&str, usize),
) -> Result<Value, Status> {
    let unavailable = |why: String| Status::new(Reason::ServiceUnavailable, why);
    let target = front
        .apiservices
        .way(service, path)
        .map_err(|(_, text)| unavailable(text.trim_end().to_owned()))?;
    let mut asked = HttpRequest::get(path)
        .header(HOST, target.place.to_string())
        .body(nothing())
        .map_err(|error| Status::bad_request(error.to_string()))?;
    let headers = asked.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    introduce(headers, user);
    let failed = |why| unavailable(format!("error trying to reach service: {why}"));
    let sent = front.outward.relay.send(&target, asked).await;
    let response = sent.map_err(|error| failed(error.to_string()))?;
    let code = response.status();
    let read = Limited::new(response.into_body(), bytes_max);
    let read = read.collect().await;
    let bytes = read.map_err(|error| failed(error.to_string()))?.to_bytes();
    let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if code.is_success() && told.is_object() {
        return Ok(told);
    }
    let message = match meta::text(&told, &["message"]) {
        "" => format!(
            "error trying to reach service: it answers with {}",
            code.as_u16()
        ),
        message => message.to_owned(),
    };
    Err(Status::new(reason(code.as_u16()), message))
}

fn reason(code: u16) -> Reason {
    match code {
        400 => Reason::BadRequest,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        429 => Reason::TooManyRequests,
        _ => Reason::ServiceUnavailable,
    }
}
