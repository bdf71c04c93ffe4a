//! Which version lists are of.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::{MAPS, ask};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_with_a_version_and_a_limit_is_of_that_version() {
    let cluster = Cluster::start(&[], &[]).await;
    let make = async |name: &str| {
        let made = ask(&cluster, "POST", MAPS, &json!({"metadata": {"name": name}})).await;
        made.json()["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let version = make("a").await;
    make("b").await;
    let list = async |query: &str| {
        let path = format!("{MAPS}?resourceVersion={version}{query}");
        let list = ask(&cluster, "GET", &path, &Value::Null).await.json();
        let items = list["items"].as_array().unwrap().iter();
        let names = items.map(|item| item["metadata"]["name"].as_str().unwrap());
        let names: Vec<&str> = names.collect();
        let is_of_it = list["metadata"]["resourceVersion"] == json!(version);
        (names.join(" "), is_of_it)
    };
    let (then, now) = (("a".to_owned(), true), ("a b".to_owned(), false));
    assert_eq!(list("&limit=5").await, then);
    assert_eq!(list("&resourceVersionMatch=Exact").await, then);
    assert_eq!(
        list("&limit=5&resourceVersionMatch=NotOlderThan").await,
        now
    );
    cluster.stop().await;
}
