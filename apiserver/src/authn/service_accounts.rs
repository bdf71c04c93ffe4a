//! Tokens of service accounts: signed by this cluster, and good as long as what they are bound to exists.

mod bound;
mod claims;
pub mod discovery;
mod issue;
mod legacy;
mod request;
mod verified;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use objects::{Value, meta};

pub use issue::{BoundObject, Issued, Wanted};
pub use request::Answer;

use self::{claims::Claims, verified::Verified};
use super::{
    Clock, Found, Identity, authenticated,
    keys::{PrivateKey, PublicKey},
};
use crate::objects_view::ObjectsView;

/// The issuer of tokens that lie in secrets.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// How the tokens of this cluster are made and checked.
pub struct Settings {
    /// The first makes tokens, all are good.
    pub issuers: Vec<String>,
    pub keys: Vec<PublicKey>,
    /// None if this server makes no tokens.
    pub signing: Option<PrivateKey>,
    /// The audiences of this server.
    pub api_audiences: Vec<String>,
    /// The most seconds that a token is made for; 0 for no such limit.
    pub expiration_seconds_max: i64,
    /// Whether tokens in pods that ask for an hour last a year, with a warning time in them.
    pub extend_expiration: bool,
    pub clock: Clock,
}

/// The tokens of service accounts.
pub struct ServiceAccountTokens {
    settings: Settings,
    view: Arc<dyn ObjectsView>,
    verified: Verified,
}

impl ServiceAccountTokens {
    #[must_use]
    pub fn new(settings: Settings, view: Arc<dyn ObjectsView>) -> ServiceAccountTokens {
        ServiceAccountTokens {
            settings,
            view,
            verified: Verified::default(),
        }
    }

    /// Whose token it is, if it is meant for one of these audiences; nobody if it was not made here.
    ///
    /// # Errors
    /// Why a token that was made here is not good.
    pub(super) fn identify(&self, token: &str, audiences: &[String]) -> Found {
        let Some(issuer) = issuer_unverified(token) else {
            return Ok(None);
        };
        let legacy = issuer == LEGACY_ISSUER;
        if !legacy && !self.settings.issuers.contains(&issuer) {
            return Ok(None);
        }
        let Some(claims) = self.verified.claims(token, &self.settings.keys)? else {
            return Ok(None);
        };
        let audiences = self.audiences(&claims, audiences)?;
        let user = if legacy {
            legacy::validate(&claims, token, self.view.as_ref())?
        } else {
            let now_seconds = self.settings.clock.now_seconds();
            bound::validate(&claims, self.view.as_ref(), now_seconds)?
        };
        Ok(Some(Identity {
            user: authenticated(user),
            audiences,
        }))
    }

    /// Those of the wanted audiences that the token is meant for. A token without any is meant for this server.
    fn audiences(&self, claims: &Claims, wanted: &[String]) -> Result<Vec<String>, String> {
        let own = match claims.audiences() {
            own if own.is_empty() => self.settings.api_audiences.clone(),
            own => own,
        };
        let both: Vec<String> = own
            .iter()
            .filter(|audience| wanted.contains(audience))
            .cloned()
            .collect();
        if both.is_empty() && !self.settings.api_audiences.is_empty() {
            let told = |audiences: &[String]| {
                let quoted: Vec<String> = audiences.iter().map(|own| format!("{own:?}")).collect();
                format!("[{}]", quoted.join(" "))
            };
            return Err(format!(
                "token audiences {} is invalid for the target audiences {}",
                told(&own),
                told(wanted)
            ));
        }
        Ok(both)
    }
}

/// The issuer that a token names. Nothing of it has been checked.
fn issuer_unverified(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(meta::text(&payload, &["iss"]).to_owned())
}
