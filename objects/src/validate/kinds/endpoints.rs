//! Endpoints and endpoint slices: where the traffic of a service goes.

use std::collections::BTreeSet;

use super::{
    ip, rules,
    service::PROTOCOLS,
    view::{View, same},
};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    validate::names,
};

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20000;
const TOPOLOGY_LABELS_MAX: usize = 16;
const HINTS_MAX: usize = 8;

pub(super) fn endpoints(new: &Value, faults: &mut Faults) {
    for subset in View::root(new).at("subsets").items() {
        let (ready, not_ready) = (subset.at("addresses"), subset.at("notReadyAddresses"));
        if ready.is_empty() && not_ready.is_empty() {
            faults.push(subset.required("must specify `addresses` or `notReadyAddresses`"));
        }
        for address in ready.items().chain(not_ready.items()) {
            endpoint_address(&address, faults);
        }
        let ports = subset.at("ports");
        for port in ports.items() {
            let name = port.at("name");
            if !name.is_empty() {
                rules::label(&name, faults);
            } else if ports.list().len() > 1 {
                faults.push(name.required(""));
            }
            rules::port_number(&port.at("port"), faults);
            port.at("protocol").require_one_of(PROTOCOLS, faults);
            if port.at("appProtocol").is_set() {
                rules::qualified_name(&port.at("appProtocol"), faults);
            }
        }
    }
}

pub(super) fn endpoints_update(new: &Value, old: &Value, faults: &mut Faults) {
    unless_unchanged(new, old, "subsets", endpoints, faults);
}

/// Faults of a list that stayed as it was are not told.
fn unless_unchanged(
    new: &Value,
    old: &Value,
    field: &str,
    check: fn(&Value, &mut Faults),
    faults: &mut Faults,
) {
    let (after, before) = (View::root(new).at(field), View::root(old).at(field));
    if !same(after.value, before.value) {
        check(new, faults);
    }
}

fn endpoint_address(address: &View<'_>, faults: &mut Faults) {
    let (own, hostname) = (address.at("ip"), address.at("hostname"));
    ip::address(&own, &[], faults);
    if !hostname.is_empty() {
        rules::label(&hostname, faults);
    }
    if address.at("nodeName").is_set() {
        rules::subdomain(&address.at("nodeName"), faults);
    }
    ip::endpoint(&own, faults);
}

pub(super) fn slice(new: &Value, faults: &mut Faults) {
    slice_head(new, faults);
    slice_endpoints(new, faults);
}

pub(super) fn slice_update(new: &Value, old: &Value, faults: &mut Faults) {
    slice_head(new, faults);
    unless_unchanged(new, old, "endpoints", slice_endpoints, faults);
    let kind = View::root(new).at("addressType");
    kind.immutable(&View::root(old).at("addressType"), faults);
}

fn slice_head(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    root.at("addressType")
        .require_one_of(&["FQDN", "IPv4", "IPv6"], faults);
    let ports = root.at("ports");
    if ports.list().len() > PORTS_MAX {
        let count = ports.list().len();
        faults.push(Invalid::too_many(&ports.path, count, PORTS_MAX));
        return;
    }
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.at("name");
        if !name.is_empty() {
            rules::label(&name, faults);
        }
        if !seen.insert(name.text()) {
            faults.push(name.duplicate());
        }
        let protocol = port.at("protocol");
        if protocol.is_set() {
            protocol.one_of(PROTOCOLS, faults);
        } else {
            faults.push(protocol.required(""));
        }
        if port.at("appProtocol").is_set() {
            rules::qualified_name(&port.at("appProtocol"), faults);
        }
    }
}

fn slice_endpoints(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    let (kind, endpoints) = (root.at("addressType").text(), root.at("endpoints"));
    if at_most(&endpoints, ENDPOINTS_MAX, faults) {
        return;
    }
    for endpoint in endpoints.items() {
        let addresses = endpoint.at("addresses");
        if addresses.require("must contain at least 1 address", faults) {
            at_most(&addresses, ADDRESSES_MAX, faults);
        }
        for address in addresses.items() {
            slice_address(&address, kind, &addresses, faults);
        }
        if endpoint.at("nodeName").is_set() {
            rules::subdomain(&endpoint.at("nodeName"), faults);
        }
        let topology = endpoint.at("deprecatedTopology");
        let count = topology.map().map_or(0, crate::Map::len);
        if count > TOPOLOGY_LABELS_MAX {
            faults.push(Invalid::too_many(
                &topology.path,
                count,
                TOPOLOGY_LABELS_MAX,
            ));
        }
        rules::labels(&topology, faults);
        if endpoint.at("hostname").is_set() {
            rules::label(&endpoint.at("hostname"), faults);
        }
        let hints = endpoint.at("hints");
        if !hint_names(&hints.at("forZones"), names::label_value, faults) {
            hint_names(&hints.at("forNodes"), names::subdomain, faults);
        }
    }
}

/// Whether a list has too many elements, which is told.
fn at_most(list: &View<'_>, count_max: usize, faults: &mut Faults) -> bool {
    let count = list.list().len();
    if count > count_max {
        faults.push(Invalid::too_many(&list.path, count, count_max));
    }
    count > count_max
}

fn slice_address(address: &View<'_>, kind: &str, addresses: &View<'_>, faults: &mut Faults) {
    let before = faults.len();
    match kind {
        "IPv4" => {
            ip::address(address, &[], faults);
        }
        "IPv6" => ip::canonical_address(address, faults),
        "FQDN" => return domain_name(address, faults),
        _ => return,
    }
    if faults.len() > before {
        return;
    }
    if (kind == "IPv6") != ip::is_ipv6(address.text()) {
        let detail = format!("must be an {kind} address");
        faults.push(Invalid::value(&addresses.path, address.text(), detail));
    }
    ip::endpoint(address, faults);
}

/// A name with at least two labels, which may end with a dot.
fn domain_name(name: &View<'_>, faults: &mut Faults) {
    if !name.require("", faults) {
        return;
    }
    let text = name.text();
    let bare = text.strip_suffix('.').unwrap_or(text);
    let wrong = names::subdomain(bare);
    if !wrong.is_empty() {
        name.tell(wrong, faults);
    } else if !bare.contains('.') {
        faults
            .push(name.invalid("should be a domain with at least two segments separated by dots"));
    } else {
        for label in bare.split('.') {
            if label.len() > names::LABEL_LENGTH_MAX {
                let detail = "a DNS label must be no more than 63 characters";
                faults.push(name.invalid(detail));
            }
        }
    }
}

/// The names of the places that an endpoint is hinted to; whether there are too many.
fn hint_names(places: &View<'_>, rule: names::Rule, faults: &mut Faults) -> bool {
    if at_most(places, HINTS_MAX, faults) {
        return true;
    }
    let mut seen = BTreeSet::new();
    for place in places.items() {
        let name = place.at("name");
        if !seen.insert(name.text()) {
            faults.push(name.duplicate());
        }
        rules::named(&name, rule, faults);
    }
    false
}
