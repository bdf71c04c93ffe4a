//! The documents by which others learn to check this cluster's tokens.

use std::collections::BTreeSet;

use objects::Value;
use serde_json::json;

use super::ServiceAccountTokens;

/// For how long others may keep the documents.
pub const MAX_AGE_SECONDS: u32 = 3600;

impl ServiceAccountTokens {
    /// `/.well-known/openid-configuration`, with the address of the other document. Nothing if the issuer is no plain https URL.
    #[must_use]
    pub fn issuer_document(&self, keys_url: &str) -> Option<Value> {
        let issuer = self.settings.issuers.first()?;
        let plain = issuer.starts_with("https://") && !issuer.contains(['?', '#']);
        let algorithms: BTreeSet<String> = self
            .settings
            .keys
            .iter()
            .map(|key| format!("{:?}", key.algorithm()))
            .collect();
        plain.then(|| {
            json!({
                "issuer": issuer,
                "jwks_uri": keys_url,
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": algorithms,
            })
        })
    }

    /// `/openid/v1/jwks`: the public keys.
    #[must_use]
    pub fn keys_document(&self) -> Value {
        let keys: Vec<Value> = self.settings.keys.iter().map(|key| key.to_jwk()).collect();
        json!({ "keys": keys })
    }
}
