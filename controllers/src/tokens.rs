//! Tokens of service accounts that lie in secrets: what they claim, and how they are signed.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::der::{self, Parts};
use crate::signing_key::SigningKey;

const ISSUER: &str = "kubernetes/serviceaccount";

/// Whose token it is, and where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) account: &'a str,
    pub(crate) account_uid: &'a str,
    pub(crate) secret: &'a str,
}

/// A token that has no end.
///
/// # Errors
///
/// If the key does not sign.
pub(crate) fn token(key: &SigningKey, subject: Subject<'_>) -> Result<String, String> {
    let (name, coordinate_bytes) = match key.scheme() {
        SignatureScheme::RSA_PKCS1_SHA256 => ("RS256", None),
        SignatureScheme::ECDSA_NISTP256_SHA256 => ("ES256", Some(32)),
        SignatureScheme::ECDSA_NISTP384_SHA384 => ("ES384", Some(48)),
        _ => return Err("tokens are signed with RSA or ECDSA".to_owned()),
    };
    let Subject {
        namespace,
        account,
        account_uid,
        secret,
    } = subject;
    let key_id = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(key.public_der()));
    let header = json!({"alg": name, "kid": key_id});
    let claims = json!({
        "iss": ISSUER,
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret,
        "kubernetes.io/serviceaccount/service-account.name": account,
        "kubernetes.io/serviceaccount/service-account.uid": account_uid,
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    });
    let encode = |part: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let mut signature = key.sign(message.as_bytes())?;
    if let Some(bytes) = coordinate_bytes {
        signature = coordinates(&signature, bytes).ok_or("a signature is damaged")?;
    }
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
    Ok(format!("{message}.{signature}"))
}

/// The two numbers of a signature, each in so many bytes.
fn coordinates(signature: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut pair = Parts(signature).enter(der::SEQUENCE)?;
    let mut all = Vec::with_capacity(2 * bytes);
    for _ in 0..2 {
        let number = pair.tagged(der::INTEGER)?.content;
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        all.resize(all.len() + bytes.checked_sub(number.len())?, 0);
        all.extend_from_slice(number);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;

    use super::*;

    #[test]
    fn a_token_says_whose_it_is_and_is_signed_with_the_key() {
        let pair = KeyPair::generate().unwrap();
        let key = SigningKey::parse(pair.serialize_pem().as_bytes()).unwrap();
        let subject = Subject {
            namespace: "n",
            account: "a",
            account_uid: "u",
            secret: "s",
        };
        let token = token(&key, subject).unwrap();
        let parts: Vec<Vec<u8>> = token
            .split('.')
            .map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap())
            .collect();
        let claims: serde_json::Value = serde_json::from_slice(&parts[1]).unwrap();
        assert_eq!(claims["sub"], "system:serviceaccount:n:a");
        assert_eq!(claims["kubernetes.io/serviceaccount/secret.name"], "s");
        assert_eq!(parts[2].len(), 64);
        let header: serde_json::Value = serde_json::from_slice(&parts[0]).unwrap();
        assert_eq!(header["alg"], "ES256");
    }

    #[test]
    fn numbers_of_a_signature_are_filled_up() {
        let pair = der::part(
            der::SEQUENCE,
            &[
                &der::part(der::INTEGER, &[&[0, 0x80]]),
                &der::part(der::INTEGER, &[&[7]]),
            ],
        );
        assert_eq!(coordinates(&pair, 2).unwrap(), [0, 0x80, 0, 7]);
        assert_eq!(coordinates(&pair, 0), None);
        assert_eq!(coordinates(&[], 2), None);
    }
}
