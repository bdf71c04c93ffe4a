//! The cluster as the scheduler would see it, read once from an apiserver.

use std::{collections::BTreeMap, sync::Arc};

use client::{Client, Error, Key, Kind, Query};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};

use super::Cluster;
use crate::{
    cluster::{Name, Snapshot},
    feed::min_members,
    node::NodeView,
    pod::PodView,
    resources::ResourceNames,
    run::groups,
    selector::Labels,
};

/// Reads everything that decisions depend on.
///
/// # Errors
///
/// When a list cannot be had.
pub async fn read_cluster(client: &Client) -> Result<Cluster, Error> {
    let names = ResourceNames::default();
    let mut snapshot = Snapshot::new(names.clone());
    let mut waiting = Vec::new();
    for namespace in list::<Namespace>(client).await? {
        let pairs = namespace.metadata.labels.iter().flatten();
        let labels: Labels = pairs
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let name = namespace.metadata.name.unwrap_or_default();
        snapshot.set_namespace(&name, Some(labels));
    }
    for node in list::<Node>(client).await? {
        snapshot.set_node(Arc::new(NodeView::new(&node, &names)));
    }
    for pod in list::<Pod>(client).await? {
        let pod = Arc::new(PodView::new(&pod, &names));
        match pod.node_name.clone() {
            Some(node) => snapshot.set_pod(pod, &node),
            None => waiting.push(pod),
        }
    }
    let all = &mut snapshot.objects;
    all.claims = named(client).await?;
    all.volumes = plain(client).await?;
    all.storage_classes = plain(client).await?;
    all.csi_nodes = plain(client).await?;
    all.csi_drivers = plain(client).await?;
    all.capacities = named(client).await?;
    all.attachments = plain(client).await?;
    all.services = named(client).await?;
    all.replication_controllers = named(client).await?;
    all.replica_sets = named(client).await?;
    all.stateful_sets = named(client).await?;
    all.budgets = named(client).await?;
    all.pod_groups = groups(client).await?;
    Ok(Cluster { snapshot, waiting })
}

async fn list<K: Kind>(client: &Client) -> Result<Vec<K>, Error> {
    Ok(client.list::<K>(&Query::default()).await?.items)
}

/// A kind in namespaces.
async fn named<K: Kind>(client: &Client) -> Result<BTreeMap<Name, Arc<K>>, Error> {
    let objects = list::<K>(client).await?.into_iter();
    let objects = objects.map(|object| {
        let key = Key::of(&object);
        ((key.namespace.into(), key.name.into()), Arc::new(object))
    });
    Ok(objects.collect())
}

/// A kind of the whole cluster.
async fn plain<K: Kind>(client: &Client) -> Result<BTreeMap<Arc<str>, Arc<K>>, Error> {
    let objects = list::<K>(client).await?.into_iter();
    let objects = objects.map(|object| (Key::of(&object).name.into(), Arc::new(object)));
    Ok(objects.collect())
}

/// Groups of pods, where the cluster has such objects.
async fn groups(client: &Client) -> Result<BTreeMap<Name, usize>, Error> {
    let Some(groups) = groups::served(client).await? else {
        return Ok(BTreeMap::new());
    };
    let groups = client.dynamic(groups);
    let objects = groups.list(&Query::default()).await?.items.into_iter();
    let objects = objects.filter_map(|object| {
        let name: Name = (object.namespace().into(), object.name().into());
        Some((name, min_members(&object)?))
    });
    Ok(objects.collect())
}
