//! Whole requests, TokenRequests, and the documents that others read.

use std::sync::atomic::AtomicBool;

use super::*;

fn headers(authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, authorization.parse().unwrap());
    headers
}

#[test]
fn whoever_says_nothing_is_anonymous_and_whoever_says_something_wrong_is_refused() {
    let cluster = Cluster::new(P256);
    let who = |authorization: &str| {
        let headers = headers(authorization);
        match cluster.authenticate(&Credentials::of(&[], &headers)) {
            Ok(identity) => identity.unwrap().user.name,
            Err(status) => format!("{} {}", status.code, status.message),
        }
    };
    for (authorization, wanted) in [
        ("", "system:anonymous"),
        ("Basic t1", "system:anonymous"),
        ("Bearer", "system:anonymous"),
        ("Bearer  t1", "system:anonymous"),
        ("Bearer t1", "alice"),
        (" bearer t1 more ", "alice"),
        ("Bearer t2", "401 Unauthorized"),
    ] {
        assert_eq!(who(authorization), wanted, "{authorization}");
    }
}

#[test]
fn a_certificate_is_asked_before_a_token() {
    let cluster = Cluster::new(P256);
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "carl");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificates = [params.self_signed(&key).unwrap().der().clone()];
    let credentials = Credentials {
        certificates: &certificates,
        token: Some("t1"),
        ..Credentials::default()
    };
    let identity = cluster.authenticate(&credentials).unwrap().unwrap();
    assert_eq!(identity.user.name, "carl");
    assert_eq!(identity.user.groups, [AUTHENTICATED]);
    // A certificate that cannot be read does not make the one who sent it anonymous.
    let broken = [CertificateDer::from(vec![0x30, 0])];
    let credentials = Credentials {
        certificates: &broken,
        ..Credentials::default()
    };
    assert_eq!(cluster.authenticate(&credentials).unwrap_err().code, 401);
}

/// Who sends a token to a server that sees these objects only when it waits for the store; and whether it did wait.
async fn who_after(cluster: &Cluster, token: &str, objects: &[(&str, Value)]) -> (String, bool) {
    let credentials = Credentials {
        token: Some(token),
        ..Credentials::default()
    };
    let waited = AtomicBool::new(false);
    let catch_up = async {
        waited.store(true, Ordering::SeqCst);
        for (plural, object) in objects {
            cluster.memory.put("", plural, object.clone());
        }
    };
    let found = cluster.authenticator.authenticate(&credentials, catch_up);
    let told = match found.await {
        Ok(identity) => identity.unwrap().user.name,
        Err(status) => status.message,
    };
    (told, waited.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_signed_token_is_not_refused_for_objects_that_were_not_seen_yet() {
    let cluster = Cluster::new(P256);
    let robot = "system:serviceaccount:shop:robot".to_owned();
    let pod = BoundObject::Pod {
        name: "new".to_owned(),
        uid: "pod2".to_owned(),
        node: None,
    };
    let token = cluster.issue(Some(pod), &[API]);
    let object = |name: &str, uid: &str| json!({"metadata": {"name": name, "namespace": "shop", "uid": uid}});
    let made = [("pods", object("new", "pod2"))];
    assert_eq!(
        who_after(&cluster, &token, &made).await,
        (robot.clone(), true)
    );
    assert_eq!(
        who_after(&cluster, &token, &[]).await,
        (robot.clone(), false)
    );
    // An account that was made anew under the same name, and one that nobody has seen.
    cluster
        .memory
        .put("", "serviceaccounts", object("robot", "sa0"));
    let anew = [("serviceaccounts", object("robot", "sa1"))];
    assert_eq!(
        who_after(&cluster, &token, &anew).await,
        (robot.clone(), true)
    );
    cluster
        .memory
        .remove("", "serviceaccounts", "shop", "robot");
    let refused = "Unauthorized".to_owned();
    assert_eq!(
        who_after(&cluster, &token, &[]).await,
        (refused.clone(), true)
    );
    // Nobody makes the server ask its store with a token that it did not sign, or whose time is over.
    let other = Cluster::new(RSA).issue(None, &[API]);
    assert_eq!(
        who_after(&cluster, &other, &[]).await,
        (refused.clone(), false)
    );
    cluster.pass_seconds(10_000);
    assert_eq!(who_after(&cluster, &token, &[]).await, (refused, false));
}

#[test]
fn a_token_request_is_answered_with_a_token_and_its_end() {
    let cluster = Cluster::new(RSA);
    let body =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = cluster.tokens.request("shop", "robot", &body).unwrap();
    let mut object = answer.object;
    let token = object["status"]["token"].take();
    assert_eq!(
        object,
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "metadata": {"name": "robot", "namespace": "shop", "uid": "sa1", "creationTimestamp": "2027-01-15T08:00:00Z"},
            "spec": {"audiences": [API], "expirationSeconds": 3600, "boundObjectRef": null},
            "status": {"token": null, "expirationTimestamp": "2027-01-15T09:00:00Z"}})
    );
    assert!(
        cluster
            .token(token.as_str().unwrap(), &[API])
            .starts_with("system:serviceaccount:shop:robot")
    );
    assert_eq!(answer.warnings, Vec::<String>::new());
}

#[test]
fn a_token_for_too_long_is_shortened_and_an_hour_in_a_pod_is_a_year() {
    let cluster = Cluster::new(P256);
    let body = json!({"spec": {"expirationSeconds": 10_000}});
    let answer = cluster.tokens.request("shop", "robot", &body).unwrap();
    assert_eq!(
        answer.warnings,
        ["requested expiration of 10000 seconds shortened to 7200 seconds"]
    );
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "name": "p"});
    let body = json!({"spec": {"expirationSeconds": 3607, "boundObjectRef": pod}});
    let answer = cluster.tokens.request("shop", "robot", &body).unwrap();
    let said = payload(answer.object["status"]["token"].as_str().unwrap());
    assert_eq!(said["exp"], json!(START_SECONDS + 365 * 24 * 3600));
    assert_eq!(
        said["kubernetes.io"]["warnafter"],
        json!(START_SECONDS + 3607)
    );
    assert_eq!(
        said["kubernetes.io"]["node"],
        json!({"name": "n1", "uid": "node1"})
    );
    assert_eq!(
        answer.object["status"]["expirationTimestamp"],
        "2027-01-15T09:00:07Z"
    );
}

#[test]
fn a_token_request_that_is_wrong_is_refused_in_upstreams_words() {
    let cluster = Cluster::new(P256);
    let bound = |kind: &str, version: &str, name: &str, uid: &str| json!({"spec": {"boundObjectRef": {"kind": kind, "apiVersion": version, "name": name, "uid": uid}}});
    cluster.memory.put("", "pods", json!({"metadata": {"name": "q", "namespace": "shop"}, "spec": {"serviceAccountName": "other"}}));
    for (account, body, wanted) in [
        (
            "robot",
            json!({"spec": {"expirationSeconds": 10}}),
            "422 TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes",
        ),
        (
            "robot",
            json!({"spec": {"expirationSeconds": 4_294_967_297_i64}}),
            "422 TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
        ),
        (
            "robot",
            json!({"metadata": {"name": "x"}}),
            "422 TokenRequest.authentication.k8s.io \"robot\" is invalid: metadata.name: Invalid value: \"x\": must match the service account name if specified",
        ),
        (
            "robot",
            json!({"metadata": {"uid": "x"}}),
            "409 Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"robot\": the UID in the token request (x) does not match the UID of the service account (sa1)",
        ),
        ("none", json!({}), "404 serviceaccounts \"none\" not found"),
        (
            "robot",
            bound("Deployment", "apps/v1", "x", ""),
            "400 cannot bind token to object of type apps/v1, Kind=Deployment",
        ),
        (
            "robot",
            bound("Secret", "v1", "x", ""),
            "404 secrets \"x\" not found",
        ),
        (
            "robot",
            bound("Secret", "v1", "s", "zz"),
            "409 Operation cannot be fulfilled on Secret \"s\": the UID in the bound object reference (zz) does not match the UID in record. The object might have been deleted and then recreated",
        ),
        (
            "robot",
            bound("Pod", "v1", "q", ""),
            "400 cannot bind token for serviceaccount \"robot\" to pod running with different serviceaccount name.",
        ),
    ] {
        let status = cluster.tokens.request("shop", account, &body).unwrap_err();
        assert_eq!(format!("{} {}", status.code, status.message), wanted);
    }
}

#[test]
fn others_find_the_issuer_and_its_keys() {
    let cluster = Cluster::new(RSA);
    assert_eq!(
        cluster
            .tokens
            .issuer_document("https://host/openid/v1/jwks"),
        Some(
            json!({"issuer": "https://issuer", "jwks_uri": "https://host/openid/v1/jwks", "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]})
        )
    );
    let document = cluster.tokens.keys_document();
    let key = &document["keys"][0];
    assert_eq!(
        (&key["kty"], &key["e"], &key["use"]),
        (&json!("RSA"), &json!("AQAB"), &json!("sig"))
    );
}

#[test]
fn a_review_tells_whose_a_token_is() {
    let cluster = Cluster::new(P256);
    let ask = |spec: Value| {
        let body =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
        match review::token(&cluster.authenticator, &body) {
            Ok(answer) => answer["status"].clone(),
            Err(status) => json!(format!("{} {}", status.code, status.message)),
        }
    };
    assert_eq!(
        ask(json!({"token": "t1"})),
        json!({"authenticated": true, "user": {"username": "alice", "uid": "u1", "groups": ["devs", "system:authenticated"]}, "audiences": [API]})
    );
    let nobody = json!({"user": {}, "error": "invalid bearer token"});
    assert_eq!(ask(json!({"token": "bad"})), nobody);
    assert_eq!(ask(json!({"token": " t1"})), nobody);
    assert_eq!(ask(json!({"token": "t1", "audiences": ["x"]})), nobody);
    let token = cluster.issue(None, &["a"]);
    let answer = ask(json!({"token": token, "audiences": ["a", "b"]}));
    assert_eq!(answer["audiences"], json!(["a"]));
    assert!(answer["user"]["extra"]["authentication.kubernetes.io/credential-id"][0].is_string());
    assert_eq!(
        ask(json!({})),
        json!("400 token is required for TokenReview in authentication")
    );
}

#[test]
fn somebody_asks_who_it_is() {
    let user = User {
        name: "alice".to_owned(),
        groups: vec!["devs".to_owned()],
        ..User::default()
    };
    assert_eq!(
        review::self_subject(&user, &Clock::from_seconds(|| START_SECONDS)),
        json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {"creationTimestamp": "2027-01-15T08:00:00Z"},
            "status": {"userInfo": {"username": "alice", "groups": ["devs"]}}})
    );
}
