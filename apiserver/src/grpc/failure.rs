//! Failures as gRPC tells them: a code, and Kubernetes' status beside it.

use bytes::Bytes;
use objects::status::{Reason, Status};
use prost::Message;
use proto::api::Failure;
use tonic::Code;
use tonic::metadata::{MetadataMap, MetadataValue};

/// The trailing metadata that holds an encoded `Failure`.
const METADATA_KEY: &str = "mainstay-failure-bin";
/// Clients take about 8 KiB of metadata; the status has half of it.
const STATUS_BYTES_MAX: usize = 4 << 10;
/// Of a message in metadata, which is there twice.
const MESSAGE_BYTES_MAX: usize = 1 << 10;
/// Of all warnings in metadata.
const WARNINGS_BYTES_MAX: usize = 1 << 10;

/// What failed, and what was to be said before it did.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) status: Box<Status>,
    pub(super) warnings: Vec<String>,
}

impl From<Status> for Failed {
    fn from(status: Status) -> Failed {
        Failed {
            status: Box::new(status),
            warnings: Vec::new(),
        }
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Failure {
        let Failed { status, warnings } = failed;
        Failure {
            code: status.code.into(),
            reason: status.reason_name(),
            status: Bytes::from(status.to_value().to_string()),
            retry_after_seconds: status.retry_after_seconds,
            not_done: status.not_done,
            message: status.message,
            warnings,
        }
    }
}

impl From<Failed> for tonic::Status {
    fn from(failed: Failed) -> tonic::Status {
        let code = code(failed.status.reason);
        let failure = bounded(failed.into());
        let message = failure.message.clone();
        let encoded = failure.encode_to_vec();
        let mut metadata = MetadataMap::new();
        metadata.insert_bin(METADATA_KEY, MetadataValue::from_bytes(&encoded));
        tonic::Status::with_metadata(code, message, metadata)
    }
}

/// A failure that fits into metadata.
fn bounded(mut failure: Failure) -> Failure {
    if failure.status.len() > STATUS_BYTES_MAX {
        failure.status = Bytes::new();
    }
    let end = failure.message.floor_char_boundary(MESSAGE_BYTES_MAX);
    failure.message.truncate(end);
    let mut room = WARNINGS_BYTES_MAX;
    failure.warnings.retain(|text| {
        let fits = text.len() <= room;
        room = room.saturating_sub(text.len());
        fits
    });
    failure
}

/// The name of a code, as counts of calls have it.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

fn code(reason: Reason) -> Code {
    match reason {
        Reason::BadRequest
        | Reason::Invalid
        | Reason::NotAcceptable
        | Reason::UnsupportedMediaType => Code::InvalidArgument,
        Reason::Unauthorized => Code::Unauthenticated,
        Reason::Forbidden => Code::PermissionDenied,
        Reason::NotFound => Code::NotFound,
        Reason::AlreadyExists => Code::AlreadyExists,
        Reason::Conflict => Code::Aborted,
        Reason::Gone | Reason::Expired => Code::OutOfRange,
        Reason::MethodNotAllowed => Code::Unimplemented,
        Reason::TooManyRequests | Reason::RequestEntityTooLarge => Code::ResourceExhausted,
        Reason::Timeout | Reason::ServerTimeout => Code::DeadlineExceeded,
        Reason::ServiceUnavailable => Code::Unavailable,
        Reason::InternalError => Code::Internal,
        Reason::Unknown => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_status_leaves_room_in_the_metadata() {
        let mut status = Status::not_found("", "pods", &"ä".repeat(10_000));
        status.retry_after_seconds = 3;
        let failed = Failed {
            status: Box::new(status),
            warnings: vec!["w".repeat(1_000), "x".repeat(1_000), String::from("y")],
        };
        let told = tonic::Status::from(failed);
        assert_eq!(told.code(), Code::NotFound);
        assert!(told.message().len() <= MESSAGE_BYTES_MAX);
        let value = told.metadata().get_bin(METADATA_KEY).unwrap();
        let bytes = value.to_bytes().unwrap();
        let failure = Failure::decode(bytes).unwrap();
        assert_eq!((failure.code, failure.reason.as_str()), (404, "NotFound"));
        assert_eq!(failure.retry_after_seconds, 3);
        assert!(failure.status.is_empty());
        assert_eq!(failure.warnings.len(), 1);
    }
}
