//! What a service says and needs of families, addresses and ports of nodes.

use objects::path::Path;
use objects::{Value, meta};
use serde_json::json;

use super::ranges::Ranges;

fn texts(service: &Value, field: &str) -> Vec<String> {
    meta::list(service, &["spec", field])
        .iter()
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

fn is_headless(service: &Value) -> bool {
    meta::text(service, &["spec", "clusterIP"]) == "None"
}

fn is_external(service: &Value) -> bool {
    meta::text(service, &["spec", "type"]) == "ExternalName"
}

pub(super) fn has_addresses(service: &Value) -> bool {
    !is_external(service) && !is_headless(service)
}

/// The addresses that a service has of the cluster.
pub(super) fn addresses(service: &Value) -> Vec<String> {
    if !has_addresses(service) {
        return Vec::new();
    }
    let all = texts(service, "clusterIPs");
    let one = meta::text(service, &["spec", "clusterIP"]);
    if all.is_empty() && !one.is_empty() {
        return vec![one.to_owned()];
    }
    all
}

pub(super) fn families(service: &Value) -> Vec<String> {
    texts(service, "ipFamilies")
}

/// Fills in the families of a service and how it comes by them.
pub(super) fn set_families(ranges: &Ranges, service: &mut Value, old: Option<&Value>) {
    if is_external(service) {
        return;
    }
    let said = |field: &str| {
        old.and_then(|old| meta::at(old, &["spec", field]))
            .filter(|value| !value.is_null())
            .cloned()
    };
    let selects = meta::map(service, &["spec", "selector"]).is_some_and(|map| !map.is_empty());
    let free = is_headless(service) && !selects;
    if meta::text(service, &["spec", "ipFamilyPolicy"]).is_empty() {
        let policy = if free {
            "RequireDualStack"
        } else {
            "SingleStack"
        };
        let policy = said("ipFamilyPolicy").unwrap_or_else(|| json!(policy));
        meta::fields_mut(service, "spec").insert("ipFamilyPolicy".to_owned(), policy);
    }
    let mut families = families(service);
    if families.is_empty()
        && let Some(before) = said("ipFamilies")
    {
        meta::fields_mut(service, "spec").insert("ipFamilies".to_owned(), before);
        return;
    }
    for address in addresses(service).iter().skip(families.len()) {
        let family = if address.contains(':') {
            "IPv6"
        } else {
            "IPv4"
        };
        families.push(family.to_owned());
    }
    let own = ranges.all_families();
    if families.is_empty() {
        families.extend(own.first().map(|family| (*family).to_owned()));
    }
    let single = meta::text(service, &["spec", "ipFamilyPolicy"]) == "SingleStack";
    if families.len() == 1 && !single {
        let other = if families[0] == "IPv4" {
            "IPv6"
        } else {
            "IPv4"
        };
        if free || own.contains(&other) {
            families.push(other.to_owned());
        }
    }
    meta::fields_mut(service, "spec").insert("ipFamilies".to_owned(), json!(families));
}

/// A place for the number of a node's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Of a port, by its index.
    Port(usize),
    HealthCheck,
}

impl Slot {
    pub(super) fn path(self) -> Path {
        let spec = Path::new("spec");
        match self {
            Slot::Port(index) => spec.child("ports").index(index).child("nodePort"),
            Slot::HealthCheck => spec.child("healthCheckNodePort"),
        }
    }
}

/// The places that a service has a number in, or needs one.
pub(super) fn port_slots(service: &Value) -> Vec<Slot> {
    let kind = meta::text(service, &["spec", "type"]);
    if !matches!(kind, "NodePort" | "LoadBalancer") {
        return Vec::new();
    }
    let made = kind == "NodePort"
        || meta::at(service, &["spec", "allocateLoadBalancerNodePorts"]) != Some(&json!(false));
    let count = meta::list(service, &["spec", "ports"]).len();
    let mut slots: Vec<Slot> = (0..count)
        .map(Slot::Port)
        .filter(|slot| made || node_port(service, slot).is_some())
        .collect();
    let local = meta::text(service, &["spec", "externalTrafficPolicy"]) == "Local";
    if kind == "LoadBalancer" && local {
        slots.push(Slot::HealthCheck);
    }
    slots
}

pub(super) fn node_port(service: &Value, slot: &Slot) -> Option<i64> {
    let number = match slot {
        Slot::Port(index) => meta::list(service, &["spec", "ports"])
            .get(*index)?
            .get("nodePort"),
        Slot::HealthCheck => meta::at(service, &["spec", "healthCheckNodePort"]),
    };
    number.and_then(Value::as_i64).filter(|number| *number != 0)
}

pub(super) fn set_node_port(service: &mut Value, slot: &Slot, number: i64) {
    match slot {
        Slot::Port(index) => service["spec"]["ports"][*index]["nodePort"] = json!(number),
        Slot::HealthCheck => service["spec"]["healthCheckNodePort"] = json!(number),
    }
}

/// All ports of nodes that a service has.
pub(super) fn node_ports(service: &Value) -> Vec<i64> {
    port_slots(service)
        .iter()
        .filter_map(|slot| node_port(service, slot))
        .collect()
}

/// The number of a port with the same number and another protocol, which a port takes as its own.
pub(super) fn shared_port(service: &Value, slot: &Slot) -> Option<i64> {
    let Slot::Port(index) = slot else { return None };
    let ports = meta::list(service, &["spec", "ports"]);
    let own = ports.get(*index)?;
    let same =
        |other: &&Value| other["port"] == own["port"] && other["protocol"] != own["protocol"];
    let numbers = ports
        .iter()
        .filter(same)
        .map(|port| port["nodePort"].as_i64());
    let taken = |number: &i64| {
        ports
            .iter()
            .any(|port| port["nodePort"] == *number && port["protocol"] == own["protocol"])
    };
    numbers
        .flatten()
        .find(|number| *number != 0 && !taken(number))
}

#[cfg(test)]
mod tests {
    use objects::Value;
    use serde_json::json;

    use super::{Ranges, Slot, port_slots, set_families, shared_port};

    fn with_families(mut service: Value) -> String {
        let ranges = Ranges::parse("10.0.0.0/24", "30000-32767").unwrap();
        set_families(&ranges, &mut service, None);
        let spec = &service["spec"];
        format!("{} {}", spec["ipFamilyPolicy"], spec["ipFamilies"])
    }

    #[test]
    fn a_service_has_the_first_family_and_a_headless_one_without_selector_both() {
        let plain = json!({"spec": {"type": "ClusterIP"}});
        assert_eq!(with_families(plain), r#""SingleStack" ["IPv4"]"#);
        let headless = json!({"spec": {"type": "ClusterIP", "clusterIP": "None"}});
        assert_eq!(
            with_families(headless),
            r#""RequireDualStack" ["IPv4","IPv6"]"#
        );
        let external = json!({"spec": {"type": "ExternalName"}});
        assert_eq!(with_families(external), "null null");
    }

    #[test]
    fn ports_of_two_protocols_share_a_number() {
        let service = json!({"spec": {"type": "NodePort", "ports": [
            {"port": 53, "protocol": "UDP", "nodePort": 30053}, {"port": 53, "protocol": "TCP"}, {"port": 80, "protocol": "TCP"},
        ]}});
        assert_eq!(port_slots(&service).len(), 3);
        assert_eq!(shared_port(&service, &Slot::Port(1)), Some(30_053));
        assert_eq!(shared_port(&service, &Slot::Port(2)), None);
    }
}
