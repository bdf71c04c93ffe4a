//! Whether somebody is who it says: passwords, tokens, and how the operator wants both.

mod jwt;
mod passwords;
mod tokens;

use std::sync::Arc;

use jwt::Jwt;
pub(crate) use jwt::{JwtError, SignMethod};
pub(crate) use passwords::PasswordError;
use passwords::Passwords;
pub(crate) use tokens::{Tokens, new_secret};

use crate::config::{Authentication, TokenKind};

/// Knows tokens and passwords.
pub(crate) struct Authenticator {
    /// Simple tokens. With `jwt` nobody is given one.
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) jwt: Option<Jwt>,
    pub(crate) passwords: Passwords,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) user: String,
    /// The auth revision the token was made at; none for a token that is as good as its user is now.
    pub(crate) auth_revision: Option<u64>,
}

impl Authenticator {
    /// Reads the key files that the settings name.
    pub(crate) fn new(settings: &Authentication) -> anyhow::Result<Authenticator> {
        let jwt = match &settings.token {
            TokenKind::Simple => None,
            TokenKind::Jwt(options) => Some(Jwt::new(options)?),
        };
        Ok(Authenticator {
            tokens: Arc::new(Tokens::new(settings.token_ttl)),
            jwt,
            passwords: Passwords::new(settings.bcrypt_cost),
        })
    }

    /// The log index that a simple token was given at, if it looks like one.
    pub(crate) fn index_of(&self, token: &str) -> Option<u64> {
        let is_simple = self.jwt.is_none();
        tokens::index_of(token).filter(|_| is_simple)
    }

    /// Whom a token names, if it is good.
    pub(crate) fn user_of(&self, token: &str) -> Option<Named> {
        match &self.jwt {
            Some(jwt) => jwt.verify(token),
            None => self.tokens.user_of(token).map(|user| Named {
                user,
                auth_revision: None,
            }),
        }
    }
}
