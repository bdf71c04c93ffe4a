//! Users, roles and who may do what.

use super::Writer;
use crate::auth::{Access, AuthChange, Authenticate, Caller, TokenChange};
use crate::codec::AuthRow;
use crate::command::Command;
use crate::outcome::{Body, Rejection};

impl Writer<'_> {
    pub(super) fn authorize(
        &self,
        caller: Option<&Caller>,
        command: &Command,
    ) -> Result<(), Rejection> {
        let (auth, leases) = (&self.state.auth, &self.state.leases);
        Ok(auth.authorize(leases, caller, Access::Command(command))?)
    }

    pub(super) fn auth_change(&mut self, change: &AuthChange) -> Result<Body, Rejection> {
        let auth = &mut self.state.auth;
        let changed = auth.change(change)?;
        let mut batch = self.run.batch.writer(self.disk);
        batch.auth(AuthRow::stamp(auth.stamp));
        for name in &changed.users {
            batch.auth(AuthRow::user(name, auth.users.get(name)));
        }
        for name in &changed.roles {
            let permissions = auth.roles.get(name).map(|permissions| &permissions[..]);
            batch.auth(AuthRow::role(name, permissions));
        }
        self.run.applied.tokens.extend(changed.tokens);
        Ok(Body::Done)
    }

    pub(super) fn authenticate(&mut self, request: &Authenticate) -> Result<Body, Rejection> {
        self.state.auth.authenticate(request)?;
        self.run.applied.tokens.push(TokenChange::Given {
            command: self.run.applied.outcomes.len(),
            user: request.user.clone(),
            secret: request.secret.clone(),
        });
        Ok(Body::Done)
    }
}
