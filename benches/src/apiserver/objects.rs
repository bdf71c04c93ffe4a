//! The objects that are sent: small config maps, and pods as a deployment makes them.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::apiserver::client::{APPLY, Call, JSON, STRATEGIC};

pub const NAMESPACE: &str = "bench";

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ConfigMap,
    Pod,
}

/// The namespace that the objects are in.
pub fn namespace() -> Call {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    Call::send(Method::POST, "/api/v1/namespaces", JSON, bytes(&namespace))
}

impl Kind {
    pub fn plural(self) -> &'static str {
        match self {
            Kind::ConfigMap => "configmaps",
            Kind::Pod => "pods",
        }
    }

    /// The path of the collection.
    pub fn collection(self) -> String {
        format!("/api/v1/namespaces/{NAMESPACE}/{}", self.plural())
    }

    fn path(self, number: usize) -> String {
        format!("{}/{}", self.collection(), name(number))
    }

    pub fn create(self, number: usize) -> Call {
        Call::send(
            Method::POST,
            self.collection(),
            JSON,
            bytes(&self.object(number, 0)),
        )
    }

    pub fn get(self, number: usize) -> Call {
        Call::get(self.path(number))
    }

    pub fn update(self, number: usize) -> Call {
        Call::send(
            Method::PUT,
            self.path(number),
            JSON,
            bytes(&self.object(number, 1)),
        )
    }

    pub fn patch(self, number: usize) -> Call {
        let patch = json!({"metadata": {"labels": {"round": "2"}}});
        Call::send(Method::PATCH, self.path(number), STRATEGIC, bytes(&patch))
    }

    pub fn apply(self, number: usize) -> Call {
        let path = format!("{}?fieldManager=bench&force=true", self.path(number));
        Call::send(Method::PATCH, path, APPLY, bytes(&self.object(number, 3)))
    }

    pub fn delete(self, number: usize) -> Call {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        Call::send(Method::DELETE, self.path(number), JSON, bytes(&options))
    }

    /// An object; rounds differ in a label.
    fn object(self, number: usize, round: usize) -> Value {
        let metadata = json!({
            "name": name(number), "namespace": NAMESPACE,
            "labels": {"app": "web", "round": round.to_string(), "shard": (number % 100).to_string()},
            "annotations": {"example.org/checksum": format!("{number:064x}")},
        });
        match self {
            Kind::ConfigMap => json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
                "data": {"settings.conf": "listen = 8080\n".repeat(36), "mode": "fast"},
            }),
            Kind::Pod => {
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec()})
            }
        }
    }
}

fn pod_spec() -> Value {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 5});
    json!({
        "containers": [{
            "name": "web", "image": "registry.example.org/web:1.27", "args": ["--listen", ":8080"],
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [
                {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "web", "key": "mode"}}},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "readinessProbe": probe("/ready"), "livenessProbe": probe("/live"),
            "volumeMounts": [{"name": "settings", "mountPath": "/etc/web"}, {"name": "scratch", "mountPath": "/tmp"}],
        }],
        "volumes": [{"name": "settings", "configMap": {"name": "web"}}, {"name": "scratch", "emptyDir": {}}],
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "web", "effect": "NoSchedule"}],
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000},
    })
}

/// A config map that says when it was sent.
pub fn stamped(number: usize, micros: u128) -> Call {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name(number), "namespace": NAMESPACE},
        "data": {"at": micros.to_string()},
    });
    Call::send(
        Method::PUT,
        Kind::ConfigMap.path(number),
        JSON,
        bytes(&object),
    )
}

pub fn name(number: usize) -> String {
    format!("object-{number:06}")
}

fn bytes(value: &Value) -> Bytes {
    value.to_string().into()
}
