//! etcd's codes and texts for what has to do with users and roles.

use state_machine::AuthRejection;
use tonic::{Code, Status};

use super::internal;
use crate::authn::{JwtError, PasswordError};

/// A refusal of the state machine.
pub(super) fn rejected(rejection: AuthRejection) -> (Code, &'static str) {
    use Code::{FailedPrecondition, InvalidArgument, PermissionDenied};
    match rejection {
        AuthRejection::RootUserNotExist => {
            (FailedPrecondition, "etcdserver: root user does not exist")
        }
        AuthRejection::RootRoleNotExist => (
            FailedPrecondition,
            "etcdserver: root user does not have root role",
        ),
        AuthRejection::UserExists => (FailedPrecondition, "etcdserver: user name already exists"),
        AuthRejection::UserEmpty => (InvalidArgument, "etcdserver: user name is empty"),
        AuthRejection::UserNotFound => (FailedPrecondition, "etcdserver: user name not found"),
        AuthRejection::RoleExists => (FailedPrecondition, "etcdserver: role name already exists"),
        AuthRejection::RoleEmpty => (InvalidArgument, "etcdserver: role name is empty"),
        AuthRejection::RoleNotFound => (FailedPrecondition, "etcdserver: role name not found"),
        AuthRejection::RoleNotGranted => (
            FailedPrecondition,
            "etcdserver: role is not granted to the user",
        ),
        AuthRejection::PermissionNotGranted => (
            FailedPrecondition,
            "etcdserver: permission is not granted to the role",
        ),
        AuthRejection::PermissionDenied => (PermissionDenied, "etcdserver: permission denied"),
        AuthRejection::NotEnabled => (
            FailedPrecondition,
            "etcdserver: authentication is not enabled",
        ),
        AuthRejection::Failed => (
            InvalidArgument,
            "etcdserver: authentication failed, invalid user ID or password",
        ),
        AuthRejection::InvalidManagement => {
            (InvalidArgument, "etcdserver: invalid auth management")
        }
        AuthRejection::OldRevision => {
            (InvalidArgument, "etcdserver: revision of auth store is old")
        }
    }
}

/// A password of a user that has none. etcd has no code for it.
pub(in crate::grpc) fn no_password_user() -> Status {
    Status::unknown("auth: authentication failed, password was given for no password user")
}

/// A password that was not hashed.
pub(in crate::grpc) fn password(error: PasswordError) -> Status {
    match error {
        // etcd maps neither, and the code of both is none.
        PasswordError::TooLong => Status::unknown(error.to_string()),
        PasswordError::TooMany => Status::unknown("etcdserver: too many requests"),
        PasswordError::Failed(text) => internal(&text),
    }
}

/// A token that was not signed. etcd has no code for it.
pub(in crate::grpc) fn jwt(error: JwtError) -> Status {
    Status::unknown(error.to_string())
}
