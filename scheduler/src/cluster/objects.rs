//! Objects other than pods and nodes that decisions depend on, by name.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{
    apps::v1::{ReplicaSet, StatefulSet},
    core::v1::{PersistentVolume, PersistentVolumeClaim, ReplicationController, Service},
    policy::v1::PodDisruptionBudget,
    storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment},
};

use crate::{framework::Preparation, query::Namespaces};

/// Namespace and name.
pub type Name = (Arc<str>, Arc<str>);

/// Everything but pods and nodes. Plain maps: whoever feeds the snapshot puts in what there is.
#[derive(Debug, Default)]
pub struct Objects {
    /// Labels of namespaces. To be changed through `Snapshot::set_namespace` alone, because counts depend on them.
    pub(super) namespaces: Namespaces,
    pub claims: BTreeMap<Name, Arc<PersistentVolumeClaim>>,
    pub volumes: BTreeMap<Arc<str>, Arc<PersistentVolume>>,
    pub storage_classes: BTreeMap<Arc<str>, Arc<StorageClass>>,
    pub csi_nodes: BTreeMap<Arc<str>, Arc<CSINode>>,
    pub csi_drivers: BTreeMap<Arc<str>, Arc<CSIDriver>>,
    pub capacities: BTreeMap<Name, Arc<CSIStorageCapacity>>,
    pub attachments: BTreeMap<Arc<str>, Arc<VolumeAttachment>>,
    pub services: BTreeMap<Name, Arc<Service>>,
    pub replication_controllers: BTreeMap<Name, Arc<ReplicationController>>,
    pub replica_sets: BTreeMap<Name, Arc<ReplicaSet>>,
    pub stateful_sets: BTreeMap<Name, Arc<StatefulSet>>,
    pub budgets: BTreeMap<Name, Arc<PodDisruptionBudget>>,
    /// Members that groups of pods need, out of objects `PodGroup`.
    pub pod_groups: BTreeMap<Name, usize>,
    /// What was decided for claims of pods that have a node but are not bound yet, by claim: plugins must treat it as if it were done.
    pub prepared: BTreeMap<Name, Preparation>,
}

impl Objects {
    /// Labels of namespaces.
    #[must_use]
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }
}
