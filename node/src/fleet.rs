//! The nodes of this process: those that it made and those that were given to it, with their addresses and those of their pods.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use client::{Key, Store};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;

use crate::register;
use crate::stages::has_ended;

/// The first address of pods whose nodes have no range.
const FIRST_POD: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
/// Addresses of the pods of each such node, and how many nodes have ones of their own.
const PODS_EACH: u32 = 1024;
const NODES_OF_THEIR_OWN: u32 = 8192;

/// What is known of the nodes beside their objects.
pub(crate) struct Fleet {
    pub(crate) nodes: Store<Node>,
    numbers: Mutex<Numbers>,
    pods: Mutex<HashMap<String, Slots>>,
}

#[derive(Debug, Default)]
struct Numbers {
    first: usize,
    by_name: HashMap<String, usize>,
    taken: BTreeSet<usize>,
}

/// The addresses that a node's pods have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u32,
    count: u32,
}

impl Range {
    /// What the node was given, or else what its number gives it.
    fn of(node: &Node, number: usize) -> Range {
        let spec = node.spec.as_ref();
        let given = spec.and_then(|spec| {
            let all = spec.pod_cidrs.iter().flatten();
            all.chain(&spec.pod_cidr)
                .find_map(|text| Range::parse(text))
        });
        given.unwrap_or_else(|| {
            let number = u32::try_from(number).unwrap_or_default() % NODES_OF_THEIR_OWN;
            Range {
                first: u32::from(FIRST_POD) + number * PODS_EACH,
                count: PODS_EACH,
            }
        })
    }

    /// A range of IPv4 addresses.
    fn parse(text: &str) -> Option<Range> {
        let (address, bits) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let rest = 32_u32.checked_sub(bits.parse().ok()?)?;
        let count = 1_u32.checked_shl(rest)?;
        Some(Range {
            first: u32::from(address) & !(count - 1),
            count,
        })
    }
}

/// Which pod has which address of a node's.
#[derive(Debug, Default)]
struct Slots {
    by_uid: HashMap<String, u32>,
    taken: BTreeSet<u32>,
}

impl Fleet {
    /// Nodes that are given to this process get numbers from the first one on.
    pub(crate) fn new(nodes: Store<Node>, first: usize) -> Fleet {
        Fleet {
            nodes,
            numbers: Mutex::new(Numbers {
                first,
                ..Numbers::default()
            }),
            pods: Mutex::default(),
        }
    }

    /// A node of ours.
    pub(crate) fn node(&self, name: &str) -> Option<std::sync::Arc<Node>> {
        self.nodes.get(&Key::new("", name))
    }

    /// A node's number, by which it has its address. A node that has none gets the first that is free.
    pub(crate) fn number(&self, node: &Node) -> usize {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        self.numbers.lock().of(name, register::number(node))
    }

    pub(crate) fn forget(&self, name: &str) {
        self.numbers.lock().forget(name);
        self.pods.lock().remove(name);
    }

    /// The address of a pod on a node: the one it has, or a free one; none for a pod that has ended or has its node's.
    pub(crate) fn pod_address(&self, node: &Node, number: usize, pod: &Pod) -> Option<Ipv4Addr> {
        let shares = |pod: &Pod| pod.spec.as_ref()?.host_network;
        if has_ended(pod) || shares(pod) == Some(true) {
            return None;
        }
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let status = pod.status.as_ref();
        let known = status
            .and_then(|status| status.pod_ip.as_deref())
            .and_then(|address| address.parse().ok());
        let range = Range::of(node, number);
        let known = known.and_then(|address: Ipv4Addr| u32::from(address).checked_sub(range.first));
        let known = known.filter(|slot| *slot < range.count);
        let mut pods = self.pods.lock();
        let name = node.metadata.name.clone().unwrap_or_default();
        let slot = pods.entry(name).or_default().of(uid, known, range.count);
        Some(Ipv4Addr::from(range.first + slot))
    }

    pub(crate) fn forget_pod(&self, node: &str, uid: &str) {
        if let Some(slots) = self.pods.lock().get_mut(node) {
            slots.forget(uid);
        }
    }
}

impl Numbers {
    fn of(&mut self, name: &str, told: Option<usize>) -> usize {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let told = told.filter(|number| !self.taken.contains(number));
        let number = told.unwrap_or_else(|| {
            (self.first..)
                .find(|number| !self.taken.contains(number))
                .unwrap_or_default()
        });
        self.taken.insert(number);
        self.by_name.insert(name.to_owned(), number);
        number
    }

    fn forget(&mut self, name: &str) {
        if let Some(number) = self.by_name.remove(name) {
            self.taken.remove(&number);
        }
    }
}

impl Slots {
    /// A pod's slot of so many. The first is no pod's. A node that is full gives the last one to all.
    fn of(&mut self, uid: &str, told: Option<u32>, count: u32) -> u32 {
        if let Some(slot) = self.by_uid.get(uid).filter(|slot| **slot < count) {
            return *slot;
        }
        let told = told.filter(|slot| !self.taken.contains(slot));
        let free = || (1..count - 1).find(|slot| !self.taken.contains(slot));
        let slot = told.or_else(free).unwrap_or(count - 1);
        self.taken.insert(slot);
        self.by_uid.insert(uid.to_owned(), slot);
        slot
    }

    fn forget(&mut self, uid: &str) {
        if let Some(slot) = self.by_uid.remove(uid) {
            self.taken.remove(&slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, address: Option<&str>) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"uid": uid}, "status": {"podIP": address},
        }))
        .unwrap()
    }

    #[test]
    fn pods_keep_their_addresses_and_get_those_of_pods_that_are_gone() {
        let fleet = Fleet::new(Store::default(), 0);
        let node = node(&json!({}));
        let address = |uid, told| shown(fleet.pod_address(&node, 2, &pod(uid, told)));
        assert_eq!(address("a", None), "10.128.8.1");
        assert_eq!(address("b", Some("10.128.8.7")), "10.128.8.7");
        assert_eq!(address("c", Some("10.128.8.7")), "10.128.8.2");
        assert_eq!(address("a", None), "10.128.8.1");
        fleet.forget_pod("n", "a");
        assert_eq!(address("d", None), "10.128.8.1");
    }

    #[test]
    fn pods_that_have_ended_or_are_in_the_hosts_network_take_no_address() {
        let fleet = Fleet::new(Store::default(), 0);
        let node = node(&json!({}));
        for status in ["Succeeded", "Failed"] {
            let pod = json!({
                "metadata": {"uid": status}, "status": {"phase": status, "podIP": "10.128.8.1"},
            });
            let pod = serde_json::from_value(pod).unwrap();
            assert_eq!(fleet.pod_address(&node, 2, &pod), None);
        }
        let host =
            json!({"metadata": {"uid": "h"}, "spec": {"containers": [], "hostNetwork": true}});
        let host = serde_json::from_value(host).unwrap();
        assert_eq!(fleet.pod_address(&node, 2, &host), None);
        let next = fleet.pod_address(&node, 2, &pod("a", None));
        assert_eq!(shown(next), "10.128.8.1");
    }

    fn shown(address: Option<Ipv4Addr>) -> String {
        address.unwrap().to_string()
    }

    fn node(spec: &serde_json::Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": spec})).unwrap()
    }

    #[test]
    fn pods_have_addresses_of_the_range_that_their_node_was_given() {
        for (spec, first, second) in [
            (
                json!({"podCIDR": "10.244.3.0/24"}),
                "10.244.3.1",
                "10.244.3.2",
            ),
            (
                json!({"podCIDR": "fd00::/64", "podCIDRs": ["fd00::/64", "10.9.0.0/16"]}),
                "10.9.0.1",
                "10.9.0.2",
            ),
            (json!({"podCIDR": "fd00::/64"}), "10.128.4.1", "10.128.4.2"),
            // There is room for two, and the last address is everybody's.
            (json!({"podCIDR": "10.1.1.8/31"}), "10.1.1.9", "10.1.1.9"),
            (json!({"podCIDR": "10.1.1.8/32"}), "10.1.1.8", "10.1.1.8"),
        ] {
            let fleet = Fleet::new(Store::default(), 0);
            let node = node(&spec);
            let address = |uid| shown(fleet.pod_address(&node, 1, &pod(uid, None)));
            assert_eq!(
                (address("a").as_str(), address("b").as_str()),
                (first, second)
            );
        }
        let fleet = Fleet::new(Store::default(), 0);
        let late = node(&json!({"podCIDR": "10.244.3.0/24"}));
        let before = pod("a", Some("10.128.4.1"));
        let address = |pod: &Pod| shown(fleet.pod_address(&late, 1, pod));
        assert_eq!(
            address(&before),
            "10.244.3.1",
            "not an address of the range"
        );
        assert_eq!(address(&pod("b", Some("10.244.3.9"))), "10.244.3.9");
    }

    #[test]
    fn nodes_keep_their_numbers_and_new_ones_get_free_ones() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.of("a", Some(1)), 1);
        assert_eq!(numbers.of("b", None), 0);
        assert_eq!(numbers.of("c", Some(1)), 2);
        numbers.forget("b");
        assert_eq!(numbers.of("d", None), 0);
        assert_eq!(numbers.of("a", None), 1);
    }
}
