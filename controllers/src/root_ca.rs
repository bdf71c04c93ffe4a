//! Every namespace has a config map with the certificates by which pods know the apiserver.

use std::collections::BTreeMap;

use anyhow::Result;
use client::{Change, Client, Key, Next, Patch};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::context::Context;
use crate::patches;

const NAME: &str = "kube-root-ca.crt";
const FIELD: &str = "ca.crt";
const ANNOTATION: &str = "kubernetes.io/description";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. \
    No other usage is guaranteed across distributions of Kubernetes clusters.";
const WORKERS: usize = 1;

/// Does nothing where no certificates are given.
pub(crate) fn start(context: &Context) {
    let Some(authority) = context.material.root_ca.clone() else {
        tracing::info!("without --root-ca-file namespaces get no kube-root-ca.crt");
        return;
    };
    let namespaces = context.informers.of::<Namespace>();
    let maps = context.informers.of::<ConfigMap>();
    let queue = context.queue("root_ca_cert_publisher");
    let added = queue.clone();
    namespaces.on_change(move |change| {
        let is_new = matches!(change, Change::Added(_));
        let is_gone = matches!(change, Change::Deleted(_));
        let namespace = change.object();
        if is_new || (!is_gone && crate::service_accounts::is_active(namespace)) {
            added.add(Key::of(&**namespace).name);
        }
    });
    let added = queue.clone();
    maps.on_change(move |change| {
        let key = Key::of(&**change.object());
        if key.name == NAME && !matches!(change, Change::Added(_)) {
            added.add(key.namespace);
        }
    });
    let store = maps.store();
    let client = context.client.clone();
    context.work(
        ("root CA publisher", WORKERS),
        queue,
        context.synced(),
        move |namespace: String| {
            let found = store.get(&Key::new(&*namespace, NAME));
            let action = decide(found.as_deref(), &authority);
            let client = client.clone();
            async move {
                write(&client, &namespace, action).await?;
                anyhow::Ok(Next::Done)
            }
        },
    );
}

/// What to do about the config map of a namespace.
#[derive(Debug, PartialEq)]
enum Action {
    Nothing,
    Create(Box<ConfigMap>),
    /// A merge patch.
    Change(Value),
}

fn decide(found: Option<&ConfigMap>, authority: &str) -> Action {
    let data = BTreeMap::from([(FIELD.to_owned(), authority.to_owned())]);
    let Some(found) = found else {
        let annotations = BTreeMap::from([(ANNOTATION.to_owned(), DESCRIPTION.to_owned())]);
        return Action::Create(Box::new(ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        }));
    };
    let annotations = found.metadata.annotations.as_ref();
    let described = annotations.and_then(|annotations| annotations.get(ANNOTATION));
    if found.data.as_ref() == Some(&data) && described.is_some_and(|text| !text.is_empty()) {
        return Action::Nothing;
    }
    let before = found.data.clone().unwrap_or_default();
    let change = patches::between(&before, &data).unwrap_or_else(|| json!({}));
    Action::Change(patches::when_unchanged(
        &found.metadata,
        json!({"metadata": {"annotations": {ANNOTATION: DESCRIPTION}}, "data": change}),
    ))
}

async fn write(client: &Client, namespace: &str, action: Action) -> Result<()> {
    match action {
        Action::Nothing => Ok(()),
        Action::Create(mut map) => {
            map.metadata.namespace = Some(namespace.to_owned());
            match client.create(&*map).await {
                Err(error) if !error.is_not_found() && !error.is_namespace_terminating() => {
                    Err(error.into())
                }
                _ => Ok(()),
            }
        }
        Action::Change(patch) => {
            let key = Key::new(namespace, NAME);
            client
                .patch::<ConfigMap>(&key, &Patch::Merge(patch))
                .await?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_map_is_made_and_mended() {
        let Action::Create(made) = decide(None, "ca") else {
            panic!("there is none");
        };
        assert_eq!(made.data.as_ref().unwrap()[FIELD], "ca");
        assert_eq!(decide(Some(&made), "ca"), Action::Nothing);
        let mut spoilt = (*made).clone();
        spoilt.metadata.resource_version = Some("7".to_owned());
        spoilt.data = Some(BTreeMap::from([("x".to_owned(), "y".to_owned())]));
        let Action::Change(patch) = decide(Some(&spoilt), "ca") else {
            panic!("it is not as it should be");
        };
        assert_eq!(patch["data"], json!({"ca.crt": "ca", "x": null}));
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let mut bare = *made;
        bare.metadata.annotations = None;
        let Action::Change(patch) = decide(Some(&bare), "ca") else {
            panic!("it has no description");
        };
        assert_eq!(patch["metadata"]["annotations"][ANNOTATION], DESCRIPTION);
    }
}
