//! What containers wrote, as the agent of their node tells it.

use http::Response;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use objects::codec::time;
use objects::invalid::{Faults, Invalid};
use objects::meta;
use objects::path::Path;
use objects::status::{Reason, Status};

use super::super::answer::{self, Answer};
use super::super::front::Admitted;
use super::super::objects_api::Call;
use super::super::path::encoded;
use super::find;
use super::pods::container;
use crate::registry::{flag, number};
use crate::relay::{Failed, Target, crowded, nothing, streamed, unnamed};

/// Bytes of an agent's refusal that are read.
const REFUSAL_BYTES_MAX: usize = 50_000;

/// Answers with the log of a container.
pub(super) async fn answer(call: &Call<'_>, request: &Admitted) -> Result<Answer, Status> {
    let query = options(call, request)?;
    let (namespace, name) = (&call.request.namespace, &call.request.name);
    let pod = find(call, "pods", namespace, name).await?;
    let container = container(&pod, request.query("container"))?;
    let node = meta::text(&pod, &["spec", "nodeName"]);
    // A pod that runs nowhere has no logs yet, which is no failure.
    if node.is_empty() {
        return Ok(answer::bytes(204, "", ""));
    }
    let node = find(call, "nodes", "", node).await?;
    let outward = &call.front.outward;
    let place = outward.kubelets.place(&node).map_err(unnamed)?;
    let is_verified = flag(&request.query, "insecureSkipTLSVerifyBackend") != Some(true);
    let separator = if query.is_empty() { "" } else { "?" };
    let target = Target {
        tls: Some(outward.kubelets.tls(&place, is_verified)),
        path: format!(
            "/containerLogs/{namespace}/{name}/{}{separator}{query}",
            encoded(&container, "")
        ),
        place,
    };
    let asked = http::Request::get(&target.path)
        .header(HOST, target.place.to_string())
        .body(nothing())
        .map_err(Status::internal)?;
    let sent = outward.relay.send(&target, asked).await;
    let response = sent.map_err(|failed| match failed {
        Failed::Dial(why) | Failed::Exchange(why) => {
            unnamed(format!("Get {:?}: {why}", target.url()))
        }
        Failed::Crowded => crowded(),
    })?;
    if !matches!(response.status().as_u16(), 200..=206) {
        return Err(refusal(name, response).await);
    }
    let mut answer = Response::new(streamed(response).into_body());
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(answer)
}

/// What an agent says that does not tell the log.
async fn refusal(name: &str, response: Response<Incoming>) -> Status {
    let code = response.status().as_u16();
    let read = Limited::new(response.into_body(), REFUSAL_BYTES_MAX)
        .collect()
        .await;
    let text = match read {
        Ok(read) => String::from_utf8_lossy(&read.to_bytes()).into_owned(),
        Err(error) => return Status::internal(error),
    };
    match code {
        500 => Status::internal(text),
        400 => Status::bad_request(text),
        _ => {
            let reason = match code {
                500.. if !matches!(code, 503 | 504) => Reason::InternalError,
                401 => Reason::Unauthorized,
                403 => Reason::Forbidden,
                404 => Reason::NotFound,
                503 => Reason::ServiceUnavailable,
                _ => Reason::Unknown,
            };
            let told = match code {
                404 => "the server could not find the requested resource".to_owned(),
                401 => "the server has asked for the client to provide credentials".to_owned(),
                403 => text,
                503 => "the server is currently unable to handle the request".to_owned(),
                500.. => {
                    format!(
                        "an error on the server ({text:?}) has prevented the request from succeeding"
                    )
                }
                _ => format!(
                    "the server responded with the status code {code} but did not return more information"
                ),
            };
            let mut status = Status::new(reason, format!("{told} ( pods/log {name})"));
            status.code = code;
            status.about("", "pods/log", name)
        }
    }
}

/// The query for the agent.
fn options(call: &Call<'_>, request: &Admitted) -> Result<String, Status> {
    let number = |name: &str| number::<i64>(&request.query, name);
    let (tail, bytes, seconds) = (
        number("tailLines")?,
        number("limitBytes")?,
        number("sinceSeconds")?,
    );
    let since = request.query("sinceTime");
    if !since.is_empty() {
        time::parse(since).map_err(Status::bad_request)?;
    }
    let mut faults = Faults::new();
    let mut check = |name: &str, value: Option<i64>, least: i64, why: &str| {
        if let Some(value) = value.filter(|value| *value < least) {
            faults.push(Invalid::value(&Path::new(name), value, why));
        }
    };
    check("tailLines", tail, 0, "must be greater than or equal to 0");
    check("limitBytes", bytes, 1, "must be greater than 0");
    if seconds.is_none() || since.is_empty() {
        check("sinceSeconds", seconds, 1, "must be greater than 0");
    } else {
        let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        faults.push(Invalid::forbidden(&Path::new("[]"), why));
    }
    if !request.query("stream").is_empty() {
        faults.push(Invalid::forbidden(
            &Path::new("stream"),
            "may not be specified",
        ));
    }
    if !faults.is_empty() {
        let name = &call.request.name;
        return Err(Status::invalid("", "PodLogOptions", name, &faults));
    }
    let mut query = Vec::new();
    for name in ["follow", "previous", "timestamps"] {
        if flag(&request.query, name) == Some(true) {
            query.push(format!("{name}=true"));
        }
    }
    for (name, value) in [
        ("limitBytes", bytes),
        ("sinceSeconds", seconds),
        ("tailLines", tail),
    ] {
        query.extend(value.map(|value| format!("{name}={value}")));
    }
    if !since.is_empty() {
        query.push(format!("sinceTime={}", encoded(since, "")));
    }
    Ok(query.join("&"))
}
