//! Who calls, and whether that one may do what the call asks for.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{Extensions, HeaderMap, StatusCode, Uri};
use objects::Value;
use objects::patch::apply::name_of_user_agent;
use objects::status::Status;
use proto::api::Target;

use super::Api;
use crate::admission::Warnings;
use crate::attributes::Attributes;
use crate::audit::{Arrival, Record};
use crate::fairness::{Asked, Place};
use crate::registry::{self, Deleted, List, Registry};
use crate::rest::{Front, Peer, check_served, not_served, timed_out};
use crate::served::Served;
use crate::user::User;

/// Somebody who is known, at a call.
pub(super) struct Caller<'a> {
    api: &'a Api,
    headers: HeaderMap,
    user: Arc<User>,
    arrival: Arrival,
}

/// The selectors of what is asked for, which authorization looks at, and how much that is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Selectors<'a> {
    pub(super) labels: &'a str,
    pub(super) fields: &'a str,
    pub(super) asked: Asked,
}

/// A request that may be made, and has its place until this is dropped.
pub(super) struct Granted {
    request: registry::Request,
    place: Option<Place>,
}

impl Granted {
    /// The place by itself: a stream keeps it longer than its request is needed.
    pub(super) fn take_place(&mut self) -> Option<Place> {
        self.place.take()
    }
}

impl Deref for Granted {
    type Target = registry::Request;

    fn deref(&self) -> &registry::Request {
        &self.request
    }
}

impl<'a> Caller<'a> {
    pub(super) async fn of(
        api: &'a Api,
        headers: HeaderMap,
        extensions: &Extensions,
    ) -> Result<Caller<'a>, Status> {
        let peer = extensions
            .get::<Peer>()
            .ok_or_else(|| Status::internal("the call has no connection"))?;
        let uri = extensions.get::<Uri>().cloned().unwrap_or_default();
        let arrival = Arrival::of(&headers, &uri, peer.address.ip());
        let user = Arc::new(api.front.authenticate(&headers, peer).await?);
        Ok(Caller {
            api,
            headers,
            user,
            arrival,
        })
    }

    pub(super) fn front(&self) -> &'a Front {
        &self.api.front
    }

    pub(super) fn registry(&self) -> &'a Registry {
        &self.api.front.registry
    }

    /// What a call wants to do, in the words of authorization.
    pub(super) fn attributes(
        &self,
        target: Option<&Target>,
        verb: &str,
        selectors: Selectors<'_>,
    ) -> Result<Attributes, Status> {
        let target = target.ok_or_else(|| Status::bad_request("target: Required value"))?;
        check_names(target)?;
        check_named(target, verb)?;
        let is_namespace = target.group.is_empty() && target.resource == "namespaces";
        Ok(Attributes {
            user: self.user.clone(),
            verb: verb.to_owned(),
            group: target.group.clone(),
            version: target.version.clone(),
            resource: target.resource.clone(),
            subresource: target.subresource.clone(),
            // Rules inside a namespace are also about the namespace itself.
            namespace: if is_namespace {
                target.name.clone()
            } else {
                target.namespace.clone()
            },
            name: target.name.clone(),
            path: String::new(),
            field_selector: selectors.fields.to_owned(),
            label_selector: selectors.labels.to_owned(),
        })
    }

    /// The request that a call is, if the caller may make it, once there is a place for it.
    pub(super) async fn request(
        &self,
        target: Option<&Target>,
        verb: &str,
        selectors: Selectors<'_>,
    ) -> Result<Granted, Status> {
        let attributes = self.attributes(target, verb, selectors)?;
        let audit = match &self.front().audit {
            Some(auditor) => auditor.begin(&self.arrival, &attributes).await,
            None => Record::default(),
        };
        let admitted = self.admit(attributes, selectors.asked, &audit).await;
        if let Err(status) = &admitted {
            audit.failed(status).await;
        }
        let (attributes, served, place) = admitted?;
        let user_agent = self.headers.get(USER_AGENT);
        let request = registry::Request {
            user: attributes.user,
            served,
            subresource: attributes.subresource,
            namespace: attributes.namespace,
            name: attributes.name,
            agent: name_of_user_agent(
                user_agent
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default(),
            ),
            warnings: Warnings::default(),
            audit,
        };
        Ok(Granted { request, place })
    }

    /// What reading a path comes to, if the caller may.
    pub(super) async fn read_path<T>(
        &self,
        path: &str,
        reading: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let attributes = Attributes {
            user: self.user.clone(),
            verb: "get".to_owned(),
            path: path.to_owned(),
            ..Attributes::default()
        };
        self.read(attributes, |_user| reading).await
    }

    /// What reading comes to, if the caller may. It is told as whom it reads.
    pub(super) async fn read<T, R: Future<Output = Result<T, Status>>>(
        &self,
        mut attributes: Attributes,
        reading: impl FnOnce(Arc<User>) -> R,
    ) -> Result<T, Status> {
        let audit = match &self.front().audit {
            Some(auditor) => auditor.begin(&self.arrival, &attributes).await,
            None => Record::default(),
        };
        let judged = async {
            let place = self
                .enter(&mut attributes, Asked::default(), &audit)
                .await?;
            let read = self.within(reading(attributes.user.clone())).await?;
            drop(place);
            Ok(read)
        };
        let result = judged.await;
        match &result {
            Ok(_) => {
                audit.answered(StatusCode::OK.as_u16(), None);
                audit.end().await;
            }
            Err(status) => audit.failed(status).await,
        }
        result
    }

    /// What a call comes to if it does so in time, which ends its event in the audit log.
    pub(super) async fn in_time<T: Outcome>(
        &self,
        request: &registry::Request,
        answering: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let result = self.within(answering).await;
        for (key, text) in request.warnings.take_annotations() {
            request.audit.annotate(&key, &text);
        }
        match &result {
            Ok(outcome) => {
                request
                    .audit
                    .answered(StatusCode::OK.as_u16(), outcome.object());
                request.audit.end().await;
            }
            Err(status) => request.audit.failed(status).await,
        }
        result
    }

    /// The beginning of a watch if that comes in time. Its event goes on with it.
    pub(super) async fn begun<T>(
        &self,
        request: &registry::Request,
        answering: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let result = self.within(answering).await;
        match &result {
            Ok(_) => request.audit.started(StatusCode::OK.as_u16()).await,
            Err(status) => request.audit.failed(status).await,
        }
        result
    }

    async fn within<T>(
        &self,
        answering: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        tokio::time::timeout(self.front().request_timeout, answering)
            .await
            .unwrap_or_else(|_elapsed| Err(timed_out()))
    }

    /// Who acts on what, if that one may, once there is a place for it.
    async fn admit(
        &self,
        mut attributes: Attributes,
        asked: Asked,
        audit: &Record,
    ) -> Result<(Attributes, Arc<Served>, Option<Place>), Status> {
        let place = self.enter(&mut attributes, asked, audit).await?;
        let table = self.registry().resources.table();
        let served = table
            .find(&attributes.group, &attributes.version, &attributes.resource)?
            .ok_or_else(not_served)?
            .clone();
        let at = (attributes.namespace.as_str(), attributes.name.as_str());
        check_served(&served, at, &attributes.subresource, &attributes.verb)?;
        Ok((attributes, served, place))
    }

    /// A place for what is asked for, if whoever asks or is impersonated may.
    async fn enter(
        &self,
        attributes: &mut Attributes,
        asked: Asked,
        audit: &Record,
    ) -> Result<Option<Place>, Status> {
        let front = self.front();
        let authorizer = front.authorizer.as_ref();
        let impersonation = &front.impersonation;
        let other = impersonation.impersonate(authorizer, attributes, &self.headers)?;
        if let Some(user) = other {
            audit.impersonated(&user);
            attributes.user = Arc::new(user);
        }
        let entering = front.enter(attributes, asked, front.request_timeout);
        let place = entering.await.map_err(|refused| refused.status())?;
        front.authorize(attributes, audit)?;
        Ok(place)
    }
}

/// Names are parts of keys, and what separates those is no part of a name.
fn check_names(target: &Target) -> Result<(), Status> {
    for (what, name) in [("name", &target.name), ("namespace", &target.namespace)] {
        let fault = if name == "." || name == ".." {
            format!("may not be '{name}'")
        } else if let Some(letter) = name.chars().find(|letter| matches!(letter, '/' | '%')) {
            format!("may not contain '{letter}'")
        } else if name.chars().any(char::is_control) {
            "may not contain control characters".to_owned()
        } else {
            continue;
        };
        return Err(Status::bad_request(format!(
            "invalid resource {what} {name:?}: [{fault}]"
        )));
    }
    Ok(())
}

/// What is done to one object, or with a part of it, needs its name: without one, many would be meant.
fn check_named(target: &Target, verb: &str) -> Result<(), Status> {
    let one = matches!(verb, "get" | "update" | "patch" | "delete");
    if target.name.is_empty() && (one || !target.subresource.is_empty()) {
        return Err(Status::bad_request("target.name: Required value"));
    }
    Ok(())
}

/// What a call comes to, and the object of it that the audit log tells.
pub(super) trait Outcome {
    fn object(&self) -> Option<&Value> {
        None
    }
}

impl Outcome for Value {
    fn object(&self) -> Option<&Value> {
        Some(self)
    }
}

impl Outcome for (Value, bool) {
    fn object(&self) -> Option<&Value> {
        Some(&self.0)
    }
}

impl Outcome for Deleted {
    fn object(&self) -> Option<&Value> {
        match self {
            Deleted::Begun(object) | Deleted::Gone(object) => Some(object),
        }
    }
}

impl Outcome for (List, Vec<Bytes>) {}
impl Outcome for (Vec<Value>, i64) {}

#[cfg(test)]
mod tests {
    use objects::status::Reason;

    use super::*;

    #[test]
    fn a_name_cannot_reach_another_key() {
        let named = |name: &str, namespace: &str| {
            check_names(&Target {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                ..Target::default()
            })
        };
        named("a.b-c:d", "ns").unwrap();
        for (name, namespace) in [
            ("a/b", "ns"),
            ("..", "ns"),
            (".", ""),
            ("a%2f", ""),
            ("a", "b/c"),
            ("a\0", ""),
        ] {
            let status = named(name, namespace).unwrap_err();
            assert_eq!(status.reason, Reason::BadRequest, "{name:?} {namespace:?}");
        }
    }
}
