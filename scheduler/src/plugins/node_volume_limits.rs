//! `NodeVolumeLimits`: a node's drivers attach only so many volumes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::storage;
use crate::{
    cluster::{Objects, Site, Snapshot},
    framework::{ClusterEvent, EventKinds, Filter, Plugin, PreFilter, Verdict},
    pod::PodView,
};

const REASON: &str = "node(s) exceed max volume count";

/// Rejects nodes where a driver would attach more volumes than its `CSINode` says.
#[derive(Debug, Default)]
pub struct NodeVolumeLimits;

/// A volume of a driver: the driver's name and the volume's handle.
type Attached = (String, String);

#[derive(Clone)]
struct Limits<'a> {
    objects: &'a Objects,
    /// The volumes that the pod uses.
    wanted: BTreeSet<Attached>,
    /// Volumes that are attached to nodes, by the node's name.
    attached: HashMap<&'a str, Vec<Attached>>,
}

impl Filter for Limits<'_> {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        let Some(csi_node) = self.objects.csi_nodes.get(&site.node().name) else {
            return Verdict::Fits;
        };
        let drivers = csi_node.spec.drivers.iter();
        let limits: HashMap<&str, i64> = drivers
            .filter_map(|driver| {
                let count = driver.allocatable.as_ref()?.count?;
                Some((driver.name.as_str(), i64::from(count)))
            })
            .collect();
        if !self
            .wanted
            .iter()
            .any(|(driver, _)| limits.contains_key(driver.as_str()))
        {
            return Verdict::Fits;
        }
        let mut used = BTreeSet::new();
        for pod in site.pods().filter(|pod| !pod.volumes.is_empty()) {
            used.extend(volumes(pod, self.objects));
        }
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        let attached = self.attached.get(&*site.node().name).into_iter().flatten();
        let all: BTreeSet<&Attached> = used.iter().chain(attached).collect();
        for (driver, _) in all {
            *counts.entry(driver.as_str()).or_default() += 1;
        }
        let mut new: BTreeMap<&str, i64> = BTreeMap::new();
        for (driver, _) in self.wanted.iter().filter(|volume| !used.contains(*volume)) {
            *new.entry(driver.as_str()).or_default() += 1;
        }
        let exceeds = |(driver, new): (&&str, &i64)| {
            let there = counts.get(driver).copied().unwrap_or(0);
            limits.get(driver).is_some_and(|limit| there + new > *limit)
        };
        if new.iter().any(exceeds) {
            return Verdict::Unschedulable(REASON.into());
        }
        Verdict::Fits
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(self.clone())
    }
}

/// The volumes of drivers that a pod uses. Claims that are not there use none.
fn volumes<'a>(pod: &'a PodView, objects: &'a Objects) -> impl Iterator<Item = Attached> + 'a {
    storage::claims(pod)
        .filter_map(|claim| storage::claim(objects, pod, &claim.name))
        .filter_map(|claim| volume(&claim, objects))
}

/// The volume of a claim; for one that is still to be made, a handle that stands for it.
fn volume(claim: &PersistentVolumeClaim, objects: &Objects) -> Option<Attached> {
    if let Some(volume) = objects.volumes.get(storage::volume_of_claim(claim)) {
        let source = volume.spec.as_ref()?.csi.as_ref()?;
        let is_named = !source.driver.is_empty() && !source.volume_handle.is_empty();
        return is_named.then(|| (source.driver.clone(), source.volume_handle.clone()));
    }
    let class = objects
        .storage_classes
        .get(storage::class_of_claim(claim))?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (namespace, name) = (text(&claim.metadata.namespace), text(&claim.metadata.name));
    let is_named = !class.provisioner.is_empty();
    is_named.then(|| (class.provisioner.clone(), format!("\0{namespace}/{name}")))
}

fn attached(objects: &Objects) -> HashMap<&str, Vec<Attached>> {
    let mut all: HashMap<&str, Vec<Attached>> = HashMap::new();
    for attachment in objects.attachments.values() {
        let spec = &attachment.spec;
        let Some(name) = &spec.source.persistent_volume_name else {
            continue;
        };
        let volume = objects.volumes.get(name.as_str());
        let source = volume.and_then(|volume| volume.spec.as_ref()?.csi.as_ref());
        if let Some(source) = source.filter(|_| !spec.attacher.is_empty()) {
            let volume = (spec.attacher.clone(), source.volume_handle.clone());
            all.entry(&spec.node_name).or_default().push(volume);
        }
    }
    all
}

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }

    fn events(&self) -> EventKinds {
        EventKinds::CSI_NODE
            | EventKinds::POD_DELETED
            | EventKinds::CLAIM
            | EventKinds::VOLUME_ATTACHMENT
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        match event {
            ClusterEvent::PodDeleted(gone) => storage::claims(gone).next().is_some(),
            other => storage::event_matters(pod, other),
        }
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, snapshot: &'a Snapshot) -> PreFilter<'a> {
        let objects = &snapshot.objects;
        for claim in storage::claims(pod) {
            let Some(found) = storage::claim(objects, pod, &claim.name) else {
                let (namespace, name) = (&pod.namespace, &claim.name);
                let words = format!(
                    "looking up PVC {namespace}/{name}: persistentvolumeclaim {name:?} not found"
                );
                return PreFilter::Reject(Verdict::Unresolvable(words.into()));
            };
            if claim.is_ephemeral
                && let Err(words) = storage::check_owner(pod, &found)
            {
                return PreFilter::Reject(Verdict::Unresolvable(words.into()));
            }
        }
        let wanted: BTreeSet<Attached> = volumes(pod, objects).collect();
        if wanted.is_empty() || objects.csi_nodes.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::judge(Limits {
            objects,
            wanted,
            attached: attached(objects),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::{storage::tests::objects, testing::World};

    /// Claims `x-1` to `x-4` with volumes of driver `x`, `y-1` with one of driver `y`, and `new-1`, `new-2` of a class of `x`.
    fn world(limit: i64, more: &[Value]) -> World {
        let mut world = World::of(&[json!({"name": "a"}), json!({"name": "free"})]);
        let mut all = vec![
            json!({"kind": "CSINode", "metadata": {"name": "a"}, "spec": {"drivers": [
                {"name": "x", "nodeID": "a", "allocatable": {"count": limit}},
            ]}}),
            json!({"kind": "StorageClass", "metadata": {"name": "made"}, "provisioner": "x",
                "volumeBindingMode": "WaitForFirstConsumer"}),
        ];
        for name in ["x-1", "x-2", "x-3", "x-4", "y-1"] {
            let driver = &name[..1];
            all.push(
                json!({"kind": "PersistentVolume", "metadata": {"name": format!("pv-{name}")},
                "spec": {"csi": {"driver": driver, "volumeHandle": name}}}),
            );
            all.push(json!({"kind": "PersistentVolumeClaim", "metadata": {"namespace": "default", "name": name},
                "spec": {"volumeName": format!("pv-{name}")}}));
        }
        for name in ["new-1", "new-2"] {
            all.push(json!({"kind": "PersistentVolumeClaim", "metadata": {"namespace": "default", "name": name},
                "spec": {"storageClassName": "made"}}));
        }
        all.extend_from_slice(more);
        world.snapshot.objects = objects(&all);
        world
    }

    fn using(name: &str, claims: &[&str]) -> Value {
        let volume =
            |claim: &&str| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}});
        let volumes: Vec<Value> = claims.iter().map(volume).collect();
        json!({"name": name, "spec": {"volumes": volumes}})
    }

    #[test]
    fn a_driver_attaches_no_more_than_its_node_says() {
        let cases: [(i64, &[&str], &[&str], bool); 8] = [
            (2, &["x-1"], &["x-2"], true),
            (2, &["x-1", "x-2"], &["x-3"], false),
            (2, &["x-1", "x-2"], &["x-2"], true),
            (2, &["x-1", "x-2"], &["y-1"], true),
            (3, &["x-1", "x-2"], &["x-3", "x-4"], false),
            (2, &["x-1"], &["new-1"], true),
            (2, &["x-1"], &["new-1", "new-2"], false),
            (1, &["new-1"], &["new-1"], true),
        ];
        for (limit, used, wanted, fits) in cases {
            let mut world = world(limit, &[]);
            world.place(&using("user", used), "a");
            let incoming = world.pod(&using("incoming", wanted));
            let here = if fits {
                ""
            } else {
                "node(s) exceed max volume count"
            };
            let found = world.judge(&NodeVolumeLimits, &incoming);
            assert_eq!(found, [here, ""], "{limit} {used:?} {wanted:?}");
        }
    }

    #[test]
    fn volumes_that_are_attached_count_without_a_pod_and_once_with_one() {
        let attachment = |volume: &str| {
            json!({"kind": "VolumeAttachment", "metadata": {"name": volume},
                "spec": {"attacher": "x", "nodeName": "a", "source": {"persistentVolumeName": volume}}})
        };
        let cases: [(&[&str], bool); 2] = [
            (&["pv-x-1", "pv-x-2"], true),
            (&["pv-x-1", "pv-x-4"], false),
        ];
        for (attached, fits) in cases {
            let attachments: Vec<Value> = attached.iter().map(|name| attachment(name)).collect();
            let mut world = world(3, &attachments);
            world.place(&using("user", &["x-1", "x-2"]), "a");
            let incoming = world.pod(&using("incoming", &["x-3"]));
            let here = if fits {
                ""
            } else {
                "node(s) exceed max volume count"
            };
            assert_eq!(
                world.judge(&NodeVolumeLimits, &incoming),
                [here, ""],
                "{attached:?}"
            );
        }
    }

    #[test]
    fn a_pod_whose_claim_is_missing_waits_for_it() {
        let world = world(1, &[]);
        let incoming = world.pod(&using("incoming", &["none"]));
        let words = "!looking up PVC default/none: persistentvolumeclaim \"none\" not found";
        assert_eq!(world.judge(&NodeVolumeLimits, &incoming), [words]);
    }
}
