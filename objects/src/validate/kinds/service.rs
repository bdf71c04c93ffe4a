//! Services: types and the fields that each of them has, ports, addresses and their families.

use std::collections::BTreeSet;

use super::{
    ip, rules,
    view::{self, View},
};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
};

mod addresses;
mod warnings;

pub(super) use warnings::warnings;

const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const AFFINITY_SECONDS_MAX: i64 = 86400;
const ONCE_SET: &str = "may not change once set";
const BALANCERS_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
pub(super) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub(super) fn create(new: &Value, faults: &mut Faults) {
    service(new, None, faults);
}

pub(super) fn update(new: &Value, old: &Value, faults: &mut Faults) {
    let (spec, old_spec) = (View::root(new).at("spec"), View::root(old).at("spec"));
    addresses::change(&spec, &old_spec, faults);
    balancer_class(&spec, Some(&old_spec), faults);
    if needs_health_check(&spec) && needs_health_check(&old_spec) {
        let port = spec.at("healthCheckNodePort");
        if port.number() != old_spec.at("healthCheckNodePort").number() {
            faults.push(port.forbidden("field is immutable"));
        }
    }
    service(new, Some(old), faults);
}

pub(super) fn status(new: &Value, old: &Value, faults: &mut Faults) {
    let balancer = View::root(new).at("status").at("loadBalancer");
    let old = View::root(old).at("status").at("loadBalancer");
    let is_balancer = meta::text(new, &["spec", "type"]) == "LoadBalancer";
    balancer_status(&balancer, &old, is_balancer, faults);
}

/// The addresses at which a load balancer takes traffic; of services and ingresses.
fn balancer_status(balancer: &View<'_>, old: &View<'_>, is_balancer: bool, faults: &mut Faults) {
    let ingresses = balancer.at("ingress");
    if !is_balancer && !ingresses.is_empty() {
        faults.push(ingresses.forbidden("may only be used when `spec.type` is 'LoadBalancer'"));
        return;
    }
    let known: Vec<&str> = old
        .at("ingress")
        .items()
        .map(|ingress| ingress.at("ip").text())
        .filter(|text| !text.is_empty())
        .collect();
    for ingress in ingresses.items() {
        let (address, mode) = (ingress.at("ip"), ingress.at("ipMode"));
        if !address.is_empty() {
            ip::address(&address, &known, faults);
        }
        if !mode.is_set() && !address.is_empty() {
            faults.push(mode.required("must be specified when `ip` is set"));
        } else if mode.is_set() && address.is_empty() {
            faults.push(mode.forbidden("may not be specified when `ip` is not set"));
        } else if mode.is_set() {
            mode.one_of(&["Proxy", "VIP"], faults);
        }
        hostname(&ingress.at("hostname"), faults);
    }
}

/// The name of a load balancer.
pub(super) fn hostname(name: &View<'_>, faults: &mut Faults) {
    if name.is_empty() {
        return;
    }
    rules::subdomain(name, faults);
    if ip::parse(name.text()).is_some() {
        faults.push(name.invalid("must be a DNS name, not an IP address"));
    }
}

/// The type of a service, and what follows from it.
pub(super) fn kind<'a>(spec: &View<'a>) -> &'a str {
    spec.at("type").text()
}

pub(super) fn is_headless(spec: &View<'_>) -> bool {
    spec.at("clusterIPs").texts() == ["None"]
}

pub(super) fn is_accessible(spec: &View<'_>) -> bool {
    match kind(spec) {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !spec.at("externalIPs").is_empty(),
        _ => false,
    }
}

pub(super) fn needs_health_check(spec: &View<'_>) -> bool {
    kind(spec) == "LoadBalancer" && spec.at("externalTrafficPolicy").text() == "Local"
}

fn service(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let root = View::root(new);
    let annotations = root.at("metadata").at("annotations");
    let (hints, mode) = (
        annotations.key(TOPOLOGY_HINTS),
        annotations.key(TOPOLOGY_MODE),
    );
    if hints.is_set() && mode.is_set() && hints.value != mode.value {
        faults.push(mode.invalid(format!(
            "must match annotations[{TOPOLOGY_HINTS}] when both are specified"
        )));
    }
    let spec = root.at("spec");
    let old_spec = old.map(|old| View::root(old).at("spec"));
    let ports = spec.at("ports");
    if ports.is_empty() && !is_headless(&spec) && kind(&spec) != "ExternalName" {
        faults.push(ports.required(""));
    }
    of_type(&spec, faults);
    let mut names = BTreeSet::new();
    for item in ports.items() {
        port(&item, ports.list().len() > 1, &mut names, faults);
    }
    if spec.at("selector").is_set() {
        rules::labels(&spec.at("selector"), faults);
    }
    affinity(&spec, faults);
    addresses::fields(&spec, old_spec.as_ref(), faults);
    external_addresses(&spec, old_spec.as_ref(), faults);
    spec.at("type").require_one_of(
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        faults,
    );
    port_pairs(&spec, faults);
    source_ranges(&root, old, faults);
    let allocate = spec.at("allocateLoadBalancerNodePorts");
    let is_balancer = kind(&spec) == "LoadBalancer";
    if allocate.is_set() && !is_balancer {
        faults.push(allocate.forbidden(BALANCERS_ONLY));
    }
    if !allocate.is_set() && is_balancer {
        let path = Path::new("allocateLoadBalancerNodePorts");
        faults.push(Invalid::required(&path, ""));
    }
    balancer_class(&spec, None, faults);
    policies(&spec, faults);
}

/// What the type of a service forbids and asks for.
fn of_type(spec: &View<'_>, faults: &mut Faults) {
    match kind(spec) {
        kind @ ("LoadBalancer" | "NodePort") if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            let path = spec.path.child("clusterIPs").index(0);
            faults.push(Invalid::value(&path, "None", detail));
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                let field = spec.at(field);
                if field.is_set() && !field.list().is_empty() || field.value.is_string() {
                    faults.push(field.forbidden("may not be set for ExternalName services"));
                }
            }
            let name = spec.at("externalName");
            let text = name.text();
            let text = text.strip_suffix('.').unwrap_or(text);
            if text.is_empty() {
                faults.push(name.required(""));
            } else {
                let value = Value::from(text);
                let bare = View {
                    path: name.path,
                    value: &value,
                };
                rules::subdomain(&bare, faults);
            }
        }
        _ => {}
    }
}

fn port<'a>(port: &View<'a>, needs_name: bool, names: &mut BTreeSet<&'a str>, faults: &mut Faults) {
    let name = port.at("name");
    if needs_name && name.is_empty() {
        faults.push(name.required(""));
    } else if !name.is_empty() {
        rules::label(&name, faults);
        if !names.insert(name.text()) {
            faults.push(name.duplicate());
        }
    }
    rules::port_number(&port.at("port"), faults);
    port.at("protocol").require_one_of(PROTOCOLS, faults);
    rules::port_number_or_name(&port.at("targetPort"), faults);
    if port.at("appProtocol").is_set() {
        rules::qualified_name(&port.at("appProtocol"), faults);
    }
}

fn affinity(spec: &View<'_>, faults: &mut Faults) {
    let affinity = spec.at("sessionAffinity");
    affinity.require_one_of(&["ClientIP", "None"], faults);
    let config = spec.at("sessionAffinityConfig");
    let detail = "when session affinity type is ClientIP";
    let client = config.at("clientIP");
    let seconds = client.at("timeoutSeconds");
    match affinity.text() {
        "ClientIP" => {
            if let Some(missing) = [&config, &client, &seconds]
                .into_iter()
                .find(|field| !field.is_set())
            {
                faults.push(missing.required(detail));
            } else if seconds.number() <= 0 || seconds.number() > AFFINITY_SECONDS_MAX {
                faults.push(seconds.invalid(format!(
                    "must be greater than 0 and less than {AFFINITY_SECONDS_MAX}"
                )));
            }
        }
        "None" if config.is_set() => {
            faults.push(config.forbidden("must not be set when session affinity is None"));
        }
        _ => {}
    }
}

fn external_addresses(spec: &View<'_>, old: Option<&View<'_>>, faults: &mut Faults) {
    let known = old.map_or_else(Vec::new, |old| old.at("externalIPs").texts());
    for address in spec.at("externalIPs").items() {
        if ip::address(&address, &known, faults) {
            ip::endpoint(&address, faults);
        }
    }
}

/// Node ports where there may be none, and pairs of protocol and port that stand twice.
fn port_pairs(spec: &View<'_>, faults: &mut Faults) {
    if kind(spec) == "ClusterIP" {
        for port in spec.at("ports").items() {
            if port.at("nodePort").number() != 0 {
                let detail = "may not be used when `type` is 'ClusterIP'";
                faults.push(port.at("nodePort").forbidden(detail));
            }
        }
    }
    let mut seen = BTreeSet::new();
    for port in spec.at("ports").items() {
        let node_port = port.at("nodePort");
        let new = seen.insert((port.at("protocol").text(), node_port.number()));
        if node_port.number() != 0 && !new {
            faults.push(node_port.duplicate());
        }
    }
    let mut seen = BTreeSet::new();
    for port in spec.at("ports").items() {
        let (protocol, number) = (port.at("protocol").text(), port.at("port").number());
        if !seen.insert((protocol, number)) {
            let shown = view::shown(&[
                ("Name", "".into()),
                ("Protocol", protocol.into()),
                ("AppProtocol", Value::Null),
                ("Port", number.into()),
                ("TargetPort", 0.into()),
                ("NodePort", 0.into()),
            ]);
            faults.push(port.duplicate().showing(shown));
        }
    }
}

fn source_ranges(root: &View<'_>, old: Option<&Value>, faults: &mut Faults) {
    let spec = root.at("spec");
    let is_balancer = kind(&spec) == "LoadBalancer";
    let ranges = spec.at("loadBalancerSourceRanges");
    let annotation = root.at("metadata").at("annotations").key(SOURCE_RANGES);
    if !ranges.is_empty() {
        // Upstream's path has a capital here.
        let path = spec.path.child("LoadBalancerSourceRanges");
        if !is_balancer {
            faults.push(Invalid::forbidden(&path, BALANCERS_ONLY));
        }
        let old_spec = old.map(|old| View::root(old).at("spec"));
        let known = old_spec.map_or_else(Vec::new, |old| {
            let ranges = old.at("loadBalancerSourceRanges").texts();
            ranges.into_iter().map(str::trim).collect()
        });
        for (index, range) in ranges.texts().into_iter().enumerate() {
            let value = Value::from(range.trim());
            let view = View {
                path: path.index(index),
                value: &value,
            };
            ip::network(&view, &known, faults);
        }
    } else if annotation.is_set() {
        if !is_balancer {
            faults.push(annotation.forbidden(BALANCERS_ONLY));
        }
        let before = old.and_then(|old| meta::annotation(old, SOURCE_RANGES));
        let text = annotation.text().trim();
        if before != Some(annotation.text()) && !text.is_empty() {
            for range in text.split(',') {
                let value = Value::from(range.trim());
                let view = View {
                    path: annotation.path.clone(),
                    value: &value,
                };
                ip::network(&view, &[], faults);
            }
        }
    }
}

fn balancer_class(spec: &View<'_>, old: Option<&View<'_>>, faults: &mut Faults) {
    let class = spec.at("loadBalancerClass");
    let is_balancer = kind(spec) == "LoadBalancer";
    if let Some(old) = old
        && is_balancer
        && kind(old) == "LoadBalancer"
        && class.value != old.at("loadBalancerClass").value
    {
        faults.push(class.invalid(ONCE_SET));
    }
    if !class.is_set() {
        return;
    }
    if is_balancer {
        rules::qualified_name(&class, faults);
    } else {
        faults.push(class.forbidden(BALANCERS_ONLY));
    }
}

/// Where traffic may go: the policies for traffic from outside and from within, and its distribution.
fn policies(spec: &View<'_>, faults: &mut Faults) {
    let external = spec.at("externalTrafficPolicy");
    if is_accessible(spec) {
        external.require_one_of(&["Cluster", "Local"], faults);
    } else if !external.is_empty() {
        faults.push(external.invalid("may only be set for externally-accessible services"));
    }
    let port = spec.at("healthCheckNodePort");
    if !needs_health_check(spec) {
        if port.number() != 0 {
            faults.push(port.invalid("may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"));
        }
    } else if port.number() == 0 {
        faults.push(port.required(""));
    } else {
        rules::port_number(&port, faults);
    }
    let internal = spec.at("internalTrafficPolicy");
    if internal.is_set() {
        internal.one_of(&["Cluster", "Local"], faults);
    } else if matches!(kind(spec), "NodePort" | "LoadBalancer" | "ClusterIP") {
        faults.push(internal.required(""));
    }
    let distribution = spec.at("trafficDistribution");
    if distribution.is_set() {
        distribution.one_of(&["PreferClose", "PreferSameZone", "PreferSameNode"], faults);
    }
}
