//! The controller of docs/writing-a-controller.md, which does what it says.

use client::{DeleteOptions, Patch};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::cluster::{Cluster, until};
use super::greetings::{self, Greeting};
use super::key;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_greeting_is_said() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client();
    let running = greetings::run(client.clone());
    cluster.tasks.spawn(async { running.await.unwrap() });
    let greeting = Greeting {
        metadata: ObjectMeta {
            name: Some("a".to_owned()),
            namespace: Some("default".to_owned()),
            ..ObjectMeta::default()
        },
        spec: json!({"to": "you"}),
    };
    until("the kind is served", async || {
        client.create(&greeting).await.is_ok()
    })
    .await;
    let said = async |text: &str| {
        let map = client.get::<ConfigMap>(&key("a")).await;
        map.is_ok_and(|map| map.data.is_some_and(|data| data["text"] == text))
    };
    until("it is said", async || said("Hello, you!").await).await;
    let map: ConfigMap = client.get(&key("a")).await.unwrap();
    assert_eq!(map.metadata.owner_references.unwrap()[0].kind, "Greeting");
    let patch = Patch::Merge(json!({"spec": {"to": "all"}}));
    client.patch::<Greeting>(&key("a"), &patch).await.unwrap();
    until("it is said anew", async || said("Hello, all!").await).await;
    let now = DeleteOptions::default();
    client.delete::<ConfigMap>(&key("a"), &now).await.unwrap();
    until("it is said again", async || said("Hello, all!").await).await;
    cluster.stop().await;
}
