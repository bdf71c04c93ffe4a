//! Calls: what they do, how they fail, and where they go when a server fails.

use std::time::Instant;

use client::{
    Binding, DeleteOptions, Error, Key, Kind, Patch, Propagation, Query, Resource, Write,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use serde_json::json;

use super::cluster::Cluster;
use super::{config_map, key, object, pod};

fn value(map: &ConfigMap) -> &str {
    &map.data.as_ref().unwrap()["a"]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_made_found_changed_in_all_ways_and_deleted() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let made = client.create(&config_map("a", "1")).await.unwrap();
    let manager = &made.metadata.managed_fields.as_ref().unwrap()[0].manager;
    assert_eq!(manager.as_deref(), Some("sdk-test"));
    let again = client.create(&config_map("a", "1")).await.unwrap_err();
    assert!(again.is_already_exists() && !again.outcome_unknown());
    assert_eq!(again.to_string(), "configmaps \"a\" already exists");

    let version = made.metadata.resource_version.as_ref().unwrap();
    let merge = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "data": {"a": "2"}}));
    let changed: ConfigMap = client.patch(&key("a"), &merge).await.unwrap();
    assert_eq!(value(&changed), "2");
    let late = client
        .patch::<ConfigMap>(&key("a"), &merge)
        .await
        .unwrap_err();
    assert!(late.is_conflict());
    let own = client.with_manager("own");
    for (patch, expected) in [
        (Patch::Strategic(json!({"data": {"a": "3"}})), "3"),
        (
            Patch::Json(json!([{"op": "replace", "path": "/data/a", "value": "4"}])),
            "4",
        ),
        (
            Patch::Apply {
                manager: "m".to_owned(),
                force: true,
                object: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "5"}}),
            },
            "5",
        ),
    ] {
        let changed: ConfigMap = own.patch(&key("a"), &patch).await.unwrap();
        assert_eq!(value(&changed), expected);
    }
    let found: ConfigMap = client.get(&key("a")).await.unwrap();
    let managers = found.metadata.managed_fields.unwrap();
    let mut managers: Vec<_> = managers.into_iter().filter_map(|one| one.manager).collect();
    managers.sort();
    assert_eq!(
        managers,
        ["m", "sdk-test"],
        "who owned nothing any more is gone"
    );

    let other = DeleteOptions::of_uid("other");
    assert!(
        client
            .delete::<ConfigMap>(&key("a"), &other)
            .await
            .unwrap_err()
            .is_conflict()
    );
    let own = DeleteOptions::of_uid(found.metadata.uid.unwrap());
    client.delete::<ConfigMap>(&key("a"), &own).await.unwrap();
    assert!(
        client
            .get::<ConfigMap>(&key("a"))
            .await
            .unwrap_err()
            .is_not_found()
    );
    let late = client
        .delete::<ConfigMap>(&key("a"), &own)
        .await
        .unwrap_err();
    assert_eq!((late.is_not_found(), late.reason()), (true, "NotFound"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_written_bound_listed_and_evicted_together() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    client
        .create::<Node>(&object(json!({"metadata": {"name": "n"}})))
        .await
        .unwrap();
    let writes = vec![
        Write::create(&pod("a")),
        Write::create(&pod("b")),
        Write::create(&pod("A")),
        Write::delete::<Pod>(&key("none"), DeleteOptions::default()),
    ];
    let outcomes = client.batch(writes).await.unwrap();
    let a = outcomes[0].as_ref().unwrap();
    assert!(a.created && !a.uid.is_empty() && outcomes[1].is_ok());
    assert!(outcomes[2].as_ref().unwrap_err().is_invalid());
    assert!(outcomes[3].as_ref().unwrap_err().is_not_found());
    let bind = |name, uid: &str| Binding {
        pod: key(name),
        uid: uid.to_owned(),
        node: "n".to_owned(),
        ..Binding::default()
    };
    let bound = client
        .bind(vec![bind("a", &a.uid), bind("b", "other")])
        .await
        .unwrap();
    assert!(bound[0].is_ok() && bound[1].as_ref().unwrap_err().is_conflict());
    assert!(client.batch(Vec::new()).await.unwrap().is_empty());
    let too_many = client.bind(vec![bind("a", ""); 1025]).await.unwrap_err();
    assert!(matches!(too_many, Error::Invalid(_)));

    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_found_by_selectors_and_in_pages_and_evicted() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    for name in ["a", "b"] {
        client.create(&pod(name)).await.unwrap();
    }
    let binding = Binding {
        pod: key("a"),
        node: "n".to_owned(),
        ..Binding::default()
    };
    client.bind(vec![binding]).await.unwrap().remove(0).unwrap();
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let told: Pod = client
        .patch_status(&key("a"), &Patch::Strategic(ready))
        .await
        .unwrap();
    let conditions = told.status.unwrap().conditions.unwrap();
    assert!(conditions.iter().any(|one| one.type_ == "Ready"));
    let on_node = Query {
        fields: "spec.nodeName=n".to_owned(),
        ..Query::default()
    };
    let found = client.list::<Pod>(&on_node).await.unwrap();
    assert_eq!(
        found.items.iter().map(Key::of).collect::<Vec<_>>(),
        [key("a")]
    );
    let mut first = Query {
        labels: "app=web".to_owned(),
        limit: 1,
        ..Query::namespace("default")
    };
    let page = client.list::<Pod>(&first).await.unwrap();
    first.continue_token = page.continue_token;
    let rest = client.list::<Pod>(&first).await.unwrap();
    assert_eq!(Key::of(&rest.items[0]), key("b"));
    assert_eq!(
        (rest.continue_token.as_str(), &rest.resource_version),
        ("", &page.resource_version)
    );

    assert!(
        client
            .evict(&key("b"), Some("other"))
            .await
            .unwrap_err()
            .is_conflict()
    );
    client.evict(&key("b"), None).await.unwrap();
    assert!(
        client
            .get::<Pod>(&key("b"))
            .await
            .unwrap_err()
            .is_not_found()
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_can_be_asked_and_used_by_its_names() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let served = client.resources().await.unwrap();
    let find = |plural: &str| {
        served
            .iter()
            .find(|one| one.resource.plural == plural)
            .unwrap()
    };
    let deployments = find("deployments");
    assert_eq!(deployments.resource, Deployment::resource());
    assert!(deployments.can(&["list", "watch", "delete"]) && deployments.preferred);
    assert!(!find("tokenreviews").can(&["list"]));
    let scale = deployments
        .subresources
        .iter()
        .find(|(name, _)| name == "scale");
    assert!(scale.is_some());

    let deployments = client.dynamic(deployments.resource.clone());
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = json!({
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    });
    deployments.create(&key("d"), &deployment).await.unwrap();
    let scale = deployments.subresource("scale");
    let mut read = scale.get(&key("d")).await.unwrap();
    assert_eq!(read["spec"]["replicas"], 1);
    read["spec"]["replicas"] = json!(3);
    scale.update(&key("d"), &read).await.unwrap();
    let more = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    let patched = deployments.patch(&key("d"), &more).await.unwrap();
    assert_eq!(patched["spec"]["replicas"], 3);
    let listed = deployments
        .list(&Query::namespace("default"))
        .await
        .unwrap();
    assert_eq!(listed.items[0].label("x"), Some("y"));
    let orphan = DeleteOptions {
        propagation: Propagation::Orphan,
        ..DeleteOptions::default()
    };
    assert!(
        !deployments.delete(&key("d"), &orphan).await.unwrap(),
        "a finalizer holds it"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_emptied_and_closed() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let config_maps = client.dynamic(ConfigMap::resource());
    client.create(&config_map("a", "1")).await.unwrap();
    let query = Query::namespace("default");
    let deleted = config_maps
        .delete_all(&query, &DeleteOptions::default())
        .await
        .unwrap();
    assert!(deleted >= 1);
    let none = Resource {
        plural: "nothings".to_owned(),
        ..ConfigMap::resource()
    };
    assert!(
        client
            .dynamic(none)
            .get(&key("a"))
            .await
            .unwrap_err()
            .is_not_found()
    );
    let gone: Namespace = object(json!({"metadata": {"name": "gone"}}));
    client.create(&gone).await.unwrap();
    client
        .delete::<Namespace>(&Key::new("", "gone"), &DeleteOptions::default())
        .await
        .unwrap();
    let mut late = config_map("late", "");
    late.metadata.namespace = Some("gone".to_owned());
    assert!(
        client
            .create(&late)
            .await
            .unwrap_err()
            .is_namespace_terminating()
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_cannot_be_asked_leaves_no_doubt_about_a_write() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let configurations = Resource {
        group: "admissionregistration.k8s.io".to_owned(),
        version: "v1".to_owned(),
        plural: "validatingwebhookconfigurations".to_owned(),
        namespaced: false,
    };
    let webhook = json!({
        "name": "a.b.test", "clientConfig": {"url": "https://127.0.0.1:1/x"}, "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
    });
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "w"}, "webhooks": [webhook],
    });
    client.create(&config_map("a", "1")).await.unwrap();
    let dynamic = client.dynamic(configurations);
    let name = Key::new("", "w");
    dynamic.create(&name, &configuration).await.unwrap();
    // A list is as fresh as what was acknowledged before, and so is what admission reads.
    dynamic.list(&Query::default()).await.unwrap();

    let refused = client.create(&config_map("b", "1")).await.unwrap_err();
    assert_eq!(refused.failure().unwrap().code, 500, "{refused}");
    assert!(!refused.outcome_unknown(), "{refused}");
    let merge = Patch::Merge(json!({"data": {"a": "2"}}));
    let written = client
        .batch(vec![
            Write::create(&config_map("c", "1")),
            Write::patch::<ConfigMap>(&key("a"), merge),
            Write::delete::<ConfigMap>(&key("a"), DeleteOptions::default()),
        ])
        .await
        .unwrap();
    assert_eq!(written.len(), 3);
    for outcome in written {
        let failure = outcome.unwrap_err();
        assert!(failure.code == 500 && !failure.outcome_unknown());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_to_the_next_server_if_that_does_no_harm() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client();
    client.create(&config_map("a", "1")).await.unwrap();
    cluster.relays[0].close();
    client.get::<ConfigMap>(&key("a")).await.unwrap();
    client.create(&config_map("b", "1")).await.unwrap();
    cluster.relays[1].cut();
    client.get::<ConfigMap>(&key("b")).await.unwrap();
    cluster.relays[1].close();
    let none = client.get::<ConfigMap>(&key("a")).await.unwrap_err();
    assert!(!none.outcome_unknown(), "{none:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_left_in_seconds_and_a_write_to_it_is_not_made_twice() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client();
    client.create(&config_map("a", "1")).await.unwrap();
    cluster.relays[0].freeze();
    let began = Instant::now();
    let (a, b) = (key("a"), config_map("b", "1"));
    let (read, write) = tokio::join!(client.get::<ConfigMap>(&a), client.create(&b));
    read.unwrap();
    let write = write.unwrap_err();
    assert!(write.outcome_unknown(), "{write:?}");
    assert!(began.elapsed().as_secs() < 15);
    client.create(&config_map("b", "1")).await.unwrap();
    cluster.stop().await;
}
