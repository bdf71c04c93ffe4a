//! Volumes of a pod: each has a name of its own and one source.

use super::{Faults, Owner, Spot, sources};
use crate::{Value, validate::names};

type Check = fn(&Spot<'_>, &mut Faults);

/// The kinds of volumes in upstream's order, each with its check; the last are those whose fields are only asked to be there.
const SOURCES: [(&str, Check); 30] = [
    ("emptyDir", sources::empty),
    ("hostPath", sources::host_path),
    ("gitRepo", sources::git),
    ("gcePersistentDisk", sources::google_disk),
    ("awsElasticBlockStore", |source, faults| {
        sources::filled(source, &["volumeID"], faults)
    }),
    ("secret", |source, faults| {
        sources::files(source, "secretName", faults)
    }),
    ("nfs", sources::nfs),
    ("iscsi", |source, faults| {
        sources::filled(source, &["targetPortal", "iqn"], faults)
    }),
    ("glusterfs", |source, faults| {
        sources::filled(source, &["endpoints", "path"], faults)
    }),
    ("flocker", |_, _| {}),
    ("persistentVolumeClaim", |source, faults| {
        sources::filled(source, &["claimName"], faults)
    }),
    ("rbd", sources::rados),
    ("cinder", |source, faults| {
        sources::filled(source, &["volumeID"], faults)
    }),
    ("cephfs", sources::monitors),
    ("quobyte", |_, _| {}),
    ("downwardAPI", sources::downward),
    ("fc", |_, _| {}),
    ("flexVolume", |source, faults| {
        sources::filled(source, &["driver"], faults)
    }),
    ("configMap", |source, faults| {
        sources::files(source, "name", faults)
    }),
    ("azureFile", |source, faults| {
        sources::filled(source, &["secretName", "shareName"], faults)
    }),
    ("vsphereVolume", |source, faults| {
        sources::filled(source, &["volumePath"], faults)
    }),
    ("photonPersistentDisk", |source, faults| {
        sources::filled(source, &["pdID"], faults)
    }),
    ("portworxVolume", |source, faults| {
        sources::filled(source, &["volumeID"], faults)
    }),
    ("azureDisk", |source, faults| {
        sources::filled(source, &["diskName", "diskURI"], faults)
    }),
    ("storageos", |_, _| {}),
    ("projected", sources::projected),
    ("scaleIO", |source, faults| {
        sources::filled(source, &["gateway", "system", "volumeName"], faults)
    }),
    ("csi", sources::driver),
    ("ephemeral", sources::ephemeral),
    ("image", sources::image),
];

/// Checks the volumes and gives those that are well, by their names, for the mounts to look up.
pub(super) fn check<'a>(
    volumes: &Spot<'a>,
    owner: &Owner<'_>,
    faults: &mut Faults,
) -> Vec<(&'a str, &'a Value)> {
    let mut known: Vec<(&str, &Value)> = Vec::new();
    let created: Vec<String> = volumes
        .each()
        .filter(|volume| volume.find("ephemeral").is_some())
        .filter_map(|volume| claim_name(&volume, owner))
        .collect();
    for volume in volumes.each() {
        let before = faults.len();
        source(&volume, owner, faults);
        let name = volume.get("name");
        if name.filled(faults) {
            name.named(faults, names::label);
        }
        if known.iter().any(|(known, _)| *known == name.text()) {
            name.duplicate(faults);
        }
        if faults.len() == before {
            known.push((name.text(), volume.value));
        }
        let claim = volume.get("persistentVolumeClaim").get("claimName");
        if !claim.text().is_empty() && created.iter().any(|created| created == claim.text()) {
            let words = "must not reference a PVC that gets created for an ephemeral volume";
            claim.invalid(faults, words);
        }
    }
    known
}

/// The claim that is made for an ephemeral volume of this pod.
fn claim_name(volume: &Spot<'_>, owner: &Owner<'_>) -> Option<String> {
    let pod = owner.name.filter(|name| !name.is_empty())?;
    Some(format!("{pod}-{}", volume.get("name").text()))
}

fn source(volume: &Spot<'_>, owner: &Owner<'_>, faults: &mut Faults) {
    let mut first = true;
    for (field, check) in SOURCES {
        let Some(source) = volume.find(field) else {
            continue;
        };
        if !first {
            source.forbidden(faults, "may not specify more than 1 volume type");
            continue;
        }
        first = false;
        if field == "image" && owner.is_pod() {
            source.get("reference").filled(faults);
        }
        check(&source, faults);
        let name = volume.get("name");
        if let Some(claim) =
            claim_name(volume, owner).filter(|_| field == "ephemeral" && !name.text().is_empty())
        {
            for sentence in names::subdomain(&claim) {
                name.invalid(faults, format!("PVC name \"{claim}\": {sentence}"));
            }
        }
    }
    if first {
        volume.required(faults, "must specify a volume type");
    }
}
