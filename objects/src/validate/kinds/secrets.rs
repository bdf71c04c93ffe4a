//! What the author of a secret with a certificate is told without being refused.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{certificates::pem_blocks, view::View};
use crate::Value;

pub(super) fn warnings(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let root = View::root(new);
    if root.at("type").text() != "kubernetes.io/tls" {
        return Vec::new();
    }
    let kinds = |key: &str| -> Vec<String> {
        let data = root.at("data");
        let bytes = BASE64_STANDARD.decode(data.key(key).text());
        let blocks = pem_blocks(&bytes.unwrap_or_default()).unwrap_or_default();
        blocks.into_iter().map(|block| block.kind).collect()
    };
    let fault = certificate_fault(&kinds("tls.crt")).or_else(|| key_fault(&kinds("tls.key")));
    fault.into_iter().collect()
}

/// What is wrong with the kinds of blocks where a certificate is expected.
fn certificate_fault(kinds: &[String]) -> Option<String> {
    match kinds {
        kinds if kinds.iter().any(|kind| kind == "CERTIFICATE") => None,
        [] => Some("tls: failed to find any PEM data in certificate input".to_owned()),
        [kind] if kind.ends_with("PRIVATE KEY") => Some(
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched"
                .to_owned(),
        ),
        kinds => Some(format!(
            "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]",
            kinds.join(" ")
        )),
    }
}

/// What is wrong with the kinds of blocks where a private key is expected.
fn key_fault(kinds: &[String]) -> Option<String> {
    let is_key = |kind: &String| kind == "PRIVATE KEY" || kind.ends_with(" PRIVATE KEY");
    match kinds {
        kinds if kinds.iter().any(is_key) => None,
        [] => Some("tls: failed to find any PEM data in key input".to_owned()),
        [kind] if kind == "CERTIFICATE" => Some(
            "tls: found a certificate rather than a key in the PEM for the private key".to_owned(),
        ),
        kinds => Some(format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
            kinds.join(" ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde_json::json;

    use super::warnings;

    fn told(certificate: &str, key: &str) -> Vec<String> {
        let block = |kind: &str| match kind {
            "" => String::new(),
            "x" => BASE64_STANDARD.encode("x"),
            kind => BASE64_STANDARD.encode(format!(
                "-----BEGIN {kind}-----\nAA==\n-----END {kind}-----\n"
            )),
        };
        let data = json!({"tls.crt": block(certificate), "tls.key": block(key)});
        warnings(&json!({"type": "kubernetes.io/tls", "data": data}), None)
    }

    #[test]
    fn a_certificate_or_key_that_is_no_pem_is_told() {
        let none: [&str; 0] = [];
        assert_eq!(told("CERTIFICATE", "EC PRIVATE KEY"), none);
        let no_certificate = ["tls: failed to find any PEM data in certificate input"];
        assert_eq!(told("x", "x"), no_certificate);
        assert_eq!(told("", "PRIVATE KEY"), no_certificate);
        let no_key = ["tls: failed to find any PEM data in key input"];
        assert_eq!(told("CERTIFICATE", "x"), no_key);
        let switched = [
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
        ];
        assert_eq!(told("RSA PRIVATE KEY", "CERTIFICATE"), switched);
        let other = json!({"type": "Opaque", "data": {"tls.crt": "eA=="}});
        assert_eq!(warnings(&other, None), none);
    }
}
