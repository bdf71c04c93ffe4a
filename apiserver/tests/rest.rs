//! REST as a plain HTTP client sees it: over TLS, on a server whose store is a stock etcd.

mod cluster;
mod definitions;
mod lists;
mod quotas;
mod races;
mod script;

use std::collections::VecDeque;
use std::io::Read;

use bytes::Bytes;
use cluster::{Answer, Cluster, PATIENCE, Protocol, request, until};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

async fn ask(cluster: &Cluster, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() {
        Bytes::new()
    } else {
        body.to_string().into()
    };
    cluster
        .ask(Protocol::Http1, request(method, path, body))
        .await
}

/// The events of a watch.
struct Events {
    body: Response<Incoming>,
    bytes: Vec<u8>,
    waiting: VecDeque<Value>,
}

impl Events {
    async fn open(cluster: &Cluster, path: &str) -> Events {
        let body = cluster
            .send(Protocol::Http2, request("GET", path, ""))
            .await;
        Events {
            body,
            bytes: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// The type of the next event, and its object; none at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        while self.waiting.is_empty() {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame())
                .await
                .unwrap()?;
            self.bytes
                .extend_from_slice(frame.unwrap().data_ref().unwrap());
            while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                self.waiting
                    .push_back(serde_json::from_slice(&line).unwrap());
            }
        }
        let mut event = self.waiting.pop_front()?;
        let kind = event["type"].as_str().unwrap().to_owned();
        Some((kind, event["object"].take()))
    }

    /// The type of the next event, and the name in it.
    async fn named(&mut self) -> (String, String) {
        let (kind, object) = self.next().await.unwrap();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        (kind, name.to_owned())
    }
}

fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_a_kube_apiserver() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let cluster = Cluster::start(&[], &[]).await;
        let differing: Vec<String> = script::run(&cluster, protocol)
            .await
            .into_iter()
            .filter(|(wanted, told)| wanted != told)
            .map(|(wanted, told)| format!("wanted\n{wanted}\nand got\n{told}\n"))
            .collect();
        assert!(
            differing.is_empty(),
            "{protocol:?}\n{}",
            differing.join("\n")
        );
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_are_refused_and_large_lists_packed() {
    let cluster = Cluster::start(&[], &[]).await;
    let large = json!({"metadata": {"name": "large"}, "data": {"a": "x".repeat(3 << 20)}});
    let refused = ask(&cluster, "POST", MAPS, &large).await;
    assert_eq!(refused.code, 413);
    assert_eq!(
        refused.json()["message"],
        "Request entity too large: limit is 3145728"
    );
    for name in ["a", "b"] {
        let map = json!({"metadata": {"name": name}, "data": {"a": "x".repeat(100 << 10)}});
        assert_eq!(ask(&cluster, "POST", MAPS, &map).await.code, 201);
    }
    let mut list = request("GET", MAPS, "");
    list.headers_mut()
        .insert("accept-encoding", "gzip".parse().unwrap());
    let packed = cluster.ask(Protocol::Http2, list).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.body.len() < 20 << 10);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..])
        .read_to_string(&mut text)
        .unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_in_protobuf_can_be_written_in_it() {
    let cluster = Cluster::start(&[], &[]).await;
    let map = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
    ask(&cluster, "POST", MAPS, &map).await;
    let protobuf = "application/vnd.kubernetes.protobuf";
    let path = format!("{MAPS}/a");
    let mut get = request("GET", &path, "");
    get.headers_mut()
        .insert("accept", protobuf.parse().unwrap());
    let read = cluster.ask(Protocol::Http1, get).await;
    assert_eq!(read.headers["content-type"], protobuf);
    let mut put = request("PUT", &path, read.body);
    let headers = put.headers_mut();
    headers.insert("content-type", protobuf.parse().unwrap());
    let written = cluster.ask(Protocol::Http1, put).await;
    assert_eq!(written.code, 200);
    assert_eq!(written.json()["data"]["k"], "v");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_what_comes_into_its_selection_and_leaves_it() {
    let cluster = Cluster::start(&[], &[]).await;
    let map = json!({"metadata": {"name": "a", "labels": {"on": "yes"}}});
    ask(&cluster, "POST", MAPS, &map).await;
    let path = format!(
        "{MAPS}?watch=1&labelSelector=on%3Dyes&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut events = Events::open(&cluster, &path).await;
    assert_eq!(events.named().await, event("ADDED", "a"));
    let (kind, bookmark) = events.next().await.unwrap();
    assert_eq!(kind, "BOOKMARK");
    let annotations = &bookmark["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    for (value, kind) in [("no", "DELETED"), ("yes", "ADDED")] {
        let mut patch = request(
            "PATCH",
            &format!("{MAPS}/a"),
            json!({"metadata": {"labels": {"on": value}}}).to_string(),
        );
        let merge = "application/merge-patch+json".parse().unwrap();
        patch.headers_mut().insert("content-type", merge);
        assert_eq!(cluster.ask(Protocol::Http1, patch).await.code, 200);
        assert_eq!(events.named().await, event(kind, "a"));
    }
    ask(&cluster, "DELETE", &format!("{MAPS}/a"), &Value::Null).await;
    assert_eq!(events.named().await, event("DELETED", "a"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_from_a_forgotten_version_is_told_so() {
    let cluster = Cluster::start(&[], &[]).await;
    let mut events = Events::open(&cluster, &format!("{MAPS}?watch=1&resourceVersion=1")).await;
    let (kind, status) = events.next().await.unwrap();
    assert_eq!(kind, "ERROR");
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(410), &json!("Expired"))
    );
    assert!(events.next().await.is_none());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_version_is_forgotten_goes_on_at_the_newest_one_if_its_client_wants_that() {
    let cluster = Cluster::start(&[], &[]).await;
    for name in ["a", "b"] {
        let map = json!({"metadata": {"name": name}});
        ask(&cluster, "POST", MAPS, &map).await;
    }
    let first = ask(&cluster, "GET", &format!("{MAPS}?limit=1"), &Value::Null).await;
    let token = first.json()["metadata"]["continue"]
        .as_str()
        .unwrap()
        .to_owned();
    let map = json!({"metadata": {"name": "c"}});
    ask(&cluster, "POST", MAPS, &map).await;
    cluster.compact().await;
    let path = format!("{MAPS}?limit=1&continue={token}");
    let expired = ask(&cluster, "GET", &path, &Value::Null).await;
    assert_eq!(expired.code, 410);
    let status = expired.json();
    assert_eq!(status["reason"], "Expired");
    let text = status["message"].as_str().unwrap();
    assert!(text.starts_with(
        "The provided continue parameter is too old to display a consistent list result."
    ));
    let token = status["metadata"]["continue"].as_str().unwrap();
    let rest = ask(
        &cluster,
        "GET",
        &format!("{MAPS}?continue={token}"),
        &Value::Null,
    )
    .await;
    let names: Vec<Value> = rest.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["b", "c"]);
    cluster.stop().await;
}

const KEY_A: &str = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";
const KEY_B: &str = "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=";

fn encryption(keys: &[(&str, &str)]) -> String {
    let keys = keys
        .iter()
        .map(|(name, secret)| json!({"name": name, "secret": secret}));
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [{"aesgcm": {"keys": keys.collect::<Vec<_>>()}}]}],
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_sealed_in_the_store_and_rewritten_for_a_new_key() {
    let flags = [
        "--encryption-provider-config={}/encryption.yaml",
        "--encryption-provider-config-automatic-reload",
    ];
    let first = encryption(&[("one", KEY_A)]);
    let cluster = Cluster::start(&flags, &[("encryption.yaml", &first)]).await;
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}});
    ask(&cluster, "POST", SECRETS, &secret).await;
    let key = "/registry/secrets/default/s";
    assert!(
        cluster
            .stored(key)
            .await
            .starts_with(b"k8s:enc:aesgcm:v1:one:")
    );

    // One that cannot be opened is in nobody's way.
    cluster
        .store(
            "/registry/secrets/default/bad",
            b"k8s:enc:aesgcm:v1:two:damaged",
        )
        .await;
    let why = "no matching key was found for the provided AES transformer";
    let bad = ask(&cluster, "GET", &format!("{SECRETS}/bad"), &Value::Null).await;
    assert_eq!(
        bad.json()["message"],
        format!("Internal error occurred: {why}")
    );
    let list = ask(&cluster, "GET", SECRETS, &Value::Null).await;
    assert_eq!(
        list.json()["message"],
        format!(
            "Internal error occurred: unable to transform key \"/registry/secrets/default/bad\": {why}"
        )
    );
    let other = "/api/v1/namespaces/kube-system/secrets";
    assert_eq!(ask(&cluster, "GET", other, &Value::Null).await.code, 200);
    let path = format!("{SECRETS}/s");
    assert_eq!(
        ask(&cluster, "GET", &path, &Value::Null).await.json()["data"]["a"],
        "Yg=="
    );

    let rotated = encryption(&[("two", KEY_B), ("one", KEY_A)]);
    std::fs::write(cluster.file("encryption.yaml"), rotated).unwrap();
    until(async || {
        let mut patch = request("PATCH", &path, "{}");
        let merge = "application/merge-patch+json".parse().unwrap();
        patch.headers_mut().insert("content-type", merge);
        assert_eq!(cluster.ask(Protocol::Http1, patch).await.code, 200);
        let stored = cluster.stored(key).await;
        stored.starts_with(b"k8s:enc:aesgcm:v1:two:").then_some(())
    })
    .await;
    assert_eq!(
        ask(&cluster, "GET", &path, &Value::Null).await.json()["data"]["a"],
        "Yg=="
    );
    cluster.stop().await;
}

/// What the audit log has, once that is so many events.
async fn audited(cluster: &Cluster, count: usize) -> Vec<Value> {
    let log = cluster.file("audit.log");
    until(async || {
        let text = std::fs::read_to_string(&log).unwrap();
        let lines = text.lines();
        let events: Vec<Value> = lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        (events.len() >= count).then_some(events)
    })
    .await
}

const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, users: ["system:apiserver"]}
- {level: RequestResponse, resources: [{group: "", resources: [configmaps]}]}
- {level: Metadata}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_in_the_audit_log_when_they_are_answered_and_watches_when_they_begin() {
    let flags = [
        "--audit-policy-file={}/policy.yaml",
        "--audit-log-path={}/audit.log",
    ];
    let cluster = Cluster::start(&flags, &[("policy.yaml", POLICY)]).await;
    let map = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
    let mut create = request("POST", MAPS, map.to_string());
    create
        .headers_mut()
        .insert("audit-id", "of-the-client".parse().unwrap());
    let made = cluster.ask(Protocol::Http2, create).await;
    assert_eq!(made.headers["audit-id"], "of-the-client");
    let mut forbidden = request("GET", &format!("{MAPS}/a"), "");
    let alice = "Bearer alice-token".parse().unwrap();
    forbidden.headers_mut().insert("authorization", alice);
    cluster.ask(Protocol::Http1, forbidden).await;
    let watch = format!("{MAPS}?watch=1&timeoutSeconds=1");
    cluster
        .ask(Protocol::Http1, request("GET", &watch, ""))
        .await;
    let events = audited(&cluster, 7).await;
    let words: Vec<String> = events
        .iter()
        .map(|event| {
            let word = |field: &str| event[field].as_str().unwrap().to_owned();
            let code = &event["responseStatus"]["code"];
            format!("{} {} {code}", word("verb"), word("stage"))
        })
        .collect();
    assert_eq!(
        words,
        [
            "create RequestReceived null",
            "create ResponseComplete 201",
            "get RequestReceived null",
            "get ResponseComplete 403",
            "watch RequestReceived null",
            "watch ResponseStarted 200",
            "watch ResponseComplete 200",
        ]
    );
    let created = &events[1];
    assert_eq!(created["auditID"], "of-the-client");
    assert_eq!(
        created["requestObject"],
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}})
    );
    assert_eq!(created["responseObject"]["metadata"]["name"], "a");
    assert_eq!(
        created["objectRef"],
        json!({"resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"})
    );
    assert_eq!(
        created["annotations"]["authorization.k8s.io/decision"],
        "allow"
    );
    let refused = &events[3];
    assert_eq!(refused["user"]["username"], "alice");
    assert_eq!(refused["responseStatus"]["reason"], "Forbidden");
    assert_eq!(
        refused["annotations"]["authorization.k8s.io/decision"],
        "forbid"
    );
    cluster.stop().await;
}
