//! The only map from errors to etcd's gRPC codes and exact texts, which clients compare byte for byte.

mod auth;

use state_machine::{Rejection, TxnError};
use tonic::{Code, Status};

use crate::raft::{MemberError, MemberRefusal};
use crate::replica::{MoveLeaderError, Unavailable};

pub(super) use auth::{jwt, no_password_user, password};

/// What is wrong with a request, seen before anything is read or proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRequest {
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// etcd's answer to an operation of a transaction that is not set.
    #[error("etcdserver: key not found")]
    EmptyOperation,
    #[error("etcdserver: value is provided")]
    ValueProvided,
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    #[error("etcdserver: invalid sort option")]
    InvalidSortOption,
    #[error("etcdserver: too many operations in txn request")]
    TooManyOperations,
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    #[error("etcdserver: request is too large")]
    TooLarge,
    #[error("etcdserver: too large lease TTL")]
    LeaseTtlTooLarge,
    #[error("etcdserver: invalid client api version")]
    InvalidClientApiVersion,
    #[error("etcdserver: rpc not supported for learner")]
    NotSupportedForLearner,
    #[error("etcdserver: invalid alarm request")]
    InvalidAlarm,
    #[error("etcdserver: wrong downgrade target version format")]
    DowngradeFormat,
    #[error("etcdserver: invalid downgrade target version")]
    DowngradeTarget,
    #[error("etcdserver: invalid auth token")]
    InvalidAuthToken,
    #[error("etcdserver: permission not given")]
    PermissionNotGiven,
    #[error("etcdserver: given member URLs are invalid")]
    MemberBadUrls,
}

impl From<BadRequest> for Status {
    fn from(error: BadRequest) -> Status {
        let code = match error {
            BadRequest::LeaseTtlTooLarge => Code::OutOfRange,
            BadRequest::NotSupportedForLearner => Code::FailedPrecondition,
            BadRequest::InvalidAuthToken => Code::Unauthenticated,
            BadRequest::EmptyKey
            | BadRequest::EmptyOperation
            | BadRequest::ValueProvided
            | BadRequest::LeaseProvided
            | BadRequest::InvalidSortOption
            | BadRequest::TooManyOperations
            | BadRequest::DuplicateKey
            | BadRequest::TooLarge
            | BadRequest::InvalidClientApiVersion
            | BadRequest::PermissionNotGiven
            | BadRequest::InvalidAlarm
            | BadRequest::DowngradeFormat
            | BadRequest::DowngradeTarget
            | BadRequest::MemberBadUrls => Code::InvalidArgument,
        };
        Status::new(code, error.to_string())
    }
}

impl From<TxnError> for BadRequest {
    fn from(error: TxnError) -> BadRequest {
        match error {
            TxnError::TooManyOperations => BadRequest::TooManyOperations,
            TxnError::DuplicateKey => BadRequest::DuplicateKey,
        }
    }
}

/// A refusal of the state machine.
pub(crate) fn rejected(rejection: impl Into<Rejection>) -> Status {
    let (code, text) = match rejection.into() {
        Rejection::Compacted { .. } => (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision has been compacted",
        ),
        Rejection::FutureRevision => (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
        ),
        Rejection::KeyNotFound => (Code::InvalidArgument, "etcdserver: key not found"),
        Rejection::LeaseNotFound => (Code::NotFound, "etcdserver: requested lease not found"),
        Rejection::LeaseExists => (Code::FailedPrecondition, "etcdserver: lease already exists"),
        Rejection::NoSpace => (
            Code::ResourceExhausted,
            "etcdserver: mvcc: database space exceeded",
        ),
        Rejection::Corrupt => (Code::DataLoss, "etcdserver: corrupt cluster"),
        Rejection::DowngradeInProgress => (
            Code::FailedPrecondition,
            "etcdserver: cluster has a downgrade job in progress",
        ),
        Rejection::NoDowngrade => (
            Code::FailedPrecondition,
            "etcdserver: no inflight downgrade job",
        ),
        Rejection::Auth(rejection) => auth::rejected(rejection),
    };
    Status::new(code, text)
}

/// The replica could not answer now.
pub(crate) fn unavailable(error: Unavailable) -> Status {
    let (code, text) = match error {
        Unavailable::NoLeader => (Code::Unavailable, NO_LEADER),
        Unavailable::NotLeader | Unavailable::LeaderChanged => {
            (Code::Unavailable, "etcdserver: leader changed")
        }
        Unavailable::TimedOut => (Code::Unavailable, "etcdserver: request timed out"),
        Unavailable::TimedOutLeaderFailed => (
            Code::Unavailable,
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        Unavailable::TooLarge => (Code::InvalidArgument, "etcdserver: request is too large"),
        Unavailable::Stopped => (Code::Unavailable, "etcdserver: server stopped"),
        // etcd maps this one to an error of its client package, which has no code on the wire.
        Unavailable::TooManyRequests => (Code::Unknown, "etcdserver: too many requests"),
    };
    Status::new(code, text)
}

/// A bound of ours is reached. etcd's text, with the code that its client library has for it.
pub(crate) fn too_many_requests() -> Status {
    Status::resource_exhausted("etcdserver: too many requests")
}

/// etcd's text for a missing leader, also used by `Status.errors`.
pub(crate) const NO_LEADER: &str = "etcdserver: no leader";

pub(crate) fn move_leader(error: MoveLeaderError) -> Status {
    match error {
        MoveLeaderError::NotLeader => Status::failed_precondition("etcdserver: not leader"),
        MoveLeaderError::BadTransferee => {
            Status::failed_precondition("etcdserver: bad leader transferee")
        }
        MoveLeaderError::Unavailable(error) => unavailable(error),
    }
}

/// The members were not changed.
pub(crate) fn member(error: MemberError) -> Status {
    let refusal = match error {
        MemberError::Refused(refusal) => refusal,
        MemberError::Unavailable(error) => return unavailable(error),
    };
    let failed = Status::failed_precondition;
    match refusal {
        MemberRefusal::NotFound => Status::not_found("etcdserver: member not found"),
        MemberRefusal::Exists => failed("etcdserver: member ID already exist"),
        MemberRefusal::PeerUrlsExist => failed("etcdserver: Peer URLs already exists"),
        // etcd maps this one to an error of its client package, which has no code on the wire.
        MemberRefusal::NotEnoughStarted => {
            Status::unknown("etcdserver: re-configuration failed due to not enough started members")
        }
        MemberRefusal::Unhealthy => Status::unavailable("etcdserver: unhealthy cluster"),
        MemberRefusal::NotALearner => failed("etcdserver: can only promote a learner member"),
        MemberRefusal::LearnerNotReady => {
            failed("etcdserver: can only promote a learner member which is in sync with leader")
        }
        MemberRefusal::TooManyLearners => failed("etcdserver: too many learner members in cluster"),
    }
}

/// A thread that was to compute an answer panicked.
pub(crate) fn internal(text: &str) -> Status {
    Status::internal(format!("etcdserver: {text}"))
}

#[cfg(test)]
mod tests;
