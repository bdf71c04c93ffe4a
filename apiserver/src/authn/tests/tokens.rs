//! Service account tokens through their lives, and tokens of new nodes.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::*;

const ROBOT: &str = "system:serviceaccount:shop:robot system:serviceaccounts,system:serviceaccounts:shop,system:authenticated for https://api";

fn pod() -> BoundObject {
    BoundObject::Pod {
        name: "p".to_owned(),
        uid: "pod1".to_owned(),
        node: Some(("n1".to_owned(), "node1".to_owned())),
    }
}

fn secret() -> BoundObject {
    BoundObject::Secret {
        name: "s".to_owned(),
        uid: "secret1".to_owned(),
    }
}

fn node() -> BoundObject {
    BoundObject::Node {
        name: "n1".to_owned(),
        uid: "node1".to_owned(),
    }
}

#[test]
fn a_token_says_whose_it_is_and_what_it_is_bound_to() {
    let cluster = Cluster::new(RSA);
    let token = cluster.issue(Some(pod()), &[API, "other"]);
    let said = payload(&token);
    assert_eq!(
        said["kubernetes.io"],
        json!({"namespace": "shop", "serviceaccount": {"name": "robot", "uid": "sa1"}, "pod": {"name": "p", "uid": "pod1"}, "node": {"name": "n1", "uid": "node1"}})
    );
    assert_eq!(
        (&said["exp"], &said["iat"], &said["nbf"]),
        (
            &json!(START_SECONDS + 600),
            &json!(START_SECONDS),
            &json!(START_SECONDS)
        )
    );
    let identity = cluster
        .authenticator
        .token(&token, &[API.to_owned()])
        .unwrap();
    let extra: Vec<(&str, &str)> = identity
        .user
        .extra
        .iter()
        .map(|(key, values)| (key.as_str(), values[0].as_str()))
        .collect();
    let id = format!("JTI={}", said["jti"].as_str().unwrap());
    assert_eq!(
        extra,
        [
            ("authentication.kubernetes.io/credential-id", id.as_str()),
            ("authentication.kubernetes.io/node-name", "n1"),
            ("authentication.kubernetes.io/node-uid", "node1"),
            ("authentication.kubernetes.io/pod-name", "p"),
            ("authentication.kubernetes.io/pod-uid", "pod1"),
        ]
    );
}

#[test]
fn a_token_ends_at_its_time_give_or_take_a_minute() {
    let cluster = Cluster::new(P256);
    let token = cluster.issue(None, &[API]);
    cluster.pass_seconds(-60);
    assert_eq!(cluster.token(&token, &[API]), ROBOT);
    cluster.pass_seconds(-1);
    assert_eq!(
        cluster.token(&token, &[API]),
        "[invalid bearer token, service account token is not valid yet]"
    );
    cluster.pass_seconds(61 + 660);
    assert_eq!(cluster.token(&token, &[API]), ROBOT);
    cluster.pass_seconds(1);
    assert_eq!(
        cluster.token(&token, &[API]),
        "[invalid bearer token, service account token has expired]"
    );
}

#[test]
fn a_token_is_good_for_its_audiences_alone() {
    let cluster = Cluster::new(P256);
    let token = cluster.issue(None, &["a", "b"]);
    assert!(cluster.token(&token, &["b", "c"]).ends_with(" for b"));
    assert_eq!(
        cluster.token(&token, &[API]),
        "[invalid bearer token, token audiences [\"a\" \"b\"] is invalid for the target audiences [\"https://api\"]]"
    );
}

#[test]
fn a_token_ends_at_once_with_what_it_is_bound_to() {
    let gone = "[invalid bearer token, service account token has been invalidated]";
    for (bound, plural, namespace, name, other) in [
        (
            pod(),
            "pods",
            "shop",
            "p",
            "[invalid bearer token, pod UID (new) does not match service account pod ref claim (pod1)]",
        ),
        (
            secret(),
            "secrets",
            "shop",
            "s",
            "[invalid bearer token, secret UID (new) does not match service account secret ref claim (secret1)]",
        ),
        (
            node(),
            "nodes",
            "",
            "n1",
            "[invalid bearer token, node UID (new) does not match service account node ref claim (node1)]",
        ),
    ] {
        let cluster = Cluster::new(P256);
        let token = cluster.issue(Some(bound), &[API]);
        assert_eq!(cluster.token(&token, &[API]), ROBOT);
        cluster.memory.remove("", plural, namespace, name);
        assert_eq!(cluster.token(&token, &[API]), gone);
        let again = json!({"metadata": {"name": name, "namespace": namespace, "uid": "new"}});
        cluster.memory.put("", plural, again);
        assert_eq!(cluster.token(&token, &[API]), other);
    }
}

#[test]
fn a_token_ends_with_its_account_and_a_minute_after_deletion_began() {
    let cluster = Cluster::new(P256);
    let token = cluster.issue(None, &[API]);
    let account = |uid: &str, deleted: Value| json!({"metadata": {"name": "robot", "namespace": "shop", "uid": uid, "deletionTimestamp": deleted}});
    // START_SECONDS is this time.
    let since = json!("2027-01-15T08:00:00Z");
    cluster
        .memory
        .put("", "serviceaccounts", account("sa1", since));
    cluster.pass_seconds(60);
    assert_eq!(cluster.token(&token, &[API]), ROBOT);
    cluster.pass_seconds(1);
    assert_eq!(
        cluster.token(&token, &[API]),
        "[invalid bearer token, service account shop/robot has been deleted]"
    );
    cluster
        .memory
        .put("", "serviceaccounts", account("sa2", Value::Null));
    assert_eq!(
        cluster.token(&token, &[API]),
        "[invalid bearer token, service account UID (sa2) does not match claim (sa1)]"
    );
    cluster
        .memory
        .remove("", "serviceaccounts", "shop", "robot");
    assert_eq!(
        cluster.token(&token, &[API]),
        "[invalid bearer token, serviceaccounts \"robot\" not found]"
    );
}

#[test]
fn a_token_of_another_issuer_key_or_with_a_changed_letter_is_not_good() {
    let cluster = Cluster::new(P256);
    let unknown = "invalid bearer token";
    let foreign = Cluster::new(RSA).issue(None, &[API]);
    assert_eq!(
        cluster.token(&foreign, &[API]),
        "[invalid bearer token, invalid signature, no keys found]"
    );
    let token = cluster.issue(None, &[API]);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, said) = signed.split_once('.').unwrap();
    let forged = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .encode(payload(&token).to_string().replace("robot", "other"));
    for bad in [
        format!("{header}.{forged}.{signature}"),
        format!("{signed}."),
    ] {
        assert_eq!(
            cluster.token(&bad, &[API]),
            "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]"
        );
    }
    let none = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}");
    for bad in [
        format!("{none}.{said}."),
        signed.to_owned(),
        "x".repeat(70_000),
    ] {
        assert_eq!(cluster.token(&bad, &[API]), unknown);
    }
}

#[test]
fn a_token_in_a_secret_is_good_as_long_as_the_secret_holds_it() {
    let cluster = Cluster::new(RSA);
    let key = PrivateKey::parse_pem(RSA).unwrap();
    let claims = json!({"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:shop:robot",
        "kubernetes.io/serviceaccount/namespace": "shop", "kubernetes.io/serviceaccount/secret.name": "t",
        "kubernetes.io/serviceaccount/service-account.name": "robot", "kubernetes.io/serviceaccount/service-account.uid": "sa1"});
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
    let token = jsonwebtoken::encode(&header, &claims, &key.encoding).unwrap();
    let put = |token: &str, labels: Value| {
        let secret = json!({"metadata": {"name": "t", "namespace": "shop", "labels": labels}, "data": {"token": STANDARD.encode(token)}});
        cluster.memory.put("", "secrets", secret);
    };
    assert_eq!(
        cluster.token(&token, &[API]),
        "[invalid bearer token, Token has been invalidated]"
    );
    put(&token, json!({}));
    assert_eq!(cluster.token(&token, &[API]), ROBOT);
    put("other", json!({}));
    assert_eq!(
        cluster.token(&token, &[API]),
        "[invalid bearer token, Token does not match server's copy]"
    );
    put(
        &token,
        json!({"kubernetes.io/legacy-token-invalid-since": "2024-01-01"}),
    );
    assert!(
        cluster
            .token(&token, &[API])
            .contains("shop/t for service account shop/robot has been marked invalid")
    );
}

#[test]
fn a_new_node_comes_in_with_the_token_of_a_secret_until_it_ends() {
    let cluster = Cluster::new(P256);
    let put = |more: Value| {
        let mut data = json!({"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
            "expiration": "2027-01-15T08:00:10Z", "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token"});
        for (key, value) in more.as_object().unwrap() {
            data[key] = value.clone();
        }
        for value in data.as_object_mut().unwrap().values_mut() {
            *value = json!(STANDARD.encode(value.as_str().unwrap()));
        }
        cluster.memory.put("", "secrets", json!({"metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"}, "type": "bootstrap.kubernetes.io/token", "data": data}));
    };
    let token = "abcdef.0123456789abcdef";
    let unknown = "invalid bearer token";
    assert_eq!(cluster.token(token, &[API]), unknown);
    put(json!({}));
    assert_eq!(
        cluster.token(token, &[API]),
        "system:bootstrap:abcdef system:bootstrappers,system:bootstrappers:kubeadm:default-node-token,system:authenticated for https://api"
    );
    assert_eq!(cluster.token("abcdef.0123456789abcdee", &[API]), unknown);
    cluster.pass_seconds(10);
    assert_eq!(cluster.token(token, &[API]), unknown);
    for bad in [
        json!({"expiration": "soon"}),
        json!({"expiration": "", "usage-bootstrap-authentication": "false"}),
        json!({"expiration": "", "auth-extra-groups": "system:masters"}),
        json!({"expiration": "", "token-id": "abcdee"}),
    ] {
        put(bad);
        assert_eq!(cluster.token(token, &[API]), unknown);
    }
    put(json!({"expiration": "", "auth-extra-groups": ""}));
    assert!(
        cluster
            .token(token, &[API])
            .starts_with("system:bootstrap:abcdef system:bootstrappers,system:authenticated ")
    );
}

proptest! {
    #[test]
    fn any_text_is_nobodys_token(token in "\\PC{0,60}") {
        let cluster = Cluster::new(P256);
        prop_assert!(cluster.authenticator.token(&token, &[API.to_owned()]).is_err());
    }

    #[test]
    fn a_token_with_a_letter_changed_is_nobodys(at in 0_usize..400, letter in "[A-Za-z0-9._-]") {
        let cluster = Cluster::new(P256);
        let token = cluster.issue(None, &[API]);
        let at = at % token.len();
        let changed = format!("{}{letter}{}", &token[..at], &token[at + 1..]);
        // The last letter of the signature has bits that stand for nothing.
        prop_assume!(changed != token && at + 1 != token.len());
        prop_assert!(cluster.authenticator.token(&changed, &[API.to_owned()]).is_err());
    }

    #[test]
    fn any_claims_with_a_good_signature_are_judged_without_panic(name in "[a-z]{0,5}", number: f64, list: bool) {
        let cluster = Cluster::new(P256);
        let key = PrivateKey::parse_pem(P256).unwrap();
        let some = if list { json!([name]) } else { json!(number) };
        let claims = json!({"iss": "https://issuer", "exp": some, "nbf": number, "aud": some, "kubernetes.io": {"namespace": name, "serviceaccount": some}});
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        let token = jsonwebtoken::encode(&header, &claims, &key.encoding).unwrap();
        prop_assert!(cluster.authenticator.token(&token, &[API.to_owned()]).is_err());
    }
}

#[test]
fn a_server_without_audiences_lets_tokens_in_that_do_not_say_whom_they_are_meant_for() {
    let authenticator = Authenticator::new(Options {
        static_tokens: StaticTokens::parse("f", "t1,alice,u1,devs").unwrap(),
        service_accounts: None,
        bootstrap_secrets: None,
        front_proxies: None,
        anonymous: true,
        api_audiences: Vec::new(),
        clock: Clock::system(),
    });
    let credentials = Credentials {
        certificates: &[],
        token: Some("t1"),
        headers: None,
    };
    let identity = authenticate(&authenticator, &credentials).unwrap().unwrap();
    assert_eq!(identity.user.name, "alice");
    assert!(identity.audiences.is_empty());
    let elsewhere = authenticator.token("t1", &["https://elsewhere".to_owned()]);
    assert_eq!(elsewhere.unwrap_err(), "invalid bearer token");
    let review = |audiences: Value| {
        let body = json!({"spec": {"token": "t1", "audiences": audiences}});
        review::token(&authenticator, &body).unwrap()["status"].clone()
    };
    let user =
        json!({"username": "alice", "uid": "u1", "groups": ["devs", "system:authenticated"]});
    assert_eq!(
        review(json!([])),
        json!({"authenticated": true, "user": user})
    );
    assert_eq!(
        review(json!(["https://elsewhere"])),
        json!({"user": {}, "error": "invalid bearer token"})
    );
}
