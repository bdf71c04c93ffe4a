//! What every cluster begins with: its namespaces, roles and bindings, made where they are missing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use objects::Value;
use objects::status::{Reason, Status};
use serde_json::json;

use crate::authz::bootstrap::{Step, policy, reconcile};
use crate::registry::{DeleteOptions, Registry, Request, WriteOptions};

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
/// Classes of pods that a cluster cannot do without, and their priorities.
const PRIORITY_CLASSES: [(&str, i64); 2] = [
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];
/// Pause between looks at whether all is there.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Makes what is missing, at once and again when it was deleted, until it is dropped.
pub(crate) async fn run(registry: Arc<Registry>, port: u16) {
    let mut told = String::new();
    loop {
        let pause = match round(&registry, port).await {
            Ok(()) => CHECK_INTERVAL,
            Err(status) => {
                // Once for each failure, for as long as it lasts.
                let error = status.to_string();
                if error != told {
                    tracing::warn!(
                        error,
                        "cannot make what every cluster begins with; trying again"
                    );
                    told = error;
                }
                RETRY_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn round(registry: &Registry, port: u16) -> Result<(), Status> {
    for name in NAMESPACES {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(registry, ("", "namespaces"), object).await?;
    }
    for (name, value) in PRIORITY_CLASSES {
        let object = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value});
        ensure(registry, ("scheduling.k8s.io", "priorityclasses"), object).await?;
    }
    // The way to this server is no part of what a server that is ready has made.
    let own_service = service(registry, port).await;
    roles(registry).await?;
    registry.is_bootstrapped.store(true, Ordering::Relaxed);
    own_service
}

/// The service by which pods find the servers.
async fn service(registry: &Registry, port: u16) -> Result<(), Status> {
    if let Some(address) = registry.services.first_address() {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "clusterIP": address.to_string(),
                "ipFamilyPolicy": "SingleStack",
                "sessionAffinity": "None",
                "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
            },
        });
        ensure(registry, ("", "services"), object).await?;
    }
    Ok(())
}

async fn roles(registry: &Registry) -> Result<(), Status> {
    for expected in policy() {
        let resource = ("rbac.authorization.k8s.io", expected.plural);
        let request = registry.own_request(resource, &expected.object)?;
        let current = match registry.get(&request, "").await {
            Ok(current) => Some(current),
            Err(status) if status.reason == Reason::NotFound => None,
            Err(status) => return Err(status),
        };
        match reconcile(&expected.object, current.as_ref()) {
            // What a role refers to cannot change: the binding is made anew.
            Some(Step::Recreate(object)) => {
                registry.delete(&request, &DeleteOptions::default()).await?;
                make(registry, &request, object).await?;
            }
            None => {}
            Some(Step::Create(object)) => {
                make(registry, &request, object).await?;
            }
            Some(Step::Update(object)) => {
                registry
                    .update(&request, object, &WriteOptions::default())
                    .await?;
            }
        }
    }
    Ok(())
}

/// Makes an object, unless another server made it meanwhile.
async fn make(registry: &Registry, request: &Request, object: Value) -> Result<(), Status> {
    let options = WriteOptions::default();
    match registry.create(request, object, &options).await {
        Err(status) if status.reason != Reason::AlreadyExists => Err(status),
        _ => Ok(()),
    }
}

async fn ensure(registry: &Registry, resource: (&str, &str), object: Value) -> Result<(), Status> {
    let request = registry.own_request(resource, &object)?;
    match registry.get(&request, "").await {
        Err(status) if status.reason == Reason::NotFound => make(registry, &request, object).await,
        other => other.map(|_| ()),
    }
}
