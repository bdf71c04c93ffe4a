//! The audit log: who asked for what, and what became of it, as far as the policy wants it told.

mod event;
mod log;
mod policy;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::USER_AGENT;
use http::{HeaderMap, Uri};
use objects::status::Status;
use objects::{Value, meta};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

use self::event::{Event, Stage};
pub use self::log::{Format, Log, Rotation, Writer};
pub use self::policy::Policy;
use self::policy::{Level, Wish};
use crate::attributes::Attributes;
use crate::authz::Decision;
use crate::clock;
use crate::user::User;

/// Longest name of a client's program that is told.
const AGENT_BYTES_MAX: usize = 1_024;

/// What begins and ends events.
#[derive(Debug)]
pub struct Auditor {
    policy: Policy,
    events: mpsc::Sender<Event>,
}

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) id: String,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: IpAddr,
    pub(crate) at_micros: i64,
}

impl Arrival {
    /// What is known of a request from its head. It has the id that its sender chose, or a new one.
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri, peer: IpAddr) -> Arrival {
        let chosen = headers
            .get("audit-id")
            .and_then(|value| value.to_str().ok());
        Arrival {
            id: chosen.map_or_else(crate::registry::uid, str::to_owned),
            uri: uri
                .path_and_query()
                .map_or_else(|| uri.path().to_owned(), ToString::to_string),
            headers: headers.clone(),
            peer,
            at_micros: clock::now_micros(),
        }
    }
}

/// The event of a request while it is made. Clones are of one event, which ends with the last of them if nobody ended it before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    wish: Wish,
    event: Mutex<Event>,
    events: mpsc::Sender<Event>,
    has_ended: AtomicBool,
}

impl Auditor {
    /// An auditor, and what writes its events while it runs.
    #[must_use]
    pub fn new(policy: Policy, log: Log) -> (Auditor, Writer) {
        let (events, writer) = log.writer();
        (Auditor { policy, events }, writer)
    }

    /// Begins the event of a request; none where the policy wants none.
    pub(crate) async fn begin(&self, arrival: &Arrival, attributes: &Attributes) -> Record {
        let record = self.open(arrival, attributes);
        record.tell(Stage::RequestReceived).await;
        record
    }

    /// The event of a request whose sender is not known.
    pub(crate) async fn refused(&self, arrival: &Arrival, attributes: &Attributes, why: &Status) {
        let record = self.open(arrival, attributes);
        let status = why.to_value();
        record.answered(why.code, Some(&status));
        record.tell(Stage::ResponseStarted).await;
        record.close();
    }

    fn open(&self, arrival: &Arrival, attributes: &Attributes) -> Record {
        let wish = self.policy.wish(attributes);
        if wish.level == Level::None {
            return Record::default();
        }
        let user = &*attributes.user;
        let event = Event {
            level: wish.level.name(),
            audit_id: arrival.id.clone(),
            request_uri: arrival.uri.clone(),
            verb: attributes.verb.clone(),
            user: user.to_value(),
            source_ips: sources(&arrival.headers, arrival.peer),
            user_agent: agent(&arrival.headers),
            object: attributes
                .is_resource()
                .then(|| object_reference(attributes)),
            received_micros: arrival.at_micros,
            ..Event::default()
        };
        Record(Some(Arc::new(Open {
            wish,
            event: Mutex::new(event),
            events: self.events.clone(),
            has_ended: AtomicBool::new(false),
        })))
    }
}

fn object_reference(attributes: &Attributes) -> Value {
    let mut reference = json!({});
    for (field, text) in [
        ("resource", &attributes.resource),
        ("namespace", &attributes.namespace),
        ("name", &attributes.name),
        ("apiGroup", &attributes.group),
        ("apiVersion", &attributes.version),
        ("subresource", &attributes.subresource),
    ] {
        if !text.is_empty() {
            reference[field] = json!(text);
        }
    }
    reference
}

/// Whom a request came through: what its headers say, which anybody may write, and last the other end of the connection.
fn sources(headers: &HeaderMap, peer: IpAddr) -> Vec<IpAddr> {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    let mut found: Vec<IpAddr> = text("x-forwarded-for")
        .split(',')
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    if let Ok(real) = text("x-real-ip").parse()
        && !found.contains(&real)
    {
        found.push(real);
    }
    if found.last() != Some(&peer) {
        found.push(peer);
    }
    found
}

fn agent(headers: &HeaderMap) -> String {
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    // A header that is text is ASCII.
    match agent.get(..AGENT_BYTES_MAX) {
        Some(start) if agent.len() > AGENT_BYTES_MAX => format!("{start}...TRUNCATED"),
        _ => agent.to_owned(),
    }
}

impl Record {
    /// Whether the answer's object is wanted.
    pub(crate) fn wants_response(&self) -> bool {
        self.level() >= Level::RequestResponse
    }

    /// Whether the answer to a deletion is a `Status` that is told at every level.
    pub(crate) fn deletes(&self) -> bool {
        let deletes = |open: &Arc<Open>| open.event.lock().verb == "delete";
        self.0.as_ref().is_some_and(deletes)
    }

    /// Whether the request is about objects.
    pub(crate) fn is_of_resource(&self) -> bool {
        let has_object = |open: &Arc<Open>| open.event.lock().object.is_some();
        self.0.as_ref().is_some_and(has_object)
    }

    /// Whether anything is told.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    fn level(&self) -> Level {
        self.0.as_ref().map_or(Level::None, |open| open.wish.level)
    }

    fn edit(&self, edit: impl FnOnce(&mut Event)) {
        if let Some(open) = &self.0 {
            edit(&mut open.event.lock());
        }
    }

    /// Notes in whose name the request goes on.
    pub(crate) fn impersonated(&self, user: &User) {
        self.edit(|event| event.impersonated = Some(user.to_value()));
    }

    /// Notes what authorization said.
    pub(crate) fn decided(&self, decision: &Decision) {
        let word = if decision.is_allowed() {
            "allow"
        } else {
            "forbid"
        };
        self.annotate("authorization.k8s.io/decision", word);
        self.annotate("authorization.k8s.io/reason", decision.reason());
    }

    pub(crate) fn annotate(&self, key: &str, text: &str) {
        self.edit(|event| {
            event.annotations.insert(key.to_owned(), text.to_owned());
        });
    }

    /// Notes the object that was sent: `complete` gives it as its kind has it, and is asked only where that is told.
    pub(crate) fn request_object(&self, object: &Value, complete: impl FnOnce() -> Value) {
        let shown = (self.level() >= Level::Request).then(|| self.without_fields(complete()));
        self.edit(|event| {
            if let Some(reference) = &mut event.object {
                for (field, text) in [
                    ("namespace", meta::namespace(object)),
                    ("name", meta::name(object)),
                    ("uid", meta::uid(object)),
                    ("resourceVersion", meta::resource_version(object)),
                ] {
                    if reference.get(field).is_none() && !text.is_empty() {
                        reference[field] = json!(text);
                    }
                }
            }
            event.request_object = shown;
        });
    }

    /// Notes a patch as it was sent: JSON, or an applied configuration in YAML.
    pub(crate) fn request_patch(&self, bytes: &[u8]) {
        if self.level() >= Level::Request {
            let read = objects::codec::yaml::read(bytes).ok();
            self.edit(|event| event.request_object = read.map(|read| read.value));
        }
    }

    /// Notes the answer: its code, and its object where that is a failure or wanted.
    pub(crate) fn answered(&self, code: u16, object: Option<&Value>) {
        if self.0.is_none() {
            return;
        }
        let mut status = json!({"metadata": {}});
        if let Some(object) = object
            && object["kind"] == "Status"
            && object["apiVersion"] == "v1"
        {
            status = object.clone();
            if let Some(fields) = status.as_object_mut() {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
        }
        status["code"] = json!(code);
        let shown = object
            .filter(|_| self.wants_response())
            .map(|object| self.without_fields(object.clone()));
        self.edit(|event| {
            event.response_status = Some(status);
            event.response_object = shown;
        });
    }

    /// An object, or a list of them, as the policy wants it: with or without who manages its fields.
    fn without_fields(&self, mut object: Value) -> Value {
        let omits = |open: &Arc<Open>| open.wish.omit_managed_fields;
        if !self.0.as_ref().is_some_and(omits) {
            return object;
        }
        let drop_fields = |object: &mut Value| {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
        };
        drop_fields(&mut object);
        for (list, inner) in [("items", None), ("rows", Some("object"))] {
            let items = object.get_mut(list).and_then(Value::as_array_mut);
            for item in items.into_iter().flatten() {
                match inner {
                    None => drop_fields(item),
                    Some(field) => drop_fields(&mut item[field]),
                }
            }
        }
        object
    }

    /// The request was refused or failed.
    pub(crate) async fn failed(&self, status: &Status) {
        if self.is_wanted() {
            self.answered(status.code, Some(&status.to_value()));
            self.end().await;
        }
    }

    /// The answer of a watch begins.
    pub(crate) async fn started(&self, code: u16) {
        self.answered(code, None);
        self.tell(Stage::ResponseStarted).await;
    }

    /// The request is over.
    pub(crate) async fn end(&self) {
        if self.close() {
            self.tell(Stage::ResponseComplete).await;
        }
    }

    /// Whether it was open before.
    fn close(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|open| !open.has_ended.swap(true, Ordering::AcqRel))
    }

    /// Gives the event to whoever writes it, and waits for room there.
    async fn tell(&self, stage: Stage) {
        let Some(open) = &self.0 else { return };
        if let Some(event) = open.at(stage) {
            // The writer ends with the server, and then nobody is answered any more.
            let _ = open.events.send(event).await;
        }
    }
}

impl Open {
    fn at(&self, stage: Stage) -> Option<Event> {
        if self.wish.omitted.contains(&stage) {
            return None;
        }
        let mut event = self.event.lock().clone();
        event.stage = Some(stage);
        event.staged_micros = match stage {
            Stage::RequestReceived => event.received_micros,
            _ => clock::now_micros(),
        };
        Some(event)
    }
}

impl Drop for Open {
    /// A watch ends here, and so does a request whose client went away or that panicked.
    fn drop(&mut self) {
        if self.has_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let stage = if std::thread::panicking() {
            let failed = json!({"metadata": {}, "status": "Failure", "message": "APIServer panic'd",
                "reason": "InternalError", "code": 500});
            self.event.lock().response_status = Some(failed);
            Stage::Panic
        } else {
            self.event.lock().response_status.get_or_insert_with(|| {
                json!({"metadata": {}, "status": "Success", "message": "Connection closed early", "code": 200})
            });
            Stage::ResponseComplete
        };
        if let Some(event) = self.at(stage)
            && self.events.try_send(event).is_err()
        {
            tracing::error!("the end of a request is not in the audit log, for its queue is full");
        }
    }
}
