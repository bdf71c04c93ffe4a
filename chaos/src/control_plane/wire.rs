//! Objects and requests of the user as an apiserver has them in JSON.

use http::Method;
use serde_json::{Value, json};

use super::script::{DEPLOYMENTS, Deployment, STATEFUL_REPLICAS, STATEFUL_SETS, Wish};
use crate::kubernetes::client::Ask;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
/// What annotations of simulated pods begin with.
const SIMULATION: &str = "simulation.mainstay.dev";
/// Seconds that a pod gets to stop.
const GRACE_SECONDS: u64 = 5;

/// Every resource that is looked at in the end.
pub(super) const RESOURCES: [&str; 7] = [
    "deployments",
    "replicasets",
    "statefulsets",
    "jobs",
    "pods",
    "services",
    "endpointslices",
];

/// Where the objects of a resource are.
pub(super) fn path(resource: &str, namespace: &str) -> String {
    let group = match resource {
        "deployments" | "replicasets" | "statefulsets" => "apis/apps/v1",
        "jobs" => "apis/batch/v1",
        "endpointslices" => "apis/discovery.k8s.io/v1",
        _ => "api/v1",
    };
    format!("/{group}/namespaces/{namespace}/{resource}")
}

/// What is there before the first wish.
pub(super) fn preparations(namespace: &str) -> Vec<Ask> {
    let own = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
    let mut all = vec![post("/api/v1/namespaces".to_owned(), own)];
    for (name, deployment) in DEPLOYMENTS {
        all.push(post(path("services", namespace), service(name)));
        let object = of_deployment(name, deployment);
        all.push(post(path("deployments", namespace), object));
    }
    for (name, policy) in STATEFUL_SETS {
        all.push(post(path("services", namespace), service(name)));
        let object = of_stateful_set(name, policy);
        all.push(post(path("statefulsets", namespace), object));
    }
    all
}

fn post(path: String, body: Value) -> Ask {
    Ask {
        method: Method::POST,
        path,
        body: Some((JSON, body)),
    }
}

fn image(number: u64) -> String {
    format!("registry.example/app:{number}")
}

fn template(name: &str, [ready, stop]: [u64; 2]) -> Value {
    let container = json!({ "name": "main", "image": image(0), "ports": [{ "containerPort": 8080 }],
        "resources": { "requests": { "cpu": "100m" } } });
    json!({
        "metadata": {
            "labels": { "app": name },
            "annotations": {
                format!("{SIMULATION}/ready-seconds"): ready.to_string(),
                format!("{SIMULATION}/stop-seconds"): stop.to_string(),
            },
        },
        "spec": { "terminationGracePeriodSeconds": GRACE_SECONDS, "containers": [container] },
    })
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    })
}

fn of_deployment(name: &str, deployment: Deployment) -> Value {
    let Deployment {
        replicas,
        surge,
        unavailable,
        ready_seconds,
        stop_seconds,
    } = deployment;
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "strategy": { "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } },
            "template": template(name, [ready_seconds, stop_seconds]),
        },
    })
}

fn of_stateful_set(name: &str, policy: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": name },
        "spec": {
            "replicas": STATEFUL_REPLICAS,
            "serviceName": name,
            "podManagementPolicy": policy,
            "selector": { "matchLabels": { "app": name } },
            "template": template(name, [1, 1]),
        },
    })
}

/// The request of a wish. Made again, it has no further effect. A pod to delete is looked for first, elsewhere.
pub(super) fn ask(namespace: &str, (resource, name): (&str, &str), wish: &Wish) -> Option<Ask> {
    let spec = match wish {
        Wish::Scale(replicas) => json!({ "replicas": replicas }),
        Wish::Pause(paused) => json!({ "paused": paused }),
        Wish::Image(number) => {
            // A merge patch replaces lists as a whole.
            let mut containers = template(name, [0, 0])["spec"]["containers"].take();
            containers[0]["image"] = json!(image(*number));
            json!({ "template": { "spec": { "containers": containers } } })
        }
        Wish::Job {
            name,
            completions,
            parallelism,
            run_seconds,
        } => {
            let mut template = template(name, [0, 0]);
            template["metadata"]["annotations"][format!("{SIMULATION}/run-seconds")] =
                json!(run_seconds.to_string());
            template["spec"]["restartPolicy"] = json!("Never");
            let job = json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
                "spec": { "completions": completions, "parallelism": parallelism, "template": template },
            });
            return Some(post(path(resource, namespace), job));
        }
        Wish::DeletePod(_) => return None,
    };
    Some(Ask {
        method: Method::PATCH,
        path: format!("{}/{name}", path(resource, namespace)),
        body: Some((MERGE_PATCH, json!({ "spec": spec }))),
    })
}

/// The pods of a workload.
pub(super) fn pods(namespace: &str, name: &str) -> Ask {
    Ask::get(format!(
        "{}?labelSelector=app%3D{name}",
        path("pods", namespace)
    ))
}

/// A pod that is to go, if it is still the one that was seen.
pub(super) fn delete(namespace: &str, (name, uid): (&str, &str)) -> Ask {
    let options =
        json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid } });
    Ask {
        method: Method::DELETE,
        path: format!("{}/{name}", path("pods", namespace)),
        body: Some((JSON, options)),
    }
}
