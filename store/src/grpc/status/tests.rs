//! Every error has the code and the text that etcd gives it.

use super::*;

fn wire(status: Status) -> (Code, String) {
    (status.code(), status.message().to_string())
}

#[test]
fn rejections_have_etcds_codes_and_texts() {
    let cases = [
        (
            Rejection::Compacted {
                compact_revision: 7,
            },
            Code::OutOfRange,
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (
            Rejection::FutureRevision,
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
        ),
        (
            Rejection::KeyNotFound,
            Code::InvalidArgument,
            "etcdserver: key not found",
        ),
        (
            Rejection::LeaseNotFound,
            Code::NotFound,
            "etcdserver: requested lease not found",
        ),
        (
            Rejection::LeaseExists,
            Code::FailedPrecondition,
            "etcdserver: lease already exists",
        ),
        (
            Rejection::NoSpace,
            Code::ResourceExhausted,
            "etcdserver: mvcc: database space exceeded",
        ),
        (
            Rejection::Corrupt,
            Code::DataLoss,
            "etcdserver: corrupt cluster",
        ),
    ];
    for (rejection, code, text) in cases {
        assert_eq!(
            wire(rejected(rejection)),
            (code, text.to_string()),
            "{rejection:?}"
        );
    }
}

#[test]
fn refusals_of_users_and_roles_have_etcds_codes_and_texts() {
    use Code::{FailedPrecondition, InvalidArgument};
    use state_machine::AuthRejection::*;
    let cases = [
        (RootUserNotExist, FailedPrecondition),
        (RootRoleNotExist, FailedPrecondition),
        (UserExists, FailedPrecondition),
        (UserEmpty, InvalidArgument),
        (UserNotFound, FailedPrecondition),
        (RoleExists, FailedPrecondition),
        (RoleEmpty, InvalidArgument),
        (RoleNotFound, FailedPrecondition),
        (RoleNotGranted, FailedPrecondition),
        (PermissionNotGranted, FailedPrecondition),
        (PermissionDenied, Code::PermissionDenied),
        (NotEnabled, FailedPrecondition),
        (Failed, InvalidArgument),
        (InvalidManagement, InvalidArgument),
        (OldRevision, InvalidArgument),
    ];
    for (rejection, code) in cases {
        let text = format!("etcdserver: {rejection}");
        assert_eq!(wire(rejected(rejection)), (code, text));
    }
}

#[test]
fn unavailability_has_etcds_codes_and_texts() {
    let cases = [
        (
            Unavailable::NoLeader,
            Code::Unavailable,
            "etcdserver: no leader",
        ),
        (
            Unavailable::NotLeader,
            Code::Unavailable,
            "etcdserver: leader changed",
        ),
        (
            Unavailable::LeaderChanged,
            Code::Unavailable,
            "etcdserver: leader changed",
        ),
        (
            Unavailable::TimedOut,
            Code::Unavailable,
            "etcdserver: request timed out",
        ),
        (
            Unavailable::TimedOutLeaderFailed,
            Code::Unavailable,
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        (
            Unavailable::Stopped,
            Code::Unavailable,
            "etcdserver: server stopped",
        ),
        (
            Unavailable::TooManyRequests,
            Code::Unknown,
            "etcdserver: too many requests",
        ),
    ];
    for (error, code, text) in cases {
        assert_eq!(
            wire(unavailable(error)),
            (code, text.to_string()),
            "{error:?}"
        );
    }
}

#[test]
fn bad_requests_have_etcds_codes_and_texts() {
    use BadRequest as Bad;
    use Code::{FailedPrecondition, InvalidArgument, OutOfRange};
    let too_many = TxnError::TooManyOperations.into();
    let duplicate = TxnError::DuplicateKey.into();
    let cases: [(Bad, Code, &str); 13] = [
        (Bad::EmptyKey, InvalidArgument, "key is not provided"),
        (Bad::EmptyOperation, InvalidArgument, "key not found"),
        (Bad::ValueProvided, InvalidArgument, "value is provided"),
        (Bad::LeaseProvided, InvalidArgument, "lease is provided"),
        (
            Bad::InvalidSortOption,
            InvalidArgument,
            "invalid sort option",
        ),
        (Bad::TooLarge, InvalidArgument, "request is too large"),
        (
            Bad::InvalidClientApiVersion,
            InvalidArgument,
            "invalid client api version",
        ),
        (
            too_many,
            InvalidArgument,
            "too many operations in txn request",
        ),
        (
            duplicate,
            InvalidArgument,
            "duplicate key given in txn request",
        ),
        (Bad::LeaseTtlTooLarge, OutOfRange, "too large lease TTL"),
        (
            Bad::PermissionNotGiven,
            InvalidArgument,
            "permission not given",
        ),
        (
            Bad::InvalidAuthToken,
            Code::Unauthenticated,
            "invalid auth token",
        ),
        (
            Bad::NotSupportedForLearner,
            FailedPrecondition,
            "rpc not supported for learner",
        ),
    ];
    for (error, code, text) in cases {
        assert_eq!(
            wire(error.into()),
            (code, format!("etcdserver: {text}")),
            "{error:?}"
        );
    }
}

#[test]
fn leadership_transfer_has_etcds_codes_and_texts() {
    let not_leader = wire(move_leader(MoveLeaderError::NotLeader));
    assert_eq!(
        not_leader,
        (Code::FailedPrecondition, "etcdserver: not leader".into())
    );
    let bad = wire(move_leader(MoveLeaderError::BadTransferee));
    assert_eq!(
        bad,
        (
            Code::FailedPrecondition,
            "etcdserver: bad leader transferee".into()
        )
    );
    let stopped = wire(move_leader(Unavailable::Stopped.into()));
    assert_eq!(
        stopped,
        (Code::Unavailable, "etcdserver: server stopped".into())
    );
}
