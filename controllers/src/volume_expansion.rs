//! Tells the users of a claim that is to grow who makes it grow: all volumes are those of drivers.

use std::sync::Arc;

use anyhow::{Result, bail};
use client::{Change, Client, Key, Next, Patch, Store};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use objects::quantity::Quantity;
use serde_json::json;

use crate::context::Context;
use crate::events::Event;
use crate::telling::Teller;

const REASON: &str = "ExternalExpanding";
const RESIZER: &str = "volume.kubernetes.io/storage-resizer";
const PRE_RESIZE_CAPACITY: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";
const WORKERS: usize = 10;

struct Controller {
    client: Client,
    claims: Store<PersistentVolumeClaim>,
    teller: Teller,
}

/// Starts the controller.
pub(crate) fn start(context: &Context) {
    let claims = context.informers.of::<PersistentVolumeClaim>();
    let queue = context.queue("volume_expand");
    let added = queue.clone();
    claims.on_change(move |change| {
        if concerns(change) {
            added.add(Key::of(&**change.object()));
        }
    });
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        claims: claims.store(),
        teller: Teller::new(context, "volume_expand"),
    });
    let ready = async move { claims.synced().await };
    context.work(
        ("persistentvolume-expander-controller", WORKERS),
        queue,
        ready,
        move |key: Key| {
            let controller = controller.clone();
            async move { controller.sync(&key).await }
        },
    );
}

/// Whether a change may make a claim one that is to grow.
fn concerns(change: &Change<PersistentVolumeClaim>) -> bool {
    let is_bound = |claim: &PersistentVolumeClaim| {
        let status = claim.status.as_ref();
        status.is_some_and(|status| status.phase.as_deref() == Some("Bound"))
    };
    match change {
        Change::Added(claim) => is_bound(claim),
        Change::Modified { old, new } => {
            is_bound(new) && (requested(new) > requested(old) || capacity(new) > capacity(old))
        }
        Change::Deleted(_) => false,
    }
}

fn size(text: Option<&Text>) -> Quantity {
    let size = text.and_then(|text| Quantity::parse(&text.0).ok());
    size.unwrap_or_else(Quantity::zero)
}

fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    size(requests.and_then(|requests| requests.get("storage")))
}

fn capacity(claim: &PersistentVolumeClaim) -> Quantity {
    let status = claim.status.as_ref();
    let capacity = status.and_then(|status| status.capacity.as_ref());
    size(capacity.and_then(|capacity| capacity.get("storage")))
}

/// What is done about a claim.
#[derive(Debug, PartialEq, Eq)]
enum Growth {
    None,
    /// Whoever watches claims of its volume's driver sees it.
    External,
    /// A driver stands in for what was once built in, and has to be named.
    Migrated {
        from: &'static str,
        driver: &'static str,
    },
}

/// Decides on a claim, and the volume that it is bound to.
fn decide(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<Growth> {
    let reference = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.claim_ref.as_ref());
    let is_bound = reference.is_some_and(|reference| {
        reference.namespace == claim.metadata.namespace && reference.uid == claim.metadata.uid
    });
    if !is_bound {
        let key = Key::of(claim);
        bail!("persistent Volume is not bound to PVC being updated : {key}");
    }
    let annotations = volume.metadata.annotations.as_ref();
    let was_resized = annotations.is_some_and(|all| all.contains_key(PRE_RESIZE_CAPACITY));
    if requested(claim) <= capacity(claim) && !was_resized {
        return Ok(Growth::None);
    }
    let migrated = volume.spec.as_ref().and_then(migrated);
    Ok(
        migrated.map_or(Growth::External, |(from, driver)| Growth::Migrated {
            from,
            driver,
        }),
    )
}

/// The old name of a volume's kind and the driver that is in its place.
fn migrated(spec: &PersistentVolumeSpec) -> Option<(&'static str, &'static str)> {
    let kinds = [
        (
            spec.aws_elastic_block_store.is_some(),
            "kubernetes.io/aws-ebs",
            "ebs.csi.aws.com",
        ),
        (
            spec.gce_persistent_disk.is_some(),
            "kubernetes.io/gce-pd",
            "pd.csi.storage.gke.io",
        ),
        (
            spec.azure_disk.is_some(),
            "kubernetes.io/azure-disk",
            "disk.csi.azure.com",
        ),
        (
            spec.azure_file.is_some(),
            "kubernetes.io/azure-file",
            "file.csi.azure.com",
        ),
        (
            spec.cinder.is_some(),
            "kubernetes.io/cinder",
            "cinder.csi.openstack.org",
        ),
        (
            spec.vsphere_volume.is_some(),
            "kubernetes.io/vsphere-volume",
            "csi.vsphere.vmware.com",
        ),
        (
            spec.portworx_volume.is_some(),
            "kubernetes.io/portworx-volume",
            "pxd.portworx.com",
        ),
    ];
    let found = kinds.into_iter().find(|(is_it, _, _)| *is_it);
    found.map(|(_, from, driver)| (from, driver))
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(claim) = self.claims.get(key) else {
            return Ok(Next::Done);
        };
        let name = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.volume_name.clone())
            .unwrap_or_default();
        let volume: PersistentVolume = match self.client.get(&Key::new("", &*name)).await {
            Ok(volume) => volume,
            Err(error) => bail!("failed to get PV {name:?}: {error}"),
        };
        match decide(&claim, &volume)? {
            Growth::None => {}
            Growth::External => {
                let message = "waiting for an external controller to expand this PVC";
                self.teller.tell(&*claim, &Event::normal(REASON, message));
            }
            Growth::Migrated { from, driver } => {
                let message = format!(
                    "CSI migration enabled for {from}; waiting for external resizer to expand the pvc"
                );
                self.teller.tell(&*claim, &Event::normal(REASON, message));
                let patch = json!({"metadata": {
                    "annotations": {RESIZER: driver}, "uid": claim.metadata.uid,
                }});
                self.client
                    .patch::<PersistentVolumeClaim>(key, &Patch::Merge(patch))
                    .await?;
            }
        }
        Ok(Next::Done)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(requested: &str, capacity: &str) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": {"name": "data", "namespace": "a", "uid": "c"},
            "spec": {"volumeName": "v", "resources": {"requests": {"storage": requested}}},
            "status": {"phase": "Bound", "capacity": {"storage": capacity}},
        }))
        .unwrap()
    }

    fn volume(uid: &str, source: &Value, annotations: &Value) -> PersistentVolume {
        let mut volume = json!({
            "metadata": {"name": "v", "annotations": annotations},
            "spec": {"claimRef": {"namespace": "a", "name": "data", "uid": uid}},
        });
        for (name, value) in source.as_object().unwrap() {
            volume["spec"][name] = value.clone();
        }
        serde_json::from_value(volume).unwrap()
    }

    #[test]
    fn a_claim_that_asks_for_more_than_it_has_waits_for_its_driver() {
        let csi = json!({"csi": {"driver": "d", "volumeHandle": "h"}});
        let ebs = json!({"awsElasticBlockStore": {"volumeID": "x"}});
        let migrated = Growth::Migrated {
            from: "kubernetes.io/aws-ebs",
            driver: "ebs.csi.aws.com",
        };
        let resized = json!({PRE_RESIZE_CAPACITY: "1Gi"});
        let none = json!({});
        for (requested, capacity, source, annotations, expected) in [
            ("1Gi", "1Gi", &csi, &none, Growth::None),
            ("1Gi", "2Gi", &csi, &none, Growth::None),
            ("2Gi", "1Gi", &csi, &none, Growth::External),
            (
                "2Gi",
                "1Gi",
                &json!({"local": {"path": "/"}}),
                &none,
                Growth::External,
            ),
            ("1Gi", "1Gi", &csi, &resized, Growth::External),
            ("2Gi", "1Gi", &ebs, &none, migrated),
        ] {
            let found = decide(
                &claim(requested, capacity),
                &volume("c", source, annotations),
            );
            assert_eq!(found.unwrap(), expected, "{requested} of {capacity}");
        }
        let fault = decide(&claim("2Gi", "1Gi"), &volume("other", &csi, &none)).unwrap_err();
        let expected = "persistent Volume is not bound to PVC being updated : a/data";
        assert_eq!(fault.to_string(), expected);
    }

    #[test]
    fn a_claim_is_looked_at_when_it_grows_and_not_at_every_change() {
        let change = |old: (&str, &str), new: (&str, &str)| {
            concerns(&Change::Modified {
                old: Arc::new(claim(old.0, old.1)),
                new: Arc::new(claim(new.0, new.1)),
            })
        };
        assert!(change(("1Gi", "1Gi"), ("2Gi", "1Gi")));
        assert!(change(("2Gi", "1Gi"), ("2Gi", "2Gi")));
        assert!(!change(("2Gi", "1Gi"), ("2Gi", "1Gi")));
        assert!(!change(("2Gi", "2Gi"), ("1Gi", "2Gi")));
        let mut unbound = claim("2Gi", "1Gi");
        assert!(concerns(&Change::Added(Arc::new(unbound.clone()))));
        unbound.status = None;
        assert!(!concerns(&Change::Added(Arc::new(unbound))));
    }
}
