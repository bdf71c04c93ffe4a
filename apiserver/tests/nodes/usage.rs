//! What nodes and pods use, as agents tell it.

use std::sync::atomic::Ordering;

use http::Method;
use proto::api::{GetRequest, ListRequest, ReadRequest, Target};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::Code;

use super::agent::Agent;
use super::{
    LOOK_PAUSE, MERGE, PATIENCE, PODS, create, get, get_object, message, send, start, text, write,
};
use crate::cluster::Cluster;

const API: &str = "/apis/metrics.k8s.io/v1beta1";
const USED: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";

fn target(resource: &str, namespace: &str, name: &str) -> Target {
    Target {
        group: "metrics.k8s.io".to_owned(),
        version: "v1beta1".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Target::default()
    }
}

/// The names in a list.
fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

/// An object without the time at which it was made.
async fn timeless(cluster: &Cluster, path: &str) -> Value {
    let mut object = get_object(cluster, path).await;
    let made = object["metadata"]["creationTimestamp"].take();
    assert!(made.is_string(), "{object}");
    object
}

#[tokio::test]
async fn what_agents_measure_is_told_and_they_are_asked_once() {
    let (cluster, agent) = start().await;
    let labels = json!({"metadata": {"labels": {"app": "web"}}});
    write(
        &cluster,
        Method::PATCH,
        &format!("{PODS}/one"),
        MERGE,
        &labels,
    )
    .await;
    assert_eq!(
        agent.summaries.load(Ordering::SeqCst),
        0,
        "nobody wanted to know"
    );
    let node = timeless(&cluster, &format!("{API}/nodes/n")).await;
    assert_eq!(
        node,
        json!({
            "kind": "NodeMetrics", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {"name": "n", "creationTimestamp": null},
            "timestamp": "2026-01-01T00:00:05Z", "window": "15s", "usage": {"cpu": "250m", "memory": "5Mi"},
        })
    );
    let pod = timeless(&cluster, &format!("{USED}/one")).await;
    assert_eq!(
        pod["metadata"],
        json!({"name": "one", "namespace": "default", "labels": {"app": "web"}, "creationTimestamp": null})
    );
    let containers = json!([{"name": "a", "usage": {"cpu": "12345678n", "memory": "1234Ki"}}]);
    assert_eq!(pod["containers"], containers);
    let pod = timeless(&cluster, &format!("{USED}/two")).await;
    assert_eq!(pod["timestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(pod["containers"][1]["usage"]["cpu"], "500u");
    for (path, wanted) in [
        (format!("{API}/nodes"), vec!["n"]),
        (format!("{API}/pods"), vec!["one", "two"]),
        (USED.to_owned(), vec!["one", "two"]),
        (format!("{USED}?labelSelector=app%3Dweb"), vec!["one"]),
        (format!("{USED}?labelSelector=app!%3Dweb"), vec!["two"]),
        (
            format!("{USED}?fieldSelector=metadata.name%3Dtwo"),
            vec!["two"],
        ),
        (format!("{API}/namespaces/none/pods"), vec![]),
    ] {
        let list = get_object(&cluster, &path).await;
        assert_eq!(names(&list), wanted, "{path}");
        assert_eq!(list["metadata"], json!({}));
    }
    what_cannot_be_told_is_refused(&cluster).await;
    assert_eq!(agent.summaries.load(Ordering::SeqCst), 1);
    cluster.stop().await;
}

async fn what_cannot_be_told_is_refused(cluster: &Cluster) {
    for (path, wanted) in [
        (
            "pods/lost",
            "podmetrics.metrics.k8s.io \"default/lost\" not found",
        ),
        ("pods/none", "pods \"none\" not found"),
        (
            "pods?fieldSelector=spec.nodeName%3Dn",
            "\"spec.nodeName\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        (
            "pods?watch=1",
            "the server does not allow this method on the requested resource",
        ),
        ("things", "the server could not find the requested resource"),
    ] {
        let path = format!("{API}/namespaces/default/{path}");
        assert_eq!(message(cluster, &path).await, wanted, "{path}");
    }
    let found = message(cluster, &format!("{API}/nodes/none")).await;
    assert_eq!(found, "node \"none\" not found");
}

#[tokio::test]
async fn what_is_used_is_found_shown_and_guarded_as_all_else() {
    let (cluster, _agent) = start().await;
    let list = get_object(&cluster, API).await;
    assert_eq!(
        list["resources"],
        json!([
            {"name": "nodes", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get", "list"]},
            {"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"]},
        ])
    );
    let groups = get_object(&cluster, "/apis").await;
    let last = groups["groups"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["name"], "metrics.k8s.io", "pods are first of all pods");
    let (code, document) = get(&cluster, &format!("/openapi/v3{API}")).await;
    assert_eq!(code, 200);
    assert!(document.contains("PodMetricsList"));
    // No object of such a name is made: a server that is installed brings its own.
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";
    assert_eq!(get(&cluster, path).await.0, 404);
    let asked = [(
        "accept",
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    )];
    let response = send(&cluster, (Method::GET, USED), &asked, &Value::Null).await;
    let table: Value = serde_json::from_str(&text(response).await).unwrap();
    let columns = table["columnDefinitions"].as_array().unwrap().iter();
    let columns: Vec<&str> = columns.map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Name", "cpu", "memory", "Window"]);
    assert_eq!(
        table["rows"][1]["cells"],
        json!(["two", "2m", "4Mi", "15s"])
    );
    // A client that reads protobuf is told in JSON, which it reads too.
    let asked = [(
        "accept",
        "application/vnd.kubernetes.protobuf,application/json",
    )];
    let response = send(&cluster, (Method::GET, USED), &asked, &Value::Null).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let asked = [("authorization", "Bearer alice-token")];
    let response = send(&cluster, (Method::GET, USED), &asked, &Value::Null).await;
    let status: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(
        status["message"],
        "pods.metrics.k8s.io is forbidden: User \"alice\" cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"default\""
    );
    cluster.stop().await;
}

#[tokio::test]
async fn what_is_used_is_told_over_grpc() {
    let (cluster, _agent) = start().await;
    let mut client = cluster.client("admin-token").await;
    let request = ListRequest {
        target: Some(target("pods", "default", "")),
        field_selector: "metadata.name=two".to_owned(),
        ..ListRequest::default()
    };
    let mut chunks = client.list(request).await.unwrap().into_inner();
    let chunk = chunks.message().await.unwrap().unwrap();
    assert_eq!(chunk.objects.len(), 1);
    let pod: Value = serde_json::from_slice(&chunk.objects[0]).unwrap();
    assert_eq!(pod["kind"], "PodMetrics");
    assert_eq!(pod["containers"][0]["usage"]["cpu"], "1500u");
    let request = |name: &str| GetRequest {
        target: Some(target("nodes", "", name)),
        ..GetRequest::default()
    };
    let node = client.get(request("n")).await.unwrap().into_inner();
    let node: Value = serde_json::from_slice(&node.object).unwrap();
    assert_eq!(node["usage"]["memory"], "5Mi");
    let status = client.get(request("none")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut client = cluster.client("alice-token").await;
    let status = client.get(request("n")).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_that_hangs_is_absent_and_keeps_nobody_else_from_being_told() {
    let (cluster, _agent) = start().await;
    // It takes connections, and says nothing in them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = json!({"metadata": {"name": "silent"}});
    create(&cluster, "/api/v1/nodes", &node).await;
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": silent.local_addr().unwrap().port()}},
    }});
    write(
        &cluster,
        Method::PATCH,
        "/api/v1/nodes/silent/status",
        MERGE,
        &status,
    )
    .await;
    create(
        &cluster,
        "/api/v1/nodes",
        &json!({"metadata": {"name": "nowhere"}}),
    )
    .await;
    let all = format!("{API}/nodes");
    let one = format!("{API}/nodes/n");
    let waiting = get_object(&cluster, &all);
    let told = async {
        let began = std::time::Instant::now();
        let node = get_object(&cluster, &one).await;
        assert_eq!(node["usage"]["cpu"], "250m");
        began.elapsed()
    };
    let (list, told) = tokio::join!(waiting, told);
    assert_eq!(names(&list), ["n"]);
    assert!(told.as_secs() < 8, "{told:?}");
    let found = message(&cluster, &format!("{API}/nodes/silent")).await;
    assert_eq!(found, "nodemetrics.metrics.k8s.io \"silent\" not found");
    cluster.stop().await;
}

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const SERVICE: &str = "v1beta1.metrics.k8s.io";

/// Has the agent answer for the API, and waits until it does.
async fn take_over(cluster: &Cluster, agent: &Agent) {
    let services = "/api/v1/namespaces/default/services";
    let service = json!({"metadata": {"name": "other"}, "spec": {"type": "ExternalName", "externalName": "localhost"}});
    create(cluster, services, &service).await;
    let api = json!({"metadata": {"name": SERVICE}, "spec": {
        "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": "other", "port": agent.port},
    }});
    create(cluster, SERVICES, &api).await;
    let accept = [(
        "accept",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    )];
    // Its own resources are in the document of everything as soon as it answers.
    let found = async {
        loop {
            let response = send(cluster, (Method::GET, "/apis"), &accept, &Value::Null).await;
            let is_found = text(response).await.contains("\"others\"");
            // It is asked once its object says that it is available.
            if is_found && get(cluster, &format!("{API}/nodes")).await.0 == 200 {
                break;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
}

#[tokio::test]
async fn what_a_server_behind_tells_is_read_as_it_is() {
    let (cluster, agent) = start().await;
    take_over(&cluster, &agent).await;
    let mut client = cluster.client("admin-token").await;
    let request = |resource: &str| ReadRequest {
        target: Some(target(resource, "default", "")),
        label_selector: "app=web".to_owned(),
        parameters: [("metricLabelSelector".to_owned(), "a".to_owned())].into(),
    };
    let answer = client.read(request("pods")).await.unwrap().into_inner();
    let list: Value = serde_json::from_slice(&answer.body).unwrap();
    let admin = "for admin of system:masters,system:authenticated";
    let wanted = format!("GET {USED}?labelSelector=app%3Dweb&metricLabelSelector=a {admin}");
    assert_eq!(list["items"][0]["metadata"]["name"], wanted);
    let mut unserved = request("pods");
    unserved.target.as_mut().unwrap().group = "apps".to_owned();
    let status = client.read(unserved).await.unwrap_err();
    let nobody = "the server could not find the requested resource";
    assert_eq!((status.code(), status.message()), (Code::NotFound, nobody));
    let status = client.read(request("..")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let mut client = cluster.client("alice-token").await;
    let status = client.read(request("pods")).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    cluster.stop().await;
}

#[tokio::test]
async fn a_server_that_an_api_service_names_takes_over() {
    let (cluster, agent) = start().await;
    take_over(&cluster, &agent).await;
    let admin = "for admin of system:masters,system:authenticated";
    let (_, body) = get(&cluster, &format!("{API}/nodes")).await;
    assert_eq!(body, format!("GET {API}/nodes {admin}"));
    let mut client = cluster.client("admin-token").await;
    let request = ListRequest {
        target: Some(target("pods", "default", "")),
        label_selector: "app=web".to_owned(),
        ..ListRequest::default()
    };
    let mut chunks = client.list(request).await.unwrap().into_inner();
    let chunk = chunks.message().await.unwrap().unwrap();
    let pod: Value = serde_json::from_slice(&chunk.objects[0]).unwrap();
    let wanted = format!("GET {USED}?labelSelector=app%3Dweb&fieldSelector= {admin}");
    assert_eq!(pod["metadata"]["name"], wanted);
    let request = |name: &str| GetRequest {
        target: Some(target("nodes", "", name)),
        ..GetRequest::default()
    };
    client.get(request("n")).await.unwrap();
    let status = client.get(request("m")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no m"));
    assert_eq!(agent.summaries.load(Ordering::SeqCst), 0);
    // With the object goes the other server.
    let path = format!("{SERVICES}/{SERVICE}");
    write(
        &cluster,
        Method::DELETE,
        &path,
        "application/json",
        &Value::Null,
    )
    .await;
    let own = async {
        loop {
            let (_, body) = get(&cluster, &format!("{API}/nodes")).await;
            if body.contains("250m") {
                break;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, own).await.unwrap();
    cluster.stop().await;
}
