//! Says in the endpoints of the service `kubernetes` which servers there are: each keeps a key of its own alive, and all read all of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use objects::Value;
use objects::status::{Reason, Status};
use serde_json::json;

use crate::registry::{Registry, WriteOptions};
use crate::storage::Part;

/// Pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long the key of a server stays that is gone.
const KEY_SECONDS: u32 = 15;
const FOLDER: &str = "/masterleases/";

/// Runs round after round until it is dropped. A server that others cannot reach says nothing.
pub(crate) async fn run(registry: Arc<Registry>, address: SocketAddr) {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        return std::future::pending().await;
    }
    loop {
        if let Err(error) = round(&registry, address).await {
            tracing::debug!(%error, "cannot say which servers there are; trying again");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn round(registry: &Registry, address: SocketAddr) -> Result<(), Status> {
    let storage = &registry.storage;
    let folder = format!("{}{FOLDER}", registry.prefix);
    let key = format!("{folder}{}", address.ip());
    let (own, _) = storage.get(key.as_bytes()).await?;
    let revision = own.map_or(0, |own| own.revision);
    let value = json!({
        "kind": "Endpoints",
        "apiVersion": "v1",
        "metadata": {},
        "subsets": [{"addresses": [{"ip": address.ip().to_string()}]}],
    });
    storage
        .replace(
            key.as_bytes(),
            revision,
            value.to_string().into_bytes().into(),
            KEY_SECONDS,
        )
        .await?;
    let all = Part {
        start: bytes::Bytes::new(),
        limit: 0,
        revision: 0,
    };
    let page = storage.list(folder.as_bytes(), all).await?;
    let mut servers: Vec<String> = page
        .items
        .iter()
        .map(|stored| String::from_utf8_lossy(&stored.key[folder.len()..]).into_owned())
        .collect();
    servers.sort();
    write(
        registry,
        ("", "endpoints"),
        endpoints(&servers, address.port()),
        "subsets",
    )
    .await?;
    let slice = slice(&servers, address);
    write(
        registry,
        ("discovery.k8s.io", "endpointslices"),
        slice,
        "endpoints",
    )
    .await
}

fn endpoints(servers: &[String], port: u16) -> Value {
    let addresses: Vec<Value> = servers.iter().map(|ip| json!({"ip": ip})).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": addresses,
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }],
    })
}

fn slice(servers: &[String], address: SocketAddr) -> Value {
    let endpoints: Vec<Value> = servers
        .iter()
        .map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": if address.is_ipv6() { "IPv6" } else { "IPv4" },
        "endpoints": endpoints,
        "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
    })
}

/// Makes an object, or changes one of its fields if it is another.
async fn write(
    registry: &Registry,
    resource: (&str, &str),
    object: Value,
    field: &str,
) -> Result<(), Status> {
    let request = registry.own_request(resource, &object)?;
    let options = WriteOptions::default();
    let live = match registry.get(&request, "").await {
        Err(status) if status.reason == Reason::NotFound => {
            registry.create(&request, object, &options).await?;
            return Ok(());
        }
        other => other?,
    };
    if live[field] == object[field] && live["ports"] == object["ports"] {
        return Ok(());
    }
    let change = |live: &Value| {
        let mut live = live.clone();
        for name in [field, "ports"] {
            if let Some(value) = object.get(name) {
                live[name] = value.clone();
            }
        }
        Ok(live)
    };
    registry.patch(&request, &change, &options).await?;
    Ok(())
}
