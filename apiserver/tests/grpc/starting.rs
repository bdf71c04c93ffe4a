//! What a server tells those who ask before it knows the definitions in its store.

use apiserver::authz::bootstrap::policy;
use http::Uri;
use proto::api::{CreateRequest, GetRequest, ResourcesRequest, Target};
use proto::etcdserverpb::DeleteRangeRequest;
use proto::etcdserverpb::kv_client::KvClient;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use crate::cluster::{Cluster, LOOK_PAUSE, PATIENCE};
use crate::relay::Relay;

const GROUP: &str = "start.test";

fn things(name: &str) -> Target {
    Target {
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        resource: "things".to_owned(),
        name: name.to_owned(),
        ..Target::default()
    }
}

fn get() -> GetRequest {
    GetRequest {
        target: Some(things("one")),
        resource_version: String::new(),
    }
}

fn create(target: Target, object: &Value) -> CreateRequest {
    CreateRequest {
        target: Some(target),
        object: object.to_string().into(),
        options: None,
    }
}

/// Defines a kind, and makes an object of it.
async fn define(cluster: &Cluster) {
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    let definition = json!({
        "metadata": {"name": "things.start.test"},
        "spec": {
            "group": GROUP, "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    });
    let definitions = Target {
        group: "apiextensions.k8s.io".to_owned(),
        resource: "customresourcedefinitions".to_owned(),
        ..things("")
    };
    let mut client = cluster.client("admin-token").await;
    client
        .create(create(definitions, &definition))
        .await
        .unwrap();
    let thing =
        json!({"apiVersion": "start.test/v1", "kind": "Thing", "metadata": {"name": "one"}});
    let served = async {
        while client.create(create(things(""), &thing)).await.is_err() {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
}

/// The key and the path of the last object of the policy that a server makes on its start.
fn last_role() -> (String, String) {
    let last = policy().last().unwrap();
    let name = last.object["metadata"]["name"].as_str().unwrap();
    let namespace = last.object["metadata"]["namespace"].as_str().unwrap();
    let key = format!("/registry/{}/{namespace}/{name}", last.plural);
    let group = "/apis/rbac.authorization.k8s.io/v1";
    let path = format!("{group}/namespaces/{namespace}/{}/{name}", last.plural);
    (key, path)
}

async fn await_last_role(cluster: &Cluster) {
    let made = async {
        while ask(cluster, &last_role().1).await.0 != 200 {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, made).await.unwrap();
}

/// Takes it out of the store, past every server.
async fn remove_last_role(cluster: &Cluster) {
    let mut store = KvClient::connect(cluster.store().to_owned()).await.unwrap();
    let delete = DeleteRangeRequest {
        key: last_role().0.into(),
        ..DeleteRangeRequest::default()
    };
    let deleted = store.delete_range(delete).await.unwrap().into_inner();
    assert_eq!(deleted.deleted, 1);
}

/// The code of an answer, and all of it.
async fn ask(cluster: &Cluster, path: &str) -> (u16, String) {
    let mut stream = cluster.connect(b"http/1.1").await;
    let question = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer admin-token\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(question.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (code, answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_defined_is_never_taken_for_gone_after_a_start() {
    let mut cluster = Cluster::start().await;
    define(&cluster).await;
    await_last_role(&cluster).await;
    let store: Uri = cluster.store().parse().unwrap();
    let store = store.authority().unwrap().as_str().parse().unwrap();
    let relay = Relay::start(store).await;
    relay.close();
    cluster
        .start_again(&format!("http://{}", relay.address))
        .await;
    let mut client = cluster.client("admin-token").await;

    let refused = client.get(get()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::Unavailable,
            "the request has been made before all known HTTP paths have been installed, please try again"
        )
    );
    let refused = client.resources(ResourcesRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    for path in [
        "/apis/start.test/v1/things/one",
        "/apis/start.test/v1",
        "/apis",
    ] {
        let (code, answer) = ask(&cluster, path).await;
        assert_eq!(code, 503, "{path}: {answer}");
        assert!(answer.contains("retry-after: 5"), "{path}: {answer}");
    }
    let (code, answer) = ask(&cluster, "/readyz").await;
    assert_eq!(code, 500);
    assert!(answer.contains("[-]poststarthook/crd-informer-synced failed"));
    assert!(answer.contains("[-]poststarthook/rbac/bootstrap-roles failed"));

    // Ready, it has made what is missing.
    remove_last_role(&cluster).await;
    relay.turn_to(store);
    let ready = async {
        loop {
            let (ready, _) = ask(&cluster, "/readyz").await;
            if let Err(status) = client.get(get()).await {
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                assert_ne!(ready, 200);
            }
            if let Ok(served) = client.resources(ResourcesRequest {}).await {
                let served = served.into_inner().resources;
                assert!(served.iter().any(|one| one.group == GROUP));
            }
            for path in ["/apis/start.test/v1/things/one", "/apis"] {
                let (code, answer) = ask(&cluster, path).await;
                assert!(matches!(code, 200 | 503), "{path}: {answer}");
                assert!(code == 503 || answer.contains(GROUP), "{path}: {answer}");
            }
            if ready == 200 {
                let path = last_role().1;
                let (code, answer) = ask(&cluster, &path).await;
                assert_eq!(code, 200, "{path}: {answer}");
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.unwrap();
    cluster.stop().await;
}
