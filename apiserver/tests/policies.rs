//! Admission policies on a running server, held against what a kube-apiserver answered to the same requests.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Cases with the answers of a kube-apiserver: objects that are made before, and requests that are tried out.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/cases.json");
/// Objects that admission reads.
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

/// How long a policy may take until it is in force.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks at whether it is.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The plural names of the kinds that cases make.
const PLURALS: [(&str, &str); 6] = [
    ("ConfigMap", "configmaps"),
    ("Namespace", "namespaces"),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    (
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    ),
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    (
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
    ),
];

/// Sends a request of HTTP/1.1; the answer's code, its warnings and its body.
async fn send(
    cluster: &Cluster,
    method: &str,
    path: &str,
    body: &Value,
) -> (u64, Vec<String>, Value) {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    text.push_str("authorization: Bearer admin-token\r\ncontent-type: application/json\r\n");
    write!(text, "content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut stream = cluster.connect(b"http/1.1").await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end of a connection without the end of its TLS is an end all the same.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let warnings = headers.filter(|(name, _)| name.eq_ignore_ascii_case("warning"));
    let warnings = warnings.map(|(_, value)| value.to_owned()).collect();
    let start = body.find('{').unwrap();
    let mut values = serde_json::Deserializer::from_str(&body[start..]).into_iter::<Value>();
    (code, warnings, values.next().unwrap().unwrap())
}

/// What a request is answered, in the form of the table.
async fn answer(cluster: &Cluster, request: &Value) -> Value {
    let text = |field: &str| request[field].as_str().unwrap();
    let (code, warnings, body) =
        send(cluster, text("method"), text("path"), &request["body"]).await;
    let mut answer = json!({"code": code});
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    if code >= 400 {
        let mut status = json!({});
        for field in ["message", "reason", "details"] {
            if let Some(value) = body.get(field) {
                status[field] = value.clone();
            }
        }
        answer["status"] = status;
    } else if let Some(show) = request["show"].as_array() {
        let shown = show
            .iter()
            .map(|pointer| body.pointer(pointer.as_str().unwrap()).cloned());
        answer["shown"] = shown.collect();
    }
    answer
}

fn path(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    let kind = object["kind"].as_str().unwrap();
    let root = if version == "v1" { "/api" } else { "/apis" };
    let (_, plural) = PLURALS.iter().find(|(known, _)| *known == kind).unwrap();
    match kind {
        "ConfigMap" => format!("{root}/{version}/namespaces/default/{plural}"),
        _ => format!("{root}/{version}/{plural}"),
    }
}

/// Asks until the answer is the one that is expected, or patience ends.
async fn settled(cluster: &Cluster, request: &Value) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = answer(cluster, request).await;
        if found == request["expected"] || Instant::now() > end {
            return found;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// Waits until the server judges by what is stored now: a list of the newest state is answered when it has read that far.
async fn in_force(cluster: &Cluster) {
    let (code, _, _) = send(cluster, "GET", BINDINGS, &Value::Null).await;
    assert_eq!(code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_answer_as_those_of_a_kube_apiserver() {
    let cluster = Cluster::start().await;
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(CASES).unwrap()).unwrap();
    let mut differences = String::new();
    for case in &cases {
        let objects = case["objects"].as_array().unwrap();
        for object in objects {
            let (code, _, body) = send(&cluster, "POST", &path(object), object).await;
            if code != 201 {
                writeln!(differences, "{}: not made: {body}", case["about"]).unwrap();
            }
        }
        in_force(&cluster).await;
        for request in case["requests"].as_array().unwrap() {
            let found = settled(&cluster, request).await;
            let expected = &request["expected"];
            if found != *expected {
                let about = &case["about"];
                writeln!(
                    differences,
                    "{about} {request}\n want {expected}\n got  {found}"
                )
                .unwrap();
            }
        }
        for object in objects.iter().rev() {
            let name = object["metadata"]["name"].as_str().unwrap();
            let path = format!("{}/{name}", path(object));
            send(&cluster, "DELETE", &path, &Value::Null).await;
        }
        in_force(&cluster).await;
    }
    cluster.stop().await;
    assert!(differences.is_empty(), "{differences}");
}
