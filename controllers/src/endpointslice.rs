//! Keeps a service's slices: the addresses of its pods, at most a hundred to a slice.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::owners;
use crate::pods;
use crate::services::{self, Family};

pub(crate) mod packing;
pub(crate) mod run;

pub(crate) use run::start;

use packing::{Desired, EndpointSet, PortKey};

/// The value of the managed-by label.
pub(crate) const MANAGER: &str = "endpointslice-controller.k8s.io";

/// Endpoints that a slice has at most.
const ENDPOINTS_MAX: usize = 100;

/// A service and what belongs to it.
pub(crate) struct Seen<'a> {
    pub service: &'a Service,
    pub pods: &'a [Arc<Pod>],
    /// The nodes that exist, by name.
    pub nodes: &'a BTreeMap<String, Arc<Node>>,
    /// The slices that this controller manages for the service.
    pub slices: &'a [Arc<EndpointSlice>],
    /// What happened that the slices are written for.
    pub trigger: Option<Timestamp>,
}

/// The writes that make slices what they should be.
#[derive(Debug, Default, Clone)]
pub(crate) struct Plan {
    pub create: Vec<EndpointSlice>,
    /// What a slice is, and what it becomes.
    pub update: Vec<(Arc<EndpointSlice>, EndpointSlice)>,
    pub delete: Vec<Arc<EndpointSlice>>,
    /// Pods left out because their node is not known yet.
    pub skipped: Vec<String>,
}

impl Plan {
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.create.is_empty() && self.update.is_empty() && self.delete.is_empty()
    }

    /// Turns slices that would be deleted into ones that would be created, so that fewer objects come and go.
    pub(crate) fn recycle(&mut self, owner_uid: Option<&str>) {
        let deleted = std::mem::take(&mut self.delete);
        for old in deleted {
            let owned = owner_uid.is_none_or(|uid| owners_name(&old, uid));
            let fitting = self
                .create
                .iter()
                .rposition(|new| owned && new.address_type == old.address_type);
            match fitting {
                Some(place) => {
                    let new = with_content_of(&old, self.create.remove(place));
                    self.update.push((old, new));
                }
                None => self.delete.push(old),
            }
        }
    }

    /// Writes into every slice that is written why that is.
    fn set_trigger(&mut self, trigger: Option<Timestamp>) {
        let updated = self.update.iter_mut().map(|(_, new)| new);
        for slice in self.create.iter_mut().chain(updated) {
            services::set_trigger(&mut slice.metadata, trigger);
        }
    }
}

fn owners_name(slice: &EndpointSlice, uid: &str) -> bool {
    let mut owners = slice.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.uid == uid && owner.kind == "Service" && owner.api_version == "v1")
}

/// The old slice with the new one's content.
fn with_content_of(old: &EndpointSlice, new: EndpointSlice) -> EndpointSlice {
    let metadata = ObjectMeta {
        labels: new.metadata.labels,
        annotations: new
            .metadata
            .annotations
            .or_else(|| old.metadata.annotations.clone()),
        owner_references: new.metadata.owner_references,
        ..old.metadata.clone()
    };
    EndpointSlice { metadata, ..new }
}

/// What has to be written for a service that selects pods.
pub(crate) fn decide(seen: &Seen<'_>) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = &seen.service.spec else {
        return plan;
    };
    let families = services::families(spec);
    let supported = |slice: &EndpointSlice| {
        families
            .iter()
            .any(|family| family.name() == slice.address_type)
    };
    plan.delete.extend(
        seen.slices
            .iter()
            .filter(|slice| !supported(slice))
            .cloned(),
    );
    for family in &families {
        family_plan(seen, spec, *family, &mut plan);
    }
    plan.recycle(seen.service.metadata.uid.as_deref());
    if seen.service.metadata.deletion_timestamp.is_some() {
        plan.create.clear();
    }
    plan.set_trigger(seen.trigger);
    plan
}

fn family_plan(seen: &Seen<'_>, spec: &ServiceSpec, family: Family, plan: &mut Plan) {
    let uid = seen.service.metadata.uid.as_deref().unwrap_or_default();
    let existing: Vec<_> = seen
        .slices
        .iter()
        .filter(|slice| slice.address_type == family.name())
        .collect();
    let mut by_ports: BTreeMap<PortKey, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    let mut gone = Vec::new();
    for slice in &existing {
        if owners_name(slice, uid) {
            let key = packing::port_key(slice.ports.iter().flatten());
            by_ports.entry(key).or_default().push(Arc::clone(slice));
        } else {
            gone.push(Arc::clone(slice));
        }
    }
    let labels = labels(seen.service);
    let mut created = Vec::new();
    let mut kept = Vec::new();
    for (key, (ports, endpoints)) in desired(seen, spec, family, &mut plan.skipped) {
        let template = template(seen.service, labels.clone(), family, ports);
        let slices = by_ports.remove(&key).unwrap_or_default();
        let packed = packing::pack(
            &slices,
            Desired {
                endpoints,
                template,
                endpoints_max: ENDPOINTS_MAX,
            },
        );
        created.extend(packed.create);
        kept.extend(packed.keep);
        gone.extend(packed.delete);
    }
    gone.extend(by_ports.into_values().flatten());
    if created.is_empty() && gone.len() == existing.len() {
        placeholder(
            &template(seen.service, labels, family, Vec::new()),
            &mut created,
            &mut gone,
        );
    }
    let distribution = Distribution::of(seen.service, spec);
    created
        .iter_mut()
        .for_each(|slice| distribution.hint(slice));
    for (old, mut new) in kept {
        distribution.hint(&mut new);
        if !packing::is_same(&old, &new) {
            plan.update.push((old, new));
        }
    }
    plan.create.extend(created);
    plan.delete.extend(gone);
}

/// A service without endpoints keeps one empty slice, which says that it was looked at.
fn placeholder(
    empty: &EndpointSlice,
    created: &mut Vec<EndpointSlice>,
    gone: &mut Vec<Arc<EndpointSlice>>,
) {
    let stays = |slice: &EndpointSlice| {
        slice.ports.iter().flatten().next().is_none()
            && slice.endpoints.iter().flatten().next().is_none()
            && slice.metadata.labels == empty.metadata.labels
            && slice.metadata.owner_references == empty.metadata.owner_references
    };
    if gone.len() == 1 && gone.iter().all(|slice| stays(slice)) {
        gone.clear();
    } else {
        created.push(empty.clone());
    }
}

/// The endpoints that should be there, by the ports they offer.
fn desired(
    seen: &Seen<'_>,
    spec: &ServiceSpec,
    family: Family,
    skipped: &mut Vec<String>,
) -> BTreeMap<PortKey, (Vec<EndpointPort>, EndpointSet)> {
    let mut desired: BTreeMap<PortKey, (Vec<EndpointPort>, EndpointSet)> = BTreeMap::new();
    let tolerant = spec.publish_not_ready_addresses == Some(true);
    for pod in seen
        .pods
        .iter()
        .filter(|pod| services::is_candidate(pod, true))
    {
        let ports = ports(spec, pod);
        let (_, endpoints) = desired
            .entry(packing::port_key(&ports))
            .or_insert_with(|| (ports, EndpointSet::new()));
        let node = seen.nodes.get(pods::node_name(pod));
        if node.is_none() && !tolerant {
            let name = pod.metadata.name.clone().unwrap_or_default();
            if !skipped.contains(&name) {
                skipped.push(name);
            }
            continue;
        }
        let endpoint = endpoint(pod, node.map(Arc::as_ref), seen.service, family);
        if !endpoint.addresses.is_empty() {
            endpoints.insert(packing::endpoint_key(&endpoint), endpoint);
        }
    }
    desired
}

fn ports(spec: &ServiceSpec, pod: &Pod) -> Vec<EndpointPort> {
    let listed = spec.ports.iter().flatten();
    let mut ports: Vec<EndpointPort> = listed
        .filter_map(|port| {
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(services::find_port(pod, port)?),
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort_by(|a, b| (&a.name, a.port, &a.protocol).cmp(&(&b.name, b.port, &b.protocol)));
    ports
}

fn endpoint(pod: &Pod, node: Option<&Node>, service: &Service, family: Family) -> Endpoint {
    let serving = pods::is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let spec = service.spec.as_ref();
    let published = spec.is_some_and(|spec| spec.publish_not_ready_addresses == Some(true));
    let zone = node.and_then(|node| {
        node.metadata
            .labels
            .as_ref()?
            .get("topology.kubernetes.io/zone")
    });
    let node_name = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    Endpoint {
        addresses: services::addresses(pod, family),
        conditions: Some(EndpointConditions {
            ready: Some(published || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        deprecated_topology: None,
        hints: None,
        hostname: services::hostname(pod, service),
        node_name: node_name.filter(|name| !name.is_empty()),
        target_ref: Some(pod_reference(pod)),
        zone: zone.filter(|zone| !zone.is_empty()).cloned(),
    }
}

/// How endpoints name the pod behind them.
pub(crate) fn pod_reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The service's labels, and the controller's own.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let reserved = [
        services::SERVICE_NAME,
        services::MANAGED_BY,
        services::HEADLESS,
    ];
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.retain(|key, _| !reserved.contains(&key.as_str()));
    if !service.spec.as_ref().is_some_and(services::has_address) {
        labels.insert(services::HEADLESS.to_owned(), String::new());
    }
    let name = service.metadata.name.clone().unwrap_or_default();
    labels.insert(services::SERVICE_NAME.to_owned(), name);
    labels.insert(services::MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

fn template(
    service: &Service,
    labels: BTreeMap<String, String>,
    family: Family,
    ports: Vec<EndpointPort>,
) -> EndpointSlice {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    EndpointSlice {
        address_type: family.name().to_owned(),
        endpoints: Some(Vec::new()),
        metadata: ObjectMeta {
            generate_name: Some(pods::name_prefix(name)),
            labels: Some(labels),
            namespace: service.metadata.namespace.clone(),
            owner_references: Some(vec![owners::reference::<Service>(&service.metadata)]),
            ..ObjectMeta::default()
        },
        ports: Some(ports),
    }
}

/// Whom an endpoint should serve first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distribution {
    Anyone,
    SameZone,
    SameNode,
}

impl Distribution {
    fn of(service: &Service, spec: &ServiceSpec) -> Distribution {
        let annotations = service.metadata.annotations.as_ref();
        let names = [
            "service.kubernetes.io/topology-aware-hints",
            "service.kubernetes.io/topology-mode",
        ];
        let mode = names.iter().find_map(|name| annotations?.get(*name));
        if mode.is_some_and(|mode| mode == "Auto" || mode == "auto") {
            return Distribution::Anyone;
        }
        match spec.traffic_distribution.as_deref() {
            Some("PreferClose" | "PreferSameZone") => Distribution::SameZone,
            Some("PreferSameNode") => Distribution::SameNode,
            _ => Distribution::Anyone,
        }
    }

    fn hint(self, slice: &mut EndpointSlice) {
        for endpoint in slice.endpoints.iter_mut().flatten() {
            endpoint.hints = self.hints(endpoint);
        }
    }

    fn hints(self, endpoint: &Endpoint) -> Option<EndpointHints> {
        let ready = endpoint
            .conditions
            .as_ref()
            .is_some_and(|conditions| conditions.ready == Some(true));
        if self == Distribution::Anyone || !ready {
            return None;
        }
        let zone = endpoint.zone.clone().map(|name| vec![ForZone { name }]);
        let node = endpoint
            .node_name
            .clone()
            .filter(|_| self == Distribution::SameNode);
        let hints = EndpointHints {
            for_zones: zone,
            for_nodes: node.map(|name| vec![ForNode { name }]),
        };
        (hints != EndpointHints::default()).then_some(hints)
    }
}

#[cfg(test)]
mod tests;
