//! Flags whose effect is seen outside of the server: in the store, in the files of the audit log, in connections.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::api::{CreateRequest, Target};
use proto::etcdserverpb::RangeRequest;
use proto::etcdserverpb::kv_client::KvClient;
use serde_json::{Value, json};

use crate::cluster::Cluster;

fn create(name: &str, text: &str) -> CreateRequest {
    let object = json!({"metadata": {"name": name}, "data": {"text": text}});
    CreateRequest {
        target: Some(Target {
            version: "v1".to_owned(),
            resource: "configmaps".to_owned(),
            namespace: "default".to_owned(),
            ..Target::default()
        }),
        object: object.to_string().into(),
        options: None,
    }
}

/// How many keys of the store begin so.
async fn count(cluster: &Cluster, prefix: &str) -> i64 {
    let mut store = KvClient::connect(cluster.store().to_owned()).await.unwrap();
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().unwrap() += 1;
    let request = RangeRequest {
        key: prefix.to_owned().into(),
        range_end: end.into(),
        count_only: true,
        ..RangeRequest::default()
    };
    store.range(request).await.unwrap().into_inner().count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_keys_are_below_the_prefix() {
    let cluster = Cluster::start_with(&["--etcd-prefix=elsewhere/"]).await;
    let mut client = cluster.client("admin-token").await;
    client.create(create("a", "x")).await.unwrap();
    let one = "/elsewhere/configmaps/default/a";
    assert_eq!(count(&cluster, one).await, 1);
    assert!(count(&cluster, "/elsewhere/").await > 1);
    assert_eq!(count(&cluster, "/registry").await, 0);
    cluster.stop().await;
}

const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Request, users: [admin], verbs: [create]}, {level: None}]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_audit_log_is_put_aside_and_few_are_kept() {
    let flags = [
        "--audit-policy-file={}/policy.yaml",
        "--audit-log-path={}/logs/audit.log",
        "--audit-log-maxsize=1",
        "--audit-log-maxbackup=2",
        "--audit-log-maxage=7",
    ];
    let cluster = Cluster::start_from(&flags, &[("policy.yaml", POLICY)]).await;
    let mut client = cluster.client("admin-token").await;
    // Two of them do not fit into one file.
    let text = "x".repeat(600 << 10);
    for number in 0..5 {
        client
            .create(create(&format!("a{number}"), &text))
            .await
            .unwrap();
    }
    let files = cluster.stopped().await;
    let entries = std::fs::read_dir(files.path().join("logs")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut told = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            name == "audit.log" || name.starts_with("audit-20"),
            "{name}"
        );
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            told.push(event["requestObject"]["metadata"]["name"].clone());
        }
    }
    assert_eq!(told, ["a2", "a3", "a4"]);
    assert_eq!(paths.len(), 3);
}

/// How many requests one connection answered before its server wanted another.
async fn answered(cluster: &Cluster, requests_max: usize) -> usize {
    let stream = TokioIo::new(cluster.connect(b"h2").await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    for number in 0..requests_max {
        let request = Request::get("https://localhost/version")
            .version(Version::HTTP_2)
            .header("authorization", "Bearer admin-token")
            .body(Empty::<Bytes>::new())
            .unwrap();
        if sender.ready().await.is_err() {
            return number;
        }
        let Ok(response) = sender.send_request(request).await else {
            return number;
        };
        // Whoever is sent away is answered all the same.
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.unwrap();
    }
    requests_max
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_sent_to_another_server_by_chance_alone() {
    const MANY: usize = 2_000;
    let cluster = Cluster::start_with(&["--goaway-chance=0.02"]).await;
    assert!(answered(&cluster, MANY).await < MANY);
    cluster.stop().await;
    let cluster = Cluster::start().await;
    assert_eq!(answered(&cluster, MANY).await, MANY);
    cluster.stop().await;
}
