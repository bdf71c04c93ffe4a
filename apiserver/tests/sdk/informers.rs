//! Informers over servers that come and go.

use std::sync::Arc;

use client::{Change, DeleteOptions, Informer, Informers, Kind, Object, Patch, Query};
use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::Mutex;
use serde_json::json;

use super::cluster::{Cluster, until};
use super::{config_map, key};

type Told = Arc<Mutex<Vec<String>>>;

/// What is told of the objects in the default namespace that tests make.
fn listen<K: Object>(informer: &Informer<K>) -> Told {
    let told = Told::default();
    let heard = told.clone();
    informer.on_change(move |change| {
        let what = match change {
            Change::Added(_) => "+",
            Change::Modified { .. } => "~",
            Change::Deleted(_) => "-",
        };
        let key = change.object().key();
        if key.namespace == "default" && key.name.len() == 1 {
            heard.lock().push(format!("{what}{}", key.name));
        }
    });
    told
}

async fn told(of: &Told, expected: &[&str]) {
    let mut seen = Vec::new();
    until("what is told", async || {
        seen.append(&mut of.lock());
        seen.len() >= expected.len()
    })
    .await;
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_informer_goes_on_when_connections_are_cut_and_servers_change() {
    let mut cluster = Cluster::start(2).await;
    let (client, direct) = (cluster.client(), cluster.direct());
    direct.create(&config_map("a", "1")).await.unwrap();
    let informers = Informers::new(client);
    let informer = informers.of::<ConfigMap>();
    let changes = listen(&informer);
    let dynamic = listen(&informers.metadata(ConfigMap::resource()));
    assert!(informer.store().is_empty() && !informer.is_synced());
    cluster.run(&informers).await;
    told(&changes, &["+a"]).await;
    direct.create(&config_map("b", "1")).await.unwrap();
    let patch = Patch::Merge(json!({"data": {"a": "2"}}));
    direct.patch::<ConfigMap>(&key("a"), &patch).await.unwrap();
    told(&changes, &["+b", "~a"]).await;

    cluster.relays[0].cut();
    direct.create(&config_map("c", "1")).await.unwrap();
    told(&changes, &["+c"]).await;
    cluster.relays[0].close();
    cluster.relays[1].cut();
    direct
        .delete::<ConfigMap>(&key("b"), &DeleteOptions::default())
        .await
        .unwrap();
    told(&changes, &["-b"]).await;
    cluster.replace(1).await;
    let direct = cluster.direct();
    direct.create(&config_map("d", "1")).await.unwrap();
    told(&changes, &["+d"]).await;
    told(&dynamic, &["+a", "+b", "~a", "+c", "-b", "+d"]).await;
    let store = informer.store();
    assert_eq!(
        store.get(&key("a")).unwrap().data.as_ref().unwrap()["a"],
        "2"
    );
    assert!(store.get(&key("b")).is_none());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_while_the_store_forgot_is_told_as_deleted() {
    let mut cluster = Cluster::start(1).await;
    let (client, direct) = (cluster.client(), cluster.direct());
    for name in ["a", "b"] {
        direct.create(&config_map(name, "1")).await.unwrap();
    }
    let informers = Informers::new(client);
    let informer = informers.with::<ConfigMap>(Query::namespace("default"));
    let changes = listen(&informer);
    cluster.run(&informers).await;
    told(&changes, &["+a", "+b"]).await;
    cluster.relays[0].close();
    direct
        .delete::<ConfigMap>(&key("a"), &DeleteOptions::default())
        .await
        .unwrap();
    direct.create(&config_map("c", "1")).await.unwrap();
    cluster.compact().await;
    cluster.replace(0).await;
    told(&changes, &["-a", "+c"]).await;
    cluster.stop().await;
}
