//! Making tokens.

use jsonwebtoken::{Header, encode};
use objects::{Value, status::Status};
use serde_json::json;

use super::ServiceAccountTokens;
use crate::authn::service_account_name;

/// What a token ends with when it asks for this many seconds in a pod, and how long it lasts then.
const EXTENDED_SECONDS: i64 = 60 * 60 + 7;
const EXTENSION_SECONDS: i64 = 365 * 24 * 60 * 60;

/// An object that a token is good as long as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundObject {
    Pod {
        name: String,
        uid: String,
        /// Name and uid of the node that the pod is on; the uid is empty if the node is not known.
        node: Option<(String, String)>,
    },
    Secret {
        name: String,
        uid: String,
    },
    Node {
        name: String,
        uid: String,
    },
}

/// A token that somebody asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub namespace: String,
    /// Those of the service account.
    pub name: String,
    pub uid: String,
    pub bound: Option<BoundObject>,
    pub audiences: Vec<String>,
    pub expiration_seconds: i64,
}

/// A token that was made.
#[derive(Debug, Clone)]
pub struct Issued {
    pub token: String,
    /// When the client is told that the token ends, in seconds since 1970.
    pub expires_at_seconds: i64,
    /// By what the audit log knows the token.
    pub credential_id: String,
}

impl ServiceAccountTokens {
    /// Makes a token.
    ///
    /// # Errors
    /// 500 if this server cannot sign.
    pub fn issue(&self, wanted: &Wanted, now_seconds: i64) -> Result<Issued, Status> {
        let key = self.settings.signing.as_ref();
        let key =
            key.ok_or_else(|| Status::internal("this server has no key to sign tokens with"))?;
        let id = random_uuid()?;
        let mut lifetime_seconds = wanted.expiration_seconds;
        let mut own = json!({
            "namespace": wanted.namespace,
            "serviceaccount": {"name": wanted.name, "uid": wanted.uid},
        });
        match &wanted.bound {
            None => {}
            Some(BoundObject::Pod { name, uid, node }) => {
                own["pod"] = json!({"name": name, "uid": uid});
                if let Some((name, uid)) = node {
                    own["node"] = reference(name, uid);
                }
                if self.is_extended(wanted) {
                    own["warnafter"] = json!(now_seconds + lifetime_seconds);
                    lifetime_seconds = EXTENSION_SECONDS;
                }
            }
            Some(BoundObject::Secret { name, uid }) => own["secret"] = reference(name, uid),
            Some(BoundObject::Node { name, uid }) => own["node"] = reference(name, uid),
        }
        let claims = json!({
            "aud": wanted.audiences,
            "exp": now_seconds + lifetime_seconds,
            "iat": now_seconds,
            "nbf": now_seconds,
            "iss": self.settings.issuers.first().map_or("", String::as_str),
            "jti": id,
            "kubernetes.io": own,
            "sub": service_account_name(&wanted.namespace, &wanted.name),
        });
        let mut header = Header::new(key.public.algorithm());
        header.typ = None;
        header.kid = Some(key.public.id.clone());
        let token = encode(&header, &claims, &key.encoding)
            .map_err(|fault| Status::internal(format!("failed to generate token: {fault}")))?;
        Ok(Issued {
            token,
            expires_at_seconds: now_seconds + wanted.expiration_seconds,
            credential_id: format!("JTI={id}"),
        })
    }

    /// Whether a token in a pod gets a year instead of its hour: old clients read their token once.
    fn is_extended(&self, wanted: &Wanted) -> bool {
        let own = &self.settings.api_audiences;
        self.settings.extend_expiration
            && wanted.expiration_seconds == EXTENDED_SECONDS
            && wanted
                .audiences
                .iter()
                .all(|audience| own.contains(audience))
    }
}

fn reference(name: &str, uid: &str) -> Value {
    let mut reference = json!({"name": name});
    if !uid.is_empty() {
        reference["uid"] = json!(uid);
    }
    reference
}

/// A random identifier: version 4 of RFC 4122.
fn random_uuid() -> Result<String, Status> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|fault| Status::internal(format!("the system has no randomness: {fault}")))?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    Ok(parts.join("-"))
}
