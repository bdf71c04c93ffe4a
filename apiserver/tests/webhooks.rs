//! Webhooks that change, judge and convert objects, against a server of the test. Messages are those of a kube-apiserver 1.36.3.

mod conversion;
mod hook;
mod together;
mod world;

use proto::api::{DeleteRequest, Target, UpdateRequest};
use serde_json::{Value, json};
use world::{Outcome, World, config_maps, outcome, tree};

/// What a refusal says, with what nobody can know beforehand left out.
fn told(outcome: Outcome, world: &World) -> String {
    let status = outcome.unwrap_err();
    let text = status["message"].as_str().unwrap();
    let text = text.replace(&world.hook.url(""), "https://HOOK/");
    let text = match text.split_once("response.uid=\"") {
        Some((before, rest)) => format!("{before}response.uid=\"{}", rest.get(36..).unwrap()),
        None => text,
    };
    format!(
        "{} {}: {text}",
        status["code"],
        status["reason"].as_str().unwrap_or_default()
    )
}

/// What the script `deny` comes to.
const DENIED: &str = "400 : admission webhook \"a.wh.test\" denied the request without explanation";

/// The scripts that were asked about ConfigMaps since this was asked last.
fn asked_about_config_maps(world: &World) -> Vec<String> {
    let asked = world.hook.asked().into_iter();
    asked
        .filter(|(_, request)| request["resource"]["resource"] == "configmaps")
        .map(|(script, _)| script)
        .collect()
}

/// What a webhook that cannot be asked comes to.
fn failed(why: &str) -> String {
    format!(
        "500 InternalError: Internal error occurred: failed calling webhook \"a.wh.test\": {why}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_judges_is_obeyed_and_its_failures_are_told_as_upstream_does() {
    let mut world = World::start().await;
    let cases = [
        (
            "deny",
            "400 : admission webhook \"a.wh.test\" denied the request without explanation"
                .to_owned(),
        ),
        (
            "deny-because",
            "400 Because: admission webhook \"a.wh.test\" denied the request: Because".to_owned(),
        ),
        (
            "deny-message",
            "403 Forbidden: admission webhook \"a.wh.test\" denied the request: no way".to_owned(),
        ),
        (
            "hello",
            failed(
                "failed to call webhook: couldn't get version/kind; json parse error: json: cannot unmarshal string into Go \
         value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
            ),
        ),
        (
            "broken",
            failed(
                "failed to call webhook: an error on the server (\"broken\") has prevented the request from succeeding",
            ),
        ),
        (
            "pod",
            failed(
                "failed to call webhook: no kind \"Pod\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\"",
            ),
        ),
        (
            "absent",
            failed("received invalid webhook response: webhook response was absent"),
        ),
        (
            "uid",
            failed("received invalid webhook response: expected response.uid=\"\", got \"x\""),
        ),
        (
            "patch",
            failed(
                "received invalid webhook response: validating webhook may not return response.patch",
            ),
        ),
        (
            "slow",
            failed(
                "failed to call webhook: Post \"https://HOOK/slow?timeout=1s\": context deadline exceeded",
            ),
        ),
    ];
    for (script, expected) in cases {
        let more = match script {
            "slow" => json!({"timeoutSeconds": 1}),
            _ => json!({}),
        };
        let hook = world.hook("a", script, more);
        world.validate(vec![hook]).await;
        let outcome = world.config_map().await;
        assert_eq!(told(outcome, &world), expected, "{script}");
    }
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_cannot_be_reached_refuses_everything_unless_it_may_be_ignored() {
    let mut world = World::start().await;
    let hook = world.hook(
        "a",
        "slow",
        json!({"timeoutSeconds": 1, "failurePolicy": "Ignore"}),
    );
    world.validate(vec![hook]).await;
    world.config_map().await.unwrap();

    let nowhere = json!({"url": "https://127.0.0.1:1/x"});
    let hook = world.hook("a", "", json!({"clientConfig": nowhere}));
    world.validate(vec![hook]).await;
    assert_eq!(
        told(world.config_map().await, &world),
        failed(
            "failed to call webhook: Post \"https://127.0.0.1:1/x?timeout=10s\": dial tcp 127.0.0.1:1: connect: connection refused"
        )
    );
    let nobody = json!({"service": {"name": "hook", "namespace": "wh", "path": "/p"}});
    let hook = world.hook("a", "", json!({"clientConfig": nobody}));
    world.validate(vec![hook]).await;
    assert_eq!(
        told(world.config_map().await, &world),
        failed(
            "failed to call webhook: Post \"https://hook.wh.svc:443/p?timeout=10s\": service \"hook\" not found"
        )
    );
    let hook = world.hook(
        "a",
        "",
        json!({"clientConfig": nowhere, "failurePolicy": "Ignore"}),
    );
    let warns = world.hook("b", "warn", json!({}));
    world.validate(vec![hook, warns]).await;
    assert_eq!(world.config_map().await.unwrap().warnings, ["be careful"]);
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_change_an_object_in_turn_and_are_asked_again_when_others_changed_it_since() {
    let mut world = World::start().await;
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    let hooks = vec![
        world.hook("a", "label", again.clone()),
        world.hook("b", "labels", json!({})),
        world.hook("c", "warn", json!({})),
    ];
    world.mutate(hooks).await;
    world.scripts();
    let made = tree(&world.config_map().await.unwrap());
    assert_eq!(made["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!(made["metadata"]["annotations"], json!({"seen": "1"}));
    let asked = world.hook.asked();
    let scripts: Vec<&str> = asked.iter().map(|(script, _)| script.as_str()).collect();
    assert_eq!(scripts, ["label", "labels", "warn", "label"]);
    let (_, request) = &asked[0];
    assert_eq!(request["operation"], "CREATE");
    assert_eq!(
        request["kind"],
        json!({"group": "", "version": "v1", "kind": "ConfigMap"})
    );
    assert_eq!(request["namespace"], "default");
    assert_eq!(request["options"]["kind"], "CreateOptions");
    assert_eq!(request["userInfo"]["username"], "admin");
    assert_eq!(request["oldObject"], Value::Null);
    assert!(request["object"]["metadata"].get("uid").is_none());

    let failures = [
        ("patch-missing", "500 InternalError: Internal error occurred: replace operation does not apply: doc is missing path: /nothere/x: missing value".to_owned()),
        ("patch-object", "500 InternalError: Internal error occurred: json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string".to_owned()),
        ("patch-kind", failed("unsupported patch type \"Merge\"")),
        ("patch-alone", failed("received invalid webhook response: webhook returned response.patchType but not response.patch")),
    ];
    for (script, expected) in failures {
        let hook = world.hook("a", script, json!({}));
        world.mutate(vec![hook]).await;
        assert_eq!(told(world.config_map().await, &world), expected, "{script}");
    }
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_asked_about_what_they_select_alone() {
    let mut world = World::start().await;
    let labels = |key: &str, value: &str| json!({"matchLabels": {key: value}});
    let condition = |expression: &str| json!([{"name": "c", "expression": expression}]);
    let cases = [
        (json!({}), true),
        (json!({"objectSelector": labels("a", "b")}), false),
        (
            json!({"namespaceSelector": labels("kubernetes.io/metadata.name", "default")}),
            true,
        ),
        (
            json!({"namespaceSelector": labels("kubernetes.io/metadata.name", "other")}),
            false,
        ),
        (
            json!({"matchConditions": condition("object.metadata.namespace == 'default'")}),
            true,
        ),
        (
            json!({"matchConditions": condition("request.operation == 'DELETE'")}),
            false,
        ),
        (
            json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}]}),
            true,
        ),
        (
            json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["*"]}]}),
            false,
        ),
        (
            json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*"], "scope": "Cluster"}]}),
            false,
        ),
    ];
    for (more, is_asked) in cases {
        let hook = world.hook("a", "deny", more.clone());
        world.validate(vec![hook]).await;
        world.scripts();
        let outcome = world.config_map().await;
        let asked = asked_about_config_maps(&world);
        if is_asked {
            assert_eq!(asked, ["deny"], "{more}");
            assert_eq!(told(outcome, &world), DENIED, "{more}");
        } else {
            assert_eq!(asked, [""; 0], "{more}");
            outcome.unwrap();
        }
    }
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_denies_everything_can_still_be_taken_away() {
    let mut world = World::start().await;
    let everything = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]);
    let hook = world.hook("a", "deny", json!({"rules": everything}));
    world.validate(vec![hook]).await;
    assert_eq!(told(world.config_map().await, &world), DENIED);
    world.validate(vec![]).await;
    world.config_map().await.unwrap();
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_and_a_deletion_are_judged_with_what_is_there() {
    let mut world = World::start().await;
    let made = world.config_map().await.unwrap();
    let hook = world.hook("a", "deny", json!({}));
    world.validate(vec![hook]).await;
    world.scripts();
    let delete = DeleteRequest {
        target: Some(config_maps(&made.name)),
        options: None,
    };
    world.client.delete(delete).await.unwrap_err();
    let (_, request) = world.hook.asked().remove(0);
    assert_eq!(request["oldObject"]["metadata"]["uid"], made.uid);
    assert_eq!(request["object"], Value::Null);
    assert_eq!(request["name"], made.name);
    let update = UpdateRequest {
        target: Some(config_maps(&made.name)),
        object: made.object.clone(),
        options: None,
    };
    let refused = outcome(world.client.update(update).await);
    assert_eq!(told(refused, &world), DENIED);
    let (_, request) = world.hook.asked().remove(0);
    assert_eq!(request["operation"], "UPDATE");
    assert_eq!(request["oldObject"]["metadata"]["uid"], made.uid);
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_asks_only_webhooks_without_effect() {
    let mut world = World::start().await;
    for (script, more, expected) in [
        ("warn", json!({"sideEffects": "NoneOnDryRun"}), None),
        (
            "deny",
            json!({}),
            Some("admission webhook \"a.wh.test\" denied the request without explanation"),
        ),
    ] {
        let hook = world.hook("a", script, more);
        world.validate(vec![hook]).await;
        world.scripts();
        let object = json!({"metadata": {"name": "dry"}});
        let outcome = world.create(config_maps(""), object, true).await;
        let message = outcome.err().map(|status| status["message"].clone());
        assert_eq!(message.as_ref().and_then(Value::as_str), expected);
        let (_, request) = world.hook.asked().remove(0);
        assert_eq!(request["dryRun"], true);
        assert_eq!(request["options"]["dryRun"], json!(["All"]));
    }
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_sees_the_version_that_it_asks_for() {
    let mut world = World::start().await;
    let rules = json!([{"apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["horizontalpodautoscalers"]}]);
    let target = Target {
        group: "autoscaling".to_owned(),
        version: "v2".to_owned(),
        resource: "horizontalpodautoscalers".to_owned(),
        ..config_maps("")
    };
    let object = json!({"metadata": {"generateName": "h-"}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}});
    let exact = world.hook("a", "deny", json!({"rules": rules, "matchPolicy": "Exact"}));
    let equivalent = world.hook("b", "labels", json!({"rules": rules}));
    world.mutate(vec![exact, equivalent]).await;
    world.scripts();
    let made = tree(&world.create(target, object, false).await.unwrap());
    assert_eq!(made["apiVersion"], "autoscaling/v2");
    assert_eq!(made["metadata"]["labels"], json!({"a": "b"}));
    let asked = world.hook.asked();
    assert_eq!(asked.len(), 1);
    let (_, request) = &asked[0];
    assert_eq!(request["object"]["apiVersion"], "autoscaling/v1");
    assert_eq!(request["kind"]["version"], "v1");
    assert_eq!(request["requestKind"]["version"], "v2");
    assert_eq!(request["requestResource"]["version"], "v2");
    world.cluster.stop().await;
}
