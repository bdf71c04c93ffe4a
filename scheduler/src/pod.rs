//! A pod as the scheduler looks at it: parsed once, compact, and shared between the queue, the snapshot and the plugins.

mod affinity;
mod requests;
mod spread;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus, Volume};

pub use affinity::{Affinities, AffinityTerm, NodePreference, WeightedTerm};
pub use spread::{SpreadConstraint, WhenUnsatisfiable};

use crate::{
    query::NodeQuery,
    resources::{Amounts, ResourceNames},
    selector::Labels,
    taint::Toleration,
};

/// The scheduler of pods that name none.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";
/// The label that puts a pod into a group which is scheduled as a whole or not at all.
pub const POD_GROUP_LABEL: &str = "scheduling.x-k8s.io/pod-group";
/// The annotation of a pod that says how many pods of its group must have nodes at the same time.
pub const MIN_MEMBER_ANNOTATION: &str = "scheduling.x-k8s.io/min-member";
/// The reason of a condition `DisruptionTarget` of a pod that a scheduler preempts.
pub(crate) const PREEMPTED: &str = "PreemptionByScheduler";

/// What names one pod: a pod that is made anew under the same name has another UID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodKey {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl std::fmt::Display for PodKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Transport protocol of a host port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// Address on the node; `0.0.0.0` for all, which also stands for none given.
    pub address: Arc<str>,
    /// `TCP`, `UDP` or `SCTP`; `TCP` where none was given.
    pub protocol: Arc<str>,
    pub port: i32,
}

impl HostPort {
    /// The address that stands for all.
    pub const ANY: &'static str = "0.0.0.0";

    /// Whether both cannot be used on one node.
    #[must_use]
    pub fn conflicts(&self, other: &HostPort) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address
                || &*self.address == HostPort::ANY
                || &*other.address == HostPort::ANY)
    }
}

/// One pod. Everything here is a function of the pod's object alone.
#[derive(Debug, Clone)]
pub struct PodView {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub labels: Labels,
    /// `spec.schedulerName`.
    pub scheduler_name: Arc<str>,
    /// `spec.nodeName`; `None` while the pod has no node.
    pub node_name: Option<Arc<str>>,
    /// `status.nominatedNodeName`.
    pub nominated_node_name: Option<Arc<str>>,
    pub priority: i32,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    /// Has a deletion timestamp.
    pub terminating: bool,
    /// Phase `Succeeded` or `Failed`: it uses nothing any more.
    pub finished: bool,
    pub created: Option<Timestamp>,
    /// `status.startTime`.
    pub started: Option<Timestamp>,
    /// What it asks for: containers and sidecars, or the peak of init containers, with overhead; pod-level requests in their place.
    pub requests: Amounts,
    /// CPU (thousandths) and memory (bytes) for scores: containers that ask for none count with 100 m and 200 MiB.
    pub scored: [i64; 2],
    /// `spec.nodeSelector` and required node affinity.
    pub node_query: Arc<NodeQuery>,
    /// Preferred node affinity.
    pub node_preferences: Box<[NodePreference]>,
    pub affinities: Affinities,
    /// In the order of the object, hard and soft ones.
    pub spread: Box<[SpreadConstraint]>,
    pub tolerations: Box<[Toleration]>,
    pub host_ports: Box<[HostPort]>,
    /// Names of `spec.schedulingGates`.
    pub gates: Box<[Arc<str>]>,
    /// Images of init containers, containers and image volumes as written, in that order.
    pub images: Box<[Arc<str>]>,
    /// Number of init containers and containers.
    pub containers: usize,
    /// Volumes that can matter to where the pod goes: claims, ephemeral, CSI, GCE, AWS, RBD and iSCSI ones.
    pub volumes: Box<[Volume]>,
    /// Kind and name of its controller.
    pub controller: Option<(Arc<str>, Arc<str>)>,
    /// Group from `POD_GROUP_LABEL`.
    pub group: Option<Arc<str>>,
    /// Members that the group needs, from `MIN_MEMBER_ANNOTATION`.
    pub group_members_min: Option<usize>,
    /// A condition `PodScheduled` that is `False`: its reason and message.
    pub unscheduled: Option<(Box<str>, Box<str>)>,
    /// Whether the condition `DisruptionTarget` says that a scheduler preempts it, and not that it is evicted or lost its node.
    pub preempted: bool,
}

impl PodView {
    /// Parses an object. Whatever the apiserver would not have let through is read as nothing or as satisfied by no node.
    #[must_use]
    pub fn new(pod: &Pod, names: &ResourceNames) -> PodView {
        let empty = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&empty);
        let mut view = PodView::of_spec(pod, spec);
        (view.requests, view.scored) = requests::of(spec, pod.status.as_ref(), names);
        if let Some(status) = &pod.status {
            view.read_status(status);
        }
        view
    }

    fn of_spec(pod: &Pod, spec: &PodSpec) -> PodView {
        let meta = &pod.metadata;
        let pairs = meta.labels.iter().flatten();
        let labels: Labels = pairs
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key));
        let namespace: Arc<str> = meta.namespace.as_deref().unwrap_or("").into();
        PodView {
            scheduler_name: spec
                .scheduler_name
                .as_deref()
                .unwrap_or(DEFAULT_SCHEDULER)
                .into(),
            node_name: text(spec.node_name.as_deref()),
            nominated_node_name: None,
            priority: spec.priority.unwrap_or(0),
            never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
            terminating: meta.deletion_timestamp.is_some(),
            finished: false,
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            started: None,
            requests: Amounts::default(),
            scored: [0; 2],
            node_query: Arc::new(affinity::node_query(spec)),
            node_preferences: affinity::node_preferences(spec),
            affinities: affinity::pod_affinities(spec, &namespace),
            spread: spread::constraints(spec, &namespace, &labels),
            tolerations: spec
                .tolerations
                .iter()
                .flatten()
                .map(Toleration::from)
                .collect(),
            host_ports: host_ports(spec),
            gates: spec
                .scheduling_gates
                .iter()
                .flatten()
                .map(|gate| gate.name.as_str().into())
                .collect(),
            images: images(spec),
            containers: spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len),
            volumes: spec
                .volumes
                .iter()
                .flatten()
                .filter(|one| matters(one))
                .cloned()
                .collect(),
            controller: controller(pod),
            group: text(labels.get(POD_GROUP_LABEL)),
            group_members_min: annotation(MIN_MEMBER_ANNOTATION).and_then(|text| text.parse().ok()),
            unscheduled: None,
            preempted: false,
            name: meta.name.as_deref().unwrap_or("").into(),
            uid: meta.uid.as_deref().unwrap_or("").into(),
            labels,
            namespace,
        }
    }

    fn read_status(&mut self, status: &PodStatus) {
        let condition = |kind: &str, value: &str| {
            let mut all = status.conditions.iter().flatten();
            all.find(|one| one.type_ == kind && one.status == value)
        };
        self.nominated_node_name = text(status.nominated_node_name.as_deref());
        self.finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        self.started = status.start_time.as_ref().map(|time| time.0);
        self.unscheduled = condition("PodScheduled", "False").map(|one| {
            let words = |text: &Option<String>| text.as_deref().unwrap_or("").into();
            (words(&one.reason), words(&one.message))
        });
        self.preempted = condition("DisruptionTarget", "True")
            .is_some_and(|one| one.reason.as_deref() == Some(PREEMPTED));
    }

    /// Its namespace and name.
    #[must_use]
    pub fn key(&self) -> PodKey {
        PodKey {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// Names of the claims that its volumes use, with those that are made for its ephemeral volumes (`POD-VOLUME`).
    pub fn claims(&self) -> impl Iterator<Item = String> + '_ {
        self.volumes.iter().filter_map(|volume| {
            if let Some(claim) = &volume.persistent_volume_claim {
                return Some(claim.claim_name.clone());
            }
            volume
                .ephemeral
                .as_ref()
                .map(|_| format!("{}-{}", self.name, volume.name))
        })
    }
}

fn text(text: Option<&str>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty()).map(Arc::from)
}

fn controller(pod: &Pod) -> Option<(Arc<str>, Arc<str>)> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some((owner.kind.as_str().into(), owner.name.as_str().into()))
}

fn images(spec: &PodSpec) -> Box<[Arc<str>]> {
    let containers = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let volumes = spec
        .volumes
        .iter()
        .flatten()
        .filter_map(|volume| volume.image.as_ref());
    containers
        .filter_map(|one| text(one.image.as_deref()))
        .chain(volumes.filter_map(|image| text(image.reference.as_deref())))
        .collect()
}

fn host_ports(spec: &PodSpec) -> Box<[HostPort]> {
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|one| one.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars
        .chain(&spec.containers)
        .flat_map(|one| one.ports.iter().flatten());
    ports
        .filter_map(|port| {
            Some(HostPort {
                address: text(port.host_ip.as_deref()).unwrap_or_else(|| HostPort::ANY.into()),
                protocol: text(port.protocol.as_deref()).unwrap_or_else(|| "TCP".into()),
                port: port.host_port.filter(|port| *port > 0)?,
            })
        })
        .collect()
}

fn matters(volume: &Volume) -> bool {
    volume.persistent_volume_claim.is_some()
        || volume.ephemeral.is_some()
        || volume.csi.is_some()
        || volume.gce_persistent_disk.is_some()
        || volume.aws_elastic_block_store.is_some()
        || volume.rbd.is_some()
        || volume.iscsi.is_some()
}
