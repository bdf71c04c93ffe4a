//! Tokens that say by themselves whom they name, signed with a key of the operator's. The claims are etcd's.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::Named;
use crate::config::JwtOptions;

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JwtError {
    /// etcd's text.
    #[error("auth: token signing attempted with verify-only key")]
    VerifyOnly,
    #[error("auth: {0}")]
    Failed(String),
}

/// The methods of `sign-method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignMethod(Algorithm);

impl SignMethod {
    /// The method of a name, if it can be used here.
    pub(crate) fn parse(name: &str) -> Option<SignMethod> {
        name.parse().ok().map(SignMethod)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    username: String,
    revision: u64,
    exp: u64,
}

/// Makes and checks tokens.
pub(crate) struct Jwt {
    method: Algorithm,
    /// None when there is a public key alone.
    signing: Option<EncodingKey>,
    checking: DecodingKey,
    ttl_seconds: u64,
}

impl Jwt {
    /// Reads the keys, and sees that they belong together.
    pub(crate) fn new(options: &JwtOptions) -> anyhow::Result<Jwt> {
        let SignMethod(method) = options.sign_method;
        let public = options.public_key.as_deref().map(read).transpose()?;
        let private = options.private_key.as_deref().map(read).transpose()?;
        let keys = match method {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
                let secret = private
                    .context("--auth-token: priv-key is missing: it is the secret of HS methods")?;
                (
                    Some(EncodingKey::from_secret(&secret)),
                    DecodingKey::from_secret(&secret),
                )
            }
            _ => {
                let signing = private.map(|pem| signing_key(method, &pem)).transpose();
                let signing = signing.context("--auth-token: priv-key cannot be used: it has to be a PEM file (PKCS #8) of a key for the method")?;
                let public = public
                    .context("--auth-token: pub-key is missing: tokens are checked with it")?;
                let checking = checking_key(method, &public);
                (
                    signing,
                    checking.context("--auth-token: pub-key cannot be used: it has to be a PEM file of a key for the method")?,
                )
            }
        };
        let jwt = Jwt {
            method,
            signing: keys.0,
            checking: keys.1,
            ttl_seconds: options.ttl.as_secs(),
        };
        jwt.check_pair()?;
        Ok(jwt)
    }

    fn check_pair(&self) -> anyhow::Result<()> {
        match self.sign("", 0) {
            Err(JwtError::VerifyOnly) => Ok(()),
            Err(error) => bail!("--auth-token: priv-key cannot sign: {error}"),
            Ok(token) if self.verify(&token).is_some() || self.ttl_seconds == 0 => Ok(()),
            Ok(_) => bail!("--auth-token: pub-key and priv-key do not belong together"),
        }
    }

    /// A token of a user whose password was checked at an auth revision.
    pub(crate) fn sign(&self, user: &str, auth_revision: u64) -> Result<String, JwtError> {
        let key = self.signing.as_ref().ok_or(JwtError::VerifyOnly)?;
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since_epoch.map_err(|error| JwtError::Failed(error.to_string()))?;
        let claims = Claims {
            username: user.to_owned(),
            revision: auth_revision,
            exp: now.as_secs() + self.ttl_seconds,
        };
        jsonwebtoken::encode(&Header::new(self.method), &claims, key)
            .map_err(|error| JwtError::Failed(error.to_string()))
    }

    /// Whom a token names, if it is signed with the key by the method, and has not ended.
    pub(crate) fn verify(&self, token: &str) -> Option<Named> {
        let mut validation = Validation::new(self.method);
        validation.leeway = 0;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &validation);
        let claims = claims.ok()?.claims;
        Some(Named {
            user: claims.username,
            auth_revision: Some(claims.revision),
        })
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("--auth-token: cannot read {}", path.display()))
}

fn signing_key(method: Algorithm, pem: &[u8]) -> jsonwebtoken::errors::Result<EncodingKey> {
    match method {
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
        _ => EncodingKey::from_rsa_pem(pem),
    }
}

fn checking_key(method: Algorithm, pem: &[u8]) -> jsonwebtoken::errors::Result<DecodingKey> {
    match method {
        Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
        _ => DecodingKey::from_rsa_pem(pem),
    }
}

#[cfg(test)]
mod tests;
