//! Signed tokens of every method, and keys that cannot be used.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/jwt")
        .join(name)
}

fn options(method: &str, key: &str) -> JwtOptions {
    JwtOptions {
        sign_method: SignMethod::parse(method).expect("a method of the list"),
        public_key: Some(file(&format!("{key}-public.pem"))),
        private_key: Some(file(&format!("{key}.pem"))),
        ttl: Duration::from_secs(300),
    }
}

fn named(user: &str, auth_revision: u64) -> Option<Named> {
    Some(Named {
        user: user.to_owned(),
        auth_revision: Some(auth_revision),
    })
}

const METHODS: [(&str, &str); 9] = [
    ("RS256", "rsa"),
    ("RS384", "rsa"),
    ("RS512", "rsa"),
    ("PS256", "rsa"),
    ("PS384", "rsa"),
    ("PS512", "rsa"),
    ("ES256", "ec256"),
    ("EdDSA", "ed25519"),
    ("HS256", "rsa"),
];

#[test]
fn a_token_of_each_method_says_whom_it_names_and_when() {
    for (method, key) in METHODS {
        let jwt = Jwt::new(&options(method, key)).expect(method);
        let token = jwt.sign("ann", 7).expect(method);
        assert_eq!(jwt.verify(&token), named("ann", 7), "{method}");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let other = jwt.sign("bob", 7).expect(method);
        let (_, foreign) = other.rsplit_once('.').expect("three parts");
        assert_ne!(signature, foreign);
        assert_eq!(jwt.verify(&format!("{signed}.{foreign}")), None, "{method}");
    }
}

#[test]
fn a_token_of_another_method_or_key_or_none_names_nobody() {
    let es = Jwt::new(&options("ES256", "ec256")).expect("keys");
    let rs = Jwt::new(&options("RS256", "rsa")).expect("keys");
    let rs_longer = Jwt::new(&options("RS512", "rsa")).expect("keys");
    let token = rs.sign("ann", 7).expect("a token");
    assert_eq!(es.verify(&token), None);
    assert_eq!(rs_longer.verify(&token), None);
    // Header `{"alg":"none"}`, and the claims of the token.
    let claims = token.split('.').nth(1).expect("claims");
    assert_eq!(rs.verify(&format!("eyJhbGciOiJub25lIn0.{claims}.")), None);
    assert_eq!(rs.verify("letters.7"), None);
    // The public key is no secret: it must not pass for one.
    let public = std::fs::read(file("rsa-public.pem")).expect("a key");
    let forged = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &Claims {
            username: "root".into(),
            revision: 7,
            exp: u64::from(u32::MAX),
        },
        &EncodingKey::from_secret(&public),
    );
    assert_eq!(rs.verify(&forged.expect("a token")), None);
}

#[test]
fn a_token_ends() {
    let ended = JwtOptions {
        ttl: Duration::ZERO,
        ..options("ES256", "ec256")
    };
    let jwt = Jwt::new(&ended).expect("keys");
    let expired = Claims {
        username: "ann".into(),
        revision: 7,
        exp: 1,
    };
    let key = jwt.signing.as_ref().expect("a private key");
    let token = jsonwebtoken::encode(&Header::new(jwt.method), &expired, key);
    assert_eq!(jwt.verify(&token.expect("a token")), None);
}

#[test]
fn a_public_key_alone_checks_and_does_not_sign() {
    let both = Jwt::new(&options("ES256", "ec256")).expect("keys");
    let public = JwtOptions {
        private_key: None,
        ..options("ES256", "ec256")
    };
    let public = Jwt::new(&public).expect("a key");
    let token = both.sign("ann", 7).expect("a token");
    assert_eq!(public.verify(&token), named("ann", 7));
    let refused = public.sign("ann", 7).expect_err("no private key");
    assert_eq!(
        refused.to_string(),
        "auth: token signing attempted with verify-only key"
    );
}

#[test]
fn keys_that_cannot_be_used_are_refused_with_what_is_wrong() {
    let refusal = |options: &JwtOptions| match Jwt::new(options) {
        Err(error) => format!("{error:#}"),
        Ok(_) => panic!("it was taken"),
    };
    let mixed = JwtOptions {
        private_key: Some(file("other-ec256.pem")),
        ..options("ES256", "ec256")
    };
    assert!(refusal(&mixed).contains("do not belong together"));
    let none = JwtOptions {
        public_key: None,
        ..options("ES256", "ec256")
    };
    assert!(refusal(&none).contains("pub-key is missing"));
    let no_secret = JwtOptions {
        private_key: None,
        ..options("HS256", "rsa")
    };
    assert!(refusal(&no_secret).contains("priv-key is missing"));
    assert!(refusal(&options("RS256", "ed25519")).contains("cannot be used"));
    assert!(refusal(&options("RS256", "missing")).contains("cannot read"));
}
