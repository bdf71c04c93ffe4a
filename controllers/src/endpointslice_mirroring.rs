//! Mirrors Endpoints that somebody else writes, for a service without a selector, into slices.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::endpoints::{LEADER, subsets};
use crate::endpointslice::Plan;
use crate::endpointslice::packing::{self, EndpointSet, PortKey};
use crate::events::Event;
use crate::owners;
use crate::pods;
use crate::services::{self, Family};

mod run;

pub(crate) use run::start;

/// The value of the managed-by label.
pub(crate) const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";

const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Addresses of a subset that are mirrored at most.
const ADDRESSES_MAX: usize = 1000;

type Key = (Family, PortKey);

/// The writes, and what to tell the owner of the Endpoints.
#[derive(Debug, Default, Clone)]
pub(crate) struct Mirrored {
    pub plan: Plan,
    pub events: Vec<Event>,
}

/// Whether Endpoints are mirrored at all: somebody else writes them, and not as a lock or with a label against it.
pub(crate) fn is_mirrored(endpoints: &Endpoints, service: Option<&Service>) -> bool {
    let metadata = &endpoints.metadata;
    let skipped = metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(SKIP_MIRROR))
        .is_some_and(|skip| skip == "true");
    let lock = metadata
        .annotations
        .as_ref()
        .is_some_and(|annotations| annotations.contains_key(LEADER));
    let unselective = service
        .and_then(|service| service.spec.as_ref())
        .is_some_and(|spec| spec.selector.is_none());
    unselective && !skipped && !lock
}

/// What has to be written so that slices say what the Endpoints do.
pub(crate) fn decide(endpoints: &Endpoints, slices: &[Arc<EndpointSlice>]) -> Mirrored {
    let mut mirrored = Mirrored::default();
    let desired = desired(endpoints, &mut mirrored.events);
    let mut by_key: BTreeMap<Key, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    let plan = &mut mirrored.plan;
    for slice in slices {
        match Family::named(&slice.address_type) {
            Some(family) => {
                let key = (family, packing::port_key(slice.ports.iter().flatten()));
                by_key.entry(key).or_default().push(Arc::clone(slice));
            }
            None => plan.delete.push(Arc::clone(slice)),
        }
    }
    for (key, (ports, set)) in desired {
        let new = slice(endpoints, key.0, ports, set);
        let mut existing = by_key.remove(&key).unwrap_or_default().into_iter();
        match existing.next() {
            None => plan.create.push(new),
            Some(old) => {
                let new = new_of(&old, new);
                if !is_same(&old, &new) {
                    plan.update.push((old, new));
                }
            }
        }
        plan.delete.extend(existing);
    }
    plan.delete.extend(by_key.into_values().flatten());
    plan.recycle(None);
    if endpoints.metadata.deletion_timestamp.is_some() {
        plan.create.clear();
    }
    mirrored
}

/// The old slice as it becomes, its endpoints in the order they had.
fn new_of(old: &EndpointSlice, new: EndpointSlice) -> EndpointSlice {
    let listed = new.endpoints.unwrap_or_default().into_iter();
    let mut wanted: EndpointSet = listed
        .map(|endpoint| (packing::endpoint_key(&endpoint), endpoint))
        .collect();
    let before = old.endpoints.iter().flatten();
    let mut endpoints: Vec<_> = before
        .filter_map(|endpoint| wanted.remove(&packing::endpoint_key(endpoint)))
        .collect();
    endpoints.extend(wanted.into_values());
    let metadata = ObjectMeta {
        labels: new.metadata.labels,
        annotations: new.metadata.annotations,
        owner_references: new.metadata.owner_references,
        ..old.metadata.clone()
    };
    EndpointSlice {
        metadata,
        endpoints: Some(endpoints),
        ..new
    }
}

fn is_same(old: &EndpointSlice, new: &EndpointSlice) -> bool {
    let annotations =
        |slice: &EndpointSlice| slice.metadata.annotations.clone().unwrap_or_default();
    packing::is_same(old, new)
        && annotations(old) == annotations(new)
        && old.metadata.owner_references == new.metadata.owner_references
}

/// The endpoints that should be there, by family and ports, and what could not be mirrored.
fn desired(
    endpoints: &Endpoints,
    events: &mut Vec<Event>,
) -> BTreeMap<Key, (Vec<EndpointPort>, EndpointSet)> {
    let mut desired = BTreeMap::new();
    let (mut invalid, mut skipped) = (0, 0);
    for subset in subsets::repack(endpoints.subsets.as_deref().unwrap_or_default()) {
        let ports = ports(&subset);
        let ready = subset
            .addresses
            .iter()
            .flatten()
            .map(|address| (address, true));
        let waiting = subset
            .not_ready_addresses
            .iter()
            .flatten()
            .map(|address| (address, false));
        let mut added = 0;
        for (address, is_ready) in ready.chain(waiting) {
            if added == ADDRESSES_MAX {
                skipped += 1;
                continue;
            }
            let Some((family, endpoint)) = endpoint(address, is_ready) else {
                invalid += 1;
                skipped += 1;
                continue;
            };
            let key = (family, packing::port_key(&ports));
            let (_, set) = desired
                .entry(key)
                .or_insert_with(|| (ports.clone(), EndpointSet::new()));
            set.insert(packing::endpoint_key(&endpoint), endpoint);
            added += 1;
        }
    }
    if invalid > 0 {
        let message =
            format!("Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices");
        events.push(Event::warning("InvalidIPAddress", message));
    }
    if skipped > invalid {
        let message = format!(
            "A max of {ADDRESSES_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. {skipped} addresses were skipped"
        );
        events.push(Event::warning("TooManyAddressesToMirror", message));
    }
    desired
}

fn ports(subset: &EndpointSubset) -> Vec<EndpointPort> {
    let ports = subset.ports.iter().flatten();
    let mirrored = ports.map(|port| EndpointPort {
        app_protocol: port.app_protocol.clone(),
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
    });
    mirrored.collect()
}

fn endpoint(address: &EndpointAddress, is_ready: bool) -> Option<(Family, Endpoint)> {
    let ip: IpAddr = address.ip.parse().ok()?;
    let endpoint = Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(is_ready),
            ..EndpointConditions::default()
        }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    };
    Some((Family::of(ip), endpoint))
}

fn slice(
    endpoints: &Endpoints,
    family: Family,
    ports: Vec<EndpointPort>,
    set: EndpointSet,
) -> EndpointSlice {
    let name = endpoints.metadata.name.clone().unwrap_or_default();
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(services::SERVICE_NAME.to_owned(), name.clone());
    labels.insert(services::MANAGED_BY.to_owned(), MANAGER.to_owned());
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| key != services::TRIGGER_TIME && key != LAST_APPLIED);
    EndpointSlice {
        address_type: family.name().to_owned(),
        endpoints: Some(set.into_values().collect()),
        metadata: ObjectMeta {
            annotations: Some(annotations),
            generate_name: Some(pods::name_prefix(&name)),
            labels: Some(labels),
            namespace: endpoints.metadata.namespace.clone(),
            owner_references: Some(vec![owners::reference::<Endpoints>(&endpoints.metadata)]),
            ..ObjectMeta::default()
        },
        ports: Some(ports),
    }
}

#[cfg(test)]
mod tests;
