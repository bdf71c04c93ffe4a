//! What goes through an apiserver to the agents of nodes and to servers of other APIs, told by one that plays both.

mod agent;
mod usage;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::cluster::Cluster;

/// Time until an API of others is found to be there.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_PAUSE: Duration = Duration::from_millis(100);
const PODS: &str = "/api/v1/namespaces/default/pods";
const MERGE: &str = "application/merge-patch+json";

/// Sends a request over HTTP/1.1, in which other protocols begin.
async fn send(
    cluster: &Cluster,
    (method, path): (Method, &str),
    headers: &[(&str, &str)],
    body: &Value,
) -> Response<Incoming> {
    let stream = TokioIo::new(cluster.connect(b"http/1.1").await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        request = request.header("authorization", "Bearer admin-token");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = request.body(Full::new(bytes::Bytes::from(body))).unwrap();
    sender.send_request(request).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

async fn get(cluster: &Cluster, path: &str) -> (u16, String) {
    let response = send(cluster, (Method::GET, path), &[], &Value::Null).await;
    (response.status().as_u16(), text(response).await)
}

async fn get_object(cluster: &Cluster, path: &str) -> Value {
    let (_, body) = get(cluster, path).await;
    serde_json::from_str(&body).unwrap()
}

/// What a failure says.
async fn message(cluster: &Cluster, path: &str) -> String {
    let (_, body) = get(cluster, path).await;
    let status: Value = serde_json::from_str(&body).unwrap();
    status["message"].as_str().unwrap().to_owned()
}

async fn write(cluster: &Cluster, method: Method, path: &str, media: &str, body: &Value) {
    let headers = [("content-type", media)];
    let response = send(cluster, (method, path), &headers, body).await;
    let code = response.status();
    assert!(code.is_success(), "{path}: {}", text(response).await);
}

async fn create(cluster: &Cluster, path: &str, body: &Value) {
    write(cluster, Method::POST, path, "application/json", body).await;
}

/// A node whose agent is the one that plays it, and pods on it.
async fn start() -> (Cluster, agent::Agent) {
    let (cluster, agent) = (Cluster::start().await, agent::Agent::start().await);
    create(
        &cluster,
        "/api/v1/nodes",
        &json!({"metadata": {"name": "n"}}),
    )
    .await;
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": agent.port}},
    }});
    let path = "/api/v1/nodes/n/status";
    write(&cluster, Method::PATCH, path, MERGE, &status).await;
    for (name, node, containers) in [
        ("one", "n", vec!["a"]),
        ("two", "n", vec!["a", "b"]),
        ("lost", "missing", vec!["a"]),
    ] {
        let containers: Vec<Value> = containers
            .iter()
            .map(|name| json!({"name": name, "image": "x"}))
            .collect();
        let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": node, "containers": containers}});
        create(&cluster, PODS, &pod).await;
    }
    (cluster, agent)
}

/// Headers by which another protocol is asked for.
fn upgrade<'a>(protocol: &'a str, inner: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("connection", "Upgrade"),
        ("upgrade", protocol),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", inner),
    ]
}

#[tokio::test]
async fn logs_come_from_the_agent_of_the_node() {
    let (cluster, agent) = start().await;
    let found = get(
        &cluster,
        &format!("{PODS}/one/log?follow&tailLines=5&limitBytes=9"),
    )
    .await;
    assert_eq!(
        found,
        (
            200,
            "GET /containerLogs/default/one/a?follow=true&limitBytes=9&tailLines=5".to_owned()
        )
    );
    for (path, wanted) in [
        (
            "two/log",
            "a container name must be specified for pod two, choose one of: [a b]",
        ),
        (
            "two/log?container=c",
            "container c is not valid for pod two",
        ),
        ("two/log?container=b&previous=true", ""),
        ("lost/log", "pods \"missing\" not found"),
        (
            "one/log?tailLines=-1",
            "PodLogOptions \"one\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "one/log?sinceSeconds=x",
            "strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        ("one/exec", "Upgrade request required"),
        ("one/proxy/", "address not allowed"),
        ("a:b:c:d/proxy/", "invalid pod request \"a:b:c:d\""),
    ] {
        if wanted.is_empty() {
            let (_, body) = get(&cluster, &format!("{PODS}/{path}")).await;
            assert_eq!(body, "GET /containerLogs/default/two/b?previous=true");
        } else {
            assert_eq!(
                message(&cluster, &format!("{PODS}/{path}")).await,
                wanted,
                "{path}"
            );
        }
    }
    let found = message(&cluster, "/api/v1/nodes/n/proxy/").await;
    assert_eq!(found, "address not allowed");
    drop(agent);
    let found = message(&cluster, &format!("{PODS}/one/log")).await;
    assert!(
        found.starts_with("Get \"https://127.0.0.1:")
            && found.ends_with("connect: connection refused"),
        "{found}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn streams_are_passed_to_the_agent_byte_for_byte() {
    let (cluster, _agent) = start().await;
    for (path, protocol) in [
        (
            "one/exec?command=a%20b&stdin=true&stdout=1&tty=false",
            "websocket",
        ),
        ("one/attach?stdout=true", "SPDY/3.1"),
        ("one/portforward", "SPDY/3.1"),
    ] {
        let path = format!("{PODS}/{path}");
        let mut asked = upgrade(protocol, "v4.channel.k8s.io");
        // What a client makes up about who it is goes no further.
        asked.push(("x-remote-user", "root"));
        let response = send(&cluster, (Method::GET, &path), &asked, &Value::Null).await;
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS, "{path}");
        assert_eq!(response.headers()["upgrade"], protocol);
        let told = response.headers()["x-told"].to_str().unwrap().to_owned();
        let stream = hyper::upgrade::on(response).await.unwrap();
        let mut stream = TokioIo::new(stream);
        stream.write_all(b"\x80\x03\x00ping").await.unwrap();
        let mut back = [0; 7];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"\x80\x03\x00ping");
        let wanted = match &path[PODS.len()..PODS.len() + 8] {
            "/one/exe" => "GET /exec/default/one/a?input=1&output=1&command=a%20b",
            "/one/att" => "GET /attach/default/one/a?output=1",
            _ => "GET /portForward/default/one",
        };
        assert_eq!(told, wanted);
    }
    // Who may not create streams begins none by reading.
    let mut asked = upgrade("websocket", "v4.channel.k8s.io");
    asked.push(("authorization", "Bearer alice-token"));
    let path = format!("{PODS}/one/exec");
    let response = send(&cluster, (Method::GET, &path), &asked, &Value::Null).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    cluster.stop().await;
}

#[tokio::test]
async fn a_port_is_forwarded_in_a_websocket_as_spdy() {
    let (cluster, _agent) = start().await;
    let asked = upgrade("websocket", "SPDY/3.1+portforward.k8s.io");
    let path = format!("{PODS}/one/portforward");
    let response = send(&cluster, (Method::GET, &path), &asked, &Value::Null).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers();
    assert_eq!(
        headers["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(
        headers["sec-websocket-protocol"],
        "SPDY/3.1+portforward.k8s.io"
    );
    let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    socket.send(Message::Binary("one".into())).await.unwrap();
    let back = socket.next().await.unwrap().unwrap();
    assert_eq!(back, Message::Binary("one".into()));
    // The other side sees that the client is gone.
    socket.close(None).await.unwrap();
    cluster.stop().await;
}

/// A client can neither take away nor make up for whom a request is passed on.
async fn a_user_is_told_whatever_a_client_says(cluster: &Cluster) {
    let path = "/apis/things.example/v1/things";
    let told =
        "GET /apis/things.example/v1/things for admin of system:masters,system:authenticated";
    let named = "X-Remote-User, X-Remote-Group, Host";
    let asked = [("connection", named), ("x-remote-user", "root")];
    let response = send(cluster, (Method::GET, path), &asked, &Value::Null).await;
    assert_eq!(text(response).await, told);
    let named = "Upgrade, X-Remote-User, X-Remote-Group";
    let asked = [("connection", named), ("upgrade", "websocket")];
    let response = send(cluster, (Method::GET, path), &asked, &Value::Null).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["x-told"], told);
}

async fn a_path_with_an_empty_name_is_judged(cluster: &Cluster) {
    let alice = [("authorization", "Bearer alice-token")];
    for (path, scope) in [
        ("/apis/things.example/v1//things", "at the cluster scope"),
        ("/apis/things.example/v1/%2Fthings", "at the cluster scope"),
        (
            "/apis/things.example/v1/namespaces/a//things",
            "in the namespace \"a\"",
        ),
    ] {
        let response = send(cluster, (Method::GET, path), &alice, &Value::Null).await;
        let status: Value = serde_json::from_str(&text(response).await).unwrap();
        let wanted = format!(
            ".things.example \"things\" is forbidden: User \"alice\" cannot get resource \"\" in API group \"things.example\" {scope}"
        );
        assert_eq!(status["message"], wanted, "{path}");
    }
    let found = get(cluster, "/apis/things.example/v1/watch").await;
    let wanted = "Internal Server Error: \"/apis/things.example/v1/watch\": failed to create RequestInfo: unable to determine kind and namespace from url, /apis/things.example/v1/watch\n";
    assert_eq!(found, (500, wanted.to_owned()));
}

#[tokio::test]
async fn the_api_of_another_server_is_found_and_answered_by_it() {
    let (cluster, agent) = start().await;
    let services = "/api/v1/namespaces/default/services";
    let service = json!({"metadata": {"name": "other"}, "spec": {"type": "ExternalName", "externalName": "localhost"}});
    create(&cluster, services, &service).await;
    let api = |name: &str, service: &str, version: &str| {
        json!({"metadata": {"name": name}, "spec": {
            "group": "things.example", "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": service, "port": agent.port},
        }})
    };
    let apis = "/apis/apiregistration.k8s.io/v1/apiservices";
    create(&cluster, apis, &api("v1.things.example", "other", "v1")).await;
    create(&cluster, apis, &api("v2.things.example", "none", "v2")).await;
    // The way to these objects stays here, whatever one of them says.
    let name = "v1.apiregistration.k8s.io";
    let mut taken = api(name, "none", "v1");
    taken["spec"]["group"] = "apiregistration.k8s.io".into();
    create(&cluster, apis, &taken).await;
    get_object(&cluster, &format!("{apis}/{name}")).await;
    let condition = async |name: &str| {
        let found = get_object(&cluster, &format!("{apis}/{name}")).await;
        found["status"]["conditions"][0].clone()
    };
    let both = async {
        while condition("v1.things.example").await["status"] != "True"
            || condition("v2.things.example").await["status"] != "False"
            // What is stored may be known here a moment later.
            || get(&cluster, "/apis/things.example/v1/things").await.0 != 200
        {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    let found = condition("v2.things.example").await;
    assert_eq!(found["reason"], "ServiceNotFound");
    assert_eq!(
        found["message"],
        "service/none in \"default\" is not present"
    );
    let found = get(&cluster, "/apis/things.example/v2/things").await;
    assert_eq!(found, (503, "service unavailable\n".to_owned()));
    a_user_is_told_whatever_a_client_says(&cluster).await;
    a_path_with_an_empty_name_is_judged(&cluster).await;
    let found = get(&cluster, "/apis/things.example/v1/things?limit=1").await;
    assert_eq!(found, (200, "GET /apis/things.example/v1/things?limit=1 for admin of system:masters,system:authenticated".to_owned()));
    let (_, groups) = get(&cluster, "/apis").await;
    assert!(groups.contains("\"groupVersion\":\"things.example/v1\""));
    let accept = [(
        "accept",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    )];
    let response = send(&cluster, (Method::GET, "/apis"), &accept, &Value::Null).await;
    let document: Value = serde_json::from_str(&text(response).await).unwrap();
    let last = document["items"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["metadata"]["name"], "things.example");
    let fresh = last["versions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["version"] == "v1");
    assert_eq!(
        fresh.unwrap()["resources"][0]["responseKind"]["kind"],
        "Thing"
    );
    cluster.stop().await;
}
