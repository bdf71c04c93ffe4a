//! Rules of the kinds that run nothing, each room of kinds in its own file.

use super::{OwnMetadata, Rules, names};

mod admission;
mod amount;
mod certificates;
mod core;
pub(super) mod deprecations;
mod endpoints;
mod events;
mod flow;
mod ip;
mod network;
mod nodes;
mod rbac;
mod resources;
mod reviews;
mod rules;
mod scaling;
mod secrets;
mod service;
mod storage;
pub(super) mod view;
pub(super) mod volumes;

pub use self::reviews::{access_review, token_request};

const RBAC: &str = "rbac.authorization.k8s.io";
const NETWORK: &str = "networking.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";

/// A kind in a namespace, whose names are subdomains.
const fn namespaced(group: &'static str, kind: &'static str) -> Rules {
    Rules::new(group, kind, true, names::subdomain)
}

/// A kind of the whole cluster, whose names are subdomains.
const fn cluster(group: &'static str, kind: &'static str) -> Rules {
    Rules::new(group, kind, false, names::subdomain)
}

const NEVER: OwnMetadata = OwnMetadata::Never;
const AGAIN: OwnMetadata = OwnMetadata::Again;

#[rustfmt::skip]
pub(super) const RULES: &[Rules] = &[
    Rules { name: names::label, create: service::create, update: service::update, status: service::status, warnings: service::warnings, ..namespaced("", "Service") },
    Rules { own_metadata: AGAIN, create: core::config_map, update: core::config_map_update, ..namespaced("", "ConfigMap") },
    Rules { own_metadata: AGAIN, create: core::secret, update: core::secret_update, warnings: secrets::warnings, ..namespaced("", "Secret") },
    Rules { own_metadata: AGAIN, name: names::label, create: core::namespace, update: |new, _, faults| core::namespace(new, faults), status: core::namespace_status, subresource: |_, new, _, faults| core::namespace_finalize(new, faults), ..cluster("", "Namespace") },
    Rules { own_metadata: AGAIN, warnings: deprecations::account, ..namespaced("", "ServiceAccount") },
    Rules { own_metadata: AGAIN, create: nodes::create, update: |new, old, faults| { nodes::create(new, faults); nodes::update(new, old, faults); }, status: nodes::update, warnings: deprecations::node, ..cluster("", "Node") },
    Rules { create: volumes::volume, update: volumes::volume_update, status: volumes::volume_status, warnings: deprecations::volume, ..cluster("", "PersistentVolume") },
    Rules { own_metadata: AGAIN, create: volumes::claims::create, update: volumes::claims::update, status: volumes::claims::status, warnings: deprecations::claim, ..namespaced("", "PersistentVolumeClaim") },
    Rules { own_metadata: AGAIN, create: endpoints::endpoints, update: endpoints::endpoints_update, warnings: deprecations::endpoints, ..namespaced("", "Endpoints") },
    Rules { create: resources::limit_range, update: |new, _, faults| resources::limit_range(new, faults), ..namespaced("", "LimitRange") },
    Rules { create: resources::quota, update: resources::quota_update, status: |new, _, faults| { volumes::resource_version(new, faults); resources::quota_status(new, faults); }, ..namespaced("", "ResourceQuota") },
    Rules { create: core::binding, ..namespaced("", "Binding") },
    Rules { own_metadata: NEVER, create: events::create, update: events::update, ..namespaced("", "Event") },
    Rules { own_metadata: NEVER, create: events::create, update: events::update, ..namespaced("events.k8s.io", "Event") },
    Rules { create: endpoints::slice, update: endpoints::slice_update, ..namespaced("discovery.k8s.io", "EndpointSlice") },
    Rules { create: network::policy, update: network::policy_update, warnings: deprecations::policy, ..namespaced(NETWORK, "NetworkPolicy") },
    Rules { own_metadata: AGAIN, create: network::ingress::create, update: network::ingress::update, status: network::ingress_status, warnings: network::ingress::warnings, ..namespaced(NETWORK, "Ingress") },
    Rules { own_metadata: AGAIN, create: network::ingress::class, update: network::ingress::class_update, ..cluster(NETWORK, "IngressClass") },
    Rules { name: network::address_name, create: network::address, update: network::address_update, ..cluster(NETWORK, "IPAddress") },
    Rules { create: network::service_networks, update: network::service_networks_update, ..cluster(NETWORK, "ServiceCIDR") },
    Rules { own_metadata: AGAIN, name: names::path_segment, create: rbac::role, update: |new, _, faults| rbac::role(new, faults), ..namespaced(RBAC, "Role") },
    Rules { own_metadata: AGAIN, name: names::path_segment, create: rbac::cluster_role, update: |new, _, faults| rbac::cluster_role(new, faults), ..cluster(RBAC, "ClusterRole") },
    Rules { own_metadata: AGAIN, name: names::path_segment, create: rbac::role_binding, update: rbac::role_binding_update, ..namespaced(RBAC, "RoleBinding") },
    Rules { own_metadata: AGAIN, name: names::path_segment, create: rbac::cluster_role_binding, update: rbac::cluster_role_binding_update, ..cluster(RBAC, "ClusterRoleBinding") },
    Rules { create: storage::class, update: storage::class_update, warnings: deprecations::storage_class, ..cluster(STORAGE, "StorageClass") },
    Rules { own_metadata: AGAIN, create: storage::attributes_class, update: storage::attributes_class_update, ..cluster(STORAGE, "VolumeAttributesClass") },
    Rules { create: storage::driver, update: storage::driver_update, warnings: deprecations::driver, ..cluster(STORAGE, "CSIDriver") },
    Rules { create: storage::node, update: storage::node_update, ..cluster(STORAGE, "CSINode") },
    Rules { create: storage::capacity, update: storage::capacity_update, warnings: deprecations::capacity, ..namespaced(STORAGE, "CSIStorageCapacity") },
    Rules { create: storage::attachment, update: storage::attachment_update, status: storage::attachment_update, ..cluster(STORAGE, "VolumeAttachment") },
    Rules { create: scaling::autoscaler, update: scaling::autoscaler_update, status: scaling::autoscaler_status, ..namespaced("autoscaling", "HorizontalPodAutoscaler") },
    Rules { create: scaling::scale, update: |new, _, faults| scaling::scale(new, faults), ..namespaced("autoscaling", "Scale") },
    Rules { own_metadata: NEVER, create: scaling::budget, update: scaling::budget_update, status: scaling::budget_status, ..namespaced("policy", "PodDisruptionBudget") },
    Rules { create: scaling::priority_class, update: scaling::priority_class_update, ..cluster("scheduling.k8s.io", "PriorityClass") },
    Rules { create: scaling::runtime_class, update: scaling::runtime_class_update, warnings: deprecations::runtime_class, ..cluster("node.k8s.io", "RuntimeClass") },
    Rules { create: scaling::lease, update: scaling::lease_update, ..namespaced("coordination.k8s.io", "Lease") },
    Rules { create: admission::webhooks, update: admission::webhooks_update, ..cluster(ADMISSION, "ValidatingWebhookConfiguration") },
    Rules { create: admission::webhooks, update: admission::webhooks_update, ..cluster(ADMISSION, "MutatingWebhookConfiguration") },
    Rules { create: admission::policies::validating, update: admission::policies::validating_update, ..cluster(ADMISSION, "ValidatingAdmissionPolicy") },
    Rules { create: admission::policies::validating_binding, update: |new, _, faults| admission::policies::validating_binding(new, faults), ..cluster(ADMISSION, "ValidatingAdmissionPolicyBinding") },
    Rules { create: admission::policies::mutating, update: admission::policies::mutating_update, ..cluster(ADMISSION, "MutatingAdmissionPolicy") },
    Rules { create: admission::policies::mutating_binding, update: |new, _, faults| admission::policies::mutating_binding(new, faults), ..cluster(ADMISSION, "MutatingAdmissionPolicyBinding") },
    Rules { create: flow::schema, update: |new, _, faults| flow::schema(new, faults), status: |new, _, faults| flow::conditions(new, faults), ..cluster(FLOW, "FlowSchema") },
    Rules { create: flow::level, update: |new, _, faults| flow::level(new, faults), status: |new, _, faults| flow::conditions(new, faults), ..cluster(FLOW, "PriorityLevelConfiguration") },
    Rules { own_metadata: AGAIN, name: |_| Vec::new(), create: certificates::create, update: certificates::update, status: certificates::status, subresource: |_, new, old, faults| certificates::approval(new, old, faults), ..cluster("certificates.k8s.io", "CertificateSigningRequest") },
    Rules { own_metadata: AGAIN, name: names::path_segment, create: reviews::api_service, update: |new, _, faults| reviews::api_service(new, faults), status: reviews::api_service_status, ..cluster("apiregistration.k8s.io", "APIService") },
    namespaced("resource.k8s.io", "ResourceClaim"),
    namespaced("resource.k8s.io", "ResourceClaimTemplate"),
    cluster("resource.k8s.io", "ResourceSlice"),
    cluster("resource.k8s.io", "DeviceClass"),
];
