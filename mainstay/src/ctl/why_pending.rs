//! `why-pending`: why a pod does not run, in words and tables, from what an apiserver says and the scheduler would decide.

mod answer;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use client::{Client, Config, Error, Key, Query};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use scheduler::explain::{explain, read_cluster};

use self::answer::{Answer, Around};
use super::arguments::{Format, Output, WhyPending};
use super::failure::{Failure, NOT_CONNECTED_EXIT_CODE};

/// Namespaces that are named when a pod is not in the one that was asked.
const NAMESPACES_NAMED_MAX: usize = 5;
const DEFAULT_NAMESPACE: &str = "default";

pub(super) async fn run(ask: &WhyPending, format: Format, timeout: Duration) -> Result<()> {
    let as_json = match (ask.output, format) {
        (Some(output), _) => output == Output::Json,
        (None, Format::Json) => true,
        (None, Format::Simple) => false,
        (None, _) => misuse!("why-pending is printed as text or as JSON"),
    };
    let key = key(ask)?;
    let config = Config::from_kubeconfig(kubeconfig(ask)?)?;
    let client = Client::new(config)?.with_timeout(timeout);
    let found = client.get::<Pod>(&key).await;
    let pod = match found {
        Err(error) if error.is_object_not_found() => return Err(not_found(&client, &key).await),
        other => other.map_err(failed)?,
    };
    let answer = look(&client, pod).await.map_err(failed)?;
    if as_json {
        outln!("{}", serde_json::to_string(&answer)?);
    } else {
        out!("{}", text::of(&answer, ask.all));
    }
    Ok(())
}

/// `NAME`, `NAMESPACE/NAME`, or either with `--namespace`.
fn key(ask: &WhyPending) -> Result<Key> {
    let (namespace, name) = match ask.pod.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, ask.pod.as_str()),
    };
    let namespace = match (namespace, ask.namespace.as_deref()) {
        (Some(one), Some(other)) if one != other => {
            misuse!("the pod is said to be in {one:?} and, by --namespace, in {other:?}")
        }
        (one, other) => one.or(other).unwrap_or(DEFAULT_NAMESPACE),
    };
    if name.is_empty() || namespace.is_empty() {
        misuse!("name a pod as NAME or NAMESPACE/NAME");
    }
    Ok(Key::new(namespace, name))
}

fn kubeconfig(ask: &WhyPending) -> Result<PathBuf> {
    if let Some(file) = &ask.kubeconfig {
        return Ok(file.clone());
    }
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&named).collect();
    if named.is_empty() {
        places = vec![PathBuf::from("data/kubeconfig")];
        places.extend(std::env::home_dir().map(|home| home.join(".kube/config")));
    }
    let found = places.iter().find(|place| place.is_file());
    found.cloned().ok_or_else(|| {
        let places: Vec<String> = places.iter().map(|one| one.display().to_string()).collect();
        anyhow!(
            "there is no kubeconfig at {}: name one with --kubeconfig or KUBECONFIG",
            places.join(" or ")
        )
    })
}

/// Reads what the answer depends on.
async fn look(client: &Client, pod: Pod) -> Result<Answer, Error> {
    let spec = pod.spec.as_ref();
    let node_name = spec.and_then(|spec| spec.node_name.as_deref());
    let mut around = Around {
        warnings: warnings(client, &pod).await?,
        ..Around::default()
    };
    if let Some(node) = node_name {
        around.node = match client.get::<Node>(&Key::new("", node)).await {
            Ok(node) => Some(node),
            Err(error) if error.is_object_not_found() => None,
            Err(error) => return Err(error),
        };
    } else {
        let mut cluster = read_cluster(client).await?;
        around.explanation = Some(explain(&pod, &mut cluster));
        around.leaving = leaving(&pod, client).await?;
    }
    Ok(Answer::new(&pod, around))
}

/// Pods that are being deleted on the node that was promised to the pod.
async fn leaving(pod: &Pod, client: &Client) -> Result<Vec<String>, Error> {
    let status = pod.status.as_ref();
    let Some(node) = status.and_then(|status| status.nominated_node_name.as_deref()) else {
        return Ok(Vec::new());
    };
    let query = Query {
        fields: format!("spec.nodeName={node}"),
        ..Query::default()
    };
    let pods = client.list::<Pod>(&query).await?.items;
    let leaving = pods
        .iter()
        .filter(|one| one.metadata.deletion_timestamp.is_some());
    Ok(leaving.map(|one| Key::of(one).to_string()).collect())
}

async fn warnings(client: &Client, pod: &Pod) -> Result<Vec<Event>, Error> {
    let key = Key::of(pod);
    let query = Query {
        namespace: key.namespace,
        fields: format!(
            "involvedObject.kind=Pod,involvedObject.name={},involvedObject.uid={},type=Warning",
            key.name,
            pod.metadata.uid.as_deref().unwrap_or("")
        ),
        ..Query::default()
    };
    Ok(client.list::<Event>(&query).await?.items)
}

/// Says where pods of that name are, if there are any.
async fn not_found(client: &Client, key: &Key) -> anyhow::Error {
    let query = Query {
        fields: format!("metadata.name={}", key.name),
        ..Query::default()
    };
    let pods = match client.list::<Pod>(&query).await {
        Ok(pods) => pods.items,
        Err(_) => Vec::new(),
    };
    let mut places: Vec<String> = pods.iter().map(|pod| Key::of(pod).namespace).collect();
    places.sort();
    let more = places.len().saturating_sub(NAMESPACES_NAMED_MAX);
    places.truncate(NAMESPACES_NAMED_MAX);
    let mut text = format!(
        "there is no pod {} in namespace {}",
        key.name, key.namespace
    );
    if !places.is_empty() {
        text.push_str(&format!("; one of that name is in {}", places.join(", ")));
    }
    if more > 0 {
        text.push_str(&format!(" and {more} others"));
    }
    anyhow!(text)
}

/// A server that is not there has an exit code of its own.
fn failed(error: Error) -> anyhow::Error {
    match error {
        Error::Unreachable(_) | Error::Lost(_) | Error::TimedOut(_) => {
            Failure::new(NOT_CONNECTED_EXIT_CODE, error.to_string()).into()
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;
