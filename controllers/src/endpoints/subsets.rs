//! Subsets in their one canonical form, and cut to what one object may hold.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset};

/// Two addresses are the same if they are of the same pod.
type AddressKey = (String, Option<String>);

/// A name, a number, a protocol, an application's protocol; none at all where a subset has no ports.
type PortKey = Option<(Option<String>, i32, Option<String>, Option<String>)>;

/// The addresses that offer a port, and whether they are ready.
type Offer = BTreeMap<AddressKey, bool>;

/// Brings subsets into the form in which every address stands once for the ports it offers, all in order.
pub(crate) fn repack(subsets: &[EndpointSubset]) -> Vec<EndpointSubset> {
    let mut addresses = BTreeMap::new();
    let mut offers: BTreeMap<PortKey, Offer> = BTreeMap::new();
    for subset in subsets {
        for port in port_keys(subset) {
            let offer = offers.entry(port).or_default();
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
            for (address, is_ready) in ready.chain(waiting) {
                let key = address_key(address);
                addresses
                    .entry(key.clone())
                    .or_insert_with(|| address.clone());
                let known = offer.entry(key).or_insert(is_ready);
                *known &= is_ready;
            }
        }
    }
    let mut by_offer: BTreeMap<Offer, Vec<EndpointPort>> = BTreeMap::new();
    for (port, offer) in offers {
        by_offer.entry(offer).or_default().extend(port.map(port_of));
    }
    by_offer
        .into_iter()
        .map(|(offer, ports)| subset(&offer, ports, &addresses))
        .collect()
}

fn subset(
    offer: &Offer,
    ports: Vec<EndpointPort>,
    addresses: &BTreeMap<AddressKey, EndpointAddress>,
) -> EndpointSubset {
    let of = |wanted: bool| {
        let chosen = offer.iter().filter(|(_, ready)| **ready == wanted);
        let chosen: Vec<_> = chosen
            .filter_map(|(key, _)| addresses.get(key).cloned())
            .collect();
        (!chosen.is_empty()).then_some(chosen)
    };
    EndpointSubset {
        addresses: of(true),
        not_ready_addresses: of(false),
        ports: (!ports.is_empty()).then_some(ports),
    }
}

fn address_key(address: &EndpointAddress) -> AddressKey {
    (
        address.ip.clone(),
        address
            .target_ref
            .as_ref()
            .and_then(|target| target.uid.clone()),
    )
}

fn port_keys(subset: &EndpointSubset) -> Vec<PortKey> {
    let ports = subset.ports.iter().flatten();
    let keys: Vec<PortKey> = ports
        .map(|port| {
            Some((
                port.name.clone(),
                port.port,
                port.protocol.clone(),
                port.app_protocol.clone(),
            ))
        })
        .collect();
    if keys.is_empty() { vec![None] } else { keys }
}

fn port_of(key: (Option<String>, i32, Option<String>, Option<String>)) -> EndpointPort {
    let (name, port, protocol, app_protocol) = key;
    EndpointPort {
        app_protocol,
        name,
        port,
        protocol,
    }
}

/// Cuts subsets down to so many addresses in all, ready ones first and every subset by its share.
/// Whether anything was cut.
pub(crate) fn truncate(subsets: &mut [EndpointSubset], addresses_max: usize) -> bool {
    let len = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
    let ready: usize = subsets.iter().map(|subset| len(&subset.addresses)).sum();
    let waiting: usize = subsets
        .iter()
        .map(|subset| len(&subset.not_ready_addresses))
        .sum();
    if ready + waiting <= addresses_max {
        return false;
    }
    let cuts_ready = ready > addresses_max;
    let (room, total) = if cuts_ready {
        (addresses_max, ready)
    } else {
        (addresses_max - ready, waiting)
    };
    let mut left = room;
    for subset in subsets {
        if cuts_ready {
            subset.not_ready_addresses = None;
        }
        let list = if cuts_ready {
            &mut subset.addresses
        } else {
            &mut subset.not_ready_addresses
        };
        let Some(inside) = list else { continue };
        inside.truncate((inside.len() * room).div_ceil(total).min(left));
        left -= inside.len();
        if inside.is_empty() {
            *list = None;
        }
    }
    true
}
