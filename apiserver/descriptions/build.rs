//! Writes a table of what upstream says about its types and their fields, as the crate `k8s-openapi` publishes it.

use std::{env, fs, path::Path};

use k8s_openapi::schemars::{SchemaGenerator, generate::SchemaSettings};

/// Asks for the schemas of types, which bring those of the types in them along.
macro_rules! schemas {
    (@one $generator:ident [$($module:tt)*] $kind:ident) => {{
        use k8s_openapi::$($module)*::$kind;
        $generator.subschema_for::<$kind>();
    }};
    ($generator:ident, $($module:tt { $($kind:ident)* })*) => {
        $($(schemas!(@one $generator $module $kind);)*)*
    };
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    kinds(&mut generator);
    let mut rows = Vec::new();
    for (name, schema) in generator.take_definitions(false) {
        rows.extend(row(&name, "", &schema["description"]));
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            rows.extend(row(&name, field, &schema["description"]));
        }
    }
    rows.sort();
    let folder = env::var_os("OUT_DIR").expect("cargo says where to write");
    fs::write(Path::new(&folder).join("table.txt"), rows.concat()).expect("the folder is cargo's");
}

/// A line of the table: type, field and text, with the text's lines kept apart by escapes.
fn row(name: &str, field: &str, description: &serde_json::Value) -> Option<String> {
    let text = serde_json::Value::from(description.as_str()?).to_string();
    Some(format!("{name}\t{field}\t{text}\n"))
}

#[allow(clippy::too_many_lines, reason = "a list")]
fn kinds(generator: &mut SchemaGenerator) {
    schemas! { generator,
        [api::admissionregistration::v1] {
            MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration ValidatingAdmissionPolicy
            ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
        }
        [api::apps::v1] {
            ControllerRevision DaemonSet Deployment ReplicaSet
            StatefulSet
        }
        [api::authentication::v1] {
            SelfSubjectReview TokenRequest TokenReview
        }
        [api::authorization::v1] {
            LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview
        }
        [api::autoscaling::v1] {
            HorizontalPodAutoscaler Scale
        }
        [api::autoscaling::v2] {
            HorizontalPodAutoscaler
        }
        [api::batch::v1] {
            CronJob Job
        }
        [api::certificates::v1] {
            CertificateSigningRequest
        }
        [api::coordination::v1] {
            Lease
        }
        [api::core::v1] {
            Binding ComponentStatus ConfigMap Endpoints
            Event LimitRange Namespace Node
            PersistentVolume Pod PodTemplate ReplicationController
            ResourceQuota Secret Service ServiceAccount
        }
        [api::discovery::v1] {
            EndpointSlice
        }
        [api::events::v1] {
            Event
        }
        [api::flowcontrol::v1] {
            FlowSchema PriorityLevelConfiguration
        }
        [api::networking::v1] {
            IPAddress Ingress IngressClass NetworkPolicy
            ServiceCIDR
        }
        [api::node::v1] {
            RuntimeClass
        }
        [api::policy::v1] {
            Eviction PodDisruptionBudget
        }
        [api::rbac::v1] {
            ClusterRole ClusterRoleBinding Role RoleBinding
        }
        [api::resource::v1] {
            DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice
        }
        [api::scheduling::v1] {
            PriorityClass
        }
        [api::storage::v1] {
            CSIDriver CSINode CSIStorageCapacity StorageClass
            VolumeAttachment VolumeAttributesClass
        }
        [apiextensions_apiserver::pkg::apis::apiextensions::v1] {
            CustomResourceDefinition
        }
        [apimachinery::pkg::api::resource] {
            Quantity
        }
        [apimachinery::pkg::apis::meta::v1] {
            APIGroup APIGroupList APIResource APIResourceList
            APIVersions GroupResource MicroTime Patch
            Status
        }
        [apimachinery::pkg::runtime] {
            RawExtension
        }
        [apimachinery::pkg::util::intstr] {
            IntOrString
        }
        [apimachinery::pkg::version] {
            Info
        }
        [kube_aggregator::pkg::apis::apiregistration::v1] {
            APIService
        }
    }
}
