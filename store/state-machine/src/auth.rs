//! Who may do what: callers, users, roles and permissions as the log carries them and the store keeps them.

mod authorize;
mod change;
mod intervals;

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::command::{Command, KeyRange};
use intervals::Intervals;

pub use authorize::Access;

/// The user that must exist before authentication can be enabled, and the role that may do everything.
pub const ROOT: &str = "root";

/// etcd counts changes to users and roles from 1.
const FIRST_REVISION: u64 = 1;

/// A command and who asks for it. One that carries no caller was sent by a client without credentials, or is older than
/// authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    pub caller: Caller,
    /// Never a [`Command::By`].
    pub command: Command,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The store itself: leases that ran out, automatic compaction, alarms of the quota.
    System,
    /// A user, and the auth revision at which its credentials were looked at.
    User { name: String, auth_revision: u64 },
}

/// One change to users, roles or whether they are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthChange {
    Enable,
    Disable,
    UserAdd {
        name: String,
        /// What the edge made of the password; passwords never reach the log.
        hash: Bytes,
        /// The user is known by certificates alone.
        no_password: bool,
    },
    UserDelete {
        name: String,
    },
    UserChangePassword {
        name: String,
        hash: Bytes,
    },
    UserGrantRole {
        user: String,
        role: String,
    },
    UserRevokeRole {
        user: String,
        role: String,
    },
    RoleAdd {
        name: String,
    },
    RoleDelete {
        name: String,
    },
    RoleGrantPermission {
        role: String,
        permission: Permission,
    },
    RoleRevokePermission {
        role: String,
        keys: KeyRange,
    },
}

/// Gives a user a token. The edge has checked the password against the hash of `checked_revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    pub user: String,
    /// The part of the token that cannot be guessed.
    pub secret: String,
    pub checked_revision: u64,
}

/// What a role may do with a range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    pub kind: PermissionKind,
    pub keys: KeyRange,
}

/// The numbers are etcd's `authpb.Permission.Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionKind {
    Read = 0,
    Write = 1,
    ReadWrite = 2,
}

/// Someone who can log in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// A bcrypt hash; empty when the user has no password.
    pub hash: Bytes,
    pub no_password: bool,
    /// Sorted.
    pub roles: Vec<String>,
}

/// Why a request of somebody was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthRejection {
    #[error("root user does not exist")]
    RootUserNotExist,
    #[error("root user does not have root role")]
    RootRoleNotExist,
    #[error("user name already exists")]
    UserExists,
    #[error("user name is empty")]
    UserEmpty,
    #[error("user name not found")]
    UserNotFound,
    #[error("role name already exists")]
    RoleExists,
    #[error("role name is empty")]
    RoleEmpty,
    #[error("role name not found")]
    RoleNotFound,
    #[error("role is not granted to the user")]
    RoleNotGranted,
    #[error("permission is not granted to the role")]
    PermissionNotGranted,
    #[error("permission denied")]
    PermissionDenied,
    #[error("authentication is not enabled")]
    NotEnabled,
    #[error("authentication failed, invalid user ID or password")]
    Failed,
    #[error("invalid auth management")]
    InvalidManagement,
    #[error("revision of auth store is old")]
    OldRevision,
}

/// How tokens changed, in the order it happened. Tokens themselves live outside the state machine, for they end by clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenChange {
    /// The command at this place of the run gave a user a token.
    Given {
        command: usize,
        user: String,
        secret: String,
    },
    /// All tokens of a user end.
    EndOf { user: String },
    /// All tokens end.
    End,
}

/// Whether authentication is on and how often it changed, in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthStamp {
    pub enabled: bool,
    pub revision: u64,
}

impl AuthStamp {
    pub(crate) fn to_bits(self) -> u64 {
        self.revision << 1 | u64::from(self.enabled)
    }

    pub(crate) fn from_bits(bits: u64) -> AuthStamp {
        AuthStamp {
            enabled: bits & 1 != 0,
            revision: bits >> 1,
        }
    }
}

/// All users and roles.
#[derive(Debug, Clone)]
pub(crate) struct Auth {
    pub(crate) stamp: AuthStamp,
    pub(crate) users: BTreeMap<String, User>,
    /// The permissions of each role, by the start of their keys.
    pub(crate) roles: BTreeMap<String, Vec<Permission>>,
    /// What each user may read and write, made from the above.
    merged: BTreeMap<String, Merged>,
}

/// The permissions of all roles of a user together.
#[derive(Debug, Clone, Default)]
struct Merged {
    is_root: bool,
    read: Intervals,
    write: Intervals,
}

impl Default for Auth {
    fn default() -> Auth {
        let stamp = AuthStamp {
            enabled: false,
            revision: FIRST_REVISION,
        };
        Auth::of(stamp, BTreeMap::new(), BTreeMap::new())
    }
}

impl Auth {
    pub(crate) fn of(
        stamp: AuthStamp,
        users: BTreeMap<String, User>,
        roles: BTreeMap<String, Vec<Permission>>,
    ) -> Auth {
        let mut auth = Auth {
            stamp,
            users,
            roles,
            merged: BTreeMap::new(),
        };
        auth.merge();
        auth
    }

    /// Makes the merged permissions anew. Users and roles change rarely and are looked at often.
    fn merge(&mut self) {
        let merged = self.users.iter().map(|(name, user)| {
            let permissions = || user.roles.iter().filter_map(|role| self.roles.get(role));
            let keys = |kind: PermissionKind| {
                let grants = move |permission: &&Permission| {
                    permission.kind == kind || permission.kind == PermissionKind::ReadWrite
                };
                Intervals::of(
                    permissions()
                        .flatten()
                        .filter(grants)
                        .map(|permission| &permission.keys),
                )
            };
            let merged = Merged {
                is_root: user.has_root_role(),
                read: keys(PermissionKind::Read),
                write: keys(PermissionKind::Write),
            };
            (name.clone(), merged)
        });
        self.merged = merged.collect();
    }
}

impl Command {
    /// The command in the name of a caller.
    pub fn by(self, caller: Caller) -> Command {
        Command::By(Box::new(By {
            caller,
            command: self,
        }))
    }
}

impl User {
    pub fn has_root_role(&self) -> bool {
        self.roles.iter().any(|role| role == ROOT)
    }
}
