//! Network policies, ingresses, their classes, and the addresses of services.

use super::{
    ip, rules, service,
    view::{IMMUTABLE, View},
};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    validate::names,
};

pub(super) mod ingress;

/// A service has addresses of no more families than there are.
const NETWORKS_MAX: usize = 2;

pub(super) fn policy(new: &Value, faults: &mut Faults) {
    policy_spec(new, &[], faults);
}

pub(super) fn policy_update(new: &Value, old: &Value, faults: &mut Faults) {
    let spec = View::root(old).at("spec");
    let mut known = Vec::new();
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.at(rules).items() {
            for peer in rule.at(peers).items() {
                known.push(peer.at("ipBlock").at("cidr").text());
                known.extend(peer.at("ipBlock").at("except").texts());
            }
        }
    }
    policy_spec(new, &known, faults);
}

fn policy_spec(new: &Value, known: &[&str], faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    rules::selector(&spec.at("podSelector"), faults);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.at(rules).items() {
            for port in rule.at("ports").items() {
                policy_port(&port, faults);
            }
            for peer in rule.at(peers).items() {
                policy_peer(&peer, known, faults);
            }
        }
    }
    let (types, choices) = (spec.at("policyTypes"), ["Ingress", "Egress"]);
    if types.list().len() > choices.len() {
        faults.push(types.invalid("may not specify more than two policyTypes"));
        return;
    }
    for kind in types.items() {
        kind.one_of(&choices, faults);
    }
}

fn policy_port(port: &View<'_>, faults: &mut Faults) {
    let (number, end, protocol) = (port.at("port"), port.at("endPort"), port.at("protocol"));
    if protocol.is_set() {
        protocol.one_of(&["TCP", "UDP", "SCTP"], faults);
    }
    if !number.is_set() {
        if end.is_set() {
            faults.push(end.invalid("may not be specified when `port` is not specified"));
        }
    } else if number.value.is_string() {
        if end.is_set() {
            faults.push(end.invalid("may not be specified when `port` is non-numeric"));
        }
        rules::port_number_or_name(&number, faults);
    } else {
        rules::port_number(&number, faults);
        if end.is_set() {
            if end.number() < number.number() {
                // Upstream shows the port and not its end.
                let told = number.told_as(end.path.clone());
                faults.push(told.invalid("must be greater than or equal to `port`"));
            }
            rules::port_number(&end, faults);
        }
    }
}

fn policy_peer(peer: &View<'_>, known: &[&str], faults: &mut Faults) {
    let block = peer.at("ipBlock");
    let mut count = usize::from(block.is_set());
    for field in ["podSelector", "namespaceSelector"] {
        let selector = peer.at(field);
        count += usize::from(selector.is_set());
        rules::selector(&selector, faults);
    }
    if block.is_set() {
        address_block(&block, known, faults);
    }
    if count == 0 {
        faults.push(peer.required("must specify a peer"));
    } else if count > 1 && block.is_set() {
        faults.push(peer.forbidden("may not specify both ipBlock and another peer"));
    }
}

fn address_block(block: &View<'_>, known: &[&str], faults: &mut Faults) {
    let whole = block.at("cidr");
    if !whole.require("", faults) {
        return;
    }
    ip::network(&whole, known, faults);
    let Some(network) = ip::parse_network(whole.text()) else {
        return;
    };
    for except in block.at("except").items() {
        ip::network(&except, known, faults);
        let Some(part) = ip::parse_network(except.text()) else {
            continue;
        };
        if !network.contains(part) || network.length >= part.length {
            faults.push(except.invalid("must be a strict subset of `cidr`"));
        }
    }
}

pub(super) fn address(new: &Value, faults: &mut Faults) {
    let parent = View::root(new).at("spec").at("parentRef");
    if !parent.is_set() {
        faults.push(parent.required(""));
        return;
    }
    if !parent.at("group").is_empty() {
        rules::subdomain(&parent.at("group"), faults);
    }
    for field in ["resource", "name"] {
        if parent.at(field).require("", faults) {
            rules::named(&parent.at(field), names::path_segment, faults);
        }
    }
    if !parent.at("namespace").is_empty() {
        rules::named(&parent.at("namespace"), names::path_segment, faults);
    }
}

pub(super) fn address_update(new: &Value, old: &Value, faults: &mut Faults) {
    let of = |object| View::root(object).at("spec").at("parentRef");
    let (parent, before) = (of(new), View::root(old).at("spec").at("parentRef"));
    if !super::view::same(parent.value, before.value) {
        let text = |field: &str| Value::from(parent.at(field).text());
        let shown = super::view::shown(&[
            ("Group", text("group")),
            ("Resource", text("resource")),
            ("Namespace", text("namespace")),
            ("Name", text("name")),
        ]);
        faults.push(parent.invalid(IMMUTABLE).showing(shown));
    }
}

/// The name of an address is the address.
pub(super) fn address_name(name: &str) -> Vec<String> {
    let value = Value::from(name);
    let mut faults = Faults::new();
    ip::canonical_address(&View::root(&value), &mut faults);
    faults.into_iter().map(|fault| fault.detail).collect()
}

pub(super) fn service_networks(new: &Value, faults: &mut Faults) {
    let networks = View::root(new).at("spec").at("cidrs");
    if !networks.require("at least one CIDR required", faults) {
        return;
    }
    let count = networks.list().len();
    if count > NETWORKS_MAX {
        let spec = View::root(new).at("spec").told_as(networks.path.clone());
        let shown = super::view::shown(&[("CIDRs", networks.value.clone())]);
        faults.push(spec.invalid("may only hold up to 2 values").showing(shown));
        return;
    }
    for network in networks.items() {
        ip::canonical_network(&network, faults);
    }
    let families: Vec<Option<bool>> = networks
        .texts()
        .into_iter()
        .map(|text| ip::parse_network(text).map(|network| network.address.is_ipv6()))
        .collect();
    if let [Some(first), Some(second)] = families[..]
        && first == second
    {
        faults.push(networks.invalid("may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"));
    }
}

pub(super) fn service_networks_update(new: &Value, old: &Value, faults: &mut Faults) {
    let networks = View::root(new).at("spec").at("cidrs");
    let before = View::root(old).at("spec").at("cidrs").texts();
    let (after, grows) = (networks.list().len(), before.len() == 1);
    if after != before.len() && !(grows && after == NETWORKS_MAX) {
        faults.push(networks.invalid(IMMUTABLE));
        return;
    }
    for (network, before) in networks.items().zip(&before) {
        if network.text() != *before {
            faults.push(network.invalid(IMMUTABLE));
        }
    }
    if after != before.len() {
        service_networks(new, faults);
    }
}

/// The kind and name of something that a field refers to, and the group if there is one.
fn reference(reference: &View<'_>, faults: &mut Faults) {
    if reference.at("apiGroup").is_set() {
        rules::subdomain(&reference.at("apiGroup"), faults);
    }
    for field in ["kind", "name"] {
        let field = reference.at(field);
        if field.require("", faults) {
            rules::named(&field, names::path_segment, faults);
        }
    }
}

/// The addresses of the load balancer in front of an ingress.
pub(super) fn ingress_status(new: &Value, old: &Value, faults: &mut Faults) {
    let of = |object| {
        View::root(object)
            .at("status")
            .at("loadBalancer")
            .at("ingress")
    };
    let before = View::root(old)
        .at("status")
        .at("loadBalancer")
        .at("ingress");
    let known: Vec<&str> = before.items().map(|item| item.at("ip").text()).collect();
    for item in of(new).items() {
        if !item.at("ip").is_empty() {
            ip::address(&item.at("ip"), &known, faults);
        }
        service::hostname(&item.at("hostname"), faults);
    }
}

/// A fault of a whole backend, whose value is not shown.
fn backend_fault(backend: &View<'_>, detail: &str) -> Invalid {
    Invalid::value(&backend.path, "", detail)
}
