//! What informers see, made into news for the loop.

use std::{collections::BTreeMap, sync::Arc};

use client::{Change, DynamicObject, Informers, Key, Kind, Resource};
use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, StatefulSet},
        core::v1::{
            Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController,
            Service,
        },
        policy::v1::PodDisruptionBudget,
        storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{
    cluster::{Name, Objects},
    framework::EventKinds,
    inbox::{Inbox, News, Subject},
    node::NodeView,
    pod::PodView,
    resources::ResourceNames,
    selector::Labels,
};

/// Asks for everything that decisions depend on.
pub(crate) fn follow(informers: &Informers, inbox: &Arc<Inbox>, names: &ResourceNames) {
    follow_pods(informers, inbox.clone(), names.clone());
    follow_nodes(informers, inbox.clone(), names.clone());
    follow_namespaces(informers, inbox.clone());
    let others = Others { informers, inbox };
    let none = EventKinds::NONE;
    others.named::<PersistentVolumeClaim>(EventKinds::CLAIM, |all| &mut all.claims);
    others.plain::<PersistentVolume>(EventKinds::VOLUME, |all| &mut all.volumes);
    others.plain::<StorageClass>(EventKinds::STORAGE_CLASS, |all| &mut all.storage_classes);
    others.plain::<CSINode>(EventKinds::CSI_NODE, |all| &mut all.csi_nodes);
    others.plain::<CSIDriver>(EventKinds::CSI_DRIVER, |all| &mut all.csi_drivers);
    others.named::<CSIStorageCapacity>(EventKinds::CSI_CAPACITY, |all| &mut all.capacities);
    others.plain::<VolumeAttachment>(EventKinds::VOLUME_ATTACHMENT, |all| &mut all.attachments);
    others.named::<Service>(none, |all| &mut all.services);
    others.named::<ReplicationController>(none, |all| &mut all.replication_controllers);
    others.named::<ReplicaSet>(none, |all| &mut all.replica_sets);
    others.named::<StatefulSet>(none, |all| &mut all.stateful_sets);
    others.named::<PodDisruptionBudget>(none, |all| &mut all.budgets);
}

/// Asks for groups of pods, which are served there.
pub(crate) fn follow_groups(informers: &Informers, groups: Resource, inbox: &Arc<Inbox>) {
    let inbox = inbox.clone();
    informers.dynamic(groups).on_change(move |change| {
        let object = change.object();
        let name: Name = (object.namespace().into(), object.name().into());
        let members_min = min_members(object).filter(|_| !matches!(change, Change::Deleted(_)));
        inbox.put(
            Subject::Object("PodGroup", name.0.clone(), name.1.clone()),
            News::PodGroup { name, members_min },
        );
    });
}

/// How many members a group of pods needs.
pub(crate) fn min_members(group: &DynamicObject) -> Option<usize> {
    let min = group.value()["spec"]["minMember"].as_u64();
    min.map(|min| min as usize)
}

fn follow_pods(informers: &Informers, inbox: Arc<Inbox>, names: ResourceNames) {
    informers.of::<Pod>().on_change(move |change| {
        let uid: Arc<str> = uid(&change.object().metadata);
        let pod = match change {
            Change::Deleted(_) => None,
            Change::Modified { old, new } => {
                let before = self::uid(&old.metadata);
                if before != uid {
                    inbox.put(
                        Subject::Pod(before.clone()),
                        News::Pod {
                            uid: before,
                            pod: None,
                        },
                    );
                }
                Some(new)
            }
            Change::Added(new) => Some(new),
        };
        let pod = pod.map(|pod| Arc::new(PodView::new(pod, &names)));
        inbox.put(Subject::Pod(uid.clone()), News::Pod { uid, pod });
    });
}

fn follow_nodes(informers: &Informers, inbox: Arc<Inbox>, names: ResourceNames) {
    informers.of::<Node>().on_change(move |change| {
        let node = Arc::new(NodeView::new(change.object(), &names));
        let name = node.name.clone();
        let node = (!matches!(change, Change::Deleted(_))).then_some(node);
        inbox.put(Subject::Node(name.clone()), News::Node { name, node });
    });
}

fn follow_namespaces(informers: &Informers, inbox: Arc<Inbox>) {
    informers.of::<Namespace>().on_change(move |change| {
        let metadata = &change.object().metadata;
        let pairs = metadata.labels.iter().flatten();
        let labels: Labels = pairs
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let labels = (!matches!(change, Change::Deleted(_))).then_some(labels);
        let name: Arc<str> = metadata.name.as_deref().unwrap_or("").into();
        inbox.put(
            Subject::Namespace(name.clone()),
            News::Namespace { name, labels },
        );
    });
}

fn uid(metadata: &ObjectMeta) -> Arc<str> {
    metadata.uid.as_deref().unwrap_or("").into()
}

/// Kinds whose objects are kept as they are.
struct Others<'a> {
    informers: &'a Informers,
    inbox: &'a Arc<Inbox>,
}

impl Others<'_> {
    /// A kind in namespaces.
    fn named<K: Kind>(
        &self,
        kind: EventKinds,
        map: fn(&mut Objects) -> &mut BTreeMap<Name, Arc<K>>,
    ) {
        let inbox = self.inbox.clone();
        self.informers.of::<K>().on_change(move |change| {
            let key = Key::of(&**change.object());
            let name = (key.namespace.into(), key.name.into());
            put(&inbox, (K::KIND, kind), name, map, there(change));
        });
    }

    /// A kind of the whole cluster.
    fn plain<K: Kind>(
        &self,
        kind: EventKinds,
        map: fn(&mut Objects) -> &mut BTreeMap<Arc<str>, Arc<K>>,
    ) {
        let inbox = self.inbox.clone();
        self.informers.of::<K>().on_change(move |change| {
            let name: Arc<str> = Key::of(&**change.object()).name.into();
            let (key, object) = (name.clone(), there(change));
            let change: crate::inbox::Change = Box::new(move |all| set(map(all), key, object));
            let namespace: Arc<str> = "".into();
            let subject = Subject::Object(K::KIND, namespace.clone(), name.clone());
            inbox.put(
                subject,
                News::Object {
                    kind,
                    namespace,
                    name,
                    change,
                },
            );
        });
    }
}

fn there<K>(change: &Change<K>) -> Option<Arc<K>> {
    match change {
        Change::Deleted(_) => None,
        Change::Added(object) | Change::Modified { new: object, .. } => Some(object.clone()),
    }
}

fn put<T: Send + 'static>(
    inbox: &Inbox,
    (name_of_kind, kind): (&'static str, EventKinds),
    name: Name,
    map: fn(&mut Objects) -> &mut BTreeMap<Name, T>,
    object: Option<T>,
) {
    let key = name.clone();
    let change: crate::inbox::Change = Box::new(move |all| set(map(all), key, object));
    let (namespace, name) = name;
    let subject = Subject::Object(name_of_kind, namespace.clone(), name.clone());
    inbox.put(
        subject,
        News::Object {
            kind,
            namespace,
            name,
            change,
        },
    );
}

fn set<K: Ord, T>(map: &mut BTreeMap<K, T>, key: K, object: Option<T>) {
    match object {
        Some(object) => drop(map.insert(key, object)),
        None => drop(map.remove(&key)),
    }
}
