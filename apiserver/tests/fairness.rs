//! Requests that share a server, as its clients see it: over TLS, on a server whose store is a stock etcd.

use std::time::Duration;

use crate::cluster::{Cluster, pods};
use proto::api::GetRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::Code;

/// Time until something that has to happen has happened.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at it.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// So few seats that a level with one share has one of them.
const FEW_SEATS: [&str; 3] = [
    "--max-requests-inflight=40",
    "--max-mutating-requests-inflight=20",
    "--request-timeout=4m",
];
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A request on its way.
struct Sent(TlsStream<TcpStream>);

impl Sent {
    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The whole answer.
    async fn answer(mut self) -> String {
        let mut answer = Vec::new();
        let reading = self.0.read_to_end(&mut answer);
        // Some servers end a connection without a word of TLS; what was read counts.
        let _ = tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("an answer in time");
        String::from_utf8(answer).unwrap()
    }

    /// Reads until the answer has a text.
    async fn read_until(&mut self, text: &str) {
        let reading = async {
            let mut answer = String::new();
            while !answer.contains(text) {
                let mut part = [0; 4_096];
                let count = self.0.read(&mut part).await.unwrap();
                assert!(count > 0, "{answer}");
                answer.push_str(&String::from_utf8_lossy(&part[..count]));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
    }
}

/// Sends the head of a request, as a user that the admin stands for, or as the admin.
async fn send(cluster: &Cluster, user: &str, line: &str, length: usize) -> Sent {
    let mut sent = Sent(cluster.connect(b"http/1.1").await);
    let acting = if user.is_empty() {
        String::new()
    } else {
        format!("Impersonate-User: {user}\r\n")
    };
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin-token\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{acting}\r\n"
    );
    sent.write(&head).await;
    sent
}

async fn get(cluster: &Cluster, user: &str, path: &str) -> String {
    send(cluster, user, &format!("GET {path}"), 0)
        .await
        .answer()
        .await
}

async fn post(cluster: &Cluster, path: &str, object: &Value) -> String {
    let body = object.to_string();
    let mut sent = send(cluster, "", &format!("POST {path}"), body.len()).await;
    sent.write(&body).await;
    sent.answer().await
}

/// A config map that is on its way: its body is still to be sent.
async fn open(cluster: &Cluster, user: &str, name: &str) -> (Sent, String) {
    let body = json!({"metadata": {"name": name}}).to_string();
    let sent = send(cluster, user, &format!("POST {CONFIG_MAPS}"), body.len()).await;
    (sent, body)
}

fn is_answered(answer: &str, code: u16) -> bool {
    answer.starts_with(&format!("HTTP/1.1 {code} "))
}

/// Waits until the metrics have a line.
async fn await_metric(cluster: &Cluster, line: &str) {
    let looking = async {
        loop {
            let metrics = get(cluster, "", "/metrics").await;
            if metrics.lines().any(|one| one == line) {
                return;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    assert!(found.is_ok(), "never came: {line}");
}

/// Makes a level with one seat, and a schema that brings some users to it, who may do everything.
async fn narrow(cluster: &Cluster, response: Value, users: &[&str]) {
    let subjects =
        |of: &dyn Fn(&str) -> Value| users.iter().map(|user| of(user)).collect::<Value>();
    let flow = "/apis/flowcontrol.apiserver.k8s.io/v1";
    let level = json!({
        "metadata": {"name": "narrow"},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 1,
            "borrowingLimitPercent": 0,
            "limitResponse": response,
        }},
    });
    let schema = json!({
        "metadata": {"name": "narrow"},
        "spec": {
            "matchingPrecedence": 50,
            "priorityLevelConfiguration": {"name": "narrow"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": subjects(&|user| json!({"kind": "User", "user": {"name": user}})),
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
            }],
        },
    });
    let binding = json!({
        "metadata": {"name": "narrow"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": subjects(&|user| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user})),
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    for (path, object) in [
        (bindings.to_owned(), binding),
        (format!("{flow}/prioritylevelconfigurations"), level),
        (format!("{flow}/flowschemas"), schema),
    ] {
        let answer = post(cluster, &path, &object).await;
        assert!(is_answered(&answer, 201), "{answer}");
    }
    await_metric(
        cluster,
        "apiserver_flowcontrol_current_limit_seats{priority_level=\"narrow\"} 1",
    )
    .await;
    let path = format!("{flow}/flowschemas/narrow");
    let uid = |answer: &str| {
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let object: Value = serde_json::from_str(body).unwrap();
        object["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    let mark = format!(
        "x-kubernetes-pf-flowschema-uid: {}",
        uid(&get(cluster, "", &path).await)
    );
    let looking = async {
        // The schema is known when its requests are marked with it, and the binding when they are allowed.
        for user in users {
            loop {
                let answer = get(cluster, user, CONFIG_MAPS).await;
                if answer.contains(&mark) && is_answered(&answer, 200) {
                    break;
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap();
}

fn gauge(name: &str, count: usize) -> String {
    format!(
        "apiserver_flowcontrol_{name}{{flow_schema=\"narrow\",priority_level=\"narrow\"}} {count}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_greedy_client_does_not_keep_another_from_its_turn() {
    let cluster = Cluster::start_with(&FEW_SEATS).await;
    let queues =
        json!({"type": "Queue", "queuing": {"queues": 64, "handSize": 1, "queueLengthLimit": 50}});
    narrow(&cluster, queues, &["greedy", "modest"]).await;
    let mut greedy = Vec::new();
    for number in 0..8 {
        greedy.push(open(&cluster, "greedy", &format!("greedy-{number}")).await);
        await_metric(&cluster, &gauge("current_executing_requests", 1)).await;
        await_metric(&cluster, &gauge("current_inqueue_requests", number)).await;
    }
    let modest = send(&cluster, "modest", &format!("GET {CONFIG_MAPS}"), 0).await;
    await_metric(&cluster, &gauge("current_inqueue_requests", 8)).await;
    await_metric(&cluster, &gauge("current_executing_requests", 1)).await;
    // The first of the greedy ones ends. Seven came before the modest one, and it is next all the same.
    let (mut first, body) = greedy.remove(0);
    first.write(&body).await;
    assert!(is_answered(&first.answer().await, 201));
    let answer = modest.answer().await;
    assert!(is_answered(&answer, 200), "{answer}");
    assert!(!answer.contains("greedy-1"), "{answer}");
    // The others have their turn.
    for (mut sent, body) in greedy {
        sent.write(&body).await;
        assert!(is_answered(&sent.answer().await, 201));
    }
    await_metric(&cluster, &gauge("current_executing_requests", 0)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_level_refuses_requests_of_rest_and_calls_of_grpc() {
    let cluster = Cluster::start_with(&FEW_SEATS).await;
    narrow(&cluster, json!({"type": "Reject"}), &["alice"]).await;
    let (mut sent, body) = open(&cluster, "alice", "a").await;
    await_metric(&cluster, &gauge("current_executing_requests", 1)).await;
    let answer = get(&cluster, "alice", CONFIG_MAPS).await;
    assert!(is_answered(&answer, 429), "{answer}");
    assert!(
        answer.contains("retry-after: 1\r\n")
            && answer.contains("x-kubernetes-pf-prioritylevel-uid: ")
    );
    assert!(
        answer.ends_with("\r\n\r\nToo many requests, please try again later.\n"),
        "{answer}"
    );
    let mut client = cluster.client("alice-token").await;
    let message = GetRequest {
        target: Some(pods("a")),
        resource_version: String::new(),
    };
    let refused = client.get(message.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    // A watch that has begun takes no seat, and neither does what was answered.
    sent.write(&body).await;
    assert!(is_answered(&sent.answer().await, 201));
    await_metric(&cluster, &gauge("current_executing_requests", 0)).await;
    let mut watch = send(
        &cluster,
        "alice",
        &format!("GET {CONFIG_MAPS}?watch=true"),
        0,
    )
    .await;
    watch.read_until("ADDED").await;
    await_metric(&cluster, &gauge("current_executing_requests", 0)).await;
    assert_eq!(
        client.get(message).await.unwrap_err().code(),
        Code::NotFound
    );
    let count = "grpc_server_handled_total{grpc_code=\"ResourceExhausted\",grpc_method=\"Get\",grpc_service=\"mainstay.api.v1.Objects\"} 1";
    await_metric(&cluster, count).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_ends_its_watches_and_answers_what_it_was_asked() {
    let cluster = Cluster::start().await;
    let mut watch = send(&cluster, "", &format!("GET {CONFIG_MAPS}?watch=true"), 0).await;
    watch.read_until("200 OK").await;
    let (mut sent, body) = open(&cluster, "", "late").await;
    let reads = "apiserver_current_inflight_requests{request_kind=\"mutating\"} 1";
    await_metric(&cluster, reads).await;
    let stopping = tokio::spawn(cluster.stop());
    // The end of the watch says that nothing new is taken.
    watch.answer().await;
    sent.write(&body).await;
    let answer = sent.answer().await;
    assert!(is_answered(&answer, 201), "{answer}");
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_has_the_time_that_it_asks_for() {
    let cluster = Cluster::start().await;
    let path = |timeout: &str| format!("{CONFIG_MAPS}?timeout={timeout}");
    let answer = get(&cluster, "", &path("soon")).await;
    assert!(is_answered(&answer, 400), "{answer}");
    assert!(
        answer.contains(
            "invalid timeout specified in the request URL - time: invalid duration \\\"soon\\\""
        ),
        "{answer}"
    );
    assert!(is_answered(&get(&cluster, "", &path("-1s")).await, 200));
    // Its body never comes.
    let late = send(&cluster, "", &format!("POST {}", path("10ms")), 10).await;
    let answer = late.answer().await;
    assert!(is_answered(&answer, 504), "{answer}");
    assert!(
        answer.contains("Timeout: request did not complete within the allotted timeout"),
        "{answer}"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_are_privileged_only_where_that_is_allowed() {
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "c", "image": "i", "securityContext": {"privileged": true}},
    ]}});
    let path = "/api/v1/namespaces/default/pods";
    let strict = Cluster::start().await;
    let answer = post(&strict, path, &pod).await;
    assert!(is_answered(&answer, 422), "{answer}");
    let message =
        "spec.containers[0].securityContext.privileged: Forbidden: disallowed by cluster policy";
    assert!(answer.contains(message), "{answer}");
    strict.stop().await;
    let lax = Cluster::start_with(&["--allow-privileged"]).await;
    assert!(is_answered(&post(&lax, path, &pod).await, 201));
    lax.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_group_that_is_served_has_its_api_service_and_schemas_know_their_level() {
    let cluster = Cluster::start().await;
    let registered = "/apis/apiregistration.k8s.io/v1/apiservices";
    let schemas = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
    let definition = json!({
        "metadata": {"name": "as.example.com"},
        "spec": {
            "group": "example.com", "scope": "Cluster", "names": {"plural": "as", "kind": "A"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert!(is_answered(
        &post(&cluster, definitions, &definition).await,
        201
    ));
    let lost = json!({"metadata": {"name": "lost"}, "spec": {"priorityLevelConfiguration": {"name": "nowhere"}}});
    assert!(is_answered(&post(&cluster, schemas, &lost).await, 201));
    await_text(
        &cluster,
        &format!("{registered}/v1.apps"),
        "Local APIServices are always available",
    )
    .await;
    await_text(
        &cluster,
        &format!("{registered}/v1.example.com"),
        "Local APIServices are always available",
    )
    .await;
    await_text(&cluster, &format!("{schemas}/probes"), "and it exists").await;
    await_text(
        &cluster,
        &format!("{schemas}/lost"),
        "but there is no such object",
    )
    .await;
    let deleted = send(
        &cluster,
        "",
        &format!("DELETE {definitions}/as.example.com"),
        0,
    )
    .await;
    assert!(is_answered(&deleted.answer().await, 200));
    await_text(
        &cluster,
        &format!("{registered}/v1.example.com"),
        "404 Not Found",
    )
    .await;
    // What is mandatory comes back.
    let deleted = send(&cluster, "", &format!("DELETE {schemas}/catch-all"), 0).await;
    assert!(is_answered(&deleted.answer().await, 200));
    await_text(&cluster, &format!("{schemas}/catch-all"), "and it exists").await;
    cluster.stop().await;
}

async fn await_text(cluster: &Cluster, path: &str, text: &str) {
    let looking = async {
        while !get(cluster, "", path).await.contains(text) {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    assert!(found.is_ok(), "{path} never said {text:?}");
}
