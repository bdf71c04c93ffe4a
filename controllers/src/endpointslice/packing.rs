//! Puts endpoints into slices so that few slices are written and none is fuller than it may be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

/// What tells one set of ports from another, in order.
pub(crate) type PortKey = Vec<(String, String, Option<i32>, String)>;

/// What tells one endpoint from another: its addresses, its hostname, and the namespace and name of what is behind it.
pub(crate) type EndpointKey = (Vec<String>, String, String, String);

pub(crate) type EndpointSet = BTreeMap<EndpointKey, Endpoint>;

pub(crate) fn port_key<'a>(ports: impl IntoIterator<Item = &'a EndpointPort>) -> PortKey {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let ports = ports.into_iter();
    let mut key: PortKey = ports
        .map(|port| {
            (
                text(&port.name),
                text(&port.protocol),
                port.port,
                text(&port.app_protocol),
            )
        })
        .collect();
    key.sort();
    key
}

pub(crate) fn endpoint_key(endpoint: &Endpoint) -> EndpointKey {
    let mut addresses = endpoint.addresses.clone();
    addresses.sort();
    let target = endpoint.target_ref.as_ref();
    let namespace = target
        .and_then(|target| target.namespace.clone())
        .unwrap_or_default();
    let name = target
        .and_then(|target| target.name.clone())
        .unwrap_or_default();
    (
        addresses,
        endpoint.hostname.clone().unwrap_or_default(),
        namespace,
        name,
    )
}

/// Whether two endpoints differ in nothing that clients see.
pub(crate) fn is_same_endpoint(a: &Endpoint, b: &Endpoint) -> bool {
    let plain = |endpoint: &Endpoint| {
        let mut plain = endpoint.clone();
        if let Some(target) = &mut plain.target_ref {
            target.resource_version = None;
        }
        plain
    };
    plain(a) == plain(b)
}

/// Whether a slice already says what it should.
pub(crate) fn is_same(old: &EndpointSlice, new: &EndpointSlice) -> bool {
    let (before, after) = (
        old.endpoints.as_deref().unwrap_or_default(),
        new.endpoints.as_deref().unwrap_or_default(),
    );
    old.metadata.labels == new.metadata.labels
        && before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(a, b)| is_same_endpoint(a, b))
}

/// The endpoints of one set of ports, and the empty slice that new ones are made from.
pub(crate) struct Desired {
    pub endpoints: EndpointSet,
    pub template: EndpointSlice,
    pub endpoints_max: usize,
}

/// Where the endpoints are put.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub create: Vec<EndpointSlice>,
    /// Slices that stay, as they are and as they become, which may be the same.
    pub keep: Vec<(Arc<EndpointSlice>, EndpointSlice)>,
    pub delete: Vec<Arc<EndpointSlice>>,
}

/// Leaves endpoints where they are, fills slices that are written anyway, fullest first,
/// then one slice into which the rest fits, and only then makes new ones.
pub(crate) fn pack(existing: &[Arc<EndpointSlice>], desired: Desired) -> Packed {
    let Desired {
        mut endpoints,
        template,
        endpoints_max,
    } = desired;
    let mut packed = Packed::default();
    let mut changed = BTreeSet::new();
    for old in existing {
        let new = retain(old, &mut endpoints, &template);
        if len(&new) == 0 && len(old) > 0 {
            packed.delete.push(Arc::clone(old));
            continue;
        }
        if !is_same_beyond_hints(old, &new) {
            changed.insert(packed.keep.len());
        }
        packed.keep.push((Arc::clone(old), new));
    }
    let mut written: Vec<usize> = changed.iter().copied().collect();
    written.sort_by_key(|place| std::cmp::Reverse(len(&packed.keep[*place].1)));
    for place in written {
        fill(&mut packed.keep[place].1, &mut endpoints, endpoints_max);
    }
    while !endpoints.is_empty() {
        let untouched = (0..packed.keep.len()).filter(|place| !changed.contains(place));
        let fitting = untouched
            .map(|place| (len(&packed.keep[place].1), place))
            .filter(|(len, _)| len + endpoints.len() <= endpoints_max)
            .max_by_key(|(len, place)| (*len, std::cmp::Reverse(*place)));
        match fitting {
            Some((_, place)) => {
                changed.insert(place);
                fill(&mut packed.keep[place].1, &mut endpoints, endpoints_max);
            }
            None => {
                let mut slice = template.clone();
                fill(&mut slice, &mut endpoints, endpoints_max);
                packed.create.push(slice);
            }
        }
    }
    packed
}

/// The old slice with only those endpoints that are still wanted, which are taken out of the wanted ones.
fn retain(
    old: &EndpointSlice,
    endpoints: &mut EndpointSet,
    template: &EndpointSlice,
) -> EndpointSlice {
    let mut new = old.clone();
    new.metadata.labels.clone_from(&template.metadata.labels);
    let before = old.endpoints.iter().flatten();
    new.endpoints = Some(
        before
            .filter_map(|endpoint| endpoints.remove(&endpoint_key(endpoint)))
            .collect(),
    );
    new
}

fn is_same_beyond_hints(old: &EndpointSlice, new: &EndpointSlice) -> bool {
    let mut old = old.clone();
    old.endpoints
        .iter_mut()
        .flatten()
        .for_each(|endpoint| endpoint.hints = None);
    is_same(&old, new)
}

fn len(slice: &EndpointSlice) -> usize {
    slice.endpoints.as_ref().map_or(0, Vec::len)
}

fn fill(slice: &mut EndpointSlice, endpoints: &mut EndpointSet, endpoints_max: usize) {
    let inside = slice.endpoints.get_or_insert_default();
    while inside.len() < endpoints_max {
        let Some((_, endpoint)) = endpoints.pop_first() else {
            break;
        };
        inside.push(endpoint);
    }
}
