//! Who somebody is: client certificates, tokens, and those who say nothing.

mod bootstrap_tokens;
mod certificate;
pub(crate) mod clock;
mod csv;
mod der;
mod front_proxy;
pub mod impersonation;
pub mod keys;
mod names;
pub mod review;
pub mod service_accounts;
mod static_tokens;

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};
use objects::status::{Reason, Status};
use rustls::pki_types::CertificateDer;

pub(crate) use certificate::{request_common_name, request_organizations};
pub use clock::Clock;
pub use front_proxy::FrontProxies;
pub(crate) use names::node_name;
pub use names::{service_account_groups, service_account_name, split_service_account_name};
pub use static_tokens::StaticTokens;

use self::service_accounts::ServiceAccountTokens;
use crate::objects_view::ObjectsView;
use crate::user::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User};

/// The most bytes of a token that is looked at.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// What a request says about who sends it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The client's certificate and those it is signed with, which the TLS of the port has verified; none if it sent none.
    pub certificates: &'a [CertificateDer<'a>],
    pub token: Option<&'a str>,
    /// The headers in which a server in front says for whom it asks.
    pub headers: Option<&'a HeaderMap>,
}

impl<'a> Credentials<'a> {
    /// The credentials of a request: the certificates of its connection, and the token in its headers.
    #[must_use]
    pub fn of(certificates: &'a [CertificateDer<'a>], headers: &'a HeaderMap) -> Credentials<'a> {
        Credentials {
            certificates,
            token: bearer_token(headers),
            headers: Some(headers),
        }
    }
}

/// The token of the header `Authorization: Bearer`.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, rest) = text.split_once(' ')?;
    bearer_word(rest).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}

/// The token of what comes after the scheme: the first word, before which there are no spaces.
fn bearer_word(text: &str) -> Option<&str> {
    text.split(' ').next().filter(|token| !token.is_empty())
}

/// Who somebody is found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: User,
    /// Those of the audiences that were asked for, which the credentials are meant for.
    pub audiences: Vec<String>,
}

/// Somebody, nobody that is known here, or why the credentials are refused.
type Found = Result<Option<Identity>, Refusal>;

/// Why credentials are refused.
#[derive(Debug)]
struct Refusal {
    why: String,
    /// Whether they are good but for objects that this server has not seen, which may have been made a moment ago.
    is_unseen: bool,
}

impl Refusal {
    fn unseen(why: impl Into<String>) -> Refusal {
        Refusal {
            why: why.into(),
            is_unseen: true,
        }
    }
}

impl<T: Into<String>> From<T> for Refusal {
    fn from(why: T) -> Refusal {
        Refusal {
            why: why.into(),
            is_unseen: false,
        }
    }
}

/// What is known about who may come in.
pub struct Options {
    pub static_tokens: StaticTokens,
    /// None if this server knows no keys of service accounts.
    pub service_accounts: Option<Arc<ServiceAccountTokens>>,
    /// The secrets to look for tokens of new nodes in; none if those do not come in.
    pub bootstrap_secrets: Option<Arc<dyn ObjectsView>>,
    /// The servers in front; none if nobody is believed to be one.
    pub front_proxies: Option<FrontProxies>,
    /// Whether those who say nothing are let in as anonymous.
    pub anonymous: bool,
    /// The audiences of this server; none if it asks nobody whom credentials are meant for.
    pub api_audiences: Vec<String>,
    pub clock: Clock,
}

/// The door: the ways to know somebody, asked one after the other.
pub struct Authenticator {
    options: Options,
}

impl Authenticator {
    #[must_use]
    pub fn new(options: Options) -> Authenticator {
        Authenticator { options }
    }

    /// Who sends a request; nothing if nobody says anything and anonymous requests are off, which is a 401 as well. `catch_up` is
    /// awaited before a token is refused that is signed well and speaks of objects that were not seen yet.
    ///
    /// # Errors
    /// 401 for credentials that are not good. Whoever sends some is not anonymous.
    pub async fn authenticate(
        &self,
        credentials: &Credentials<'_>,
        catch_up: impl Future<Output = ()>,
    ) -> Result<Option<Identity>, Status> {
        let found = match self.identify(credentials) {
            Err(refusals) if refusals.iter().any(|refusal| refusal.is_unseen) => {
                catch_up.await;
                self.identify(credentials)
            }
            found => found,
        };
        found.map_err(|refusals| {
            tracing::debug!(?refusals, "credentials are refused");
            Status::new(Reason::Unauthorized, "Unauthorized")
        })
    }

    fn identify(&self, credentials: &Credentials<'_>) -> Result<Option<Identity>, Vec<Refusal>> {
        let mut errors = Vec::new();
        for ask in [Self::front_proxy, Self::certificate] {
            match ask(self, credentials) {
                Ok(Some(identity)) => return Ok(Some(identity)),
                Ok(None) => {}
                Err(why) => errors.push(why),
            }
        }
        if let Some(token) = credentials.token {
            match self.identify_token(token, &self.options.api_audiences) {
                Ok(identity) => return Ok(Some(identity)),
                Err(why) => errors.push(why),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(self.options.anonymous.then(|| Identity {
            user: User::anonymous(),
            audiences: self.options.api_audiences.clone(),
        }))
    }

    /// Removes what a server in front may say about for whom it asks, and anybody else may make up.
    pub fn strip(&self, headers: &mut HeaderMap) {
        front_proxy::strip(self.options.front_proxies.as_ref(), headers);
    }

    fn front_proxy(&self, credentials: &Credentials<'_>) -> Found {
        let (Some(proxies), Some(headers)) = (&self.options.front_proxies, credentials.headers)
        else {
            return Ok(None);
        };
        let now_seconds = self.options.clock.now_seconds();
        let user = proxies.identify(credentials.certificates, headers, now_seconds)?;
        Ok(user.map(|user| self.for_us(user)))
    }

    fn certificate(&self, credentials: &Credentials<'_>) -> Found {
        let Some(own) = credentials.certificates.first() else {
            return Ok(None);
        };
        // The port lets in servers in front as well, who are no users by their certificate.
        if let Some(proxies) = &self.options.front_proxies {
            let Some(users) = &proxies.users else {
                return Ok(None);
            };
            front_proxy::verify(users.as_ref(), credentials.certificates)?;
        }
        let user = certificate::identify(own, self.options.clock.now_seconds())?;
        Ok(user.map(|user| self.for_us(user)))
    }

    fn for_us(&self, user: User) -> Identity {
        Identity {
            user: authenticated(user),
            audiences: self.options.api_audiences.clone(),
        }
    }

    /// Whose token it is, if it is meant for one of these audiences, or if none are asked for.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub fn token(&self, token: &str, audiences: &[String]) -> Result<Identity, String> {
        let found = self.identify_token(token, audiences);
        found.map_err(|refusal| refusal.why)
    }

    fn identify_token(&self, token: &str, audiences: &[String]) -> Result<Identity, Refusal> {
        let unknown = "invalid bearer token";
        if token.len() > TOKEN_BYTES_MAX {
            return Err(unknown.into());
        }
        // Most tokens do not say whom they are meant for: they are meant for this server.
        let own: Vec<String> = audiences
            .iter()
            .filter(|audience| self.options.api_audiences.contains(audience))
            .cloned()
            .collect();
        let meant = |user: Option<User>| {
            let user = user.filter(|_| audiences.is_empty() || !own.is_empty())?;
            Some(Identity {
                user: authenticated(user),
                audiences: own.clone(),
            })
        };
        if let Some(identity) = meant(self.options.static_tokens.identify(token)) {
            return Ok(identity);
        }
        let mut errors = vec![unknown.to_owned()];
        let mut is_unseen = false;
        match self.service_account(token, audiences) {
            Ok(Some(identity)) => return Ok(identity),
            Ok(None) => {}
            Err(refusal) => {
                errors.push(refusal.why);
                is_unseen = refusal.is_unseen;
            }
        }
        meant(self.bootstrap(token)).ok_or_else(|| Refusal {
            why: objects::invalid::aggregate(&errors),
            is_unseen,
        })
    }

    fn service_account(&self, token: &str, audiences: &[String]) -> Found {
        match &self.options.service_accounts {
            Some(tokens) => tokens.identify(token, audiences),
            None => Ok(None),
        }
    }

    fn bootstrap(&self, token: &str) -> Option<User> {
        let view = self.options.bootstrap_secrets.as_ref()?;
        bootstrap_tokens::identify(token, view.as_ref(), self.options.clock.now_seconds())
    }
}

/// Somebody with the group of those who are known.
pub(crate) fn authenticated(mut user: User) -> User {
    let decided = user.is_in(AUTHENTICATED) || user.is_in(UNAUTHENTICATED);
    if user.name != ANONYMOUS && !decided {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

#[cfg(test)]
mod tests;
