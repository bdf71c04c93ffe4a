//! What is used, told by the server that an APIService names: over gRPC as well, where nothing is passed on as it is.

use http::Request as HttpRequest;
use http::header::{ACCEPT, HOST, HeaderValue};
use http_body_util::{BodyExt, Limited};
use objects::status::{Reason, Status};
use objects::{Value, meta};

use crate::apiservices::introduce;
use crate::registry::{ListOptions, Request};
use crate::relay::nothing;
use crate::rest::{Front, encoded};

/// The largest answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What one node or pod uses.
pub(super) async fn get(
    front: &Front,
    request: &Request,
    service: &Value,
) -> Result<Value, Status> {
    let path = format!("{}/{}", collection(request), encoded(&request.name, ""));
    ask(front, request, service, &path).await
}

/// What those use that selectors choose.
pub(super) async fn list(
    front: &Front,
    request: &Request,
    options: &ListOptions,
    service: &Value,
) -> Result<Vec<Value>, Status> {
    let path = format!(
        "{}?labelSelector={}&fieldSelector={}",
        collection(request),
        encoded(&options.label_selector, ""),
        encoded(&options.field_selector, "")
    );
    let mut told = ask(front, request, service, &path).await?;
    match told.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

fn collection(request: &Request) -> String {
    let resource = &request.served.resource;
    let root = format!("/apis/{}", resource.api_version());
    if request.namespace.is_empty() {
        return format!("{root}/{}", resource.plural);
    }
    let namespace = encoded(&request.namespace, "");
    format!("{root}/namespaces/{namespace}/{}", resource.plural)
}

async fn ask(
    front: &Front,
    request: &Request,
    service: &Value,
    path: &str,
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
    introduce(headers, &request.user);
    let failed = |why| unavailable(format!("error trying to reach service: {why}"));
    let sent = front.outward.relay.send(&target, asked).await;
    let response = sent.map_err(|error| failed(error.to_string()))?;
    let code = response.status();
    let read = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
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
