//! `mainstay up --one-process`: a whole control plane inside one process, which stops in order, starts again with what it had, and ends when
//! a part of it cannot go on.
use std::net::TcpListener;

use client::{Key, Query};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;

use crate::running::Running;

const REPLICAS: i32 = 3;

fn deployment() -> Deployment {
    let labels = json!({"app": "web"});
    let container = json!({"name": "main", "image": "registry.k8s.io/pause:3.10.2"});
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }))
    .unwrap()
}

async fn ready_replicas(running: &Running) -> i32 {
    let client = running.client();
    let found = client.get::<Deployment>(&Key::new("default", "web")).await;
    let ready = found.ok().and_then(|found| found.status?.ready_replicas);
    ready.unwrap_or(0)
}

#[tokio::test]
async fn a_deployment_runs_and_is_there_again_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(folder.path(), &["--nodes", "2"]);
    let account = Key::new("default", "default");
    running
        .until("a service account", async |running| {
            running
                .client()
                .get::<ServiceAccount>(&account)
                .await
                .is_ok()
        })
        .await;
    running.client().create(&deployment()).await.unwrap();
    running
        .until("pods that are ready", async |running| {
            ready_replicas(running).await == REPLICAS
        })
        .await;
    running
        .until("the storage class", async |running| {
            let (client, all) = (running.client(), Query::default());
            let classes = client.list::<StorageClass>(&all).await;
            classes.is_ok_and(|classes| classes.items.len() == 1)
        })
        .await;
    assert_eq!(running.children(), Vec::<String>::new());
    let stopped = running.stop();
    assert!(stopped.status.success(), "{}", stopped.output);
    assert!(stopped.output.contains("stopped; the data is in"));

    let mut again = Running::start(folder.path(), &["--nodes", "2"]);
    again
        .until("the deployment", async |running| {
            ready_replicas(running).await == REPLICAS
        })
        .await;
    let client = again.client();
    let scaled = client::Patch::Merge(json!({"spec": {"replicas": REPLICAS + 1}}));
    let key = Key::new("default", "web");
    client.patch::<Deployment>(&key, &scaled).await.unwrap();
    again
        .until("one more pod", async |running| {
            ready_replicas(running).await == REPLICAS + 1
        })
        .await;
    let pods = client.list::<Pod>(&Query::namespace("default")).await;
    let on_nodes = |pod: &Pod| {
        pod.spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some())
    };
    assert!(pods.unwrap().items.iter().all(on_nodes));
    assert!(again.stop().status.success());
}

#[tokio::test]
async fn a_part_that_cannot_go_on_ends_the_process_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), &["--", "--no-such-flag"]);
    let ended = running.ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    assert!(
        ended.output.contains("mainstay up: task replica1 failed:"),
        "{}",
        ended.output
    );
    assert!(ended.output.contains("no-such-flag"), "{}", ended.output);
}

#[tokio::test]
async fn a_peer_port_that_somebody_has_is_said_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = busy.local_addr().unwrap().port();
    std::fs::write(folder.path().join("ports"), format!("2379 {port}\n")).unwrap();
    let ended = Running::start(folder.path(), &[]).ended();
    assert_eq!(ended.status.code(), Some(1));
    let expected = format!("port {port} is in use, and the cluster was made with it");
    assert!(ended.output.contains(&expected), "{}", ended.output);
}
