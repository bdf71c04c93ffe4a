//! Calls of webhooks: a document is posted to somebody else's server, which answers with another one.

mod answer;
mod location;

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use objects::Value;
use objects::status::{Reason, Status};

use self::answer::{Answer, read};
pub use self::location::Location;
use crate::dial::{self, Recent, Roots, Services, Tls};
use crate::places::{Place, Places};

/// Calls at a time for each purpose. More wait.
const CALLS_MAX: usize = 512;
/// Calls of one webhook at a time for each purpose: one that is slow keeps nobody from another.
const CALLS_EACH_MAX: usize = 32;
/// How long a call waits for its place. Its own time begins afterwards.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Bytes that an answer may have beside those that the document allows: what upstream takes as a request.
const ANSWER_BYTES_BASE: usize = 3 << 20;
/// An answer may be so many times as long as the document, whose objects it may tell in another version or as a patch in base64.
const ANSWER_TIMES_MAX: usize = 2;
/// How this server names itself to webhooks.
const AGENT: &str = "kube-apiserver-admission";

/// Calls webhooks. Each call has a connection of its own, so none is lost on one that its server has left meanwhile.
pub struct Caller {
    services: Services,
    known: Recent<Location>,
    admissions: Places,
    conversions: Places,
}

/// What a webhook is called for. Neither kind of calls takes places from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Admission,
    Conversion,
}

/// Why a webhook gave no answer, in upstream's words.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// What is said of where it is cannot be used.
    Unusable(String),
    /// It was called in vain.
    Failed(String),
    /// It was not called: too many calls of it, or of all, are under way.
    Crowded(Status),
}

impl Caller {
    #[must_use]
    pub fn new(services: Services) -> Caller {
        Caller {
            services,
            known: Recent::default(),
            admissions: Places::new(CALLS_MAX, CALLS_EACH_MAX),
            conversions: Places::new(CALLS_MAX, CALLS_EACH_MAX),
        }
    }

    /// Posts a document, and gives the one that comes back in time. It is posted once.
    ///
    /// # Errors
    ///
    /// In upstream's words.
    pub async fn post(
        &self,
        (purpose, location): (Purpose, &Location),
        document: &Value,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        let tls = self.tls(location).map_err(Failure::Unusable)?;
        let _place = self.place(purpose, location).await?;
        let path = format!("{}?timeout={}", location.path, go_seconds(timeout));
        let calling = self.call(location, &tls, &path, document);
        let answered = match tokio::time::timeout(timeout, calling).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err("context deadline exceeded".to_owned()),
        };
        let answer = answered.map_err(|why| {
            let authority = location.authority();
            Failure::Failed(format!("Post \"https://{authority}{path}\": {why}"))
        })?;
        read(&answer).map_err(Failure::Failed)
    }

    /// A place for a call. That there is none is this server's fault and not the webhook's.
    async fn place(&self, purpose: Purpose, location: &Location) -> Result<Place, Failure> {
        let places = match purpose {
            Purpose::Admission => &self.admissions,
            Purpose::Conversion => &self.conversions,
        };
        let url = format!("https://{}{}", location.authority(), location.path);
        let place = places.take(&url, PLACE_WAIT_MAX).await;
        place.ok_or_else(|| {
            let message = format!(
                "too many calls of the webhook {url:?} are under way, please try again later"
            );
            let mut status = Status::new(Reason::TooManyRequests, message);
            status.retry_after_seconds = 1;
            Failure::Crowded(status)
        })
    }

    async fn call(
        &self,
        location: &Location,
        tls: &Tls,
        path: &str,
        document: &Value,
    ) -> Result<Answer, String> {
        let body = serde_json::to_vec(document).expect("a tree is JSON");
        let answer_bytes_max = ANSWER_BYTES_BASE + ANSWER_TIMES_MAX * body.len();
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, location.authority())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json, */*")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let place = location.place(&self.services)?;
        let stream = dial::open(&place, Some((tls, &location.host))).await?;
        let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, answer_bytes_max).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            Ok(Answer::new(&head, body))
        };
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            // The end of the connection leaves the answer with who waits for it.
            _ended = connection => exchange.await,
        }
    }

    fn tls(&self, location: &Location) -> Result<Tls, String> {
        self.known.get_or_make(location, |location| {
            let roots = if location.bundle.is_empty() {
                Roots::System
            } else {
                Roots::Bundle(&location.bundle)
            };
            Tls::new(roots, None)
        })
    }
}

/// What became of a connection, in Go's words.
fn broken(error: hyper::Error) -> String {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    let is_over = source.is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof);
    if is_over || error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return "EOF".to_owned();
    }
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

/// A time of whole seconds as Go writes it.
fn go_seconds(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

/// The first of the versions of a review that this server knows.
#[must_use]
pub fn review_version(versions: &[Value]) -> Option<&'static str> {
    versions.iter().find_map(|version| match version.as_str() {
        Some("v1") => Some("v1"),
        Some("v1beta1") => Some("v1beta1"),
        _ => None,
    })
}

/// Holds a document to the kind that was to be answered; one that does not say its kind is taken for it.
///
/// # Errors
///
/// In upstream's words.
pub fn check_kind(
    document: &Value,
    (group, version, kind): (&str, &str, &str),
) -> Result<(), String> {
    let said = |field: &str| {
        document
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (own_version, own_kind) = (said("apiVersion"), said("kind"));
    let other = own_version
        .strip_prefix(group)
        .and_then(|rest| rest.strip_prefix('/'));
    match (other, own_kind) {
        (Some(other), _) if own_kind == kind && other == version => Ok(()),
        (Some(other @ ("v1" | "v1beta1")), _) if own_kind == kind => Err(format!(
            "converting ({other}.{kind}) to ({version}.{kind}): unknown conversion"
        )),
        _ if own_kind.is_empty()
            && (own_version.is_empty() || own_version == format!("{group}/{version}")) =>
        {
            Ok(())
        }
        _ => Err(format!(
            "no kind {own_kind:?} is registered for version {own_version:?} in scheme \"pkg/runtime/scheme.go:111\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_told_in_whole_seconds() {
        for (millis, text) in [(1_000, "1s"), (1_001, "2s"), (60_000, "1m0s")] {
            assert_eq!(go_seconds(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_document_of_another_kind_is_no_answer() {
        let wanted = ("admission.k8s.io", "v1", "AdmissionReview");
        let of = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind});
        check_kind(&of("admission.k8s.io/v1", "AdmissionReview"), wanted).unwrap();
        check_kind(&json!({"a": 1}), wanted).unwrap();
        assert_eq!(
            check_kind(&of("v1", "Pod"), wanted).unwrap_err(),
            "no kind \"Pod\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\""
        );
        assert_eq!(
            check_kind(&of("admission.k8s.io/v1beta1", "AdmissionReview"), wanted).unwrap_err(),
            "converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion"
        );
    }
}
