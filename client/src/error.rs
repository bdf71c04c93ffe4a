//! How calls fail, and what that says of their effect.

use bytes::Bytes;
use prost::Message;
use std::time::Duration;

use proto::api;
use serde_json::Value;
use tonic::{Code, TimeoutExpired};

/// The trailing metadata in which a server tells why a call failed.
const METADATA_KEY: &str = "mainstay-failure-bin";

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A server answered, with a reason.
    #[error("{0}")]
    Failed(Failure),
    /// No server was reached: nothing was sent.
    #[error("no server can be reached: {0}")]
    Unreachable(String),
    /// The connection was lost before an answer came.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// No answer came in time.
    #[error("no answer came in {0:?}")]
    TimedOut(Duration),
    /// The answer cannot be understood.
    #[error("the answer cannot be understood: {0}")]
    Malformed(String),
    /// The call makes no sense, and nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// The lease of this client's term may have run out: nothing was sent.
    #[error("the lease of this term may have run out")]
    TermOver,
}

/// What a server says about a call, or a part of one, that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code that REST would have answered with: 404.
    pub code: u16,
    /// Kubernetes' reason: `NotFound`. Empty if there is none.
    pub reason: String,
    pub message: String,
    /// Time after which it is worth to try again.
    pub retry_after: Option<Duration>,
    /// Whether the server says that a write was certainly not done, as when admission refused it or could not judge it.
    pub not_done: bool,
    status: Bytes,
}

impl Failure {
    pub(crate) fn of(failure: api::Failure) -> Failure {
        Failure {
            code: u16::try_from(failure.code).unwrap_or_default(),
            reason: failure.reason,
            message: failure.message,
            retry_after: (failure.retry_after_seconds > 0)
                .then(|| Duration::from_secs(failure.retry_after_seconds.into())),
            not_done: failure.not_done,
            status: failure.status,
        }
    }

    /// That a write was too large to be sent.
    pub(crate) fn too_large(bytes: usize, bytes_max: usize) -> Failure {
        Failure {
            code: 413,
            reason: "RequestEntityTooLarge".to_owned(),
            message: format!("{bytes} bytes are more than {bytes_max}"),
            retry_after: None,
            not_done: true,
            status: Bytes::new(),
        }
    }

    /// That nothing is known of one of several writes.
    pub(crate) fn unknown(error: &Error) -> Failure {
        match error {
            Error::Failed(failure) => failure.clone(),
            error => Failure {
                code: 0,
                reason: String::new(),
                message: error.to_string(),
                retry_after: None,
                not_done: !error.outcome_unknown(),
                status: Bytes::new(),
            },
        }
    }

    /// Kubernetes' `Status` with its details, null where the server left it out.
    #[must_use]
    pub fn status(&self) -> Value {
        serde_json::from_slice(&self.status).unwrap_or_default()
    }

    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// Whether it is one object that was not found, by its name. A server that does not serve a kind, or not yet, finds nothing either,
    /// which says nothing of the kind's objects.
    #[must_use]
    pub fn is_object_not_found(&self) -> bool {
        let name = &self.status()["details"]["name"];
        self.is_not_found() && name.as_str().is_some_and(|name| !name.is_empty())
    }

    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// Whether a resource version is too old: list anew.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self.reason.as_str(), "Expired" | "Gone")
    }

    /// Whether a server has not come as far as a resource version in a time in which it should have.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.has_cause("ResourceVersionTooLarge")
    }

    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.reason == "Forbidden"
    }

    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.reason == "Invalid"
    }

    #[must_use]
    pub fn is_too_many_requests(&self) -> bool {
        self.reason == "TooManyRequests"
    }

    /// Whether the namespace that an object was to be made in is being deleted.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        self.has_cause("NamespaceTerminating")
    }

    /// Whether the details name a cause.
    #[must_use]
    pub fn has_cause(&self, reason: &str) -> bool {
        let status = self.status();
        let causes = status["details"]["causes"].as_array();
        causes.is_some_and(|causes| causes.iter().any(|cause| cause["reason"] == reason))
    }

    /// Whether a write may have been done all the same: the server failed, and does not say that this was before it wrote.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        !self.not_done && (self.code >= 500 || self.code == 0)
    }
}

/// The same questions of a call: only a server's answer has a reason.
macro_rules! of_failure {
    ($($name:ident),*) => {
        $(#[doc = concat!("As [`Failure::", stringify!($name), "`].")]
        #[must_use]
        pub fn $name(&self) -> bool {
            self.failure().is_some_and(Failure::$name)
        })*
    };
}

impl Error {
    of_failure!(
        is_not_found,
        is_object_not_found,
        is_conflict,
        is_already_exists,
        is_expired,
        is_ahead,
        is_forbidden,
        is_invalid,
        is_too_many_requests,
        is_namespace_terminating
    );

    /// What the server says, if it was one that answered.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Error::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Kubernetes' reason; empty for what no server said.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.failure().map_or("", |failure| &failure.reason)
    }

    /// Whether a write may have been done all the same.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Error::Failed(failure) => failure.outcome_unknown(),
            Error::Lost(_) | Error::TimedOut(_) | Error::Malformed(_) => true,
            Error::Unreachable(_) | Error::Invalid(_) | Error::TermOver => false,
        }
    }

    /// Whether another server may know better.
    pub(crate) fn is_of_this_server(&self) -> bool {
        match self {
            Error::Unreachable(_) | Error::Lost(_) => true,
            Error::Failed(failure) => failure.code == 503,
            _ => false,
        }
    }

    /// What a call's status says. A server's own answer has its failure beside it.
    pub(crate) fn of_status(status: &tonic::Status, timeout: Duration) -> Error {
        let told = status.metadata().get_bin(METADATA_KEY);
        let told = told.and_then(|value| value.to_bytes().ok());
        if let Some(failure) = told.and_then(|bytes| api::Failure::decode(bytes).ok()) {
            return Error::Failed(Failure::of(failure));
        }
        let message = status.message().to_owned();
        if let Some(cause) = std::error::Error::source(status) {
            // What no server said comes from the connection.
            return if cause.is::<TimeoutExpired>() {
                Error::TimedOut(timeout)
            } else {
                Error::Lost(message)
            };
        }
        match status.code() {
            Code::DeadlineExceeded | Code::Cancelled => Error::TimedOut(timeout),
            Code::Unavailable | Code::Unknown | Code::Internal => Error::Lost(message),
            Code::OutOfRange => Error::Invalid(format!("the request is too large: {message}")),
            _ => Error::Malformed(format!("{}: {message}", status.code())),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Failed(failure)
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::{MetadataMap, MetadataValue};

    use super::*;

    #[test]
    fn what_comes_from_the_connection_is_told_from_a_deadline() {
        let of = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::of_status(&tonic::Status::from_error(cause), Duration::ZERO)
        };
        assert!(matches!(
            of(Box::new(TimeoutExpired(()))),
            Error::TimedOut(_)
        ));
        let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(of(Box::new(cut)), Error::Lost(_)));
    }

    #[test]
    fn an_object_that_is_not_there_is_told_from_a_kind_that_is_not_served() {
        let of = |status: &'static str| Failure {
            code: 404,
            reason: "NotFound".to_owned(),
            message: String::new(),
            retry_after: None,
            not_done: false,
            status: Bytes::from_static(status.as_bytes()),
        };
        let object = of(r#"{"details":{"name":"a","group":"ex.io","kind":"foos"}}"#);
        assert!(object.is_not_found() && object.is_object_not_found());
        for status in ["", "{}", r#"{"details":{"name":"","kind":"foos"}}"#] {
            let kind = of(status);
            assert!(
                kind.is_not_found() && !kind.is_object_not_found(),
                "{status}"
            );
        }
    }

    #[test]
    fn a_server_that_failed_before_it_wrote_leaves_nothing_open() {
        for (code, not_done, unknown) in [
            (500, false, true),
            (500, true, false),
            (503, true, false),
            (422, false, false),
        ] {
            let failure = Failure::of(api::Failure {
                code,
                not_done,
                ..api::Failure::default()
            });
            assert_eq!(failure.outcome_unknown(), unknown, "{code} {not_done}");
            assert_eq!(Error::from(failure).outcome_unknown(), unknown);
        }
    }

    #[test]
    fn a_servers_reason_is_told_and_a_lost_connection_leaves_the_outcome_open() {
        let failure = api::Failure {
            code: 409,
            reason: "Conflict".to_owned(),
            message: "changed".to_owned(),
            status: Bytes::from_static(
                br#"{"details":{"causes":[{"reason":"NamespaceTerminating"}]}}"#,
            ),
            retry_after_seconds: 2,
            ..api::Failure::default()
        };
        let mut metadata = MetadataMap::new();
        let value = MetadataValue::from_bytes(&failure.encode_to_vec());
        metadata.insert_bin(METADATA_KEY, value);
        let status = tonic::Status::with_metadata(Code::Aborted, "changed", metadata);
        let error = Error::of_status(&status, Duration::ZERO);
        assert!(error.is_conflict() && error.is_namespace_terminating());
        assert!(!error.outcome_unknown() && !error.is_not_found());
        let after = error.failure().unwrap().retry_after;
        assert_eq!(after, Some(Duration::from_secs(2)));
        for (code, unknown) in [
            (Code::Unavailable, true),
            (Code::DeadlineExceeded, true),
            (Code::OutOfRange, false),
        ] {
            let error = Error::of_status(&tonic::Status::new(code, ""), Duration::ZERO);
            assert_eq!(
                (error.outcome_unknown(), error.reason()),
                (unknown, ""),
                "{code}"
            );
        }
    }
}
