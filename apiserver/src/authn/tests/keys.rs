//! Keys in each of their forms.

use proptest::prelude::*;

use super::*;

#[test]
fn a_key_has_the_name_that_openssl_and_upstream_derive_in_every_form() {
    let rsa = "gSESm9uv0OpLJiZ3L3j-F4PE1Cyln1IMIQWTVuGShT0";
    let p256 = "hvMl3cSCPHLRi8fyHaslJvt8oSXWlGO1vgia8rDoo5E";
    let p384 = "Y9X2nUnsl8OT58sfGQvfzNXIXvMFHC0uAzlOA1ko2I8";
    for (pem, wanted, algorithm) in [
        (RSA, rsa, "RS256"),
        (RSA_PKCS1, rsa, "RS256"),
        (RSA_PUBLIC, rsa, "RS256"),
        (P256, p256, "ES256"),
        (P256_SEC1, p256, "ES256"),
        (P256_PUBLIC, p256, "ES256"),
        (P384_SEC1, p384, "ES384"),
    ] {
        let keys = PublicKey::parse_pem(pem).unwrap();
        assert_eq!(keys.len(), 1);
        let jwk = keys[0].to_jwk();
        assert_eq!(
            (&jwk["kid"], &jwk["alg"]),
            (&json!(wanted), &json!(algorithm))
        );
    }
}

#[test]
fn keys_of_several_sections_are_all_read_and_a_certificate_is_a_key() {
    let certificate = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    let both = [
        RSA_PUBLIC,
        b"\n",
        P256_PUBLIC,
        b"\n",
        certificate.cert.pem().as_bytes(),
    ]
    .concat();
    let keys = PublicKey::parse_pem(&both).unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[2].to_jwk()["alg"], "ES256");
}

#[test]
fn a_file_without_a_key_is_refused() {
    for pem in [
        &b""[..],
        b"text",
        b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
    ] {
        assert!(PublicKey::parse_pem(pem).is_err());
        assert!(PrivateKey::parse_pem(pem).is_err());
    }
    assert!(PrivateKey::parse_pem(RSA_PUBLIC).is_err());
}

#[test]
fn tokens_signed_with_any_kind_of_key_are_good() {
    for key in [RSA, RSA_PKCS1, P256, P256_SEC1, P384_SEC1] {
        let cluster = Cluster::new(key);
        let token = cluster.issue(None, &[API]);
        assert!(
            cluster
                .token(&token, &[API])
                .starts_with("system:serviceaccount:shop:robot ")
        );
    }
}

proptest! {
    #[test]
    fn a_key_with_a_byte_changed_is_read_or_refused(at in 0_usize..RSA.len(), byte: u8) {
        for key in [RSA, P256_SEC1, P256_PUBLIC] {
            let mut key = key.to_vec();
            let at = at % key.len();
            key[at] = byte;
            let _ = PublicKey::parse_pem(&key);
            let _ = PrivateKey::parse_pem(&key);
        }
    }
}
