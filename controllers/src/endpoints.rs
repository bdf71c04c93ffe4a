//! Keeps a service's Endpoints, the older form in which all of its pods' addresses stand in one object.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::endpointslice::pod_reference;
use crate::pods;
use crate::services::{self, Family};

mod run;
pub(crate) mod subsets;

pub(crate) use run::start;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
/// Marks a lock of old that has the form of Endpoints.
pub(crate) const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// Addresses that one object has at most; what is more is left out, and an annotation says so.
pub(crate) const ADDRESSES_MAX: usize = 1000;

/// A service and what belongs to it.
pub(crate) struct Seen<'a> {
    pub service: &'a Service,
    pub pods: &'a [Arc<Pod>],
    pub current: Option<&'a Endpoints>,
    /// What happened that the object is written for.
    pub trigger: Option<Timestamp>,
}

/// What has to be done about a service's Endpoints.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Nothing,
    Create(Box<Endpoints>),
    Update(Box<Endpoints>),
}

/// What has to be written for a service that selects pods.
pub(crate) fn decide(seen: &Seen<'_>) -> Action {
    let Some(spec) = &seen.service.spec else {
        return Action::Nothing;
    };
    let listed = seen
        .pods
        .iter()
        .flat_map(|pod| pod_subsets(pod, seen.service, spec));
    let mut subsets = subsets::repack(&listed.collect::<Vec<_>>());
    let is_truncated = subsets::truncate(&mut subsets, ADDRESSES_MAX);
    let labels = labels(seen.service, spec);
    if seen
        .current
        .is_some_and(|current| is_same(current, &labels, &subsets, is_truncated))
    {
        return Action::Nothing;
    }
    let mut metadata = seen.current.map_or_else(
        || named_after(seen.service),
        |current| current.metadata.clone(),
    );
    metadata.labels = Some(labels);
    services::set_trigger(&mut metadata, seen.trigger);
    let annotations = metadata.annotations.get_or_insert_default();
    if is_truncated {
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else {
        annotations.remove(OVER_CAPACITY);
    }
    let endpoints = Box::new(Endpoints {
        metadata,
        subsets: Some(subsets),
    });
    if seen.current.is_some() {
        Action::Update(endpoints)
    } else {
        Action::Create(endpoints)
    }
}

fn named_after(service: &Service) -> ObjectMeta {
    ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        ..ObjectMeta::default()
    }
}

fn is_same(
    current: &Endpoints,
    labels: &BTreeMap<String, String>,
    subsets: &[EndpointSubset],
    is_truncated: bool,
) -> bool {
    let marked = current
        .metadata
        .annotations
        .as_ref()
        .is_some_and(|all| all.contains_key(OVER_CAPACITY));
    let before = current.subsets.as_deref().unwrap_or_default();
    current.metadata.labels.as_ref() == Some(labels)
        && marked == is_truncated
        && (before == subsets || subsets::repack(before) == subsets)
}

fn labels(service: &Service, spec: &ServiceSpec) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    if services::has_address(spec) {
        labels.remove(services::HEADLESS);
    } else {
        labels.insert(services::HEADLESS.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// The pod's address, once with every port of the service that the pod offers.
fn pod_subsets(pod: &Pod, service: &Service, spec: &ServiceSpec) -> Vec<EndpointSubset> {
    let tolerant = spec.publish_not_ready_addresses == Some(true);
    if !services::is_candidate(pod, tolerant) {
        return Vec::new();
    }
    let Some(address) = address(pod, service, spec) else {
        return Vec::new();
    };
    let ready = tolerant || pods::is_ready(pod);
    let subset = |port: Option<EndpointPort>| EndpointSubset {
        addresses: ready.then(|| vec![address.clone()]),
        not_ready_addresses: (!ready).then(|| vec![address.clone()]),
        ports: port.map(|port| vec![port]),
    };
    let ports = spec.ports.as_deref().unwrap_or_default();
    if ports.is_empty() {
        let headless = spec.cluster_ip.as_deref() == Some("None");
        return if headless {
            vec![subset(None)]
        } else {
            Vec::new()
        };
    }
    let offered = ports.iter().filter_map(|port| {
        Some(EndpointPort {
            app_protocol: port.app_protocol.clone(),
            name: port.name.clone(),
            port: services::find_port(pod, port)?,
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        })
    });
    offered.map(|port| subset(Some(port))).collect()
}

/// The pod's address of the service's first family.
fn address(pod: &Pod, service: &Service, spec: &ServiceSpec) -> Option<EndpointAddress> {
    let first = spec
        .ip_families
        .iter()
        .flatten()
        .next()
        .and_then(|name| Family::named(name));
    let family_of = |text: Option<&str>| {
        text.and_then(|text| text.parse::<IpAddr>().ok())
            .map(Family::of)
    };
    let pod_ip = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ip.as_deref());
    let family = first
        .or_else(|| family_of(spec.cluster_ip.as_deref()))
        .or_else(|| family_of(pod_ip));
    Some(EndpointAddress {
        hostname: services::hostname(pod, service),
        ip: services::addresses(pod, family.unwrap_or(Family::V4))
            .into_iter()
            .next()?,
        node_name: Some(pods::node_name(pod).to_owned()).filter(|name| !name.is_empty()),
        target_ref: Some(pod_reference(pod)),
    })
}

#[cfg(test)]
mod tests;
