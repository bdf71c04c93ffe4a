//! The Rust SDK against real servers, with connections that are cut, servers that change and clients that die.
mod calls;
mod cluster;
mod elections;
#[path = "../../client/examples/greetings.rs"]
#[allow(unreachable_pub, reason = "it is a program of its own")]
mod greetings;
mod informers;
mod recorded;
mod written;

use client::{Key, Kind};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::{Value, json};

/// An object of a kind from its text.
fn object<K: Kind>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    object(json!({"metadata": {"name": name, "namespace": "default"}, "data": {"a": value}}))
}

fn pod(name: &str) -> Pod {
    object(json!({
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    }))
}

fn key(name: &str) -> Key {
    Key::new("default", name)
}
