//! `VolumeRestrictions`: disks that only one pod can use, and claims that say so.

use k8s_openapi::api::core::v1::Volume;

use super::storage;
use crate::{
    cluster::{Name, NodeIndex, Site, Snapshot},
    framework::{ClusterEvent, EventKinds, Filter, Plugin, PreFilter, Verdict},
    pod::PodView,
};

const REASON_DISK: &str = "node(s) had no available disk";
const REASON_CLAIM: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";

/// Rejects nodes where a disk is in use, and every node while a claim for one pod is.
#[derive(Debug, Default)]
pub struct VolumeRestrictions;

#[derive(Clone)]
struct Unused<'a> {
    pod: &'a PodView,
    has_disks: bool,
    /// The claims of the pod that only one pod may use.
    claims: Vec<Name>,
    /// How often pods use them.
    users: i64,
}

impl Unused<'_> {
    fn uses(&self, other: &PodView) -> i64 {
        let is_wanted = |name: &str| {
            other.namespace == self.pod.namespace && self.claims.iter().any(|own| *own.1 == *name)
        };
        storage::claims(other)
            .filter(|claim| is_wanted(&claim.name))
            .count() as i64
    }
}

impl Filter for Unused<'_> {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        if self.has_disks && site.pods().any(|other| conflict(self.pod, other)) {
            return Verdict::Unschedulable(REASON_DISK.into());
        }
        if self.users > 0 {
            return Verdict::Unschedulable(REASON_CLAIM.into());
        }
        Verdict::Fits
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(self.clone())
    }

    fn pod_added(&mut self, pod: &PodView, _: NodeIndex) {
        self.users += self.uses(pod);
    }

    fn pod_removed(&mut self, pod: &PodView, _: NodeIndex) {
        self.users -= self.uses(pod);
    }
}

fn is_disk(volume: &Volume) -> bool {
    volume.gce_persistent_disk.is_some()
        || volume.aws_elastic_block_store.is_some()
        || volume.rbd.is_some()
        || volume.iscsi.is_some()
}

/// Whether two pods cannot be on one node because of their disks.
fn conflict(pod: &PodView, other: &PodView) -> bool {
    let disks = pod.volumes.iter().filter(|volume| is_disk(volume));
    let mut pairs = disks.flat_map(|disk| other.volumes.iter().map(move |used| (disk, used)));
    pairs.any(|(disk, used)| same_disk(disk, used))
}

/// Whether two volumes are the same disk, and not both only read it.
fn same_disk(one: &Volume, two: &Volume) -> bool {
    let writes = |one: Option<bool>, two: Option<bool>| one != Some(true) || two != Some(true);
    let google = one
        .gce_persistent_disk
        .as_ref()
        .zip(two.gce_persistent_disk.as_ref())
        .is_some_and(|(one, two)| {
            one.pd_name == two.pd_name && writes(one.read_only, two.read_only)
        });
    let amazon = one
        .aws_elastic_block_store
        .as_ref()
        .zip(two.aws_elastic_block_store.as_ref())
        .is_some_and(|(one, two)| one.volume_id == two.volume_id);
    let iscsi = one
        .iscsi
        .as_ref()
        .zip(two.iscsi.as_ref())
        .is_some_and(|(one, two)| one.iqn == two.iqn && writes(one.read_only, two.read_only));
    let pool = |pool: &Option<String>| pool.clone().unwrap_or_else(|| "rbd".to_owned());
    let rados = one
        .rbd
        .as_ref()
        .zip(two.rbd.as_ref())
        .is_some_and(|(one, two)| {
            one.monitors
                .iter()
                .any(|monitor| two.monitors.contains(monitor))
                && pool(&one.pool) == pool(&two.pool)
                && one.image == two.image
                && writes(one.read_only, two.read_only)
        });
    google || amazon || iscsi || rados
}

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED | EventKinds::POD_DELETED | EventKinds::CLAIM
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        match event {
            ClusterEvent::PodDeleted(gone) => {
                let shares_claim = || {
                    storage::claims(pod)
                        .any(|claim| storage::claims(gone).any(|other| other.name == claim.name))
                };
                gone.namespace == pod.namespace && (conflict(pod, gone) || shares_claim())
            }
            other => storage::event_matters(pod, other),
        }
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, snapshot: &'a Snapshot) -> PreFilter<'a> {
        let has_disks = pod.volumes.iter().any(is_disk);
        let mut unused = Unused {
            pod,
            has_disks,
            claims: Vec::new(),
            users: 0,
        };
        for claim in storage::claims(pod).filter(|claim| !claim.is_ephemeral) {
            let Some(found) = storage::claim(&snapshot.objects, pod, &claim.name) else {
                let words = format!("persistentvolumeclaim {:?} not found", claim.name);
                return PreFilter::Reject(Verdict::Unresolvable(words.into()));
            };
            let modes = found
                .spec
                .as_ref()
                .and_then(|spec| spec.access_modes.as_ref());
            if modes
                .into_iter()
                .flatten()
                .any(|mode| mode == "ReadWriteOncePod")
            {
                let name: Name = (pod.namespace.clone(), claim.name.into());
                if !unused.claims.contains(&name) {
                    unused.users += i64::from(snapshot.claim_users(&name) > 0);
                    unused.claims.push(name);
                }
            }
        }
        if !has_disks && unused.users == 0 {
            return PreFilter::Skip;
        }
        PreFilter::judge(unused)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::{storage::tests::objects, testing::World};

    fn pod(name: &str, volume: &Value) -> Value {
        json!({"name": name, "spec": {"volumes": [volume]}})
    }

    #[test]
    fn a_disk_is_used_by_one_pod_of_a_node_unless_all_only_read() {
        let gce = |name: &str, read: bool| json!({"name": "v", "gcePersistentDisk": {"pdName": name, "readOnly": read}});
        let aws = |id: &str| json!({"name": "v", "awsElasticBlockStore": {"volumeID": id, "readOnly": true}});
        let iscsi = |iqn: &str, read: bool| json!({"name": "v", "iscsi": {"iqn": iqn, "lun": 0, "targetPortal": "p", "readOnly": read}});
        let rbd = |monitors: &[&str], pool: &str, image: &str| json!({"name": "v", "rbd": {"monitors": monitors, "pool": pool, "image": image}});
        let cases = [
            (gce("a", false), gce("a", false), false),
            (gce("a", false), gce("b", false), true),
            (gce("a", true), gce("a", true), true),
            (gce("a", true), gce("a", false), false),
            (aws("a"), aws("a"), false),
            (aws("a"), aws("b"), true),
            (iscsi("a", false), iscsi("a", true), false),
            (iscsi("a", true), iscsi("a", true), true),
            (iscsi("a", false), iscsi("b", false), true),
            (
                rbd(&["a", "b"], "p", "i"),
                rbd(&["c", "b"], "p", "i"),
                false,
            ),
            (rbd(&["a", "b"], "p", "i"), rbd(&["c", "d"], "p", "i"), true),
            (rbd(&["a"], "p", "i"), rbd(&["a"], "q", "i"), true),
            (rbd(&["a"], "p", "i"), rbd(&["a"], "p", "j"), true),
            (gce("a", false), aws("a"), true),
        ];
        for (used, wanted, fits) in cases {
            let mut world = World::of(&[json!({"name": "n"}), json!({"name": "other"})]);
            world.place(&pod("user", &used), "n");
            let incoming = world.pod(&pod("incoming", &wanted));
            let here = if fits {
                ""
            } else {
                "node(s) had no available disk"
            };
            assert_eq!(
                world.judge(&VolumeRestrictions, &incoming),
                [here, ""],
                "{used} {wanted}"
            );
        }
    }

    #[test]
    fn a_claim_for_one_pod_is_used_by_one() {
        let mut world = World::of(&[json!({"name": "a"}), json!({"name": "b"})]);
        let claim = |name: &str, mode: &str| {
            json!({"kind": "PersistentVolumeClaim", "metadata": {"namespace": "default", "name": name},
                "spec": {"accessModes": [mode]}})
        };
        world.snapshot.objects = objects(&[
            claim("single", "ReadWriteOncePod"),
            claim("shared", "ReadWriteOnce"),
        ]);
        let using =
            |claim: &str| json!({"name": "v", "persistentVolumeClaim": {"claimName": claim}});
        for claim in ["single", "shared"] {
            let incoming = world.pod(&pod("incoming", &using(claim)));
            assert_eq!(
                world.judge(&VolumeRestrictions, &incoming),
                ["", ""],
                "{claim}"
            );
        }
        world.place(&pod("one", &using("single")), "a");
        world.place(&pod("two", &using("shared")), "a");
        let shared = world.pod(&pod("incoming", &using("shared")));
        assert_eq!(world.judge(&VolumeRestrictions, &shared), ["", ""]);
        let single = world.pod(&pod("incoming", &using("single")));
        assert_eq!(
            world.judge(&VolumeRestrictions, &single),
            [REASON_CLAIM, REASON_CLAIM]
        );
        let missing = world.pod(&pod("incoming", &using("missing")));
        let words = "!persistentvolumeclaim \"missing\" not found";
        assert_eq!(world.judge(&VolumeRestrictions, &missing), [words]);
    }

    #[test]
    fn a_claim_for_one_pod_is_free_once_its_pod_is_thought_away() {
        let mut world = World::of(&[json!({"name": "a"})]);
        world.snapshot.objects = objects(&[
            json!({"kind": "PersistentVolumeClaim", "metadata": {"namespace": "default", "name": "single"},
                "spec": {"accessModes": ["ReadWriteOncePod"]}}),
        ]);
        let using = json!({"name": "v", "persistentVolumeClaim": {"claimName": "single"}});
        world.place(&pod("one", &using), "a");
        let (incoming, victim) = (
            world.pod(&pod("incoming", &using)),
            world.pod(&pod("one", &using)),
        );
        let PreFilter::Judge { filter, .. } =
            VolumeRestrictions.pre_filter(&incoming, &world.snapshot)
        else {
            panic!("the claim is in use");
        };
        let mut fork = filter.fork();
        let node = world.index("a");
        fork.pod_removed(&victim, node);
        assert!(fork.filter(&world.snapshot.site(node)).fits());
        assert!(!filter.filter(&world.snapshot.site(node)).fits());
    }
}
