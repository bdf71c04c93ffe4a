//! Defaults of pods and of the templates that pods are made from.

use serde_json::json;

use super::{Defaults, amounts, child, items, set, set_number, set_text};
use crate::{Map, Value, meta};

mod image;
mod volumes;
mod whole;

pub(super) const DEFAULTS: &[Defaults] = &[
    Defaults {
        group: "",
        kind: "Pod",
        apply: pod,
    },
    Defaults {
        group: "",
        kind: "PodTemplate",
        apply: |object| template(object, "template"),
    },
];

/// The lists of containers of a pod.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
const STATUSES: [&str; 3] = [
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

fn pod(object: &mut Value) {
    let spec = meta::spec_mut(object);
    set(spec, "enableServiceLinks", true);
    // A period below zero, which old versions took, is read as the shortest.
    let grace = spec
        .get("terminationGracePeriodSeconds")
        .and_then(Value::as_i64);
    if grace.is_some_and(|seconds| seconds < 0) {
        spec["terminationGracePeriodSeconds"] = Value::from(1);
    }
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            requests_from_limits(container);
            if host_network {
                host_ports(container);
            }
        }
    }
    whole::apply(spec);
    pod_spec(spec);
    if let Some(status) = child(object, "status") {
        told(status);
    }
}

/// What a pod says as a whole.
pub(super) fn complete(pod: &mut Value) {
    if let Some(spec) = child(pod, "spec") {
        whole::apply(spec);
    }
}

/// The resources that a node says containers have.
fn told(status: &mut Value) {
    amounts::round(status, &["allocatedResources"]);
    amounts::round_asked(status);
    for list in STATUSES {
        for container in items(status, list) {
            amounts::round(container, &["allocatedResources"]);
            amounts::round_asked(container);
        }
    }
}

/// What holds for the spec of a pod and of a template.
fn pod_spec(spec: &mut Value) {
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "restartPolicy", "Always");
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", 30);
    set_text(spec, "schedulerName", "default-scheduler");
    service_account(spec);
    amounts::round(spec, &["overhead"]);
    amounts::round_asked(spec);
    for volume in items(spec, "volumes") {
        volumes::apply(volume);
    }
    for list in CONTAINERS {
        for each in items(spec, list) {
            container(each);
        }
    }
}

/// The old name of the field says what the new one says.
fn service_account(spec: &mut Value) {
    let names = ["serviceAccountName", "serviceAccount"];
    let name = names
        .iter()
        .map(|field| meta::text(spec, &[field]))
        .find(|name| !name.is_empty())
        .map(str::to_owned);
    if let Some(name) = name {
        for field in names {
            spec[field] = Value::from(name.as_str());
        }
    }
}

/// The template of pods in a field of a spec.
pub(super) fn template(spec: &mut Value, field: &str) {
    let Some(template) = child(spec, field) else {
        return;
    };
    set(template, "metadata", json!({}));
    pod_spec(meta::spec_mut(template));
}

fn container(container: &mut Value) {
    if meta::text(container, &["imagePullPolicy"]).is_empty() {
        let policy = image::pull_policy(meta::text(container, &["image"]));
        set_text(container, "imagePullPolicy", policy);
    }
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    set(container, "resources", json!({}));
    amounts::round_asked(container);
    for port in items(container, "ports") {
        set_text(port, "protocol", "TCP");
    }
    for variable in items(container, "env") {
        let Some(source) = child(variable, "valueFrom") else {
            continue;
        };
        field_reference(source);
        if let Some(file) = child(source, "fileKeyRef") {
            set(file, "optional", false);
        }
    }
    for field in PROBES {
        if let Some(probe) = child(container, field) {
            set_number(probe, "timeoutSeconds", 1);
            set_number(probe, "periodSeconds", 10);
            set_number(probe, "successThreshold", 1);
            set_number(probe, "failureThreshold", 3);
            http_get(probe);
            if let Some(grpc) = child(probe, "grpc") {
                set(grpc, "service", "");
            }
        }
    }
    if let Some(lifecycle) = child(container, "lifecycle") {
        for field in ["postStart", "preStop"] {
            if let Some(handler) = child(lifecycle, field) {
                http_get(handler);
            }
        }
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = child(handler, "httpGet") {
        set_text(get, "path", "/");
        set_text(get, "scheme", "HTTP");
    }
}

/// The version of the object whose field is meant.
fn field_reference(source: &mut Value) {
    if let Some(reference) = child(source, "fieldRef") {
        set_text(reference, "apiVersion", "v1");
    }
}

fn requests_from_limits(container: &mut Value) {
    let Some(resources) = child(container, "resources") else {
        return;
    };
    let Some(limits) = meta::map(resources, &["limits"]).cloned() else {
        return;
    };
    let requests: &mut Map = meta::fields_mut(resources, "requests");
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
    if requests.is_empty() {
        resources
            .as_object_mut()
            .map(|fields| fields.remove("requests"));
    }
}

/// A port of a container in the host's network is the host's.
fn host_ports(container: &mut Value) {
    for port in items(container, "ports") {
        if let Some(number) = port.get("containerPort").and_then(Value::as_i64) {
            set_number(port, "hostPort", number);
        }
    }
}
