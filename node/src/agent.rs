//! What the apiserver asks nodes for: what their pods use, and what their containers have written.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use client::{Change, Informer, Key};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode, Uri};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::behaviour::Usage;
use crate::fleet::Fleet;
use crate::logs;
use crate::pods::{Pods, node_name};
use crate::register;
use crate::stages::{phase, text};

/// Nodes that come or go and were not dealt with yet.
const CHANGES_MAX: usize = 1024;
/// What a node itself uses beside its pods.
const NODE_CPU_NANOS: u64 = 50_000_000;
const NODE_MEMORY_BYTES: u64 = 256 << 20;
/// What is answered instead of a stream to a process. kubectl takes text with a colon for a Status in YAML, and
/// finds no message in it.
const NO_PROCESSES: &str = "this node is simulated, and no process runs in its containers\n";

/// The agents of all nodes, each at its node's address.
pub(crate) struct Agents {
    pods: Arc<Pods>,
    fleet: Arc<Fleet>,
    port: u16,
    tls: TlsAcceptor,
}

/// A node that came, or went.
enum Moved {
    Here(Arc<Node>),
    Gone(String),
}

impl Agents {
    /// # Errors
    ///
    /// If no certificate can be made.
    pub(crate) fn new(pods: Arc<Pods>, fleet: Arc<Fleet>, port: u16) -> Result<Arc<Agents>> {
        Ok(Arc::new(Agents {
            pods,
            fleet,
            port,
            tls: component::self_signed(vec!["localhost".to_owned()])?,
        }))
    }

    /// Listens for every node there is, for as long as it is there and has not failed.
    pub(crate) async fn run(self: Arc<Agents>, nodes: Informer<Node>) {
        let (sender, mut moved) = mpsc::channel(CHANGES_MAX);
        nodes.on_change(move |change| {
            let node = change.object();
            let is_gone = matches!(change, Change::Deleted(_)) || register::has_failed(node);
            let told = if is_gone {
                Moved::Gone(node.metadata.name.clone().unwrap_or_default())
            } else {
                Moved::Here(node.clone())
            };
            // A node that is not heard of here is heard of with its next report.
            let _ = sender.try_send(told);
        });
        let mut serving = JoinSet::new();
        let mut agents: HashMap<String, AbortHandle> = HashMap::new();
        while let Some(moved) = moved.recv().await {
            while serving.try_join_next().is_some() {}
            match moved {
                Moved::Gone(name) => {
                    if let Some(agent) = agents.remove(&name) {
                        agent.abort();
                    }
                }
                Moved::Here(node) => {
                    let name = node.metadata.name.clone().unwrap_or_default();
                    if agents.get(&name).is_some_and(|agent| !agent.is_finished()) {
                        continue;
                    }
                    let address = register::address(self.fleet.number(&node));
                    let serve = self.clone().serve(name.clone(), address);
                    agents.insert(name, serving.spawn(serve));
                }
            }
        }
    }

    /// Answers at one node's address.
    async fn serve(self: Arc<Agents>, node: String, address: Ipv4Addr) {
        let address = SocketAddr::from((address, self.port));
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(node, %address, %error, "a node's agent cannot listen");
                return;
            }
        };
        let (pods, tls) = (self.pods.clone(), self.tls.clone());
        let answer = move |request: Request<Incoming>| {
            let (node, pods, uri) = (node.clone(), pods.clone(), request.uri().clone());
            async move { answer_now(&node, &pods, &uri).await }
        };
        component::serve(listener, tls, answer).await;
    }
}

/// Answers by the pods that are known here. Who asks for a log may have heard before us that there is one: a log that is not known of is
/// looked for once more, in the pod as the apiserver has it now.
async fn answer_now(node: &str, pods: &Pods, uri: &Uri) -> Response<Full<Bytes>> {
    let asked = (uri.path(), uri.query().unwrap_or_default());
    let response = answer(node, &pods.on(node), asked);
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let ["containerLogs", namespace, name, _] = parts.as_slice() else {
        return response;
    };
    if response.status().is_success() {
        return response;
    }
    match pods.live(&Key::new(*namespace, *name)).await {
        Some(pod) if node_name(&pod) == node => answer(node, &[pod], asked),
        _ => response,
    }
}

fn answer(node: &str, pods: &[Arc<Pod>], (path, query): (&str, &str)) -> Response<Full<Bytes>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (status, text) = match parts[..] {
        ["healthz"] => (StatusCode::OK, "ok".to_owned()),
        ["stats", "summary"] => (
            StatusCode::OK,
            summary(node, pods, Timestamp::now()).to_string(),
        ),
        ["containerLogs", namespace, name, container] => {
            match find(pods, (namespace, name, container)) {
                Some(pod) => match logs::read(pod, container, asks_for_previous(query)) {
                    Ok(log) => (StatusCode::OK, log),
                    Err(why) => (StatusCode::BAD_REQUEST, why),
                },
                None => (
                    StatusCode::NOT_FOUND,
                    format!("container {container:?} of pod {namespace}/{name} is not here\n"),
                ),
            }
        }
        ["exec" | "attach" | "portForward" | "run", ..] => {
            (StatusCode::NOT_IMPLEMENTED, NO_PROCESSES.to_owned())
        }
        _ => (StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

/// Whether the log of the run before this one is asked for.
fn asks_for_previous(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| matches!(pair, "previous=true" | "previous=1"))
}

fn find<'a>(
    pods: &'a [Arc<Pod>],
    (namespace, name, container): (&str, &str, &str),
) -> Option<&'a Pod> {
    let pod = pods.iter().find(|pod| {
        let metadata = &pod.metadata;
        metadata.namespace.as_deref() == Some(namespace) && metadata.name.as_deref() == Some(name)
    })?;
    let spec = pod.spec.as_ref()?;
    let before = spec.init_containers.iter().flatten();
    let containers = spec.containers.iter().chain(before).map(|own| &own.name);
    let later = spec.ephemeral_containers.iter().flatten();
    let mut names = containers.chain(later.map(|own| &own.name));
    names.any(|own| own == container).then_some(&**pod)
}

/// What a node and its pods use, as a kubelet tells it.
fn summary(node: &str, pods: &[Arc<Pod>], now: Timestamp) -> Value {
    let (mut cpu, mut memory) = (NODE_CPU_NANOS, NODE_MEMORY_BYTES);
    let mut told = Vec::new();
    for pod in pods.iter().filter(|pod| phase(pod) == "Running") {
        let usage = Usage::of(pod);
        let containers: Vec<Value> = pod
            .spec
            .iter()
            .flat_map(|spec| &spec.containers)
            .map(|container| {
                cpu = cpu.saturating_add(usage.cpu_nanos);
                memory = memory.saturating_add(usage.memory_bytes);
                measured(json!({"name": container.name}), usage, now)
            })
            .collect();
        let metadata = &pod.metadata;
        told.push(json!({
            "podRef": {"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid},
            "startTime": metadata.creation_timestamp,
            "containers": containers,
        }));
    }
    let usage = Usage {
        cpu_nanos: cpu,
        memory_bytes: memory,
    };
    json!({"node": measured(json!({"nodeName": node}), usage, now), "pods": told})
}

fn measured(mut about: Value, usage: Usage, now: Timestamp) -> Value {
    let time = text(now);
    about["startTime"] = json!(time);
    about["cpu"] =
        json!({"time": time, "usageNanoCores": usage.cpu_nanos, "usageCoreNanoSeconds": 0});
    about["memory"] = json!({"time": time, "workingSetBytes": usage.memory_bytes, "usageBytes": usage.memory_bytes});
    about
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(container: &str, state: Value) -> Value {
        json!({
            "name": container, "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": state,
        })
    }

    fn pod(name: &str, phase: &str) -> Arc<Pod> {
        let pod = json!({
            "metadata": {"name": name, "namespace": "a", "uid": name, "annotations": {
                "simulation.mainstay.dev/cpu-usage": "100m",
            }},
            "spec": {
                "containers": [{"name": "c"}, {"name": "d"}],
                "initContainers": [{"name": "i"}],
                "ephemeralContainers": [{"name": "e"}],
            },
            "status": {
                "phase": phase,
                "containerStatuses": [told("c", json!({"running": {}}))],
                "initContainerStatuses": [told("i", json!({"terminated": {"exitCode": 0}}))],
                "ephemeralContainerStatuses": [told("e", json!({"running": {}}))],
            },
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_node_uses_what_its_running_pods_use() {
        let pods = [pod("p", "Running"), pod("q", "Succeeded")];
        let summary = summary("n", &pods, Timestamp::UNIX_EPOCH);
        assert_eq!(
            summary["node"]["cpu"]["usageNanoCores"],
            NODE_CPU_NANOS + 200_000_000
        );
        assert_eq!(summary["pods"].as_array().unwrap().len(), 1);
        assert_eq!(
            summary["pods"][0]["containers"][1]["cpu"]["usageNanoCores"],
            100_000_000
        );
    }

    #[test]
    fn what_is_not_there_is_not_answered() {
        let pods = [pod("p", "Running")];
        for (path, status) in [
            ("/stats/summary", 200),
            ("/containerLogs/a/p/c", 200),
            ("/containerLogs/a/p/i", 200),
            ("/containerLogs/a/p/e", 200),
            ("/containerLogs/a/p/c?follow=true&previous=true", 400),
            ("/containerLogs/a/p/d", 400),
            ("/containerLogs/a/p/x", 404),
            ("/containerLogs/b/p/c", 404),
            ("/exec/a/p/c", 501),
            ("/attach/a/p/e", 501),
            ("/", 404),
        ] {
            let asked = path.split_once('?').unwrap_or((path, ""));
            assert_eq!(answer("n", &pods, asked).status(), status, "{path}");
        }
    }
}
