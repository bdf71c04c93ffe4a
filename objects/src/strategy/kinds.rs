//! Strategies of the kinds that run nothing.

use serde_json::{Value, json};

use super::{Strategy, raise_generation, reset};
use crate::{meta, validate::metadata::same};

mod service;

const RBAC: &str = "rbac.authorization.k8s.io";
const NETWORK: &str = "networking.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";
const DEVICES: &str = "resource.k8s.io";

/// What a node's object always says of its machine.
const NODE_INFO: [&str; 10] = [
    "architecture",
    "bootID",
    "containerRuntimeVersion",
    "kernelVersion",
    "kubeProxyVersion",
    "kubeletVersion",
    "machineID",
    "operatingSystem",
    "osImage",
    "systemUUID",
];

/// A kind with a status that counts no generations.
const fn uncounted(group: &'static str, kind: &'static str) -> Strategy {
    let mut strategy = Strategy::new(group, kind);
    strategy.has_generation = false;
    strategy
}

/// A kind without a status that counts generations.
const fn counted(group: &'static str, kind: &'static str) -> Strategy {
    let mut strategy = Strategy::plain(group, kind);
    strategy.has_generation = true;
    strategy
}

impl Strategy {
    /// A PUT to a name that is not there creates.
    const fn creating(mut self) -> Strategy {
        self.allow_create_on_update = true;
        self
    }

    /// An update needs a resource version.
    const fn conditional(mut self) -> Strategy {
        self.allow_unconditional_update = false;
        self
    }
}

#[rustfmt::skip]
pub(super) const STRATEGIES: &[Strategy] = &[
    Strategy { create: service::create, update: service::update, ..uncounted("", "Service").creating() },
    Strategy::plain("", "ConfigMap"),
    Strategy { update: |_, new, old| keep_type(new, old), ..Strategy::plain("", "Secret") },
    Strategy { create: namespace, update: namespace_update, ..uncounted("", "Namespace") },
    Strategy { update: |_, new, _| drop_secrets(new), create: drop_secrets, ..Strategy::plain("", "ServiceAccount") },
    Strategy { create: node, update: node_update, ..Strategy::plain("", "Node") },
    Strategy { create: |volume| set_status(volume, json!({"phase": "Pending"})), ..uncounted("", "PersistentVolume") },
    Strategy { create: claim, update: claim_update, ..uncounted("", "PersistentVolumeClaim") },
    Strategy::plain("", "Endpoints").creating(),
    Strategy::plain("", "Event").creating(),
    Strategy::plain("events.k8s.io", "Event").creating(),
    Strategy::plain("", "LimitRange").creating(),
    Strategy { create: |quota| set_status(quota, json!({})), ..uncounted("", "ResourceQuota") },
    Strategy { create: slice, update: slice_update, ..counted("discovery.k8s.io", "EndpointSlice") },
    counted(NETWORK, "NetworkPolicy"),
    Strategy { create: |ingress| set_status(ingress, json!({"loadBalancer": {}})), ..Strategy::new(NETWORK, "Ingress") },
    counted(NETWORK, "IngressClass"),
    Strategy::plain(NETWORK, "IPAddress"),
    Strategy { create: |networks| set_status(networks, json!({})), ..uncounted(NETWORK, "ServiceCIDR") },
    Strategy::plain(RBAC, "Role").creating(),
    Strategy::plain(RBAC, "ClusterRole").creating(),
    Strategy::plain(RBAC, "RoleBinding").creating(),
    Strategy::plain(RBAC, "ClusterRoleBinding").creating(),
    Strategy::plain(STORAGE, "StorageClass"),
    Strategy::plain(STORAGE, "VolumeAttributesClass"),
    Strategy { update: driver_update, ..Strategy::plain(STORAGE, "CSIDriver").conditional() },
    Strategy::plain(STORAGE, "CSINode").conditional(),
    Strategy::plain(STORAGE, "CSIStorageCapacity").conditional(),
    Strategy { create: |attachment| set_status(attachment, json!({"attached": false})), update: attachment_update, ..uncounted(STORAGE, "VolumeAttachment").conditional() },
    Strategy { create: |scaler| set_status(scaler, json!({"desiredReplicas": 0, "currentMetrics": null})), ..uncounted("autoscaling", "HorizontalPodAutoscaler") },
    Strategy { create: |budget| set_status(budget, json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0})), ..Strategy::new("policy", "PodDisruptionBudget").conditional() },
    counted("scheduling.k8s.io", "PriorityClass"),
    Strategy::plain("node.k8s.io", "RuntimeClass").creating().conditional(),
    Strategy { create: lease, update: |_, new, _| lease(new), ..Strategy::plain("coordination.k8s.io", "Lease").creating().conditional() },
    Strategy::plain("coordination.k8s.io", "LeaseCandidate").creating().conditional(),
    Strategy { create: |policy| set_status(policy, json!({})), ..Strategy::new(ADMISSION, "ValidatingAdmissionPolicy").conditional() },
    counted(ADMISSION, "ValidatingAdmissionPolicyBinding").conditional(),
    counted(ADMISSION, "MutatingAdmissionPolicy").conditional(),
    counted(ADMISSION, "MutatingAdmissionPolicyBinding").conditional(),
    Strategy { update: webhooks_update, ..counted(ADMISSION, "ValidatingWebhookConfiguration").conditional() },
    Strategy { update: webhooks_update, ..counted(ADMISSION, "MutatingWebhookConfiguration").conditional() },
    Strategy { create: |schema| set_status(schema, json!({})), ..Strategy::new(FLOW, "FlowSchema").creating().conditional() },
    Strategy { create: |level| set_status(level, json!({})), ..Strategy::new(FLOW, "PriorityLevelConfiguration").creating().conditional() },
    Strategy { create: |request| set_status(request, json!({})), update: certificate_update, ..uncounted("certificates.k8s.io", "CertificateSigningRequest") },
    Strategy { create: |service| set_status(service, json!({})), ..uncounted("apiregistration.k8s.io", "APIService").conditional() },
    Strategy { create: |claim| set_status(claim, json!({})), ..uncounted(DEVICES, "ResourceClaim") },
    Strategy::plain(DEVICES, "ResourceClaimTemplate"),
    counted(DEVICES, "ResourceSlice"),
    counted(DEVICES, "DeviceClass"),
];

fn set_status(object: &mut Value, status: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("status".to_owned(), status);
    }
}

fn namespace(object: &mut Value) {
    set_status(object, json!({"phase": "Active"}));
    let finalizers = meta::fields_mut(object, "spec")
        .entry("finalizers")
        .or_insert_with(|| json!([]));
    if !finalizers.is_array() {
        *finalizers = json!([]);
    }
    let finalizers = finalizers.as_array_mut().expect("it was made a list");
    if !finalizers.contains(&json!("kubernetes")) {
        finalizers.push(json!("kubernetes"));
    }
}

fn namespace_update(subresource: Option<&str>, new: &mut Value, old: &Value) {
    // Only the subresource `finalize` changes the finalizers of the spec.
    if subresource == Some("finalize") {
        reset(new, "status", old);
    } else {
        reset(new, "spec", old);
    }
}

/// A secret that says no type keeps the one that it has.
fn keep_type(new: &mut Value, old: &Value) {
    if meta::text(new, &["type"]).is_empty() {
        reset(new, "type", old);
    }
}

/// Fields of references to secrets that a service account does not keep: all but the name.
fn drop_secrets(object: &mut Value) {
    let secrets = object.get_mut("secrets").and_then(Value::as_array_mut);
    for secret in secrets.into_iter().flatten() {
        let name = json!(meta::text(secret, &["name"]));
        *secret = json!({ "name": name });
    }
}

fn node(object: &mut Value) {
    for field in ["spec", "status"] {
        let config = if field == "spec" {
            "configSource"
        } else {
            "config"
        };
        meta::fields_mut(object, field).remove(config);
    }
    let status = meta::fields_mut(object, "status");
    status
        .entry("daemonEndpoints")
        .or_insert_with(|| json!({"kubeletEndpoint": {"Port": 0}}));
    let info = status.entry("nodeInfo").or_insert_with(|| json!({}));
    for field in NODE_INFO {
        if info.get(field).is_none() && info.is_object() {
            info[field] = json!("");
        }
    }
}

fn node_update(subresource: Option<&str>, new: &mut Value, old: &Value) {
    if subresource != Some("status") {
        reset(new, "status", old);
    }
}

/// A claim's two ways to say what its volume begins with say the same.
fn claim(object: &mut Value) {
    set_status(object, json!({"phase": "Pending"}));
    let spec = meta::fields_mut(object, "spec");
    let filled = |field: &str| spec.get(field).filter(|value| !value.is_null()).cloned();
    match (filled("dataSource"), filled("dataSourceRef")) {
        (Some(source), None) => {
            spec.insert("dataSourceRef".to_owned(), source);
        }
        (None, Some(reference)) if meta::text(&reference, &["namespace"]).is_empty() => {
            spec.insert("dataSource".to_owned(), reference);
        }
        _ => {}
    }
}

fn claim_update(subresource: Option<&str>, new: &mut Value, _old: &Value) {
    if subresource.is_some() {
        return;
    }
    let status = new.get("status").cloned();
    claim(new);
    match status {
        Some(status) => set_status(new, status),
        None => set_status(new, Value::Null),
    }
}

/// The old map of places is of an old version of the kind.
fn slice(object: &mut Value) {
    let endpoints = object.get_mut("endpoints").and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten() {
        if let Some(fields) = endpoint.as_object_mut() {
            fields.remove("deprecatedTopology");
        }
    }
}

fn slice_update(_subresource: Option<&str>, new: &mut Value, old: &Value) {
    let parts = |object: &Value| {
        let mut object = object.clone();
        for field in ["metadata", "apiVersion", "kind"] {
            reset(&mut object, field, &Value::Null);
        }
        object
    };
    let labels = |object: &Value| meta::labels(object).cloned().unwrap_or_default();
    if !same(new.get("endpoints"), old.get("endpoints")) {
        slice(new);
    }
    if parts(new) != parts(old) || labels(new) != labels(old) {
        raise_generation(new, old);
    }
}

fn driver_update(_subresource: Option<&str>, new: &mut Value, old: &Value) {
    if !same(new.get("spec"), old.get("spec")) {
        raise_generation(new, old);
    }
}

fn attachment_update(subresource: Option<&str>, new: &mut Value, old: &Value) {
    if subresource == Some("status") {
        reset(
            new,
            "metadata",
            &json!({"metadata": kept_metadata(new, old)}),
        );
    }
}

/// The metadata of the old object with the managed fields and the version of the new one.
fn kept_metadata(new: &Value, old: &Value) -> Value {
    let mut metadata = old.get("metadata").cloned().unwrap_or_default();
    let of_new = new.get("metadata").cloned().unwrap_or_default();
    for field in ["managedFields", "resourceVersion"] {
        reset(&mut metadata, field, &of_new);
    }
    metadata
}

/// What is alpha and off in a lease.
fn lease(object: &mut Value) {
    let spec = meta::fields_mut(object, "spec");
    for field in ["strategy", "preferredHolder"] {
        spec.remove(field);
    }
}

fn webhooks_update(_subresource: Option<&str>, new: &mut Value, old: &Value) {
    if !same(new.get("webhooks"), old.get("webhooks")) {
        raise_generation(new, old);
    }
}

/// A request for a certificate never changes; its subresources change one part of the status each.
fn certificate_update(subresource: Option<&str>, new: &mut Value, old: &Value) {
    reset(new, "spec", old);
    let status = new.get("status").cloned().unwrap_or_default();
    match subresource {
        Some("approval") => {
            let mut kept = old.get("status").cloned().unwrap_or_else(|| json!({}));
            reset(&mut kept, "conditions", &status);
            set_status(new, kept);
        }
        Some("status") => {}
        _ => reset(new, "status", old),
    }
}
