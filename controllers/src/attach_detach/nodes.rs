//! Names of volumes at nodes, what a node says of them, and which it is told to have.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{AttachedVolume, CSIPersistentVolumeSource, Node};
use sha2::{Digest, Sha256};

use super::is_managed;

/// What stands before the names of drivers' volumes.
const PREFIX: &str = "kubernetes.io/csi/";
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What matters of a node for a volume that is attached to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Whether its kubelet says that it uses the volume.
    pub(super) is_mounted: bool,
    pub(super) is_ready: bool,
    pub(super) is_out_of_service: bool,
    /// Whether its kubelet attaches for itself.
    pub(super) is_on_its_own: bool,
}

impl State {
    /// A node that is gone: nobody knows what its machine does with the volume.
    pub(super) const GONE: State = State {
        is_mounted: true,
        is_ready: false,
        is_out_of_service: false,
        is_on_its_own: false,
    };

    pub(super) fn of(node: &Node, volume: &str) -> State {
        let taints = node
            .spec
            .iter()
            .flat_map(|spec| spec.taints.iter().flatten());
        State {
            is_mounted: uses(node, volume),
            is_ready: is_ready(node),
            is_out_of_service: taints.into_iter().any(|taint| taint.key == OUT_OF_SERVICE),
            is_on_its_own: !is_managed(node),
        }
    }
}

/// Whether the node's kubelet says that it uses the volume, or is about to.
pub(super) fn uses(node: &Node, volume: &str) -> bool {
    let status = node.status.iter();
    let mut used = status.flat_map(|status| status.volumes_in_use.iter().flatten());
    used.any(|used| used == volume)
}

pub(super) fn is_ready(node: &Node) -> bool {
    let status = node.status.iter();
    let mut conditions = status.flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// How nodes name a driver's volume.
pub(super) fn volume_name(source: &CSIPersistentVolumeSource) -> String {
    format!("{PREFIX}{}^{}", source.driver, source.volume_handle)
}

/// The name of a volume's attachment to a node.
pub(super) fn attachment_name(driver: &str, handle: &str, node: &str) -> String {
    let digest = Sha256::digest(format!("{handle}{driver}{node}"));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("csi-{digest}")
}

/// The volumes that a node is told to have, if that is not what it was told. Those of `attached` are there; `attachments` are the names
/// of such whose volumes nobody knows, which stay if they were told. What is no driver's volume stays as well.
pub(super) fn told(
    node: &Node,
    attached: &BTreeSet<String>,
    attachments: &BTreeSet<String>,
) -> Option<Vec<AttachedVolume>> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let status = node.status.as_ref();
    let known = status.and_then(|status| status.volumes_attached.as_deref());
    let known = known.unwrap_or_default();
    let stays = |volume: &&AttachedVolume| match volume.name.strip_prefix(PREFIX) {
        None => true,
        Some(rest) => {
            let attachment = rest
                .split_once('^')
                .map(|(driver, handle)| attachment_name(driver, handle, name));
            attached.contains(&volume.name)
                || attachment.is_some_and(|attachment| attachments.contains(&attachment))
        }
    };
    let mut told: Vec<AttachedVolume> = known.iter().filter(stays).cloned().collect();
    let names: BTreeSet<&str> = known.iter().map(|volume| volume.name.as_str()).collect();
    let new = attached
        .iter()
        .filter(|name| !names.contains(name.as_str()));
    told.extend(new.map(|name| AttachedVolume {
        name: name.clone(),
        device_path: String::new(),
    }));
    (told != known).then_some(told)
}
