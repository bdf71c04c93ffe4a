//! The answer to a request that failed, as Kubernetes' `Status` object: what clients decide by is its reason.

use serde_json::json;

use crate::{
    Value,
    invalid::{Faults, aggregate},
};

/// Why a request failed, in upstream's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Expired,
    Invalid,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    TooManyRequests,
    InternalError,
    ServerTimeout,
    Timeout,
    ServiceUnavailable,
    /// A failure that has no reason on the wire.
    Unknown,
}

impl Reason {
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Gone | Reason::Expired => 410,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::InternalError | Reason::ServerTimeout | Reason::Unknown => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }

    /// The name on the wire; empty for `Unknown`.
    #[must_use]
    pub fn name(self) -> String {
        if self == Reason::Unknown {
            String::new()
        } else {
            format!("{self:?}")
        }
    }
}

/// One of the causes of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub reason: String,
    pub message: String,
    pub field: String,
}

/// A failure, ready to be told in any of the server's protocols.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    pub reason: Reason,
    /// The HTTP code; by default that of the reason.
    pub code: u16,
    pub message: String,
    /// A reason that somebody else gave, in the place of `reason`; empty for none.
    pub other_reason: String,
    /// What the failure is about; empty where it is not about one object.
    pub name: String,
    pub group: String,
    /// The plural name for most failures, the kind for `Invalid`, as upstream.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    /// After how many seconds the client may try again; 0 for never said.
    pub retry_after_seconds: u32,
    /// `metadata.continue` of an expired list that may go on inconsistently.
    pub continuation: String,
    /// Whether a write was certainly not done, whatever the code says: it was refused before anything was written. No part of what
    /// REST tells.
    pub not_done: bool,
}

/// `pods`, or `deployments.apps`: how messages name a resource.
#[must_use]
pub fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    }
}

impl Status {
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Status {
        Status {
            reason,
            code: reason.code(),
            message: message.into(),
            other_reason: String::new(),
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
            continuation: String::new(),
            not_done: false,
        }
    }

    /// Says that what failed was certainly not done.
    #[must_use]
    pub fn before_any_write(mut self) -> Status {
        self.not_done = true;
        self
    }

    /// The reason on the wire; empty for none.
    #[must_use]
    pub fn reason_name(&self) -> String {
        if self.other_reason.is_empty() {
            self.reason.name()
        } else {
            self.other_reason.clone()
        }
    }

    /// Says what the failure is about.
    #[must_use]
    pub fn about(mut self, group: &str, kind: &str, name: &str) -> Status {
        (self.group, self.kind, self.name) = (group.to_owned(), kind.to_owned(), name.to_owned());
        self
    }

    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(Reason::BadRequest, message)
    }

    #[must_use]
    pub fn internal(message: impl std::fmt::Display) -> Status {
        let mut status = Status::new(
            Reason::InternalError,
            format!("Internal error occurred: {message}"),
        );
        status.causes.push(Cause {
            reason: String::new(),
            message: message.to_string(),
            field: String::new(),
        });
        status
    }

    #[must_use]
    pub fn not_found(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} \"{name}\" not found", qualified(group, resource));
        Status::new(Reason::NotFound, message).about(group, resource, name)
    }

    #[must_use]
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Status {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        Status::new(Reason::AlreadyExists, message).about(group, resource, name)
    }

    #[must_use]
    pub fn conflict(
        group: &str,
        resource: &str,
        name: &str,
        why: impl std::fmt::Display,
    ) -> Status {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            qualified(group, resource)
        );
        Status::new(Reason::Conflict, message).about(group, resource, name)
    }

    #[must_use]
    pub fn forbidden(
        group: &str,
        resource: &str,
        name: &str,
        why: impl std::fmt::Display,
    ) -> Status {
        let message = match (group, resource, name) {
            ("", "", _) => format!("forbidden: {why}"),
            (_, _, "") => format!("{} is forbidden: {why}", qualified(group, resource)),
            _ => format!(
                "{} \"{name}\" is forbidden: {why}",
                qualified(group, resource)
            ),
        };
        Status::new(Reason::Forbidden, message).about(group, resource, name)
    }

    /// An object that does not hold to the rules of its kind.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, faults: &Faults) -> Status {
        // The same text is told once, as apimachinery's aggregate does.
        let mut texts: Vec<String> = Vec::new();
        for fault in faults {
            let text = fault.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let message = format!(
            "{} \"{name}\" is invalid: {}",
            qualified(group, kind),
            aggregate(&texts)
        );
        let mut status = Status::new(Reason::Invalid, message).about(group, kind, name);
        status.causes = faults
            .iter()
            .map(|fault| Cause {
                reason: fault.fault.reason().to_owned(),
                message: fault.body(),
                field: fault.path.to_string(),
            })
            .collect();
        status
    }

    /// The object that the client is sent.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut metadata = json!({});
        if !self.continuation.is_empty() {
            metadata["continue"] = json!(self.continuation);
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure", "message": self.message, "code": self.code,
        });
        let mut details = crate::Map::new();
        for (key, text) in [
            ("name", &self.name),
            ("group", &self.group),
            ("kind", &self.kind),
            ("uid", &self.uid),
        ] {
            if !text.is_empty() {
                details.insert(key.to_owned(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            details.insert("causes".to_owned(), self.causes.iter().map(cause).collect());
        }
        if self.retry_after_seconds > 0 {
            details.insert(
                "retryAfterSeconds".to_owned(),
                json!(self.retry_after_seconds),
            );
        }
        // A refusal says that it has details even if there are none.
        if !details.is_empty() || self.reason == Reason::Forbidden {
            status["details"] = Value::Object(details);
        }
        let reason = self.reason_name();
        if !reason.is_empty() {
            status["reason"] = json!(reason);
        }
        status
    }
}

fn cause(cause: &Cause) -> Value {
    let mut fields = crate::Map::new();
    for (key, text) in [
        ("reason", &cause.reason),
        ("message", &cause.message),
        ("field", &cause.field),
    ] {
        if !text.is_empty() {
            fields.insert(key.to_owned(), json!(text));
        }
    }
    Value::Object(fields)
}
