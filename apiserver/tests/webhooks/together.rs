//! Webhooks beside policies, and where streams are asked for.

use proto::api::Target;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{World, config_maps, configurations, tree};

/// Makes a policy with its binding, and waits until it is in force.
async fn put_policy(world: &mut World, (kind, plural): (&str, &str), spec: Value) {
    let mut policy = spec;
    policy["matchConstraints"] = json!({"resourceRules": [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]},
        {"apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*"]},
    ]});
    let mut binding = json!({"policyName": "p"});
    if kind == "ValidatingAdmissionPolicy" {
        binding["validationActions"] = json!(["Deny"]);
    }
    for (kind, plural, spec) in [
        (kind.to_owned(), plural.to_owned(), policy),
        (
            format!("{kind}Binding"),
            plural.replace("policies", "policybindings"),
            binding,
        ),
    ] {
        let target = configurations(&plural, "");
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "p"}, "spec": spec,
        });
        world.create(target.clone(), object, false).await.unwrap();
        world.see(target).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_change_objects_before_webhooks_do_and_both_look_again_at_what_the_other_did() {
    let mut world = World::start().await;
    let turn = "Object{metadata: Object.metadata{labels: {'turn': has(object.metadata.labels) && 'a' in object.metadata.labels ? '2' : '1'}}}";
    let spec = json!({
        "reinvocationPolicy": "IfNeeded",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": turn}}],
    });
    let kind = ("MutatingAdmissionPolicy", "mutatingadmissionpolicies");
    put_policy(&mut world, kind, spec).await;
    let first = world.hook("a", "label", json!({"reinvocationPolicy": "IfNeeded"}));
    let second = world.hook("b", "labels", json!({}));
    world.mutate(vec![first, second]).await;
    world.scripts();
    let made = tree(&world.config_map().await.unwrap());
    let labels: Vec<Value> = world.hook.asked().into_iter().map(seen_labels).collect();
    assert_eq!(
        labels,
        [
            json!({"turn": "1"}),
            json!({"turn": "1"}),
            json!({"a": "b", "turn": "2"})
        ]
    );
    assert_eq!(made["metadata"]["labels"], json!({"a": "b", "turn": "2"}));
    assert_eq!(made["metadata"]["annotations"], json!({"seen": "2"}));
    world.cluster.stop().await;
}

fn seen_labels((_, request): (String, Value)) -> Value {
    request["object"]["metadata"]["labels"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_changes_an_object_in_the_version_that_it_asks_for() {
    let mut world = World::start().await;
    let expression = "Object{spec: Object.spec{targetCPUUtilizationPercentage: 42}}";
    let spec = json!({
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    });
    let kind = ("MutatingAdmissionPolicy", "mutatingadmissionpolicies");
    put_policy(&mut world, kind, spec).await;
    let target = Target {
        group: "autoscaling".to_owned(),
        version: "v2".to_owned(),
        resource: "horizontalpodautoscalers".to_owned(),
        ..config_maps("")
    };
    let object = json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}});
    let made = tree(&world.create(target, object, false).await.unwrap());
    assert_eq!(made["apiVersion"], "autoscaling/v2");
    let target = &made["spec"]["metrics"][0]["resource"]["target"];
    assert_eq!(target["averageUtilization"], 42, "{made}");
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_refuses_before_webhooks_that_judge_are_asked() {
    let mut world = World::start().await;
    let spec = json!({"validations": [{"expression": "has(object.data)"}]});
    let kind = ("ValidatingAdmissionPolicy", "validatingadmissionpolicies");
    put_policy(&mut world, kind, spec).await;
    let hook = world.hook("a", "deny", json!({}));
    world.validate(vec![hook]).await;
    world.scripts();
    for (object, expected, asked) in [
        (
            json!({"metadata": {"name": "c"}}),
            "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: failed expression: has(object.data)",
            0,
        ),
        (
            json!({"metadata": {"name": "c"}, "data": {"a": "b"}}),
            "admission webhook \"a.wh.test\" denied the request without explanation",
            1,
        ),
    ] {
        let refused = world.create(config_maps(""), object, false).await;
        assert_eq!(refused.unwrap_err()["message"], expected);
        assert_eq!(world.scripts().len(), asked);
    }
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_judges_whether_somebody_may_connect() {
    let mut world = World::start().await;
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": ["pods/exec"]}]);
    let hook = world.hook("a", "deny-message", json!({"rules": rules}));
    world.validate(vec![hook]).await;
    world.scripts();
    let path = "/api/v1/namespaces/default/pods/p/exec?command=sh&stdout=true";
    let answer = post(&world, path, "").await;
    let refusal = "admission webhook \\\"a.wh.test\\\" denied the request: no way";
    assert!(answer.contains(refusal), "{answer}");
    let (_, request) = world.hook.asked().remove(0);
    assert_eq!(request["operation"], "CONNECT");
    assert_eq!(request["subResource"], "exec");
    assert_eq!(request["kind"]["kind"], "PodExecOptions");
    assert_eq!(request["object"]["kind"], "PodExecOptions");
    assert_eq!(request["object"]["command"], json!(["sh"]));
    assert_eq!(request["name"], "p");
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_judges_and_changes_evictions() {
    let mut world = World::start().await;
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/eviction"]}]);
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    let path = "/api/v1/namespaces/default/pods/p/eviction";
    let hook = world.hook("a", "labels", json!({"rules": rules}));
    world.mutate(vec![hook]).await;
    world.scripts();
    let answer = post(&world, path, &eviction.to_string()).await;
    assert!(answer.contains("pods \\\"p\\\" not found"), "{answer}");
    let (_, request) = world.hook.asked().remove(0);
    assert_eq!(
        request["kind"],
        json!({"group": "policy", "version": "v1", "kind": "Eviction"})
    );
    assert_eq!(request["object"]["apiVersion"], "policy/v1");
    assert_eq!(request["object"]["metadata"]["name"], "p");
    assert_eq!(request["subResource"], "eviction");
    let hook = world.hook("a", "deny-message", json!({"rules": rules}));
    world.validate(vec![hook]).await;
    let answer = post(&world, path, &eviction.to_string()).await;
    assert!(answer.contains("denied the request: no way"), "{answer}");
    world.cluster.stop().await;
}

/// What a request of HTTP/1.1 is answered.
async fn post(world: &World, path: &str, body: &str) -> String {
    let mut stream = world.cluster.connect(b"http/1.1").await;
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer admin-token\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end of a connection without the end of its TLS is an end all the same.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}
