//! Every pod runs as a service account that exists, and has its token.

use std::sync::Arc;
use std::time::Duration;

use objects::status::{Reason, Status};
use objects::{Value, meta};
use serde_json::json;

use super::chain::Parts;
use super::pods::is_mirror;
use super::{Operation, Review};

const DEFAULT_NAME: &str = "default";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Life of a token in a pod: an hour, and seven seconds by which it is known.
const TOKEN_SECONDS: u32 = 3607;
/// How often the default account of a new namespace is looked for, which a controller makes.
const DEFAULT_TRIES: usize = 10;
const RETRY_PAUSE: Duration = Duration::from_millis(150);

pub(super) async fn mutate(
    parts: &Parts,
    review: &Review<'_>,
    pod: &mut Value,
) -> Result<(), Status> {
    if !review.is_of("", "pods") || review.operation != Operation::Create {
        return Ok(());
    }
    if is_mirror(pod) {
        return judge_mirror(pod).map_err(|why| review.forbidden(Some(pod), why));
    }
    let mut name = meta::text(pod, &["spec", "serviceAccountName"]).to_owned();
    if name.is_empty() {
        DEFAULT_NAME.clone_into(&mut name);
    }
    let namespace = &review.attributes.namespace;
    let Some(account) = find(parts, namespace, &name).await? else {
        let why = format!(
            "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
        );
        return Err(review.forbidden(Some(pod), why));
    };
    complete(pod, &account, &name, || {
        format!("{VOLUME_PREFIX}{}", crate::registry::suffix())
    });
    Ok(())
}

async fn find(parts: &Parts, namespace: &str, name: &str) -> Result<Option<Arc<Value>>, Status> {
    let tries = if name == DEFAULT_NAME {
        DEFAULT_TRIES
    } else {
        1
    };
    for attempt in 0..tries {
        if attempt > 0 {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        let found = parts.find(("", "serviceaccounts"), namespace, name).await;
        match found {
            Ok(None) => {}
            Err(status) if status.reason == Reason::NotFound => {}
            other => return other,
        }
    }
    Ok(None)
}

fn judge_mirror(pod: &Value) -> Result<(), &'static str> {
    if !meta::text(pod, &["spec", "serviceAccountName"]).is_empty() {
        return Err("a mirror pod may not reference service accounts");
    }
    let volumes = meta::list(pod, &["spec", "volumes"]);
    if volumes.iter().any(|volume| volume.get("secret").is_some()) {
        return Err("a mirror pod may not reference secrets");
    }
    let projects_token = |volume: &Value| {
        meta::list(volume, &["projected", "sources"])
            .iter()
            .any(|source| source.get("serviceAccountToken").is_some())
    };
    if volumes.iter().any(projects_token) {
        return Err("a mirror pod may not use ServiceAccountToken volume projections");
    }
    Ok(())
}

/// Gives a pod what its account has for it.
fn complete(pod: &mut Value, account: &Value, name: &str, make_name: impl Fn() -> String) {
    let spec = meta::fields_mut(pod, "spec");
    spec.insert("serviceAccountName".to_owned(), name.into());
    spec.insert("serviceAccount".to_owned(), name.into());
    let automount = |value: Option<&Value>| value.and_then(Value::as_bool);
    let mounts = automount(spec.get("automountServiceAccountToken"))
        .or_else(|| automount(account.get("automountServiceAccountToken")))
        .unwrap_or(true);
    let pulls = spec
        .get("imagePullSecrets")
        .and_then(Value::as_array)
        .is_some_and(|secrets| !secrets.is_empty());
    let secrets = meta::list(account, &["imagePullSecrets"]);
    if !pulls && !secrets.is_empty() {
        let names = secrets.iter().map(|secret| json!({"name": secret["name"]}));
        spec.insert("imagePullSecrets".to_owned(), names.collect());
    }
    if mounts {
        mount_token(pod, make_name);
    }
}

fn mount_token(pod: &mut Value, make_name: impl Fn() -> String) {
    let own = meta::list(pod, &["spec", "volumes"])
        .iter()
        .map(|volume| meta::text(volume, &["name"]))
        .find(|name| name.starts_with(VOLUME_PREFIX))
        .map(str::to_owned);
    let is_new = own.is_none();
    let volume = own.unwrap_or_else(make_name);
    let spec = meta::fields_mut(pod, "spec");
    let mut needs_volume = false;
    for field in ["initContainers", "containers"] {
        let containers = spec.get_mut(field).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mounted = meta::list(container, &["volumeMounts"])
                .iter()
                .any(|mount| mount["mountPath"] == MOUNT_PATH);
            if !mounted {
                let mount = json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH});
                super::pods::push(container, "volumeMounts", mount);
                needs_volume = true;
            }
        }
    }
    if is_new && needs_volume {
        let volume = json!({"name": volume, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}});
        super::pods::push(&mut pod["spec"], "volumes", volume);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(mut pod: Value, account: &Value) -> Value {
        complete(&mut pod, account, "robot", || {
            "kube-api-access-x".to_owned()
        });
        pod
    }

    #[test]
    fn a_pod_gets_a_token_and_the_pull_secrets_of_its_account() {
        let account = json!({"imagePullSecrets": [{"name": "pull"}]});
        let pod = completed(json!({"spec": {"containers": [{"name": "a"}]}}), &account);
        assert_eq!(pod["spec"]["serviceAccount"], "robot");
        assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "pull"}]));
        assert_eq!(pod["spec"]["volumes"][0]["name"], "kube-api-access-x");
        let mount = &pod["spec"]["containers"][0]["volumeMounts"][0];
        assert_eq!(mount["mountPath"], MOUNT_PATH);
    }

    #[test]
    fn the_pod_has_the_last_word_on_its_token() {
        let spec = json!({"containers": [{"name": "a"}], "automountServiceAccountToken": false});
        let account = json!({"automountServiceAccountToken": true});
        let pod = completed(json!({"spec": spec}), &account);
        assert!(pod["spec"].get("volumes").is_none());
        let account = json!({"automountServiceAccountToken": false});
        let pod = completed(json!({"spec": {"containers": [{"name": "a"}]}}), &account);
        assert!(pod["spec"].get("volumes").is_none());
    }

    #[test]
    fn a_mirror_pod_has_no_account() {
        let pod = json!({"spec": {"serviceAccountName": "x"}});
        let why = judge_mirror(&pod).unwrap_err();
        assert_eq!(why, "a mirror pod may not reference service accounts");
    }
}
