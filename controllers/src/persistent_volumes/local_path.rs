//! Makes volumes that are directories of the node on which a claim's first pod runs. What is in a directory stays there when its volume goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::{
    PROVISIONED_BY, SELECTED_NODE, Step, claim_class, claims, matching, reference_to, tell_claim,
};
use crate::events::Event;

/// The provisioner that a storage class names for such volumes.
pub const PROVISIONER_NAME: &str = "mainstay.dev/local-path";

/// Where the directories are, unless the class has a parameter `path`.
const PATH: &str = "/var/lib/mainstay/local-path";

const HOSTNAME: &str = "kubernetes.io/hostname";

/// Makes a volume for a claim on the node that was chosen for its pod.
pub(super) fn provision(
    claim: &Arc<PersistentVolumeClaim>,
    class: &StorageClass,
    node: Option<&Node>,
) -> Vec<Step> {
    if let Some(fault) = unsupported(claim) {
        return vec![failed(claim, class, fault)];
    }
    let Some(node) = node else {
        let Some(name) = claims::selected_node(claim) else {
            return vec![failed(
                claim,
                class,
                "configuration error, no node was specified",
            )];
        };
        let message = format!("Failed to get target node: node {name:?} not found");
        let patch = json!({"metadata": {"annotations": {SELECTED_NODE: null}}});
        let patch = super::same_object(&claim.metadata, patch);
        let again = Step::Claim {
            claim: Arc::clone(claim),
            patch,
        };
        return vec![
            tell_claim(claim, Event::warning("ProvisioningFailed", message)),
            again,
        ];
    };
    let volume = volume(claim, class, node);
    let name = volume.metadata.name.clone().unwrap_or_default();
    let message = format!("Successfully provisioned volume {name}");
    vec![
        Step::Create(Box::new(volume)),
        tell_claim(claim, Event::normal("ProvisioningSucceeded", message)),
    ]
}

fn unsupported(claim: &PersistentVolumeClaim) -> Option<&'static str> {
    let spec = claim.spec.as_ref()?;
    if spec.selector.is_some() {
        Some("claim.Spec.Selector is not supported")
    } else if spec.volume_mode.as_deref() == Some("Block") {
        Some("block volumes are not supported")
    } else if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        Some("data sources are not supported")
    } else {
        None
    }
}

fn failed(claim: &Arc<PersistentVolumeClaim>, class: &StorageClass, fault: &str) -> Step {
    let class = class.metadata.name.as_deref().unwrap_or_default();
    let message = format!("failed to provision volume with StorageClass {class:?}: {fault}");
    tell_claim(claim, Event::warning("ProvisioningFailed", message))
}

fn volume(claim: &PersistentVolumeClaim, class: &StorageClass, node: &Node) -> PersistentVolume {
    let uid = claim.metadata.uid.as_deref().unwrap_or_default();
    let name = format!("pvc-{uid}");
    let parent = class
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.get("path"));
    let parent = parent.map_or(PATH, |path| path.trim_end_matches('/'));
    let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
    let claim_name = claim.metadata.name.as_deref().unwrap_or_default();
    let spec = claim.spec.clone().unwrap_or_default();
    PersistentVolume {
        metadata: ObjectMeta {
            annotations: Some(BTreeMap::from([(
                PROVISIONED_BY.to_owned(),
                PROVISIONER_NAME.to_owned(),
            )])),
            name: Some(name.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: matching::request(claim)
                .map(|size| BTreeMap::from([("storage".to_owned(), size.clone())])),
            claim_ref: Some(reference_to(claim)),
            host_path: Some(HostPathVolumeSource {
                path: format!("{parent}/{name}_{namespace}_{claim_name}"),
                type_: Some("DirectoryOrCreate".to_owned()),
            }),
            mount_options: class.mount_options.clone(),
            node_affinity: Some(affinity(node)),
            persistent_volume_reclaim_policy: class
                .reclaim_policy
                .clone()
                .or_else(|| Some("Delete".to_owned())),
            storage_class_name: Some(claim_class(claim).to_owned()),
            volume_mode: Some("Filesystem".to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

/// The volume can be reached from its node alone.
fn affinity(node: &Node) -> VolumeNodeAffinity {
    let labels = node.metadata.labels.as_ref();
    let hostname = labels
        .and_then(|labels| labels.get(HOSTNAME))
        .or(node.metadata.name.as_ref());
    let is_node = NodeSelectorRequirement {
        key: HOSTNAME.to_owned(),
        operator: "In".to_owned(),
        values: Some(hostname.cloned().into_iter().collect()),
    };
    let term = NodeSelectorTerm {
        match_expressions: Some(vec![is_node]),
        match_fields: None,
    };
    VolumeNodeAffinity {
        required: Some(NodeSelector {
            node_selector_terms: vec![term],
        }),
    }
}
