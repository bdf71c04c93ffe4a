//! Who a request comes from, and whether it may be served.

mod rule;

use std::sync::Arc;

use state_machine::{Access, AuthRejection, AuthStamp, Caller, Command, Response, StateMachine};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

pub(super) use rule::Rule;

use super::Edge;
use super::rates::Touches;
use super::status::{BadRequest, rejected};
use crate::authn::Named;

/// etcd's metadata keys of a token: of gRPC clients, and of the JSON gateway.
pub(super) const TOKEN: &str = "token";
const AUTHORIZATION: &str = "authorization";
pub(super) const BEARER: &str = "Bearer ";
/// Set by gateways, which connect with a certificate of their own: its name says nothing about the client.
pub(super) const GATEWAY: &str = "grpcgateway-accept";

/// Common name of the client's certificate, which was verified in the handshake; among a request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateCommonName(pub(crate) String);

/// What a client shows of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    token: Option<String>,
    common_name: Option<String>,
}

impl Credentials {
    /// The credentials of a request, or of the request that it is a part of.
    pub(crate) fn of<T>(request: &Request<T>) -> Credentials {
        let extensions = request.extensions();
        if let Some(outer) = extensions.get::<Credentials>() {
            return outer.clone();
        }
        Credentials::read(request.metadata(), extensions.get())
    }

    fn read(metadata: &MetadataMap, name: Option<&CertificateCommonName>) -> Credentials {
        let token = metadata.get(TOKEN).or_else(|| metadata.get(AUTHORIZATION));
        let token = token.map(|token| {
            // What is no text is no token, and is refused as one.
            let token = token.to_str().unwrap_or_default();
            token.strip_prefix(BEARER).unwrap_or(token).to_owned()
        });
        let is_own = !metadata.contains_key(GATEWAY);
        let common_name = name.filter(|_| is_own).map(|name| name.0.clone());
        Credentials { token, common_name }
    }

    pub(super) fn of_head<B>(head: &http::Request<B>) -> Credentials {
        let metadata = MetadataMap::from_headers(head.headers().clone());
        Credentials::read(&metadata, head.extensions().get())
    }

    /// A request that is a part of one with these credentials.
    pub(super) fn on<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(self.clone());
        request
    }
}

/// A read that was allowed, of one state.
pub(super) struct Admitted {
    pub(super) machine: Arc<StateMachine>,
    stamp: AuthStamp,
}

impl Admitted {
    /// Refuses what was read if users or roles changed since it was allowed.
    pub(super) fn confirm(&self) -> Result<(), Status> {
        let now = self.machine.auth_stamp();
        if now.enabled && now != self.stamp {
            return Err(rejected(AuthRejection::OldRevision));
        }
        Ok(())
    }
}

impl Edge {
    /// Whether authentication is on, as far as is known without a look at the state: one load. While it is just going on,
    /// a request without credentials gets further, and is refused where it is read or applied.
    pub(super) fn auth_enabled(&self) -> bool {
        self.replica.authenticator().tokens.are_wanted()
    }

    /// The credentials of a short request, if they matter.
    pub(super) fn credentials<T>(&self, request: &Request<T>) -> Credentials {
        if self.auth_enabled() {
            Credentials::of(request)
        } else {
            Credentials::default()
        }
    }

    /// Refuses a request of a client that comes too often. What is done for a lock or an election is not counted.
    pub(super) fn check_rate<T: Touches>(&self, request: &Request<T>) -> Result<(), Status> {
        if request.extensions().get::<Credentials>().is_some() {
            return Ok(());
        }
        self.check_rate_of(|| Credentials::of(request), request.get_ref())
    }

    /// The same for a message that came in a stream with these credentials.
    pub(super) fn check_rate_of(
        &self,
        credentials: impl FnOnce() -> Credentials,
        message: &impl Touches,
    ) -> Result<(), Status> {
        let rates = &self.limits.rates;
        let user = if rates.knows_users() {
            self.name_of(credentials())
        } else {
            None
        };
        rates.admit(user.as_deref(), message)
    }

    /// The user of a token that is known, or whom the certificate names. Without authentication a token is any text.
    fn name_of(&self, credentials: Credentials) -> Option<String> {
        let Credentials { token, common_name } = credentials;
        match token.filter(|_| self.auth_enabled()) {
            Some(token) => {
                let named = self.replica.authenticator().user_of(&token);
                named.map(|named| named.user)
            }
            None => common_name,
        }
    }

    /// Whether a client may do something, as far as this replica has applied the log.
    pub(super) async fn admit(
        &self,
        credentials: &Credentials,
        access: Access<'_>,
    ) -> Result<Admitted, Status> {
        let machine = self.replica.machine();
        let stamp = machine.auth_stamp();
        if !stamp.enabled {
            return Ok(Admitted { machine, stamp });
        }
        let caller = self.caller(credentials).await?;
        // Who the client is may have taken a while to find out.
        let machine = self.replica.machine();
        let stamp = machine.auth_stamp();
        let admitted = machine.authorize(caller.as_ref(), access);
        admitted.map_err(rejected)?;
        Ok(Admitted { machine, stamp })
    }

    /// The same of a whole request, once its message is there: what the router let in may have waited for that for long.
    pub(super) async fn admit_request<T>(
        &self,
        request: &Request<T>,
        access: Access<'_>,
    ) -> Result<(), Status> {
        self.admit(&Credentials::of(request), access)
            .await
            .map(drop)
    }

    /// Whether a client may do something, as far as anything was acknowledged. Nothing is waited for while
    /// authentication is off.
    pub(super) async fn admit_now(
        &self,
        credentials: &Credentials,
        access: Access<'_>,
    ) -> Result<(), Status> {
        if self.auth_enabled() {
            self.read_barrier().await?;
            self.admit(credentials, access).await?;
        }
        Ok(())
    }

    /// Proposes a command of a client. Whether it is allowed is decided where it is applied.
    pub(super) async fn propose_for(
        &self,
        credentials: &Credentials,
        command: Command,
    ) -> Result<Response, Status> {
        if !self.auth_enabled() {
            return self.propose(command).await;
        }
        let caller = self.caller(credentials).await?;
        let caller = caller.ok_or_else(|| rejected(AuthRejection::UserEmpty))?;
        self.propose(command.by(caller)).await
    }

    /// Who a client is while authentication is on; none when it shows nothing.
    async fn caller(&self, credentials: &Credentials) -> Result<Option<Caller>, Status> {
        // Before the token is looked at: a change that ends the token must make this old.
        let auth_revision = self.replica.machine().auth_stamp().revision;
        if let Some(token) = &credentials.token {
            let named = match self.replica.authenticator().user_of(token) {
                Some(named) => Some(named),
                None => self.user_of_newer(token).await?,
            };
            let named = named.ok_or(BadRequest::InvalidAuthToken)?;
            self.count_user(&named.user);
            return Ok(Some(Caller::User {
                name: named.user,
                auth_revision: named.auth_revision.unwrap_or(auth_revision),
            }));
        }
        let name = credentials.common_name.clone();
        Ok(name.map(|name| {
            self.count_user(&name);
            Caller::User {
                name,
                auth_revision,
            }
        }))
    }

    fn count_user(&self, name: &str) {
        let users = &self.metrics.users;
        users.at(users.place(name.as_bytes())).add(1);
    }

    /// Another member may have given a token that this one has yet to hear of.
    async fn user_of_newer(&self, token: &str) -> Result<Option<Named>, Status> {
        let authenticator = self.replica.authenticator();
        let index = authenticator.index_of(token);
        if index.is_none_or(|index| self.replica.has_applied(index)) {
            return Ok(None);
        }
        self.read_barrier().await?;
        Ok(authenticator.user_of(token))
    }
}

#[cfg(test)]
mod tests;
