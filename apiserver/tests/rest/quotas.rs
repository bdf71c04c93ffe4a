//! Quotas under requests that come at the same time, and limits of pods and their containers.

use futures::future::join_all;
use serde_json::{Value, json};

use super::cluster::{Cluster, until};
use super::{MAPS, ask};

const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS_AT_A_TIME: usize = 64;

/// Makes a quota of config maps of which so many are used, and waits until the server goes by it.
async fn limit(cluster: &Cluster, name: &str, hard: usize, used: usize) {
    let hard = json!({"configmaps": hard.to_string()});
    let quota = json!({"metadata": {"name": name}, "spec": {"hard": hard}});
    assert_eq!(ask(cluster, "POST", QUOTAS, &quota).await.code, 201);
    let used = json!({"configmaps": used.to_string()});
    let status = json!({"metadata": {"name": name}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}});
    let path = format!("{QUOTAS}/{name}/status");
    assert_eq!(ask(cluster, "PUT", &path, &status).await.code, 200);
    let path = format!("{QUOTAS}/{name}?resourceVersion=0");
    until(async || {
        let seen = ask(cluster, "GET", &path, &Value::Null).await.json();
        (seen["status"]["used"] == used).then_some(())
    })
    .await;
}

async fn used(cluster: &Cluster, name: &str) -> Value {
    let path = format!("{QUOTAS}/{name}");
    let quota = ask(cluster, "GET", &path, &Value::Null).await.json();
    quota["status"]["used"]["configmaps"].clone()
}

async fn make(cluster: &Cluster, name: &str) -> (u16, Value) {
    let answer = ask(cluster, "POST", MAPS, &json!({"metadata": {"name": name}})).await;
    (answer.code, answer.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_at_the_same_time_gets_all_the_room_there_is_and_no_more() {
    let cluster = Cluster::start(&[], &[]).await;
    limit(&cluster, "q", MAPS_AT_A_TIME + 5, 3).await;
    let names: Vec<String> = (0..MAPS_AT_A_TIME).map(|at| format!("m{at}")).collect();
    let all = join_all(names.iter().map(|name| make(&cluster, name))).await;
    for (code, body) in all {
        assert_eq!(code, 201, "{body}");
    }
    let names: Vec<String> = (0..8).map(|at| format!("n{at}")).collect();
    let more = join_all(names.iter().map(|name| make(&cluster, name))).await;
    assert_eq!(more.iter().filter(|(code, _)| *code == 201).count(), 2);
    let refused = more.into_iter().find(|(code, _)| *code != 201).unwrap();
    assert_eq!(refused.0, 403);
    let why =
        "exceeded quota: q, requested: configmaps=1, used: configmaps=69, limited: configmaps=69";
    assert!(refused.1["message"].as_str().unwrap().ends_with(why));
    assert_eq!(used(&cluster, "q").await, "69");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quota_takes_nothing_out_of_the_others() {
    let cluster = Cluster::start(&[], &[]).await;
    limit(&cluster, "a", 10, 4).await;
    limit(&cluster, "b", 1, 1).await;
    assert_eq!(make(&cluster, "refused").await.0, 403);
    assert_eq!(used(&cluster, "a").await, "4");
    cluster.stop().await;
}

/// A pod that limits itself, and whose container is told what to ask for, once the server does that.
async fn limited(cluster: &Cluster) -> Value {
    let range = json!({"metadata": {"name": "r"}, "spec": {"limits": [{"type": "Container", "default": {"memory": "1Gi"}}]}});
    let ranges = "/api/v1/namespaces/default/limitranges";
    assert_eq!(ask(cluster, "POST", ranges, &range).await.code, 201);
    let pod = json!({"metadata": {"generateName": "p-"}, "spec": {
        "resources": {"limits": {"cpu": "1"}}, "containers": [{"name": "c", "image": "i"}],
    }});
    until(async || {
        let made = ask(cluster, "POST", PODS, &pod).await.json();
        let asked = &made["spec"]["containers"][0]["resources"]["requests"]["memory"];
        (*asked == "1Gi").then_some(made.clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_limit_range_adds_to_containers_is_asked_for_by_their_pod_and_keeps_it_from_no_change()
 {
    let cluster = Cluster::start(&[], &[]).await;
    let mut pod = limited(&cluster).await;
    let requests = json!({"cpu": "1", "memory": "1Gi"});
    assert_eq!(pod["spec"]["resources"]["requests"], requests);
    pod["metadata"]["labels"] = json!({"a": "b"});
    let path = format!("{PODS}/{}", pod["metadata"]["name"].as_str().unwrap());
    let changed = ask(&cluster, "PUT", &path, &pod).await;
    assert_eq!(changed.code, 200, "{}", changed.json());
    cluster.stop().await;
}
