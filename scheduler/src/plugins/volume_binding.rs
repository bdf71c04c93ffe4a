//! `VolumeBinding`: a pod goes where its volumes are, or where they can be had, and its claims are told which.

use std::sync::Arc;

use k8s_openapi::{
    api::core::v1::{PersistentVolume, PersistentVolumeClaim},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    storage,
    volume_choice::{Claims, Unusable},
};
use crate::{
    cluster::{Name, NodeIndex, Objects, Site, Snapshot},
    framework::{
        ClusterEvent, EventKinds, Filter, Plugin, PreFilter, Preparation, Progress, Reasons,
        Reserve, Verdict,
    },
    pod::PodView,
};

/// Rejects nodes that the pod's volumes do not reach, and chooses volumes for claims that wait for their first pod.
#[derive(Debug, Default)]
pub struct VolumeBinding;

struct Reachable(Arc<Claims>);

impl Filter for Reachable {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        let node = site.node();
        match self.0.choose(&node.name, &node.labels) {
            Ok(_) => Verdict::Fits,
            Err(reasons) => Verdict::Unresolvable(words(reasons)),
        }
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(Reachable(self.0.clone()))
    }
}

fn words(reasons: Vec<&'static str>) -> Reasons {
    match <[&'static str; 1]>::try_from(reasons) {
        Ok([one]) => one.into(),
        Err(many) => Reasons::Many(many.into_iter().map(Into::into).collect()),
    }
}

impl VolumeBinding {
    /// How far the claim is for which something was prepared.
    fn progress(
        claim: &PersistentVolumeClaim,
        prepared: Option<&Preparation>,
        objects: &Objects,
        node: &str,
    ) -> Progress {
        if storage::is_bound(claim) {
            return Progress::Ready;
        }
        match prepared {
            Some(Preparation::BindVolume {
                volume, version, ..
            }) => match objects.volumes.get(volume) {
                Some(found) => VolumeBinding::binding(claim, found, version),
                None => {
                    let words =
                        format!("failed to check binding: persistentvolume {volume:?} not found");
                    Progress::Failed(words.into())
                }
            },
            Some(Preparation::Provision { version, .. }) => {
                VolumeBinding::provisioning(claim, node, Some(version))
            }
            None => VolumeBinding::provisioning(claim, node, None),
        }
    }

    /// How far the claim is that is to get this volume, which had that version when it was chosen.
    fn binding(
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
        version: &str,
    ) -> Progress {
        let is_others = storage::is_kept(volume) && !storage::is_kept_for(volume, claim);
        // Until the volume changes, the binding has not been seen here.
        let was_seen = *version_of(&volume.metadata) != *version;
        if is_others || (was_seen && !storage::is_bound_to_one(volume)) {
            let name = volume.metadata.name.as_deref().unwrap_or_default();
            let words = format!("ClaimRef got reset for pv {name:?}");
            return Progress::Failed(words.into());
        }
        Progress::Waiting
    }

    /// How far the claim is that is to get a volume made near a node. `version` is the one that it had when that was decided, if it
    /// was for this pod.
    fn provisioning(
        claim: &PersistentVolumeClaim,
        node: &str,
        version: Option<&Arc<str>>,
    ) -> Progress {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        match storage::selected_node(claim) {
            Some(selected) if selected == node => Progress::Waiting,
            Some(_) => Progress::Failed(format!("provisioning failed for PVC {name:?}").into()),
            // A provisioner that cannot make a volume there takes the annotation away, and so asks for another node.
            None if version.is_some_and(|old| **old != *version_of(&claim.metadata)) => {
                Progress::Failed(format!("selectedNode annotation reset for PVC {name:?}").into())
            }
            None => Progress::Waiting,
        }
    }
}

fn version_of(metadata: &ObjectMeta) -> Arc<str> {
    metadata
        .resource_version
        .as_deref()
        .unwrap_or_default()
        .into()
}

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED
            | EventKinds::NODE_LABELS
            | EventKinds::CLAIM
            | EventKinds::VOLUME
            | EventKinds::STORAGE_CLASS
            | EventKinds::CSI_NODE
            | EventKinds::CSI_DRIVER
            | EventKinds::CSI_CAPACITY
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        storage::event_matters(pod, event)
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, snapshot: &'a Snapshot) -> PreFilter<'a> {
        match Claims::of(pod, &snapshot.objects) {
            Ok(claims) if claims.is_empty() => PreFilter::Skip,
            Ok(claims) => PreFilter::judge(Reachable(Arc::new(claims))),
            Err(Unusable(words)) => PreFilter::Reject(Verdict::Unresolvable(words.into())),
        }
    }

    fn reserve(&self, pod: &PodView, snapshot: &Snapshot, node: NodeIndex) -> Reserve {
        if storage::claims(pod).next().is_none() {
            return Reserve::Granted(Vec::new());
        }
        let node = snapshot.node(node);
        let claims = match Claims::of(pod, &snapshot.objects) {
            Ok(claims) => claims,
            Err(Unusable(words)) => return Reserve::Rejected(words.into()),
        };
        let choice = match claims.choose(&node.name, &node.labels) {
            Ok(choice) => choice,
            Err(reasons) => return Reserve::Rejected(words(reasons)),
        };
        let claim_name = |claim: &PersistentVolumeClaim| -> Name {
            (
                pod.namespace.clone(),
                claim.metadata.name.as_deref().unwrap_or_default().into(),
            )
        };
        let bindings = choice
            .bindings
            .iter()
            .map(|(volume, claim)| Preparation::BindVolume {
                claim: claim_name(claim),
                volume: volume.metadata.name.as_deref().unwrap_or_default().into(),
                version: version_of(&volume.metadata),
            });
        let provisions = choice
            .provisions
            .iter()
            .map(|claim| Preparation::Provision {
                claim: claim_name(claim),
                node: node.name.clone(),
                version: version_of(&claim.metadata),
            });
        Reserve::Granted(bindings.chain(provisions).collect())
    }

    fn pre_bind(&self, pod: &PodView, objects: &Objects, node: &str) -> Progress {
        let mut progress = Progress::Ready;
        for claim in storage::claims(pod) {
            let name: Name = (pod.namespace.clone(), claim.name.as_str().into());
            let Some(found) = objects.claims.get(&name) else {
                let words = format!("persistentvolumeclaim {:?} not found", claim.name);
                return Progress::Failed(words.into());
            };
            match VolumeBinding::progress(found, objects.prepared.get(&name), objects, node) {
                Progress::Ready => {}
                Progress::Waiting => progress = Progress::Waiting,
                failed @ Progress::Failed(_) => return failed,
            }
        }
        progress
    }
}

#[cfg(test)]
mod tests;
