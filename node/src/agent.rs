//! What the apiserver asks nodes for: what their pods use, and what their containers have written.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use client::{Change, Informer};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::behaviour::Usage;
use crate::fleet::Fleet;
use crate::pods::Pods;
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
            let response = answer(&node, &pods.on(&node), request.uri().path());
            std::future::ready(response)
        };
        component::serve(listener, tls, answer).await;
    }
}

fn answer(node: &str, pods: &[Arc<Pod>], path: &str) -> Response<Full<Bytes>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (status, text) = match parts[..] {
        ["healthz"] => (StatusCode::OK, "ok".to_owned()),
        ["stats", "summary"] => (
            StatusCode::OK,
            summary(node, pods, Timestamp::now()).to_string(),
        ),
        ["containerLogs", namespace, name, container] => {
            match find(pods, (namespace, name, container)) {
                Some(pod) => (StatusCode::OK, log(pod, container)),
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
    let mut containers = spec.containers.iter().chain(before);
    containers
        .any(|own| own.name == container)
        .then_some(&**pod)
}

/// What a container that does nothing has written.
fn log(pod: &Pod, container: &str) -> String {
    let started = pod
        .status
        .as_ref()
        .and_then(|status| status.start_time.as_ref());
    let since = started.map_or_else(String::new, |time| text(time.0));
    format!("{container} runs on a simulated node since {since}\n")
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

    fn pod(name: &str, phase: &str) -> Arc<Pod> {
        let pod = json!({
            "metadata": {"name": name, "namespace": "a", "uid": name, "annotations": {
                "simulation.mainstay.dev/cpu-usage": "100m",
            }},
            "spec": {
                "containers": [{"name": "c"}, {"name": "d"}],
                "initContainers": [{"name": "i"}],
            },
            "status": {"phase": phase},
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
            ("/containerLogs/a/p/x", 404),
            ("/containerLogs/b/p/c", 404),
            ("/exec/a/p/c", 501),
            ("/", 404),
        ] {
            assert_eq!(answer("n", &pods, path).status(), status, "{path}");
        }
    }
}
