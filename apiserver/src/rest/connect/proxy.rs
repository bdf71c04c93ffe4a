//! Requests that pods, services and nodes answer themselves.

use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, LOCATION};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use objects::status::{Reason, Status};
use serde_json::json;

use super::super::answer::{self, Answer};
use super::super::front::{Admitted, timed_out};
use super::super::objects_api::{Call, method_not_allowed};
use super::super::path::encoded;
use super::{admit, cleared, places, upgrade};
use crate::relay::{Failed, Target, crowded, headers, is_upgrade, streamed};
use crate::rest::Body;

/// Methods that are passed on.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
];
/// Characters that stay as they are in a path.
const KEPT: &str = "$&+,/:;=@";

/// Answers with what the object of a request says itself.
pub(super) async fn answer(call: &Call<'_>, request: Admitted) -> Result<Answer, Status> {
    if !METHODS.contains(&request.method) {
        return Err(method_not_allowed());
    }
    let behind = call
        .request
        .subresource
        .split_once('/')
        .map(|(_, behind)| behind);
    let path = behind.map_or_else(String::new, cleaned);
    let kind = match call.request.served.resource.plural.as_str() {
        "pods" => "PodProxyOptions",
        "services" => "ServiceProxyOptions",
        _ => "NodeProxyOptions",
    };
    let mut options = json!({"kind": kind, "apiVersion": "v1"});
    if !path.is_empty() {
        options["path"] = path.as_str().into();
    }
    admit(call, options).await?;
    let outward = &call.front.outward;
    let (place, tls) = places::locate(call, outward).await?;
    let mut path = path;
    if !path.ends_with('/') && request.path.ends_with('/') {
        path.push('/');
    }
    let query = if request.raw_query.is_empty() {
        String::new()
    } else {
        format!("?{}", request.raw_query)
    };
    let is_reading = matches!(request.method, Method::GET | Method::HEAD);
    if path.is_empty() && is_reading && !is_upgrade(&request.headers) {
        return Ok(redirect(&format!("{}/{query}", request.path)));
    }
    let target = Target {
        place,
        tls,
        path: format!("/{}{query}", encoded(path.trim_start_matches('/'), KEPT)),
    };
    if is_upgrade(&request.headers) {
        return outward.relay.upgrade(&target, upgrade(request)?).await;
    }
    let prefix = request.path.strip_suffix(path.as_str());
    let prefix = prefix.unwrap_or(&request.path).to_owned();
    let host = request.host.clone();
    let asked = passed(request, &target, &prefix)?;
    let sending = outward.relay.send(&target, asked);
    let sent = tokio::time::timeout(call.front.request_timeout, sending).await;
    let response = sent.map_err(|_elapsed| timed_out())?;
    let mut answer = streamed(response.map_err(|failed| match failed {
        Failed::Crowded => crowded(),
        Failed::Dial(_) | Failed::Exchange(_) => Status::new(
            Reason::ServiceUnavailable,
            format!("error trying to reach service: {failed}"),
        ),
    })?);
    headers::remove_hops(answer.headers_mut());
    relocate(&mut answer, &target, &prefix, &host);
    Ok(answer)
}

/// The request as it is passed on.
fn passed(request: Admitted, target: &Target, prefix: &str) -> Result<Request<Body>, Status> {
    let mut headers = cleared(request.headers);
    headers::remove_hops(&mut headers);
    headers::forward_for(&mut headers, request.peer);
    let mut set = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    let behind = target.path.split('?').next().unwrap_or_default();
    set(HOST, &request.host);
    set(
        HeaderName::from_static("x-forwarded-uri"),
        &format!("{prefix}{behind}"),
    );
    set(HeaderName::from_static("x-forwarded-host"), &request.host);
    set(HeaderName::from_static("x-forwarded-proto"), "https");
    let has_length = headers.contains_key(CONTENT_LENGTH);
    let mut passed = Request::new(request.body.boxed_unsync());
    *passed.method_mut() = request.method;
    *passed.uri_mut() = target
        .path
        .parse::<Uri>()
        .map_err(|error| Status::bad_request(error.to_string()))?;
    *passed.headers_mut() = headers;
    // Hyper writes the length of a body itself, where it knows it.
    if has_length {
        passed.headers_mut().remove(CONTENT_LENGTH);
    }
    Ok(passed)
}

fn redirect(location: &str) -> Answer {
    let mut answer = answer::bytes(StatusCode::MOVED_PERMANENTLY.as_u16(), "", "");
    answer.headers_mut().remove(http::header::CONTENT_TYPE);
    if let Ok(value) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(LOCATION, value);
    }
    answer
}

/// Lets a redirection to the same host lead through this server again.
fn relocate(answer: &mut Answer, target: &Target, prefix: &str, host: &str) {
    let Some(uri) = answer
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<Uri>().ok())
    else {
        return;
    };
    let own = target.place.to_string();
    let leads_away = uri
        .authority()
        .is_some_and(|other| other.as_str() != own && other.as_str() != host);
    if leads_away || !uri.path().starts_with('/') {
        return;
    }
    let prefix = if uri.path().starts_with(prefix) {
        ""
    } else {
        prefix
    };
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let location = format!("https://{host}{prefix}{}{query}", uri.path());
    if let Ok(value) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(LOCATION, value);
    }
}

/// A path without `.`, `..` and empty parts: nobody climbs out of it.
fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::cleaned;

    #[test]
    fn a_path_stays_inside() {
        for (path, wanted) in [
            ("", "/"),
            ("a/b", "/a/b"),
            ("a//./b/", "/a/b"),
            ("../../a", "/a"),
            ("a/../../b", "/b"),
        ] {
            assert_eq!(cleaned(path), wanted, "{path}");
        }
    }
}
