//! Writers that make, change and delete one object at the same time.

use futures::future::join_all;
use serde_json::{Value, json};

use super::cluster::{Cluster, Protocol, request};
use super::{MAPS, ask};

const ROUNDS: usize = 12;
const WRITERS: usize = 4;

async fn apply(cluster: &Cluster, writer: usize) -> (u16, Value) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {format!("k{writer}"): "v"}});
    let path = format!("{MAPS}/m?fieldManager=w{writer}");
    let mut request = request("PATCH", &path, map.to_string());
    let kind = "application/apply-patch+yaml".parse().unwrap();
    request.headers_mut().insert("content-type", kind);
    let answer = cluster.ask(Protocol::Http1, request).await;
    (answer.code, answer.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_applied_whoever_makes_or_deletes_it_meanwhile() {
    let cluster = Cluster::start(&[], &[]).await;
    let map = format!("{MAPS}/m");
    for _ in 0..ROUNDS {
        let all = join_all((0..WRITERS).map(|writer| apply(&cluster, writer))).await;
        for (code, body) in all {
            assert!(matches!(code, 200 | 201), "{body}");
        }
        let deletion = ask(&cluster, "DELETE", &map, &Value::Null);
        let (deleted, (code, body)) = futures::join!(deletion, apply(&cluster, 0));
        assert_eq!(deleted.code, 200);
        assert!(matches!(code, 200 | 201), "{body}");
        ask(&cluster, "DELETE", &map, &Value::Null).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_update_may_make_is_updated_whoever_makes_it_meanwhile() {
    let cluster = Cluster::start(&[], &[]).await;
    let path = "/api/v1/namespaces/default/endpoints/e";
    let endpoints = |writer: usize| json!({"metadata": {"name": "e", "labels": {"writer": writer.to_string()}}});
    for _ in 0..ROUNDS {
        let bodies: Vec<Value> = (0..WRITERS).map(endpoints).collect();
        let all = join_all(bodies.iter().map(|body| ask(&cluster, "PUT", path, body))).await;
        let made = all.iter().filter(|answer| answer.code == 201).count();
        for answer in all {
            assert!(matches!(answer.code, 200 | 201), "{}", answer.json());
        }
        assert_eq!(made, 1);
        ask(&cluster, "DELETE", path, &Value::Null).await;
    }
    cluster.stop().await;
}
