//! What the kinds that run nothing fill in: a table of plain values, and code for what follows from other fields.

use super::{Defaults, amounts};
use crate::Value;

mod derived;

/// A row of the door's table: the kind, which is also the key in the tables below.
macro_rules! row {
    ($group:literal, $kind:literal) => {
        Defaults {
            group: $group,
            kind: $kind,
            apply: |object| fill(concat!($group, "/", $kind), object),
        }
    };
}

pub(super) const DEFAULTS: &[Defaults] = &[
    row!("", "Service"),
    row!("", "Secret"),
    row!("", "Namespace"),
    row!("", "PersistentVolume"),
    row!("", "PersistentVolumeClaim"),
    row!("", "Endpoints"),
    row!("discovery.k8s.io", "EndpointSlice"),
    row!("networking.k8s.io", "NetworkPolicy"),
    row!("networking.k8s.io", "IngressClass"),
    row!("autoscaling", "HorizontalPodAutoscaler"),
    row!("rbac.authorization.k8s.io", "RoleBinding"),
    row!("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    row!("storage.k8s.io", "StorageClass"),
    row!("storage.k8s.io", "CSIDriver"),
    row!("scheduling.k8s.io", "PriorityClass"),
    row!(
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration"
    ),
    row!("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    row!("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    row!("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    row!("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    row!("apiregistration.k8s.io", "APIService"),
    row!("authentication.k8s.io", "TokenRequest"),
    row!("", "Node"),
    row!("", "LimitRange"),
    row!("", "ResourceQuota"),
    row!("resource.k8s.io", "ResourceClaim"),
    row!("resource.k8s.io", "ResourceClaimTemplate"),
    row!(
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration"
    ),
    row!(
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding"
    ),
    row!(
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding"
    ),
];

/// When a field is taken to be without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// It is missing or null.
    Missing,
    /// It is missing, null, empty text or zero.
    Zero,
}

/// Kind, path and value of a default. `[]` is every element of a list; the value is JSON.
struct Plain(&'static str, &'static str, Absent, &'static str);

/// Kind, and what fills in its fields that depend on others.
type Derived = (&'static str, fn(&mut Value));

use Absent::{Missing, Zero};

const EMPTY_SELECTOR: &str = "{}";
const WEBHOOKS: &[(&str, &str)] = &[
    ("failurePolicy", "\"Fail\""),
    ("matchPolicy", "\"Equivalent\""),
    ("namespaceSelector", EMPTY_SELECTOR),
    ("objectSelector", EMPTY_SELECTOR),
    ("timeoutSeconds", "10"),
    ("rules[].scope", "\"*\""),
    ("clientConfig.service.port", "443"),
];
const POLICIES: &[(&str, &str)] = &[
    ("matchPolicy", "\"Equivalent\""),
    ("namespaceSelector", EMPTY_SELECTOR),
    ("objectSelector", EMPTY_SELECTOR),
    ("resourceRules[].scope", "\"*\""),
    ("excludeResourceRules[].scope", "\"*\""),
];

/// The defaults that depend on nothing, in the order in which they are filled in.
#[rustfmt::skip]
const PLAIN: &[Plain] = &[
    Plain("/Service", "spec.sessionAffinity", Zero, "\"None\""),
    Plain("/Service", "spec.type", Zero, "\"ClusterIP\""),
    Plain("/Service", "spec.ports[].protocol", Zero, "\"TCP\""),
    Plain("/Secret", "type", Zero, "\"Opaque\""),
    Plain("/Namespace", "status.phase", Zero, "\"Active\""),
    Plain("/PersistentVolume", "status.phase", Zero, "\"Pending\""),
    Plain("/PersistentVolume", "spec.persistentVolumeReclaimPolicy", Zero, "\"Retain\""),
    Plain("/PersistentVolume", "spec.volumeMode", Missing, "\"Filesystem\""),
    Plain("/PersistentVolume", "spec.hostPath.type", Missing, "\"\""),
    Plain("/PersistentVolume", "spec.iscsi.iscsiInterface", Zero, "\"default\""),
    Plain("/PersistentVolume", "spec.rbd.pool", Zero, "\"rbd\""),
    Plain("/PersistentVolume", "spec.rbd.user", Zero, "\"admin\""),
    Plain("/PersistentVolume", "spec.rbd.keyring", Zero, "\"/etc/ceph/keyring\""),
    Plain("/PersistentVolume", "spec.azureDisk.cachingMode", Missing, "\"ReadWrite\""),
    Plain("/PersistentVolume", "spec.azureDisk.kind", Missing, "\"Shared\""),
    Plain("/PersistentVolume", "spec.azureDisk.fsType", Missing, "\"ext4\""),
    Plain("/PersistentVolume", "spec.azureDisk.readOnly", Missing, "false"),
    Plain("/PersistentVolume", "spec.scaleIO.storageMode", Zero, "\"ThinProvisioned\""),
    Plain("/PersistentVolume", "spec.scaleIO.fsType", Zero, "\"xfs\""),
    Plain("/PersistentVolumeClaim", "status.phase", Zero, "\"Pending\""),
    Plain("/PersistentVolumeClaim", "spec.volumeMode", Missing, "\"Filesystem\""),
    Plain("/Endpoints", "subsets[].ports[].protocol", Zero, "\"TCP\""),
    Plain("discovery.k8s.io/EndpointSlice", "endpoints[].conditions", Missing, "{}"),
    Plain("discovery.k8s.io/EndpointSlice", "ports[].name", Missing, "\"\""),
    Plain("discovery.k8s.io/EndpointSlice", "ports[].protocol", Missing, "\"TCP\""),
    Plain("networking.k8s.io/NetworkPolicy", "spec.ingress[].ports[].protocol", Missing, "\"TCP\""),
    Plain("networking.k8s.io/NetworkPolicy", "spec.egress[].ports[].protocol", Missing, "\"TCP\""),
    Plain("networking.k8s.io/IngressClass", "spec.parameters.scope", Missing, "\"Cluster\""),
    Plain("autoscaling/HorizontalPodAutoscaler", "spec.minReplicas", Missing, "1"),
    Plain("rbac.authorization.k8s.io/RoleBinding", "roleRef.apiGroup", Zero, "\"rbac.authorization.k8s.io\""),
    Plain("rbac.authorization.k8s.io/ClusterRoleBinding", "roleRef.apiGroup", Zero, "\"rbac.authorization.k8s.io\""),
    Plain("storage.k8s.io/StorageClass", "reclaimPolicy", Missing, "\"Delete\""),
    Plain("storage.k8s.io/StorageClass", "volumeBindingMode", Missing, "\"Immediate\""),
    Plain("storage.k8s.io/CSIDriver", "spec.attachRequired", Missing, "true"),
    Plain("storage.k8s.io/CSIDriver", "spec.podInfoOnMount", Missing, "false"),
    Plain("storage.k8s.io/CSIDriver", "spec.storageCapacity", Missing, "false"),
    Plain("storage.k8s.io/CSIDriver", "spec.fsGroupPolicy", Missing, "\"ReadWriteOnceWithFSType\""),
    Plain("storage.k8s.io/CSIDriver", "spec.requiresRepublish", Missing, "false"),
    Plain("storage.k8s.io/CSIDriver", "spec.seLinuxMount", Missing, "false"),
    Plain("scheduling.k8s.io/PriorityClass", "preemptionPolicy", Missing, "\"PreemptLowerPriority\""),
    Plain("admissionregistration.k8s.io/MutatingWebhookConfiguration", "webhooks[].reinvocationPolicy", Missing, "\"Never\""),
    Plain("admissionregistration.k8s.io/ValidatingAdmissionPolicy", "spec.failurePolicy", Missing, "\"Fail\""),
    Plain("admissionregistration.k8s.io/MutatingAdmissionPolicy", "spec.failurePolicy", Missing, "\"Fail\""),
    Plain("flowcontrol.apiserver.k8s.io/FlowSchema", "spec.matchingPrecedence", Zero, "1000"),
    Plain("flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration", "spec.exempt.nominalConcurrencyShares", Missing, "0"),
    Plain("flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration", "spec.exempt.lendablePercent", Missing, "0"),
    Plain("flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration", "spec.limited.nominalConcurrencyShares", Missing, "30"),
    Plain("flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration", "spec.limited.lendablePercent", Missing, "0"),
    Plain("flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration", "spec.limited.limitResponse.queuing.handSize", Zero, "8"),
    Plain("flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration", "spec.limited.limitResponse.queuing.queues", Zero, "64"),
    Plain("flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration", "spec.limited.limitResponse.queuing.queueLengthLimit", Zero, "50"),
    Plain("apiregistration.k8s.io/APIService", "spec.service.port", Missing, "443"),
    Plain("authentication.k8s.io/TokenRequest", "spec.expirationSeconds", Missing, "3600"),
];

const DERIVED: &[Derived] = &[
    ("/Service", derived::service),
    ("/Secret", derived::secret),
    ("/Namespace", derived::namespace),
    ("/Node", derived::node),
    ("/LimitRange", derived::limit_range),
    ("/PersistentVolumeClaim", amounts::round_claim),
    ("networking.k8s.io/NetworkPolicy", derived::network_policy),
    ("autoscaling/HorizontalPodAutoscaler", derived::autoscaler),
    ("rbac.authorization.k8s.io/RoleBinding", derived::binding),
    (
        "rbac.authorization.k8s.io/ClusterRoleBinding",
        derived::binding,
    ),
    ("storage.k8s.io/CSIDriver", derived::csi_driver),
    ("resource.k8s.io/ResourceClaim", derived::resource_claim),
    (
        "resource.k8s.io/ResourceClaimTemplate",
        derived::resource_claim_template,
    ),
];

/// Kind, where in it, and the fields there with their values.
type Shared = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// Where a kind has a set of defaults that others have too.
const SHARED: &[Shared] = &[
    (
        "admissionregistration.k8s.io/ValidatingWebhookConfiguration",
        "webhooks[]",
        WEBHOOKS,
    ),
    (
        "admissionregistration.k8s.io/MutatingWebhookConfiguration",
        "webhooks[]",
        WEBHOOKS,
    ),
    (
        "admissionregistration.k8s.io/ValidatingAdmissionPolicy",
        "spec.matchConstraints",
        POLICIES,
    ),
    (
        "admissionregistration.k8s.io/MutatingAdmissionPolicy",
        "spec.matchConstraints",
        POLICIES,
    ),
    (
        "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding",
        "spec.matchResources",
        POLICIES,
    ),
    (
        "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding",
        "spec.matchResources",
        POLICIES,
    ),
];

/// Kind, where in it, and the fields there that hold amounts of resources.
type Amounts = (&'static str, &'static str, &'static [&'static str]);

/// Where a kind has amounts, which are rounded up to thousandths.
const AMOUNTS: &[Amounts] = &[
    ("/Node", "status", &["capacity", "allocatable"]),
    ("/PersistentVolume", "spec", &["capacity"]),
    ("/ResourceQuota", "spec", &["hard"]),
    ("/ResourceQuota", "status", &["hard", "used"]),
];

/// Fills in what the author of an object left out. Kinds without defaults here stay as they are.
fn fill(kind: &str, object: &mut Value) {
    for Plain(_, path, absent, value) in PLAIN.iter().filter(|row| row.0 == kind) {
        set(object, path, *absent, value);
    }
    for (_, prefix, fields) in SHARED.iter().filter(|row| row.0 == kind) {
        for (field, value) in *fields {
            set(object, &format!("{prefix}.{field}"), Missing, value);
        }
    }
    for (_, derive) in DERIVED.iter().filter(|row| row.0 == kind) {
        derive(object);
    }
    for (_, place, fields) in AMOUNTS.iter().filter(|row| row.0 == kind) {
        if let Some(place) = object.get_mut(place) {
            amounts::round(place, fields);
        }
    }
}

/// Sets a field where it is absent. Of what it lies in, only `spec`, `status` and `roleRef` are made, which Go's types always have.
fn set(object: &mut Value, path: &str, absent: Absent, value: &str) {
    let (head, rest) = path
        .split_once('.')
        .map_or((path, None), |(head, rest)| (head, Some(rest)));
    let Some(rest) = rest else {
        return set_here(object, head, absent, value);
    };
    if let Some(list) = head.strip_suffix("[]") {
        let items = object.get_mut(list).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            set(item, rest, absent, value);
        }
        return;
    }
    if matches!(head, "spec" | "status" | "roleRef") {
        crate::meta::fields_mut(object, head);
    }
    if let Some(inner) = object.get_mut(head).filter(|inner| inner.is_object()) {
        set(inner, rest, absent, value);
    }
}

fn set_here(object: &mut Value, field: &str, absent: Absent, value: &str) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    let missing = match fields.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => absent == Zero && text.is_empty(),
        Some(Value::Number(number)) => absent == Zero && number.as_i64() == Some(0),
        Some(_) => false,
    };
    if missing {
        let value = serde_json::from_str(value).expect("the table holds JSON, and a test reads it");
        fields.insert(field.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::{PLAIN, SHARED};
    use crate::Value;

    #[test]
    fn every_plain_default_is_json() {
        for row in PLAIN {
            serde_json::from_str::<Value>(row.3).expect(row.1);
        }
        for (field, value) in SHARED.iter().flat_map(|row| row.2) {
            serde_json::from_str::<Value>(value).expect(field);
        }
    }
}
