//! What the controllers of endpoints share: which pods serve a service, under which addresses and ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pods;

pub(crate) mod awaited;
pub(crate) mod feed;
pub(crate) mod trigger;

pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";
pub(crate) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The address families of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// The name that slices and services give it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Family> {
        [Family::V4, Family::V6]
            .into_iter()
            .find(|family| family.name() == name)
    }

    pub(crate) fn of(address: IpAddr) -> Family {
        if address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }
}

/// The families of a service: those it names, else that of its address, else both.
pub(crate) fn families(spec: &ServiceSpec) -> Vec<Family> {
    let named = spec.ip_families.iter().flatten();
    let mut families: Vec<Family> = named.filter_map(|name| Family::named(name)).collect();
    if families.is_empty() {
        let address = spec
            .cluster_ip
            .as_deref()
            .and_then(|text| text.parse::<IpAddr>().ok());
        families = match address {
            Some(address) => vec![Family::of(address)],
            None => vec![Family::V4, Family::V6],
        };
    }
    families.sort_unstable();
    families.dedup();
    families
}

/// Whether endpoints of the service are kept: it selects pods and is no alias of a name elsewhere.
pub(crate) fn selector(spec: &ServiceSpec) -> Option<&BTreeMap<String, String>> {
    spec.selector
        .as_ref()
        .filter(|_| spec.type_.as_deref() != Some("ExternalName"))
}

pub(crate) fn selects(
    selector: &BTreeMap<String, String>,
    labels: Option<&BTreeMap<String, String>>,
) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// Whether the service has an address of its own.
pub(crate) fn has_address(spec: &ServiceSpec) -> bool {
    !matches!(spec.cluster_ip.as_deref(), None | Some("" | "None"))
}

/// Whether a pod may be an endpoint: it runs or will run, and has an address.
pub(crate) fn is_candidate(pod: &Pod, terminating_too: bool) -> bool {
    let Some(status) = &pod.status else {
        return false;
    };
    let addressed = status
        .pod_ip
        .as_deref()
        .is_some_and(|address| !address.is_empty())
        || status
            .pod_ips
            .as_ref()
            .is_some_and(|addresses| !addresses.is_empty());
    !pods::is_terminal(pod)
        && addressed
        && (terminating_too || pod.metadata.deletion_timestamp.is_none())
}

/// The pod's addresses of one family, in canonical form.
pub(crate) fn addresses(pod: &Pod, family: Family) -> Vec<String> {
    let listed = pod
        .status
        .iter()
        .flat_map(|status| status.pod_ips.iter().flatten());
    let parsed = listed.filter_map(|listed| listed.ip.parse::<IpAddr>().ok());
    parsed
        .filter(|address| Family::of(*address) == family)
        .map(|address| address.to_string())
        .collect()
}

/// The name under which a headless service answers for the pod alone.
pub(crate) fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.as_ref().filter(|name| !name.is_empty())?;
    let same = spec.subdomain == service.metadata.name
        && pod.metadata.namespace == service.metadata.namespace;
    same.then(|| hostname.clone())
}

/// The number a service's port has in the pod; none if the pod names no such port.
pub(crate) fn find_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let name = match &port.target_port {
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
        None => return Some(port.port),
    };
    let spec = pod.spec.as_ref()?;
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let lasting = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(lasting);
    let ports = spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten());
    ports
        .filter(|candidate| candidate.name.as_ref() == Some(name))
        .find(|candidate| candidate.protocol.as_deref().unwrap_or("TCP") == protocol)
        .map(|candidate| candidate.container_port)
}

/// Notes in an annotation when the change happened that endpoints are written for.
pub(crate) fn set_trigger(metadata: &mut ObjectMeta, trigger: Option<Timestamp>) {
    match trigger {
        Some(time) => {
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(TRIGGER_TIME.to_owned(), time.to_string());
        }
        None => {
            metadata
                .annotations
                .as_mut()
                .and_then(|annotations| annotations.remove(TRIGGER_TIME));
        }
    }
}

/// How an update of a pod changes the services that have it among their endpoints.
pub(crate) struct PodChange {
    /// The labels or the name in the domain moved: it may serve other services than before.
    pub moved: bool,
    /// The address, the readiness or the deletion changed.
    pub changed: bool,
}

pub(crate) fn compare(old: &Pod, new: &Pod) -> PodChange {
    let names = |pod: &Pod| {
        pod.spec
            .as_ref()
            .map(|spec| (spec.hostname.clone(), spec.subdomain.clone()))
    };
    let ips = |pod: &Pod| {
        pod.status
            .as_ref()
            .and_then(|status| status.pod_ips.clone())
            .unwrap_or_default()
    };
    PodChange {
        moved: old.metadata.labels != new.metadata.labels || names(old) != names(new),
        changed: old.metadata.deletion_timestamp != new.metadata.deletion_timestamp
            || pods::is_ready(old) != pods::is_ready(new)
            || ips(old) != ips(new)
            || pods::phase(old) != pods::phase(new),
    }
}

/// The selected services whose endpoints an update of a pod may change.
pub(crate) fn is_touched(
    selector: &BTreeMap<String, String>,
    old: Option<&Pod>,
    new: Option<&Pod>,
) -> bool {
    let selected =
        |pod: Option<&Pod>| pod.is_some_and(|pod| selects(selector, pod.metadata.labels.as_ref()));
    let (before, after) = (selected(old), selected(new));
    let (Some(old), Some(new)) = (old, new) else {
        return before || after;
    };
    let change = compare(old, new);
    match (change.moved, change.changed) {
        (true, true) => before || after,
        (true, false) => before != after || (before && names_moved(old, new)),
        (false, changed) => changed && after,
    }
}

fn names_moved(old: &Pod, new: &Pod) -> bool {
    let names = |pod: &Pod| {
        pod.spec
            .as_ref()
            .map(|spec| (spec.hostname.clone(), spec.subdomain.clone()))
    };
    names(old) != names(new)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    fn spec(value: Value) -> ServiceSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_service_has_the_families_it_names_or_those_of_its_address() {
        let cases = [
            (
                json!({"ipFamilies": ["IPv6", "IPv4"]}),
                vec![Family::V4, Family::V6],
            ),
            (
                json!({"ipFamilies": ["IPv6"], "clusterIP": "10.0.0.1"}),
                vec![Family::V6],
            ),
            (json!({"clusterIP": "fd00::1"}), vec![Family::V6]),
            (json!({"clusterIP": "10.0.0.1"}), vec![Family::V4]),
            (json!({"clusterIP": "None"}), vec![Family::V4, Family::V6]),
        ];
        for (given, expected) in cases {
            assert_eq!(families(&spec(given.clone())), expected, "{given}");
        }
    }

    #[test]
    fn a_named_port_is_looked_up_in_containers_and_in_sidecars() {
        let pod = pod(json!({"spec": {
            "containers": [{"name": "a", "ports": [{"name": "web", "containerPort": 80, "protocol": "UDP"}, {"name": "web", "containerPort": 81}]}],
            "initContainers": [
                {"name": "i", "ports": [{"name": "early", "containerPort": 1}]},
                {"name": "s", "restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 2}]},
            ],
        }}));
        let cases = [
            (json!({"port": 9, "targetPort": "web"}), Some(81)),
            (
                json!({"port": 9, "targetPort": "web", "protocol": "UDP"}),
                Some(80),
            ),
            (json!({"port": 9, "targetPort": "early"}), None),
            (json!({"port": 9, "targetPort": "side"}), Some(2)),
            (json!({"port": 9, "targetPort": 7}), Some(7)),
            (json!({"port": 9}), Some(9)),
        ];
        for (port, expected) in cases {
            let port: ServicePort = serde_json::from_value(port).unwrap();
            assert_eq!(find_port(&pod, &port), expected, "{port:?}");
        }
    }

    #[test]
    fn a_pod_is_an_endpoint_while_it_runs_and_has_an_address() {
        let cases = [
            (json!({"status": {"podIP": "10.0.0.1"}}), true, true),
            (
                json!({"status": {"podIPs": [{"ip": "10.0.0.1"}]}}),
                true,
                true,
            ),
            (json!({"status": {"phase": "Running"}}), false, false),
            (
                json!({"status": {"phase": "Failed", "podIP": "10.0.0.1"}}),
                false,
                false,
            ),
            (
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"podIP": "10.0.0.1"}}),
                true,
                false,
            ),
        ];
        for (given, with_terminating, without) in cases {
            let pod = pod(given.clone());
            assert_eq!(
                (is_candidate(&pod, true), is_candidate(&pod, false)),
                (with_terminating, without),
                "{given}"
            );
        }
    }

    #[test]
    fn a_service_is_synced_only_for_pod_changes_that_touch_its_endpoints() {
        let app = |name: &str, ip: &str, hostname: &str| {
            pod(
                json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [], "hostname": hostname}, "status": {"podIPs": [{"ip": ip}]}}),
            )
        };
        let selector = BTreeMap::from([("app".to_owned(), "a".to_owned())]);
        let first = app("a", "1.1.1.1", "");
        let cases = [
            (None, Some(app("a", "1.1.1.1", "")), true),
            (Some(first.clone()), None, true),
            (None, Some(app("b", "1.1.1.1", "")), false),
            (Some(first.clone()), Some(first.clone()), false),
            (Some(first.clone()), Some(app("a", "2.2.2.2", "")), true),
            (Some(first.clone()), Some(app("b", "1.1.1.1", "")), true),
            (Some(first.clone()), Some(app("a", "1.1.1.1", "h")), true),
            (
                Some(app("b", "1.1.1.1", "")),
                Some(app("b", "2.2.2.2", "")),
                false,
            ),
        ];
        for (old, new, expected) in cases {
            assert_eq!(
                is_touched(&selector, old.as_ref(), new.as_ref()),
                expected,
                "{old:?} {new:?}"
            );
        }
    }
}
