//! Which workload a pod's controller is part of, and how many pods that asks for.

use std::collections::hash_map::Entry;

use client::{Key, Kind, Store};
use k8s_openapi::Resource as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::context::Context;
use crate::disruption::{Workload, Workloads};
use crate::owners;
use crate::replicaset::replicas;
use crate::scales::{NoScale, Scales, group_of};

/// Finds workloads, in caches where it can.
pub(super) struct Finder {
    controllers: Store<ReplicationController>,
    sets: Store<ReplicaSet>,
    deployments: Store<Deployment>,
    stateful_sets: Store<StatefulSet>,
    scales: Scales,
}

/// The object of this name, if it is the one with this uid.
fn same<K: Kind>(store: &Store<K>, key: &Key, uid: &str) -> Option<std::sync::Arc<K>> {
    let found = store.get(key)?;
    (found.metadata().uid.as_deref() == Some(uid)).then_some(found)
}

fn workload(metadata: &ObjectMeta, replicas: Option<i32>) -> Option<Workload> {
    Some(Workload {
        uid: metadata.uid.clone()?,
        replicas: replicas.unwrap_or(1),
    })
}

impl Finder {
    pub(super) fn new(context: &Context) -> Finder {
        let informers = &context.informers;
        Finder {
            controllers: informers.of::<ReplicationController>().store(),
            sets: informers.of::<ReplicaSet>().store(),
            deployments: informers.of::<Deployment>().store(),
            stateful_sets: informers.of::<StatefulSet>().store(),
            scales: Scales::new(context.client.clone()),
        }
    }

    /// The workloads of all controllers that the pods name. The first that cannot be found ends the search.
    pub(super) async fn of_pods(&self, pods: &[&Pod]) -> Workloads {
        let mut workloads = Workloads::new();
        for pod in pods {
            let Some(owner) = owners::controller_of(&pod.metadata) else {
                continue;
            };
            let Entry::Vacant(place) = workloads.entry(owner.uid.clone()) else {
                continue;
            };
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            let key = Key::new(namespace, owner.name.clone());
            let found = match self.cached(owner, &key) {
                Some(found) => Ok(Some(found)),
                None => self
                    .by_scale(owner, &key)
                    .await
                    .map_err(|fault| fault.to_string()),
            };
            let is_fault = found.is_err();
            place.insert(found);
            if is_fault {
                break;
            }
        }
        workloads
    }

    fn cached(&self, owner: &OwnerReference, key: &Key) -> Option<Workload> {
        match (group_of(&owner.api_version), owner.kind.as_str()) {
            ("", "ReplicationController") => {
                let found = same(&self.controllers, key, &owner.uid)?;
                workload(&found.metadata, found.spec.as_ref()?.replicas)
            }
            ("apps" | "extensions", "ReplicaSet") => {
                let set = same(&self.sets, key, &owner.uid)?;
                match owners::controller_of(&set.metadata) {
                    Some(owner) if owner.kind == Deployment::KIND => {
                        let key = Key::new(key.namespace.clone(), owner.name.clone());
                        let found = same(&self.deployments, &key, &owner.uid)?;
                        workload(&found.metadata, found.spec.as_ref()?.replicas)
                    }
                    _ => workload(&set.metadata, Some(replicas(&set))),
                }
            }
            ("apps", "StatefulSet") => {
                let found = same(&self.stateful_sets, key, &owner.uid)?;
                workload(&found.metadata, found.spec.as_ref()?.replicas)
            }
            _ => None,
        }
    }

    async fn by_scale(
        &self,
        owner: &OwnerReference,
        key: &Key,
    ) -> Result<Option<Workload>, NoScale> {
        let group = group_of(&owner.api_version);
        let resource = self.scales.resource(group, &owner.kind).await?;
        match self.scales.get(&resource, key).await {
            Ok(scale) if scale.uid == owner.uid => Ok(Some(Workload {
                uid: scale.uid,
                replicas: scale.replicas,
            })),
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
