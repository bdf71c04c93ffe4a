//! Typed and dynamic calls: objects made, read, changed in each way, listed in each way, and deleted.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{Discovery, verbs};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::Failure;
use crate::faults::{calling, creating, deleting, refused};

const POST: PostParams = PostParams {
    dry_run: false,
    field_manager: None,
};

pub async fn all_of(client: &Client, namespace: &str) -> Result<(), Failure> {
    typed(&Api::namespaced(client.clone(), namespace)).await?;
    let deployments = Api::namespaced(client.clone(), namespace);
    patches(&deployments).await?;
    scale_and_status(&deployments).await?;
    lists(&Api::namespaced(client.clone(), namespace)).await?;
    dynamically(client, namespace).await
}

pub fn config_map(name: &str, labels: Value, value: &str) -> ConfigMap {
    let body = json!({"metadata": {"name": name, "labels": labels}, "data": {"value": value}});
    serde_json::from_value(body).expect("it has the shape of its type")
}

async fn typed(maps: &Api<ConfigMap>) -> Result<(), Failure> {
    let body = config_map("typed", json!({}), "one");
    creating(async || maps.create(&POST, &body).await).await?;
    let twice = refused(async || maps.create(&POST, &body).await).await?;
    assert_eq!(
        (twice.code, twice.reason.as_str()),
        (409, "AlreadyExists"),
        "{twice:?}"
    );
    let old = calling(async || maps.get("typed").await).await?;
    calling(async || {
        maps.patch(
            "typed",
            &PatchParams::default(),
            &Patch::Merge(json!({"data": {"value": "two"}})),
        )
        .await
    })
    .await?;
    let late = refused(async || maps.replace("typed", &POST, &old).await).await?;
    assert_eq!(
        (late.code, late.reason.as_str()),
        (409, "Conflict"),
        "{late:?}"
    );
    let wrong = refused(async || {
        maps.create(&POST, &config_map("Not A Name", json!({}), ""))
            .await
    })
    .await?;
    let cause = &wrong.details.as_ref().ok_or("no details")?.causes[0];
    assert_eq!(
        (wrong.code, cause.field.as_str()),
        (422, "metadata.name"),
        "{wrong:?}"
    );
    let metadata = calling(async || maps.get_metadata("typed").await).await?;
    assert_eq!(metadata.name_any(), "typed");
    deleting(async || maps.delete("typed", &DeleteParams::default()).await).await?;
    assert!(
        calling(async || maps.get_opt("typed").await)
            .await?
            .is_none()
    );
    Ok(())
}

fn deployment() -> Deployment {
    let body = json!({
        "metadata": {"name": "patched", "labels": {"app": "patched"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "patched"}},
            "template": {
                "metadata": {"labels": {"app": "patched"}},
                "spec": {"containers": [{"name": "web", "image": "nginx", "env": [{"name": "A", "value": "1"}]}]},
            },
        },
    });
    serde_json::from_value(body).expect("it has the shape of its type")
}

fn spec(deployment: &Deployment) -> Value {
    serde_json::to_value(&deployment.spec).expect("it came as JSON")
}

async fn patches(deployments: &Api<Deployment>) -> Result<(), Failure> {
    creating(async || deployments.create(&POST, &deployment()).await).await?;
    let patch = async |patch: &Patch<Value>, params: &PatchParams| {
        deployments.patch("patched", params, patch).await
    };
    let plain = PatchParams::default();
    let environment = json!([{"name": "B", "value": "2"}]);
    let strategic = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "env": environment}]}}}});
    let patched =
        calling(async || patch(&Patch::Strategic(strategic.clone()), &plain).await).await?;
    let container = &spec(&patched)["template"]["spec"]["containers"][0];
    assert_eq!(
        container["env"].as_array().map(Vec::len),
        Some(2),
        "{container}"
    );
    let merge = Patch::Merge(json!({"spec": {"paused": true}}));
    calling(async || patch(&merge, &plain).await).await?;
    let steps = json!([
        {"op": "test", "path": "/spec/paused", "value": true},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
    ]);
    let steps: Patch<Value> = Patch::Json(serde_json::from_value(steps)?);
    let patched = calling(async || patch(&steps, &plain).await).await?;
    assert_eq!(spec(&patched)["replicas"], 3);
    let mine = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "patched"}, "spec": {"replicas": 5}});
    let mine = Patch::Apply(mine);
    let conflict = refused(async || patch(&mine, &PatchParams::apply("kube")).await).await?;
    let cause = &conflict.details.as_ref().ok_or("no details")?.causes[0];
    assert_eq!(
        (cause.reason.as_str(), cause.field.as_str()),
        ("FieldManagerConflict", ".spec.replicas")
    );
    let applied = calling(async || patch(&mine, &PatchParams::apply("kube").force()).await).await?;
    let managers = applied.managed_fields();
    assert!(
        managers
            .iter()
            .any(|entry| entry.manager.as_deref() == Some("kube")),
        "{managers:?}"
    );
    assert_eq!(spec(&applied)["replicas"], 5);
    Ok(())
}

async fn scale_and_status(deployments: &Api<Deployment>) -> Result<(), Failure> {
    let scale = calling(async || deployments.get_scale("patched").await).await?;
    let selector = scale.status.and_then(|status| status.selector);
    assert_eq!(selector.as_deref(), Some("app=patched"));
    let two = Patch::Merge(json!({"spec": {"replicas": 2}}));
    calling(async || {
        deployments
            .patch_scale("patched", &PatchParams::default(), &two)
            .await
    })
    .await?;
    let status = Patch::Merge(
        json!({"spec": {"replicas": 9}, "status": {"replicas": 2, "readyReplicas": 2}}),
    );
    let seen = calling(async || {
        deployments
            .patch_status("patched", &PatchParams::default(), &status)
            .await
    })
    .await?;
    assert_eq!(spec(&seen)["replicas"], 2);
    assert_eq!(
        seen.status.and_then(|status| status.ready_replicas),
        Some(2)
    );
    deleting(async || {
        deployments
            .delete("patched", &DeleteParams::background())
            .await
    })
    .await?;
    Ok(())
}

async fn lists(maps: &Api<ConfigMap>) -> Result<(), Failure> {
    for number in 0..10 {
        let labels = json!({"parity": if number % 2 == 0 { "even" } else { "odd" }});
        let body = config_map(&format!("paged-{number}"), labels, "");
        creating(async || maps.create(&POST, &body).await).await?;
    }
    let mut params = ListParams::default().labels("parity").limit(3);
    let mut names = Vec::new();
    loop {
        let page = calling(async || maps.list(&params).await).await?;
        names.extend(page.iter().map(|one| one.name_any()));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => break,
        }
    }
    let expected: Vec<String> = (0..10).map(|number| format!("paged-{number}")).collect();
    assert_eq!(names, expected);
    for (params, count) in [
        (ListParams::default().labels("parity in (odd)"), 5),
        (ListParams::default().labels("parity,parity!=odd"), 5),
        (ListParams::default().fields("metadata.name=paged-3"), 1),
    ] {
        let found = calling(async || maps.list(&params).await).await?;
        assert_eq!(found.items.len(), count, "{params:?}");
    }
    let all = ListParams::default().labels("parity");
    calling(async || maps.delete_collection(&DeleteParams::default(), &all).await).await?;
    assert!(
        calling(async || maps.list_metadata(&all).await)
            .await?
            .items
            .is_empty()
    );
    Ok(())
}

async fn dynamically(client: &Client, namespace: &str) -> Result<(), Failure> {
    let discovery = calling(async || Discovery::new(client.clone()).run_aggregated().await).await?;
    let group = discovery.get("apps").ok_or("no group apps")?;
    let (_, capabilities) = group
        .recommended_kind("Deployment")
        .ok_or("no deployments")?;
    assert!(capabilities.supports_operation(verbs::WATCH));
    let core = discovery.get("").ok_or("no core group")?;
    let (resource, _) = core.recommended_kind("ConfigMap").ok_or("no maps")?;
    let maps: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let mut body = DynamicObject::new("dynamic", &resource).data(json!({"data": {"value": "one"}}));
    let (one, two) = (PatchParams::apply("one"), PatchParams::apply("two"));
    calling(async || maps.patch("dynamic", &one, &Patch::Apply(&body)).await).await?;
    body.data = json!({"data": {"value": "two"}});
    let conflict =
        refused(async || maps.patch("dynamic", &two, &Patch::Apply(&body)).await).await?;
    assert!(
        conflict.code == 409 && conflict.message.contains("conflict with \"one\""),
        "{conflict:?}"
    );
    let forced = calling(async || {
        maps.patch("dynamic", &two.clone().force(), &Patch::Apply(&body))
            .await
    })
    .await?;
    assert_eq!(forced.data["data"]["value"], "two");
    deleting(async || maps.delete("dynamic", &DeleteParams::default()).await).await?;
    Ok(())
}
