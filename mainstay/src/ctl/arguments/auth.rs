//! Of auth, user and role.

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Copy, Subcommand)]
pub(in super::super) enum Auth {
    /// Enables authentication
    Enable,
    /// Disables authentication
    Disable,
    /// Returns authentication status
    Status,
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum User {
    /// Adds a new user, NAME or NAME:PASSWORD
    Add {
        name: String,
        #[command(flatten)]
        password: NewPassword,
        /// The user proves who it is by its certificate alone
        #[arg(long)]
        no_password: bool,
    },
    /// Deletes a user
    Delete { name: String },
    /// Gets detailed information of a user
    Get {
        name: String,
        /// Also what its roles permit
        #[arg(long)]
        detail: bool,
    },
    /// Lists all users
    List,
    /// Changes password of user
    Passwd {
        name: String,
        #[command(flatten)]
        password: NewPassword,
    },
    /// Grants a role to a user
    GrantRole { name: String, role: String },
    /// Revokes a role from a user
    RevokeRole { name: String, role: String },
}

#[derive(Debug, Clone, Args)]
pub(in super::super) struct NewPassword {
    /// The password, instead of asking for it
    #[arg(long)]
    pub(in super::super) new_user_password: Option<String>,
    /// Ask twice; otherwise the password is the first line of the input
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(in super::super) interactive: bool,
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum Role {
    /// Adds a new role
    Add { name: String },
    /// Deletes a role
    Delete { name: String },
    /// Gets detailed information of a role
    Get { name: String },
    /// Lists all roles
    List,
    /// Grants a key to a role
    GrantPermission {
        name: String,
        /// read, write or readwrite
        permission: String,
        #[command(flatten)]
        keys: PermittedKeys,
    },
    /// Revokes a key from a role
    RevokePermission {
        name: String,
        #[command(flatten)]
        keys: PermittedKeys,
    },
}

#[derive(Debug, Clone, Args)]
pub(in super::super) struct PermittedKeys {
    pub(in super::super) key: String,
    pub(in super::super) range_end: Option<String>,
    /// Keys that begin with the key
    #[arg(long)]
    pub(in super::super) prefix: bool,
    /// Keys from the key on
    #[arg(long)]
    pub(in super::super) from_key: bool,
}
