//! Makes the claims of pods' generic ephemeral volumes. They belong to their pods, and go with them.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use client::{Change, Client, Key, Next, Store};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::context::Context;
use crate::events::Event;
use crate::indices::{self, BY_CLAIM};
use crate::owners;
use crate::telling::Teller;

struct Controller {
    client: Client,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    teller: Teller,
}

/// Starts the controller.
pub(crate) fn start(context: &Context) {
    let pods = indices::pods_by_claim(&context.informers);
    let claims = context.informers.of::<PersistentVolumeClaim>();
    let queue = context.queue("ephemeral_volume");
    let added = queue.clone();
    pods.on_change(move |change| {
        // What volumes a pod has never changes, and its claims go by their owner.
        if let Change::Added(pod) = change
            && wants_claims(pod)
        {
            added.add(Key::of(&**pod));
        }
    });
    let (added, users) = (queue.clone(), pods.store());
    claims.on_change(move |change| {
        if let Change::Deleted(claim) = change {
            let users = users.by_index(BY_CLAIM, &Key::of(&**claim).to_string());
            for pod in users.iter().filter(|pod| wants_claims(pod)) {
                added.add(Key::of(&**pod));
            }
        }
    });
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        pods: pods.store(),
        claims: claims.store(),
        teller: Teller::new(context, "ephemeral_volume"),
    });
    let workers = context.options.workers.concurrent_ephemeralvolume_syncs;
    context.work(
        ("ephemeral-volume-controller", workers),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = controller.clone();
            async move { controller.sync(&key).await }
        },
    );
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(pod) = self.pods.get(key).filter(|pod| wants_claims(pod)) else {
            return Ok(Next::Done);
        };
        for volume in volumes(&pod) {
            if let Err(fault) = self.make(&pod, volume).await {
                let message = format!("ephemeral volume {}: {fault}", volume.name);
                self.teller
                    .tell(&*pod, &Event::warning("FailedBinding", &*message));
                return Err(anyhow!("pod {key}, {message}"));
            }
        }
        Ok(Next::Done)
    }

    async fn make(&self, pod: &Pod, volume: &Volume) -> Result<()> {
        let Some(wanted) = claim(pod, volume) else {
            return Ok(());
        };
        let key = Key::of(&wanted);
        if let Some(known) = self.claims.get(&key) {
            return is_made_for(&known, pod).map_err(|fault| anyhow!(fault));
        }
        self.client
            .create(&wanted)
            .await
            .map(drop)
            .map_err(|error| anyhow!("create PVC {}: {error}", key.name))
    }
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    let volumes = pod.spec.iter().flat_map(|spec| &spec.volumes);
    volumes.flatten()
}

fn wants_claims(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && volumes(pod).any(|volume| volume.ephemeral.is_some())
}

/// The claim of a volume, if that is ephemeral.
fn claim(pod: &Pod, volume: &Volume) -> Option<PersistentVolumeClaim> {
    let template = volume.ephemeral.as_ref()?.volume_claim_template.as_ref()?;
    let metadata = template.metadata.clone().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{}", volume.name)),
            namespace: pod.metadata.namespace.clone(),
            owner_references: Some(vec![owners::reference::<Pod>(&pod.metadata)]),
            annotations: metadata.annotations,
            labels: metadata.labels,
            ..ObjectMeta::default()
        },
        spec: Some(template.spec.clone()),
        status: None,
    })
}

/// Whether a claim of the name of an ephemeral volume's is that volume's.
pub(crate) fn is_made_for(claim: &PersistentVolumeClaim, pod: &Pod) -> Result<(), String> {
    if claim.metadata.namespace == pod.metadata.namespace
        && owners::is_controlled_by(&claim.metadata, &pod.metadata)
    {
        return Ok(());
    }
    let (claim, pod) = (Key::of(claim), Key::of(pod));
    Err(format!(
        "PVC {claim} was not created for pod {pod} (pod is not owner)"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "a", "uid": uid},
            "spec": {"containers": [], "volumes": [
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {
                    "metadata": {"labels": {"l": "1"}, "annotations": {"n": "2"}, "name": "not-this"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }}},
                {"name": "empty", "emptyDir": {}},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn the_claim_of_an_ephemeral_volume_is_its_template_and_belongs_to_the_pod() {
        let pod = pod("u");
        let claims: Vec<_> = volumes(&pod)
            .filter_map(|volume| claim(&pod, volume))
            .collect();
        let expected = json!([{
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": "web-scratch", "namespace": "a", "labels": {"l": "1"}, "annotations": {"n": "2"},
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u", "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }]);
        assert_eq!(serde_json::to_value(&claims).unwrap(), expected);
        assert_eq!(is_made_for(&claims[0], &pod), Ok(()));
    }

    #[test]
    fn a_claim_of_somebody_else_is_not_taken() {
        let earlier = pod("u");
        let made = claim(&earlier, volumes(&earlier).next().unwrap()).unwrap();
        let fault = is_made_for(&made, &pod("another")).unwrap_err();
        assert_eq!(
            fault,
            "PVC a/web-scratch was not created for pod a/web (pod is not owner)"
        );
    }

    #[test]
    fn only_pods_that_stay_and_have_such_volumes_get_claims() {
        assert!(wants_claims(&pod("u")));
        assert!(!wants_claims(&Pod::default()));
        let mut going = pod("u");
        going.metadata.deletion_timestamp = Some(crate::patches::time(jiff::Timestamp::UNIX_EPOCH));
        assert!(!wants_claims(&going));
    }
}
