//! Certificates of two authorities: one of servers in front, one of users.

use http::{HeaderName, HeaderValue};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;

use super::*;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    verifier: Arc<dyn ClientCertVerifier>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Authority {
        issuer: Issuer::new(params, key),
        verifier: verifier.build().unwrap(),
    }
}

impl Authority {
    fn sign(&self, name: &str) -> Vec<CertificateDer<'static>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        vec![made.der().clone()]
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    pairs.collect()
}

#[test]
fn a_server_in_front_is_believed_by_its_certificate_and_name_alone() {
    let (front, users) = (authority(), authority());
    let words = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let proxies = FrontProxies {
        verifier: front.verifier.clone(),
        users: Some(users.verifier.clone()),
        names: words("front-proxy"),
        user_headers: words("X-Other-User,X-Remote-User"),
        uid_headers: Vec::new(),
        group_headers: words("X-Remote-Group"),
        extra_prefixes: words("X-Remote-Extra-"),
    };
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap();
    let asked = headers(&[
        ("x-remote-user", "alice"),
        ("x-remote-group", "devs"),
        ("x-remote-extra-example.com%2fx", "1"),
    ]);
    let found = proxies
        .identify(&front.sign("front-proxy"), &asked, now)
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.name.as_str(), found.groups),
        ("alice", words("devs"))
    );
    assert_eq!(found.extra["example.com/x"], ["1"]);
    let why = proxies.identify(&front.sign("other"), &asked, now);
    assert_eq!(
        why.unwrap_err(),
        "x509: subject with cn=other is not in the allowed list"
    );
    assert!(
        proxies
            .identify(&users.sign("front-proxy"), &asked, now)
            .is_err()
    );
    assert_eq!(proxies.identify(&[], &asked, now), Ok(None));
    let silent = headers(&[("x-remote-group", "devs")]);
    let found = proxies.identify(&front.sign("front-proxy"), &silent, now);
    assert_eq!(found, Ok(None));
    assert!(verify(users.verifier.as_ref(), &users.sign("carl")).is_ok());
    assert!(verify(users.verifier.as_ref(), &front.sign("carl")).is_err());
}

#[test]
fn what_is_said_of_users_is_removed_under_the_usual_names_and_those_that_are_believed() {
    let all = headers(&[
        ("x-remote-user", "root"),
        ("x-remote-uid", "1"),
        ("x-remote-group", "system:masters"),
        ("x-remote-extra-scopes", "all"),
        ("x-other-user", "root"),
        ("x-other-extra-a", "1"),
        ("accept", "*/*"),
    ]);
    let names = |headers: &HeaderMap| -> Vec<String> {
        let mut names: Vec<_> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    let mut usual = all.clone();
    strip(None, &mut usual);
    assert_eq!(names(&usual), ["accept", "x-other-extra-a", "x-other-user"]);
    let proxies = FrontProxies {
        verifier: authority().verifier,
        users: None,
        names: Vec::new(),
        user_headers: vec!["X-Other-User".to_owned()],
        uid_headers: Vec::new(),
        group_headers: Vec::new(),
        extra_prefixes: vec!["X-Other-Extra-".to_owned()],
    };
    let mut believed = all;
    strip(Some(&proxies), &mut believed);
    assert_eq!(names(&believed), ["accept"]);
}
