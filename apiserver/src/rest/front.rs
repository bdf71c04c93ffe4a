//! The way of every request: who it is from, whether that one may do it, who answers it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use objects::status::{Reason, Status};
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Answer};
use super::audited;
use super::load::Load;
use super::path::{self, ResourcePath};
use super::{aggregated, connect, objects_api, pages};
use crate::apiservices::{self, ApiServices};
use crate::attributes::{Attributes, is_stream};
use crate::audit::{Arrival, Auditor, Record};
use crate::authn::impersonation::{self, Impersonation};
use crate::authn::service_accounts::ServiceAccountTokens;
use crate::authn::{Authenticator, Credentials};
use crate::authz::{Authorizer, forbidden};
use crate::fairness::{self, Asked, Gate, Place, Refused};
use crate::registry::Registry;
use crate::usage::Agents;
use crate::user::User;

/// How long a request waits for the objects that its token speaks of.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Everything that answers requests.
pub struct Front {
    pub registry: Arc<Registry>,
    pub authenticator: Arc<Authenticator>,
    pub authorizer: Arc<dyn Authorizer>,
    pub impersonation: Impersonation,
    pub load: Load,
    /// What every request passes.
    pub gate: Arc<Gate>,
    /// Time that a request has that does not watch, unless it asks for less.
    pub request_timeout: Duration,
    /// Cancelled when the server is about to stop, so that no new clients are sent to it.
    pub stopping: CancellationToken,
    /// None if this server issues no tokens.
    pub tokens: Option<Arc<ServiceAccountTokens>>,
    pub pages: pages::Pages,
    /// None if nothing is written down.
    pub audit: Option<Auditor>,
    pub(crate) outward: Arc<connect::Outward>,
    /// Who tells what nodes and pods use.
    pub(crate) agents: Agents,
    pub(crate) apiservices: Arc<ApiServices>,
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: SocketAddr,
    /// The client's certificates, verified.
    pub certificates: Arc<[CertificateDer<'static>]>,
}

/// A request that was let in.
pub(super) struct Admitted {
    pub(super) user: Arc<User>,
    pub(super) method: Method,
    pub(super) path: String,
    /// The query as it was sent.
    pub(super) raw_query: String,
    /// The host that the client means to speak to.
    pub(super) host: String,
    pub(super) peer: SocketAddr,
    /// The stream behind the request, if it may be taken for another protocol.
    pub(super) upgrade: Option<OnUpgrade>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
    pub(super) audit: Record,
}

impl Admitted {
    pub(super) fn header(&self, name: HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(super) fn query(&self, key: &str) -> &str {
        self.query
            .iter()
            .find(|(name, _)| name == key)
            .map_or("", |(_, value)| value)
    }

    /// The program that sent it.
    pub(super) fn agent(&self) -> String {
        objects::patch::apply::name_of_user_agent(self.header(USER_AGENT))
    }

    pub(super) fn wants_pretty(&self) -> bool {
        match self.query("pretty") {
            "" => {
                let agent = self.header(USER_AGENT);
                ["curl", "Wget", "Mozilla/5.0"]
                    .iter()
                    .any(|reader| agent.starts_with(reader))
            }
            text => !matches!(text, "false" | "0"),
        }
    }
}

impl Front {
    /// Answers a request.
    pub async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Answer {
        let accept = request.headers().get(ACCEPT).cloned();
        let is_head = request.method() == Method::HEAD;
        let arrival = Arrival::of(request.headers(), request.uri(), peer.address.ip());
        let mut audit = Record::default();
        let mut place = None;
        let answering = self.try_answer(request, peer, (&arrival, &mut audit), &mut place);
        let result = Box::pin(answering).await;
        let mut answer = result.unwrap_or_else(|status| {
            let accept = accept
                .as_ref()
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            // A client that reads no JSON is told of its failure in JSON all the same.
            let media = super::media::negotiate(accept, true, false).ok();
            answer::failure(&status, media.as_ref())
        });
        let audit_id =
            HeaderValue::from_str(&arrival.id).expect("it came as a header, or is a UUID");
        answer.headers_mut().insert("audit-id", audit_id);
        answer
            .headers_mut()
            .entry(http::header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-cache, private"));
        let mut answer = audited::end(audit, answer).await;
        if is_head {
            answer = answer::without_body(answer);
        }
        let Some(place) = place else {
            return answer;
        };
        if let Some(marks) = &place.marks {
            marks.write(answer.headers_mut());
        }
        fairness::hold(answer, place)
    }

    async fn try_answer(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        (arrival, audit): (&Arrival, &mut Record),
        place: &mut Option<Place>,
    ) -> Result<Answer, Status> {
        let began = Instant::now();
        let (mut parts, body) = request.into_parts();
        let Ok(found) = path::resource(parts.uri.path()) else {
            return Ok(nothing_to_watch(&parts.uri));
        };
        let authenticated = self.authenticate(&parts.headers, peer).await;
        let user = authenticated
            .as_ref()
            .map_or_else(|_refused| User::default(), Clone::clone);
        let host = host(&parts);
        let mut admitted = Admitted {
            user: Arc::new(user),
            method: parts.method,
            path: parts.uri.path().to_owned(),
            raw_query: parts.uri.query().unwrap_or_default().to_owned(),
            host,
            peer: peer.address,
            upgrade: parts.extensions.remove(),
            query: path::query(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
            body,
            audit: Record::default(),
        };
        let mut attributes = attributes(&admitted, found.as_ref());
        if let Err(status) = authenticated {
            if let Some(auditor) = &self.audit {
                auditor.refused(arrival, &attributes, &status).await;
            }
            return Err(status);
        }
        if let Some(auditor) = &self.audit {
            *audit = auditor.begin(arrival, &attributes).await;
            admitted.audit = audit.clone();
        }
        let acted_as = self.impersonation.impersonate(
            self.authorizer.as_ref(),
            &attributes,
            &admitted.headers,
        )?;
        if let Some(user) = acted_as {
            audit.impersonated(&user);
            admitted.user = Arc::new(user);
            attributes.user = admitted.user.clone();
        }
        impersonation::strip(&mut admitted.headers);
        self.authenticator.strip(&mut admitted.headers);
        let time = self.time(&admitted, &attributes)?;
        let asked = Asked::of_query(&admitted.query);
        let result = match self.enter(&attributes, asked, time).await {
            Ok(entered) => {
                *place = entered;
                let deadline = began + time;
                self.judged(admitted, found, &attributes, deadline).await
            }
            Err(refused) => Ok(answer::refused(&refused)),
        };
        let code = match &result {
            Ok(answer) => answer.status().as_u16(),
            Err(status) => status.code,
        };
        self.load.count(&attributes, code, began.elapsed());
        result
    }

    /// A place for a request that has so much time; none for what takes no place.
    pub(crate) async fn enter(
        &self,
        attributes: &Attributes,
        asked: Asked,
        time: Duration,
    ) -> Result<Option<Place>, Refused> {
        let seats = fairness::seats(&self.registry, attributes, asked);
        self.gate.enter(attributes, seats, time).await
    }

    /// The time that a request has: no more than all have, and less if its client wants that.
    fn time(&self, request: &Admitted, attributes: &Attributes) -> Result<Duration, Status> {
        let text = request.query("timeout");
        let is_long = attributes.verb == "watch" || is_stream(&attributes.subresource);
        if text.is_empty() || is_long {
            return Ok(self.request_timeout);
        }
        let nanos = objects::codec::duration::parse(text).map_err(|why| {
            Status::bad_request(format!(
                "invalid timeout specified in the request URL - {why}"
            ))
        })?;
        let wanted = u64::try_from(nanos).map(Duration::from_nanos);
        Ok(match wanted {
            Ok(wanted) if !wanted.is_zero() => wanted.min(self.request_timeout),
            _ => self.request_timeout,
        })
    }

    async fn judged(
        &self,
        request: Admitted,
        found: Option<ResourcePath>,
        attributes: &Attributes,
        deadline: Instant,
    ) -> Result<Answer, Status> {
        self.authorize(attributes, &request.audit)?;
        if let Some((group, version)) = apiservices::group_version(&request.path)
            && let Some(service) = self.apiservices.find(group, version)
        {
            let is_watch = attributes.verb == "watch";
            return aggregated::answer(self, request, &service, is_watch).await;
        }
        match found {
            Some(found) => self.resource(request, found, deadline).await,
            None => pages::answer(self, &request).await,
        }
    }

    /// Who sends a request, by its connection and its headers.
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<User, Status> {
        let credentials = Credentials::of(&peer.certificates, headers);
        let found = self
            .authenticator
            .authenticate(&credentials, self.catch_up());
        found
            .await?
            .map(|identity| identity.user)
            .ok_or_else(|| Status::new(Reason::Unauthorized, "Unauthorized"))
    }

    /// Waits until what was made before is in memory, but not for long.
    async fn catch_up(&self) {
        let barrier = self.registry.feed.barrier();
        match tokio::time::timeout(CATCH_UP_MAX, barrier).await {
            Ok(Ok(())) => {}
            Ok(Err(status)) => {
                tracing::debug!(error = %status, "cannot ask the store how far it is");
            }
            Err(_) => tracing::debug!("memory is too far behind the store to be waited for"),
        }
    }

    /// Lets pass what is allowed.
    pub(crate) fn authorize(&self, attributes: &Attributes, audit: &Record) -> Result<(), Status> {
        let decision = self.authorizer.authorize(attributes);
        audit.decided(&decision);
        if decision.is_allowed() {
            Ok(())
        } else {
            Err(forbidden(attributes, decision.reason()))
        }
    }

    async fn resource(
        &self,
        request: Admitted,
        found: ResourcePath,
        deadline: Instant,
    ) -> Result<Answer, Status> {
        let verb = objects_api::verb(&request, &found);
        let streams = is_stream(&found.subresource);
        let answering = objects_api::answer(self, request, found, verb);
        if verb == "watch" || streams {
            return answering.await;
        }
        tokio::time::timeout_at(deadline.into(), answering)
            .await
            .unwrap_or_else(|_elapsed| {
                let mut status = timed_out();
                // A client sends again what it may try later, and what became of a write is not known.
                if matches!(verb, "get" | "list") {
                    status.retry_after_seconds = 1;
                }
                Err(status)
            })
    }
}

/// The host that a request names: in its URL, or in a header.
fn host(parts: &http::request::Parts) -> String {
    let header = parts.headers.get(http::header::HOST);
    let header = header.and_then(|value| value.to_str().ok());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    header.or(authority).unwrap_or_default().to_owned()
}

/// The answer to a request that says to watch, and not what.
fn nothing_to_watch(uri: &http::Uri) -> Answer {
    let asked = uri.path_and_query().map_or("", |asked| asked.as_str());
    let text = format!(
        "Internal Server Error: {asked:?}: failed to create RequestInfo: unable to determine kind and namespace from url, {asked}\n"
    );
    // A browser that shows the answer must not find tags in it.
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    answer::text(500, text.replace('>', "&gt;"))
}

/// What a client is told whose request took too long.
pub(crate) fn timed_out() -> Status {
    Status::new(
        Reason::Timeout,
        "Timeout: request did not complete within the allotted timeout",
    )
}

/// The one name that a field selector lets through.
fn name_selected(selector: &str) -> Option<String> {
    let selector = objects::selector::field::Selector::parse(selector).ok()?;
    selector.exact("metadata.name").map(str::to_owned)
}

/// What a request wants to do, in the words of authorization.
fn attributes(request: &Admitted, found: Option<&ResourcePath>) -> Attributes {
    let Some(found) = found else {
        return Attributes {
            user: request.user.clone(),
            verb: request.method.as_str().to_ascii_lowercase(),
            path: request.path.clone(),
            ..Attributes::default()
        };
    };
    let part = found.subresource.split('/').next().unwrap_or_default();
    let verb = objects_api::verb(request, found);
    let selector = request.query("fieldSelector");
    // A list or watch of one object by its name is judged as that object's.
    let selected = match verb {
        "list" | "watch" if found.name.is_empty() => name_selected(selector),
        _ => None,
    };
    Attributes {
        user: request.user.clone(),
        verb: verb.to_owned(),
        group: found.group.clone(),
        version: found.version.clone(),
        resource: found.resource.clone(),
        subresource: part.to_owned(),
        namespace: found.namespace.clone(),
        name: selected.unwrap_or_else(|| found.name.clone()),
        path: request.path.clone(),
        field_selector: selector.to_owned(),
        label_selector: request.query("labelSelector").to_owned(),
    }
}
