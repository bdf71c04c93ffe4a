//! Tests of authentication: keys, tokens of every kind, and whole requests.

mod keys;
mod requests;
mod tokens;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use objects::Value;
use serde_json::json;

use super::{
    keys::{PrivateKey, PublicKey},
    service_accounts::{BoundObject, ServiceAccountTokens, Settings, Wanted},
    *,
};
use crate::authz::memory::Memory;

const RSA: &[u8] = include_bytes!("tests/keys/rsa.pem");
const RSA_PKCS1: &[u8] = include_bytes!("tests/keys/rsa-pkcs1.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("tests/keys/rsa-public.pem");
const P256: &[u8] = include_bytes!("tests/keys/p256.pem");
const P256_SEC1: &[u8] = include_bytes!("tests/keys/p256-sec1.pem");
const P256_PUBLIC: &[u8] = include_bytes!("tests/keys/p256-public.pem");
const P384_SEC1: &[u8] = include_bytes!("tests/keys/p384-sec1.pem");

const API: &str = "https://api";
const START_SECONDS: i64 = 1_800_000_000;

/// A cluster with the service account `shop/robot`, a pod of its, a secret and a node, and a clock that the test moves.
struct Cluster {
    memory: Arc<Memory>,
    now_seconds: Arc<AtomicI64>,
    tokens: Arc<ServiceAccountTokens>,
    authenticator: Authenticator,
}

impl Cluster {
    fn new(key: &[u8]) -> Cluster {
        let memory = Arc::new(Memory::default());
        let object = |namespace: &str, name: &str, uid: &str| json!({"metadata": {"name": name, "namespace": namespace, "uid": uid}, "spec": {"serviceAccountName": "robot", "nodeName": "n1"}});
        memory.put("", "serviceaccounts", object("shop", "robot", "sa1"));
        memory.put("", "pods", object("shop", "p", "pod1"));
        memory.put("", "secrets", object("shop", "s", "secret1"));
        memory.put("", "nodes", object("", "n1", "node1"));
        let now_seconds = Arc::new(AtomicI64::new(START_SECONDS));
        let now = now_seconds.clone();
        let clock = Clock::from_seconds(move || now.load(Ordering::SeqCst));
        let settings = Settings {
            issuers: vec!["https://issuer".to_owned(), "https://old".to_owned()],
            keys: PublicKey::parse_pem(key).unwrap(),
            signing: Some(PrivateKey::parse_pem(key).unwrap()),
            api_audiences: vec![API.to_owned()],
            expiration_seconds_max: 7200,
            extend_expiration: true,
            clock: clock.clone(),
        };
        let tokens = Arc::new(ServiceAccountTokens::new(settings, memory.clone()));
        let authenticator = Authenticator::new(Options {
            static_tokens: StaticTokens::parse("f", "t1,alice,u1,devs").unwrap(),
            service_accounts: Some(tokens.clone()),
            bootstrap_secrets: Some(memory.clone()),
            front_proxies: None,
            anonymous: true,
            api_audiences: vec![API.to_owned()],
            clock,
        });
        Cluster {
            memory,
            now_seconds,
            tokens,
            authenticator,
        }
    }

    /// Who sends a request, to a server that has seen all there is.
    fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Option<Identity>, Status> {
        authenticate(&self.authenticator, credentials)
    }

    fn pass_seconds(&self, seconds: i64) {
        self.now_seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    fn issue(&self, bound: Option<BoundObject>, audiences: &[&str]) -> String {
        let wanted = Wanted {
            namespace: "shop".to_owned(),
            name: "robot".to_owned(),
            uid: "sa1".to_owned(),
            bound,
            audiences: audiences.iter().map(|own| (*own).to_owned()).collect(),
            expiration_seconds: 600,
        };
        let now_seconds = self.now_seconds.load(Ordering::SeqCst);
        self.tokens.issue(&wanted, now_seconds).unwrap().token
    }

    /// The user and groups of a token, or why it is nobody's.
    fn token(&self, token: &str, audiences: &[&str]) -> String {
        let audiences: Vec<String> = audiences.iter().map(|own| (*own).to_owned()).collect();
        match self.authenticator.token(token, &audiences) {
            Ok(Identity { user, audiences }) => format!(
                "{} {} for {}",
                user.name,
                user.groups.join(","),
                audiences.join(",")
            ),
            Err(why) => why,
        }
    }
}

fn authenticate(
    authenticator: &Authenticator,
    credentials: &Credentials<'_>,
) -> Result<Option<Identity>, Status> {
    let found = authenticator.authenticate(credentials, std::future::ready(()));
    futures::FutureExt::now_or_never(found).unwrap()
}

/// What a token says, without checking it.
fn payload(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
