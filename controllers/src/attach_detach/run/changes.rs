//! Which volumes and nodes are looked at when something changes.

use std::sync::Arc;

use client::{Change, Informers, Key, Store, WorkQueue};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};

use super::super::{is_going, is_managed, nodes};
use super::{Going, Item, Stores};
use crate::indices;
use crate::persistent_volumes::protection;
use crate::pods;

/// Attachments by the names of their volumes.
pub(super) const BY_VOLUME: &str = "volume";
/// Attachments by the names of their nodes.
pub(super) const BY_NODE: &str = "node";

pub(super) fn follow(
    informers: &Informers,
    queue: &Arc<WorkQueue<Item>>,
    stores: &Stores,
    going: &Going,
) {
    follow_claims(informers, queue, stores);
    follow_attachments(informers, queue, going);
    follow_nodes(informers, queue, stores);
    let (added, volumes) = (queue.clone(), stores.volumes.clone());
    informers.of::<CSIDriver>().on_change(move |change| {
        let driver = change.object().metadata.name.clone().unwrap_or_default();
        let is_its = |volume: &PersistentVolume| {
            let source = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
            source.is_some_and(|source| source.driver == driver)
        };
        for volume in volumes.all().iter().filter(|volume| is_its(volume)) {
            added.add(Item::Volume(Key::of(&**volume).name));
        }
    });
}

/// Pods, the claims that they mount and the volumes of those.
fn follow_claims(informers: &Informers, queue: &Arc<WorkQueue<Item>>, stores: &Stores) {
    let (added, claims) = (queue.clone(), stores.claims.clone());
    informers.of::<Pod>().on_change(move |change| {
        for volume in volumes_of(change.object(), &claims) {
            added.add(Item::Volume(volume));
        }
    });
    let added = queue.clone();
    let informer = informers.of::<PersistentVolumeClaim>();
    informer.on_change(move |change| {
        let spec = change.object().spec.as_ref();
        if let Some(volume) = spec.and_then(|spec| spec.volume_name.clone()) {
            added.add(Item::Volume(volume));
        }
    });
    let added = queue.clone();
    informers.of::<PersistentVolume>().on_change(move |change| {
        let volume = change.object();
        if volume.spec.as_ref().is_some_and(|spec| spec.csi.is_some()) {
            added.add(Item::Volume(Key::of(&**volume).name));
        }
    });
}

/// The names of the volumes of a pod that has a node.
fn volumes_of(pod: &Pod, claims: &Store<PersistentVolumeClaim>) -> Vec<String> {
    if pods::node_name(pod).is_empty() {
        return Vec::new();
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let names = protection::claims_of(pod).into_iter();
    let claims = names.filter_map(|name| claims.get(&Key::new(namespace, name)));
    claims
        .filter_map(|claim| claim.spec.as_ref()?.volume_name.clone())
        .collect()
}

fn follow_attachments(informers: &Informers, queue: &Arc<WorkQueue<Item>>, going: &Going) {
    let attachments = informers.of::<VolumeAttachment>();
    attachments.index(BY_VOLUME, |attachment| {
        let volume = attachment.spec.source.persistent_volume_name.clone();
        volume.into_iter().collect()
    });
    attachments.index(BY_NODE, |attachment| {
        vec![attachment.spec.node_name.clone()]
    });
    let (added, going) = (queue.clone(), going.clone());
    attachments.on_change(move |change| {
        let attachment = change.object();
        // From now on everybody sees it.
        if matches!(change, Change::Deleted(_)) || is_going(attachment) {
            let name = attachment.metadata.name.as_deref().unwrap_or_default();
            going.lock().remove(name);
        }
        added.add(Item::Node(attachment.spec.node_name.clone()));
        let volume = attachment.spec.source.persistent_volume_name.clone();
        added_volume(&added, volume);
    });
}

fn added_volume(queue: &WorkQueue<Item>, volume: Option<String>) {
    if let Some(volume) = volume {
        queue.add(Item::Volume(volume));
    }
}

fn follow_nodes(informers: &Informers, queue: &Arc<WorkQueue<Item>>, stores: &Stores) {
    let (added, stores) = (queue.clone(), stores.clone());
    informers.of::<Node>().on_change(move |change| {
        let node = change.object();
        let name = Key::of(&**node).name;
        let (matters, is_new) = match change {
            Change::Added(_) => (true, true),
            Change::Modified { old, new } => {
                (differs(old, new), is_managed(old) != is_managed(new))
            }
            Change::Deleted(_) => (true, false),
        };
        if !matters && !is_new {
            return;
        }
        added.add(Item::Node(name.clone()));
        for attachment in stores.attachments.by_index(BY_NODE, &name) {
            added_volume(
                &added,
                attachment.spec.source.persistent_volume_name.clone(),
            );
        }
        let pods = stores.pods.by_index(indices::BY_NODE, &name);
        for pod in pods.iter().filter(|_| is_new) {
            for volume in volumes_of(pod, &stores.claims) {
                added.add(Item::Volume(volume));
            }
        }
    });
}

/// Whether a node changed in what matters for its volumes.
fn differs(old: &Node, new: &Node) -> bool {
    let volumes = |node: &Node| {
        let status = node.status.as_ref();
        status.map(|status| {
            (
                status.volumes_in_use.clone(),
                status.volumes_attached.clone(),
            )
        })
    };
    let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
    nodes::is_ready(old) != nodes::is_ready(new)
        || volumes(old) != volumes(new)
        || taints(old) != taints(new)
}
