//! `VolumeZone`: a pod goes to the zone and region that its volumes are labelled with.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;

use super::storage;
use crate::{
    cluster::{Objects, Site, Snapshot},
    framework::{ClusterEvent, EventKinds, Filter, Plugin, PreFilter, Verdict},
    node::{REGION_LABEL, ZONE_LABEL},
    pod::PodView,
    selector::Labels,
};

const REASON: &str = "node(s) had no available volume zone";

/// Between the zones of a volume that is in several.
const DELIMITER: &str = "__";

/// The labels that place volumes and nodes, each with the one that has taken its place.
const LABELS: [(&str, &str); 4] = [
    ("failure-domain.beta.kubernetes.io/zone", ZONE_LABEL),
    ("failure-domain.beta.kubernetes.io/region", REGION_LABEL),
    (ZONE_LABEL, ZONE_LABEL),
    (REGION_LABEL, REGION_LABEL),
];

/// Rejects nodes of other zones.
#[derive(Debug, Default)]
pub struct VolumeZone;

/// Where a volume is, by one label.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    label: &'static str,
    label_today: &'static str,
    values: Vec<String>,
}

#[derive(Clone)]
struct Zones(Arc<[Place]>);

impl Zones {
    fn reach(&self, labels: &Labels) -> bool {
        // In a cluster without zones, any node will do.
        if LABELS.iter().all(|(label, _)| labels.get(label).is_none()) {
            return true;
        }
        self.0.iter().all(|place| {
            let there = labels
                .get(place.label)
                .or_else(|| labels.get(place.label_today));
            there.is_some_and(|there| place.values.iter().any(|value| value == there))
        })
    }
}

impl Filter for Zones {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        if self.reach(&site.node().labels) {
            return Verdict::Fits;
        }
        Verdict::Unresolvable(REASON.into())
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(self.clone())
    }
}

/// Where a volume is. A label with an empty zone in it says nothing.
fn places(volume: &PersistentVolume) -> impl Iterator<Item = Place> + '_ {
    LABELS.iter().filter_map(|(label, label_today)| {
        let value = volume.metadata.labels.as_ref()?.get(*label)?;
        let values: Vec<String> = value
            .split(DELIMITER)
            .map(|value| value.trim().to_owned())
            .collect();
        let is_readable = values.iter().all(|value| !value.is_empty());
        is_readable.then_some(Place {
            label,
            label_today,
            values,
        })
    })
}

fn places_of_pod(pod: &PodView, objects: &Objects) -> Result<Vec<Place>, String> {
    let mut all = Vec::new();
    for claim in storage::claims(pod).filter(|claim| !claim.is_ephemeral) {
        if claim.name.is_empty() {
            return Err("PersistentVolumeClaim had no name".to_owned());
        }
        let Some(found) = storage::claim(objects, pod, &claim.name) else {
            return Err(format!("persistentvolumeclaim {:?} not found", claim.name));
        };
        let volume = storage::volume_of_claim(&found);
        if volume.is_empty() {
            check_waiting(storage::class_of_claim(&found), objects)?;
            continue;
        }
        let Some(volume) = objects.volumes.get(volume) else {
            return Err(format!("persistentvolume {volume:?} not found"));
        };
        all.extend(places(volume));
    }
    Ok(all)
}

/// A claim without a volume must be one that waits for its first pod.
fn check_waiting(class: &str, objects: &Objects) -> Result<(), String> {
    if class.is_empty() {
        return Err("PersistentVolumeClaim had no pv name and storageClass name".to_owned());
    }
    let Some(found) = objects.storage_classes.get(class) else {
        return Err(format!("storageclass.storage.k8s.io {class:?} not found"));
    };
    match found.volume_binding_mode.as_deref() {
        None => Err(format!(
            "VolumeBindingMode not set for StorageClass {class:?}"
        )),
        Some("WaitForFirstConsumer") => Ok(()),
        Some(_) => Err("PersistentVolume had no name".to_owned()),
    }
}

impl Plugin for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED
            | EventKinds::NODE_LABELS
            | EventKinds::CLAIM
            | EventKinds::VOLUME
            | EventKinds::STORAGE_CLASS
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        storage::event_matters(pod, event)
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, snapshot: &'a Snapshot) -> PreFilter<'a> {
        match places_of_pod(pod, &snapshot.objects) {
            Ok(places) if places.is_empty() => PreFilter::Skip,
            Ok(places) => PreFilter::judge(Zones(places.into())),
            Err(words) => PreFilter::Reject(Verdict::Unresolvable(words.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::{storage::tests::objects, testing::World};

    const REJECTED: &str = "!node(s) had no available volume zone";

    fn world(volume_labels: &Value) -> World {
        let mut world = World::of(&[
            json!({"name": "a", "labels": {"topology.kubernetes.io/zone": "us-1a"}}),
            json!({"name": "b", "labels": {"topology.kubernetes.io/zone": "us-1b"}}),
            json!({"name": "c", "labels": {"failure-domain.beta.kubernetes.io/zone": "us-1a"}}),
            json!({"name": "d", "labels": {}}),
        ]);
        world.snapshot.objects = objects(&[
            json!({"kind": "PersistentVolume", "metadata": {"name": "v", "labels": volume_labels}}),
            json!({"kind": "PersistentVolumeClaim", "metadata": {"namespace": "default", "name": "bound"},
                "spec": {"volumeName": "v"}}),
            json!({"kind": "PersistentVolumeClaim", "metadata": {"namespace": "default", "name": "waiting"},
                "spec": {"storageClassName": "waits"}}),
            json!({"kind": "PersistentVolumeClaim", "metadata": {"namespace": "default", "name": "immediate"},
                "spec": {"storageClassName": "immediate"}}),
            json!({"kind": "PersistentVolumeClaim", "metadata": {"namespace": "default", "name": "classless"}, "spec": {}}),
            json!({"kind": "PersistentVolumeClaim", "metadata": {"namespace": "default", "name": "lost"},
                "spec": {"volumeName": "gone"}}),
            json!({"kind": "StorageClass", "metadata": {"name": "waits"}, "provisioner": "p",
                "volumeBindingMode": "WaitForFirstConsumer"}),
            json!({"kind": "StorageClass", "metadata": {"name": "immediate"}, "provisioner": "p",
                "volumeBindingMode": "Immediate"}),
        ]);
        world
    }

    fn using(world: &World, claim: &str) -> PodView {
        let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": claim}});
        world.pod(&json!({"spec": {"volumes": [volume]}}))
    }

    #[test]
    fn a_pod_goes_to_the_zone_of_its_volume() {
        let cases = [
            (
                json!({"topology.kubernetes.io/zone": "us-1a"}),
                ["", REJECTED, REJECTED, ""],
            ),
            (
                json!({"failure-domain.beta.kubernetes.io/zone": "us-1a"}),
                ["", REJECTED, "", ""],
            ),
            (
                json!({"topology.kubernetes.io/zone": "us-1a__us-1b"}),
                ["", "", REJECTED, ""],
            ),
            (
                json!({"topology.kubernetes.io/zone": "us-1c"}),
                [REJECTED, REJECTED, REJECTED, ""],
            ),
            (
                json!({"topology.kubernetes.io/zone": "us-1a__"}),
                ["", "", "", ""],
            ),
            (json!({"other": "x"}), ["", "", "", ""]),
        ];
        for (labels, expected) in cases {
            let world = world(&labels);
            assert_eq!(
                world.judge(&VolumeZone, &using(&world, "bound")),
                expected,
                "{labels}"
            );
        }
    }

    #[test]
    fn a_claim_without_a_volume_must_wait_for_its_first_pod() {
        let world = world(&json!({}));
        let cases = [
            ("waiting", ["", "", "", ""].as_slice()),
            ("immediate", &["!PersistentVolume had no name"]),
            (
                "classless",
                &["!PersistentVolumeClaim had no pv name and storageClass name"],
            ),
            ("lost", &["!persistentvolume \"gone\" not found"]),
            ("missing", &["!persistentvolumeclaim \"missing\" not found"]),
        ];
        for (claim, expected) in cases {
            assert_eq!(
                world.judge(&VolumeZone, &using(&world, claim)),
                expected,
                "{claim}"
            );
        }
    }
}
