//! Custom objects that a webhook converts.

use std::time::Duration;

use proto::api::{
    ApplyRequest, DeleteRequest, EventType, GetRequest, ListRequest, Target, UpdateRequest,
    WatchRequest, WriteOptions,
};
use serde_json::{Value, json};

use super::world::{Outcome, World, config_maps, outcome, tree};
use crate::cluster::event;

/// Pause between two looks at whether a kind is served.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Time until it is.
const PATIENCE: Duration = Duration::from_secs(30);

fn things(version: &str, name: &str) -> Target {
    Target {
        group: "wh.test".to_owned(),
        version: version.to_owned(),
        resource: "things".to_owned(),
        ..config_maps(name)
    }
}

fn thing(version: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("wh.test/{version}"), "kind": "Thing", "metadata": {"name": name}, "spec": spec})
}

fn definitions(name: &str) -> Target {
    Target {
        group: "apiextensions.k8s.io".to_owned(),
        resource: "customresourcedefinitions".to_owned(),
        namespace: String::new(),
        ..things("v1", name)
    }
}

impl World {
    /// Serves a kind of two versions, which a script converts.
    async fn define(&mut self, script: &str) {
        let client = self.hook.config(script);
        let webhook = json!({"conversionReviewVersions": ["v1"], "clientConfig": client});
        let conversion = json!({"strategy": "Webhook", "webhook": webhook});
        self.define_with(conversion, [&["one"], &["two"]]).await;
    }

    /// Serves a kind of two versions with the same fields, which differ by their name alone.
    async fn define_by_name(&mut self) {
        let fields: &[&str] = &["one", "two"];
        let by_name = json!({"strategy": "None"});
        self.define_with(by_name, [fields, fields]).await;
    }

    /// Serves a kind of two versions with these fields, the first of which is the number of replicas.
    async fn define_with(&mut self, conversion: Value, fields: [&[&str]; 2]) {
        let version = |name: &str, fields: &[&str]| {
            let number = |name: &&str| ((*name).to_owned(), json!({"type": "integer"}));
            let properties: Value = fields.iter().map(number).collect();
            let spec = json!({"type": "object", "properties": properties});
            let schema = json!({"type": "object", "properties": {"spec": spec}});
            let replicas = format!(".spec.{}", fields[0]);
            let scale =
                json!({"specReplicasPath": replicas, "statusReplicasPath": ".status.replicas"});
            json!({
                "name": name, "served": true, "storage": name == "v1", "schema": {"openAPIV3Schema": schema},
                "subresources": {"scale": scale},
            })
        };
        let definition = json!({
            "metadata": {"name": "things.wh.test"},
            "spec": {
                "group": "wh.test", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
                "versions": [version("v1", fields[0]), version("v2", fields[1])],
                "conversion": conversion,
            },
        });
        let delete = DeleteRequest {
            target: Some(definitions("things.wh.test")),
            options: None,
        };
        let _ = self.client.delete(delete).await;
        let served = async {
            let made = |made: Outcome| made.is_ok();
            while !made(
                self.create(definitions(""), definition.clone(), false)
                    .await,
            ) {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            // A name that is taken shows that the kind is served, whatever its webhook does.
            let object = thing("v1", "first", json!({"one": 1}));
            let taken = |outcome: Outcome| outcome.is_err_and(|status| status["code"] == 409);
            while !taken(self.create(things("v1", ""), object.clone(), false).await) {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, served).await.unwrap();
        self.hook.asked();
    }

    async fn list(&mut self, target: Target) -> Result<Vec<Value>, tonic::Status> {
        let list = ListRequest {
            target: Some(target),
            ..ListRequest::default()
        };
        let mut list = self.client.list(list).await?.into_inner();
        let mut objects = Vec::new();
        while let Some(chunk) = list.message().await? {
            objects.extend(
                chunk
                    .objects
                    .iter()
                    .map(|object| serde_json::from_slice::<Value>(object).unwrap()),
            );
        }
        Ok(objects)
    }

    /// Applies a spec to the first thing, in the second version.
    async fn apply(&mut self, spec: Value) -> Outcome {
        let apply = ApplyRequest {
            target: Some(things("v2", "first")),
            configuration: thing("v2", "first", spec).to_string().into(),
            options: Some(WriteOptions {
                field_manager: "applier".to_owned(),
                ..WriteOptions::default()
            }),
            force: false,
        };
        outcome(self.client.apply(apply).await)
    }

    async fn get(&mut self, target: Target) -> Result<Value, tonic::Status> {
        let get = GetRequest {
            target: Some(target),
            resource_version: String::new(),
        };
        let got = self.client.get(get).await?.into_inner();
        Ok(serde_json::from_slice(&got.object).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_converts_what_is_read_written_and_watched_in_another_version() {
    let mut world = World::start().await;
    world.define("convert").await;
    let got = world.get(things("v2", "first")).await.unwrap();
    assert_eq!(got["apiVersion"], "wh.test/v2");
    assert_eq!(got["spec"], json!({"two": 1}));

    world.hook.asked();
    let object = thing("v2", "second", json!({"two": 2}));
    let made = tree(&world.create(things("v2", ""), object, false).await.unwrap());
    assert_eq!(made["spec"], json!({"two": 2}));
    // What was written is not converted back for its answer.
    assert_eq!(world.hook.asked().len(), 1);
    let stored = world.get(things("v1", "second")).await.unwrap();
    assert_eq!(stored["spec"], json!({"one": 2}));
    assert_eq!(stored["metadata"]["uid"], made["metadata"]["uid"]);

    world.hook.asked();
    let listed = world.list(things("v2", "")).await.unwrap();
    let specs: Vec<&Value> = listed.iter().map(|object| &object["spec"]).collect();
    assert_eq!(specs, [&json!({"two": 1}), &json!({"two": 2})]);
    let asked = world.hook.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].1["objects"].as_array().unwrap().len(), 2);
    assert_eq!(asked[0].1["desiredAPIVersion"], "wh.test/v2");

    let watch = WatchRequest {
        target: Some(things("v2", "")),
        initial_events: Some(true),
        ..WatchRequest::default()
    };
    let mut stream = world.client.watch(watch).await.unwrap().into_inner();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let told = event(&mut stream, &mut waiting).await;
        let object: Value = serde_json::from_slice(&told.object).unwrap();
        assert!(object["spec"]["two"].is_number());
    }
    let mut changed = got.clone();
    changed["spec"]["two"] = json!(5);
    let update = UpdateRequest {
        target: Some(things("v2", "first")),
        object: changed.to_string().into(),
        options: None,
    };
    let updated = tree(&outcome(world.client.update(update).await).unwrap());
    assert_eq!(updated["spec"], json!({"two": 5}));
    let told = event(&mut stream, &mut waiting).await;
    let object: Value = serde_json::from_slice(&told.object).unwrap();
    assert_eq!(
        (told.r#type(), &object["spec"]),
        (EventType::Modified, &json!({"two": 5}))
    );

    // What a version does not know is refused in that version, and not by the one that is stored.
    let wrong = thing("v2", "third", json!({"two": "x"}));
    let refused = world.create(things("v2", ""), wrong, false).await;
    assert!(told_of(refused).contains("spec.two: Invalid value"));
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watches_of_a_kind_end_when_its_definition_changes() {
    let mut world = World::start().await;
    world.define("convert").await;
    let watch = WatchRequest {
        target: Some(things("v1", "")),
        ..WatchRequest::default()
    };
    let mut stream = world.client.watch(watch).await.unwrap().into_inner();
    let mut waiting = Vec::new();
    let told = event(&mut stream, &mut waiting).await;
    assert_eq!(told.r#type(), EventType::Added);

    let name = "things.wh.test";
    let mut definition = world.get(definitions(name)).await.unwrap();
    definition["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["description"] = json!("new");
    let update = UpdateRequest {
        target: Some(definitions(name)),
        object: definition.to_string().into(),
        options: None,
    };
    outcome(world.client.update(update).await).unwrap();
    let told = event(&mut stream, &mut waiting).await;
    assert_eq!(told.r#type(), EventType::Error);
    world.cluster.stop().await;
}

fn told_of(outcome: Outcome) -> String {
    outcome.unwrap_err()["message"].as_str().unwrap().to_owned()
}

/// The versions in which an object's managers own fields, and what they own of its spec.
fn owned(object: &Value) -> Vec<(&str, String)> {
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    let owned = managers.iter().map(|entry| {
        let version = entry["apiVersion"].as_str().unwrap();
        (version, entry["fieldsV1"]["f:spec"].to_string())
    });
    owned.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wrote_a_field_in_another_version_owns_it_still_when_the_object_is_applied() {
    let mut world = World::start().await;
    world.define_by_name().await;
    let refused = told_of(world.apply(json!({"one": 2})).await);
    assert!(
        refused.ends_with("using wh.test/v1: .spec.one"),
        "{refused}"
    );
    let writer = ("wh.test/v1", r#"{".":{},"f:one":{}}"#.to_owned());
    let made = tree(&world.apply(json!({"two": 2})).await.unwrap());
    assert_eq!(made["spec"], json!({"one": 1, "two": 2}));
    let applier = ("wh.test/v2", r#"{"f:two":{}}"#.to_owned());
    assert_eq!(owned(&made), [applier.clone(), writer.clone()]);
    let made = tree(&world.apply(json!({})).await.unwrap());
    assert_eq!(made["spec"], json!({"one": 1}));
    assert!(owned(&made).contains(&writer), "{made}");

    // What a webhook would make of the object is not asked, and nobody loses anything by that.
    world.define("convert").await;
    let made = tree(&world.apply(json!({"two": 2})).await.unwrap());
    assert_eq!(owned(&made), [applier, writer]);
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sets_the_scale_owns_the_replicas_where_the_version_has_them() {
    let mut world = World::start().await;
    world.define_by_name().await;
    world.apply(json!({"two": 2})).await.unwrap();
    let scale = Target {
        subresource: "scale".to_owned(),
        ..things("v2", "first")
    };
    let mut read = world.get(scale.clone()).await.unwrap();
    assert_eq!(read["spec"]["replicas"], 1);
    let owner = |scale: &Value| {
        let owners = scale["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(owners.len(), 1, "{scale}");
        assert_eq!(owners[0]["apiVersion"], "autoscaling/v1");
        owners[0]["manager"].clone()
    };
    let writer = owner(&read);
    read["spec"]["replicas"] = json!(5);
    let update = UpdateRequest {
        target: Some(scale),
        object: read.to_string().into(),
        options: Some(WriteOptions {
            field_manager: "scaler".to_owned(),
            ..WriteOptions::default()
        }),
    };
    let scaled = tree(&outcome(world.client.update(update).await).unwrap());
    assert_eq!(owner(&scaled), "scaler");
    assert_ne!(writer, "scaler");
    let object = world.get(things("v1", "first")).await.unwrap();
    assert_eq!(object["spec"], json!({"one": 5, "two": 2}));
    let spec = |fields: &str| ("wh.test/v2", fields.to_owned());
    let owned = owned(&object);
    assert!(owned.contains(&spec(r#"{"f:one":{}}"#)), "{owned:?}");
    assert!(owned.contains(&spec(r#"{"f:two":{}}"#)), "{owned:?}");
    assert!(
        !owned
            .iter()
            .any(|(version, fields)| *version == "wh.test/v1" && fields.contains("f:one")),
        "{owned:?}"
    );
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversion_that_fails_is_told_as_upstream_does() {
    let mut world = World::start().await;
    let cases = [
        ("convert-not", "failed: cannot convert"),
        ("convert-more", "returned 2 objects, expected 1"),
        (
            "convert-name",
            "returned invalid object: must have the same name: first != other",
        ),
        (
            "broken",
            "failed: an error on the server (\"broken\") has prevented the request from succeeding",
        ),
        (
            "pod",
            "failed: no kind \"Pod\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\"",
        ),
    ];
    for (script, why) in cases {
        world.define(script).await;
        let expected = format!("conversion webhook for wh.test/v1, Kind=Thing {why}");
        let refused = world.get(things("v2", "first")).await.unwrap_err();
        assert_eq!(refused.message(), expected);
        let refused = world.list(things("v2", "")).await.unwrap_err();
        assert_eq!(refused.message(), expected);
        world.get(things("v1", "first")).await.unwrap();
    }
    world.cluster.stop().await;
}
