//! Requests to APIs that other servers answer.

use http::header::{CONNECTION, HOST, HeaderValue, LOCATION, UPGRADE};
use http::{Request, Uri};
use http_body_util::BodyExt;
use objects::Value;
use objects::status::Status;

use super::answer::{self, Answer};
use super::connect;
use super::front::{Admitted, Front, timed_out};
use crate::apiservices::introduce;
use crate::fairness::Begun;
use crate::relay::{headers, is_upgrade, streamed};

/// What is said of a server that sends its client elsewhere, where its certificate and user would go along.
const REDIRECTED: &str = "the backend attempted to redirect this request, which is not permitted";

/// Answers with what the server of an API says.
pub(super) async fn answer(
    front: &Front,
    mut request: Admitted,
    service: &Value,
    is_watch: bool,
) -> Result<Answer, Status> {
    let mut path = request.path.clone();
    if !request.raw_query.is_empty() {
        path.push('?');
        path.push_str(&request.raw_query);
    }
    let target = match front.apiservices.way(service, &path) {
        Ok(target) => target,
        Err((code, text)) => return Ok(answer::text(code, text)),
    };
    request.headers = connect::cleared(request.headers);
    let protocol = is_upgrade(&request.headers).then(|| request.headers.get(UPGRADE).cloned());
    // What a client says to be about its connection goes before this server says for whom it asks.
    headers::remove_hops(&mut request.headers);
    introduce(&mut request.headers, &request.user);
    if let Ok(host) = HeaderValue::from_str(&target.place.to_string()) {
        request.headers.insert(HOST, host);
    }
    let relay = &front.outward.relay;
    if let Some(protocol) = protocol {
        let asked = &mut request.headers;
        asked.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        asked.extend(protocol.map(|protocol| (UPGRADE, protocol)));
        return relay.upgrade(&target, connect::upgrade(request)?).await;
    }
    headers::forward_for(&mut request.headers, request.peer);
    let mut passed = Request::new(request.body.boxed_unsync());
    *passed.method_mut() = request.method;
    *passed.headers_mut() = request.headers;
    *passed.uri_mut() = path
        .parse::<Uri>()
        .map_err(|error| Status::bad_request(error.to_string()))?;
    let sending = relay.send(&target, passed);
    let sent = if is_watch {
        sending.await
    } else {
        tokio::time::timeout(front.request_timeout, sending)
            .await
            .map_err(|_elapsed| timed_out())?
    };
    let response = match sent {
        Ok(response) => response,
        Err(failed) => {
            let text = format!("error trying to reach service: {failed}\n");
            return Ok(answer::text(503, text));
        }
    };
    if response.status().is_redirection() && response.headers().contains_key(LOCATION) {
        return Ok(answer::text(502, REDIRECTED));
    }
    let mut answer = streamed(response);
    headers::remove_hops(answer.headers_mut());
    if is_watch {
        // Nobody here knows when it has told what was there: it takes no place from its first event on.
        let begun = Begun::default();
        begun.set();
        answer.extensions_mut().insert(begun);
    }
    Ok(answer)
}
