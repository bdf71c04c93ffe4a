//! Custom resources whose definitions come and go.

use serde_json::{Value, json};

use super::ask;
use super::cluster::{Cluster, Protocol, request, until};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const THINGS: &str = "/apis/rest.test/v1/namespaces/default/things";

async fn patch(cluster: &Cluster, path: &str, kind: &str, body: &Value) -> (u16, Value) {
    let mut request = request("PATCH", path, body.to_string());
    let kind = format!("application/{kind}").parse().unwrap();
    request.headers_mut().insert("content-type", kind);
    let answer = cluster.ask(Protocol::Http1, request).await;
    (answer.code, answer.json())
}

fn thing(name: &str) -> Value {
    json!({"apiVersion": "rest.test/v1", "kind": "Thing", "metadata": {"name": name}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_object_is_made_while_its_definition_goes() {
    let cluster = Cluster::start(&[], &[]).await;
    let definition = json!({
        "metadata": {"name": "things.rest.test"},
        "spec": {
            "group": "rest.test", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    assert_eq!(
        ask(&cluster, "POST", DEFINITIONS, &definition).await.code,
        201
    );
    let mut held = thing("held");
    held["metadata"]["finalizers"] = json!(["rest.test/held"]);
    until(async || {
        let made = ask(&cluster, "POST", THINGS, &held).await;
        (made.code == 201).then_some(())
    })
    .await;
    let path = format!("{DEFINITIONS}/things.rest.test");
    ask(&cluster, "DELETE", &path, &Value::Null).await;
    let mut made = 0;
    let refused = until(async || {
        made += 1;
        let late = ask(&cluster, "POST", THINGS, &thing(&format!("late{made}"))).await;
        (late.code != 201).then_some(late)
    })
    .await;
    let why = "is forbidden: create not allowed while custom resource definition is terminating";
    let told = |body: &Value| body["message"].as_str().unwrap_or_default().ends_with(why);
    assert!(refused.code == 403 && told(&refused.json()));
    let applied = format!("{THINGS}/applied?fieldManager=a");
    let (code, body) = patch(&cluster, &applied, "apply-patch+yaml", &thing("applied")).await;
    assert!(code == 403 && told(&body), "{body}");
    // What is there can still be changed, so that it comes to its end.
    let held = format!("{THINGS}/held");
    let free = json!({"metadata": {"finalizers": null}});
    assert_eq!(
        patch(&cluster, &held, "merge-patch+json", &free).await.0,
        200
    );
    until(async || {
        let definition = ask(&cluster, "GET", &path, &Value::Null).await;
        (definition.code == 404).then_some(())
    })
    .await;
    cluster.stop().await;
}
