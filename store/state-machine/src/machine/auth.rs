//! Users and roles as the edge asks for them.

use std::sync::atomic::Ordering;

use super::StateMachine;
use crate::auth::{Access, AuthRejection, AuthStamp, Caller, Permission, User};

impl StateMachine {
    /// Whether authentication is on, and how often it changed. One atomic load.
    pub fn auth_stamp(&self) -> AuthStamp {
        AuthStamp::from_bits(self.shared.auth_stamp.load(Ordering::Acquire))
    }

    /// Whether a caller may do something, as far as this replica has applied the log.
    pub fn authorize(
        &self,
        caller: Option<&Caller>,
        access: Access<'_>,
    ) -> Result<(), AuthRejection> {
        let state = self.shared.state.read();
        state.auth.authorize(&state.leases, caller, access)
    }

    /// A user, and the auth revision it was looked at.
    pub fn user(&self, name: &str) -> Option<(u64, User)> {
        let state = self.shared.state.read();
        let user = state.auth.users.get(name)?;
        Some((state.auth.stamp.revision, user.clone()))
    }

    /// Names of all users, sorted.
    pub fn users(&self) -> Vec<String> {
        let state = self.shared.state.read();
        state.auth.users.keys().cloned().collect()
    }

    /// Permissions of a role, by the start of their keys.
    pub fn role(&self, name: &str) -> Option<Vec<Permission>> {
        self.shared.state.read().auth.roles.get(name).cloned()
    }

    /// Names of all roles, sorted.
    pub fn roles(&self) -> Vec<String> {
        let state = self.shared.state.read();
        state.auth.roles.keys().cloned().collect()
    }
}
