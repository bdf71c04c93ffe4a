//! Which tokens sign, what their signatures are, and how long they are good.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

const NAME_PREFIX: &str = "bootstrap-token-";
const CONTENT: &str = "kubeconfig";
const SIGNATURE_PREFIX: &str = "jws-kubeconfig-";
/// Bytes that the hash takes at a time.
const BLOCK_BYTES: usize = 64;

/// How long a token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Endless,
    Left(Duration),
    Over,
}

fn field<'a>(secret: &'a Secret, name: &str) -> &'a str {
    let data = secret.data.as_ref().and_then(|data| data.get(name));
    let text = data.and_then(|bytes| std::str::from_utf8(&bytes.0).ok());
    text.unwrap_or_default()
}

/// A time that cannot be read is over.
pub(super) fn life(secret: &Secret, now: Timestamp) -> Life {
    let text = field(secret, "expiration");
    if text.is_empty() {
        return Life::Endless;
    }
    let end: Option<Timestamp> = text.parse().ok();
    let left = end.and_then(|end| Duration::try_from(end.duration_since(now)).ok());
    match left {
        Some(left) if !left.is_zero() => Life::Left(left),
        _ => Life::Over,
    }
}

/// The name and the secret part of a token that may sign.
pub(super) fn token(secret: &Secret, now: Timestamp) -> Option<(String, String)> {
    let name = secret.metadata.name.as_deref()?;
    let id = name.strip_prefix(NAME_PREFIX)?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_id = id.len() == 6 && id.bytes().all(is_plain);
    let signs = field(secret, "usage-bootstrap-signing") == "true";
    let own = field(secret, "token-secret");
    let fits = is_id && field(secret, "token-id") == id && signs && !own.is_empty();
    (fits && life(secret, now) != Life::Over).then(|| (id.to_owned(), own.to_owned()))
}

/// A merge patch that gives the config map one signature of each token, and no others. Nothing if it has them.
pub(super) fn signatures(map: &ConfigMap, tokens: &BTreeMap<String, String>) -> Option<Value> {
    let data = map.data.as_ref()?;
    let content = data.get(CONTENT)?;
    let mut change = Map::new();
    for name in data.keys() {
        let id = name.strip_prefix(SIGNATURE_PREFIX);
        if id.is_some_and(|id| !tokens.contains_key(id)) {
            change.insert(name.clone(), Value::Null);
        }
    }
    for (id, secret) in tokens {
        let name = format!("{SIGNATURE_PREFIX}{id}");
        let signature = signature(content, id, secret);
        if data.get(&name) != Some(&signature) {
            change.insert(name, json!(signature));
        }
    }
    (!change.is_empty()).then(|| json!({"data": change}))
}

/// A JSON web signature without what it signs.
fn signature(content: &str, id: &str, secret: &str) -> String {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let header = encode(json!({"alg": "HS256", "kid": id}).to_string().as_bytes());
    let message = format!("{header}.{}", encode(content.as_bytes()));
    let signature = encode(&keyed_hash(secret.as_bytes(), message.as_bytes()));
    format!("{header}..{signature}")
}

/// HMAC with SHA-256.
fn keyed_hash(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(message);
    let outer = Sha256::new().chain_update(padded(0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(name: &str, fields: &[(&str, &str)]) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let data = fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), bytes(text)));
        secret.data = Some(data.collect());
        secret
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_keyed_hash_is_that_of_the_standard() {
        // The second case of RFC 4231, and the sixth, whose key is longer than a block.
        for (key, message, expected) in [
            (
                &b"Jefe"[..],
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            let hash = keyed_hash(key, message.as_bytes());
            let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_token_that_is_good_signs() {
        let fields = [
            ("token-id", "abc123"),
            ("token-secret", "s"),
            ("usage-bootstrap-signing", "true"),
        ];
        let good = secret("bootstrap-token-abc123", &fields);
        assert_eq!(
            token(&good, now()),
            Some(("abc123".to_owned(), "s".to_owned()))
        );
        for (name, index, text) in [
            ("bootstrap-token-abc124", 0, "abc123"),
            ("abc123", 0, "abc123"),
            ("bootstrap-token-ABC123", 0, "ABC123"),
            ("bootstrap-token-abc123", 1, ""),
            ("bootstrap-token-abc123", 2, "false"),
        ] {
            let mut fields = fields;
            fields[index].1 = text;
            assert_eq!(token(&secret(name, &fields), now()), None, "{name} {text}");
        }
        let mut all = fields.to_vec();
        all.push(("expiration", "2025-12-31T23:59:59Z"));
        assert_eq!(token(&secret("bootstrap-token-abc123", &all), now()), None);
    }

    #[test]
    fn a_token_lasts_until_its_time() {
        for (text, expected) in [
            ("", Life::Endless),
            ("2026-01-01T00:00:05Z", Life::Left(Duration::from_secs(5))),
            ("2026-01-01T00:00:00Z", Life::Over),
            (
                "2026-01-01T01:00:05+01:00",
                Life::Left(Duration::from_secs(5)),
            ),
            ("soon", Life::Over),
        ] {
            let found = life(&secret("a", &[("expiration", text)]), now());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn signatures_are_added_and_those_of_tokens_that_are_gone_removed() {
        let data = BTreeMap::from([
            ("kubeconfig".to_owned(), "c".to_owned()),
            ("jws-kubeconfig-gone00".to_owned(), "x".to_owned()),
        ]);
        let mut map = ConfigMap {
            data: Some(data),
            ..ConfigMap::default()
        };
        let tokens = BTreeMap::from([("abc123".to_owned(), "s".to_owned())]);
        let change = signatures(&map, &tokens).unwrap();
        assert_eq!(change["data"]["jws-kubeconfig-gone00"], Value::Null);
        let signature = change["data"]["jws-kubeconfig-abc123"].as_str().unwrap();
        let (header, hash) = signature.split_once("..").unwrap();
        assert!(!header.is_empty() && !hash.is_empty());
        let data = map.data.as_mut().unwrap();
        data.remove("jws-kubeconfig-gone00");
        data.insert("jws-kubeconfig-abc123".to_owned(), signature.to_owned());
        assert_eq!(signatures(&map, &tokens), None);
        data_without_content(&mut map);
        assert_eq!(signatures(&map, &tokens), None);
    }

    fn data_without_content(map: &mut ConfigMap) {
        let data = map.data.as_mut().unwrap();
        data.remove("kubeconfig");
        data.clear();
    }
}
