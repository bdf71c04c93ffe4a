//! The nodes of this process: those that it made and those that were given to it, with their addresses and those of their pods.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use client::{Key, Store};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;

use crate::register;

/// The first address of pods.
const FIRST_POD: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
/// Addresses of each node's pods, and how many nodes have ones of their own.
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

    /// The address of a pod on a node: the one it has, or a free one.
    pub(crate) fn pod_address(&self, node: &str, number: usize, pod: &Pod) -> Ipv4Addr {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let status = pod.status.as_ref();
        let known = status
            .and_then(|status| status.pod_ip.as_deref())
            .and_then(|address| address.parse().ok());
        let first = first_pod(number);
        let known = known.and_then(|address: Ipv4Addr| u32::from(address).checked_sub(first));
        let mut pods = self.pods.lock();
        let slots = pods.entry(node.to_owned()).or_default();
        Ipv4Addr::from(first + slots.of(uid, known.filter(|slot| *slot < PODS_EACH)))
    }

    pub(crate) fn forget_pod(&self, node: &str, uid: &str) {
        if let Some(slots) = self.pods.lock().get_mut(node) {
            slots.forget(uid);
        }
    }
}

fn first_pod(number: usize) -> u32 {
    let number = u32::try_from(number).unwrap_or_default() % NODES_OF_THEIR_OWN;
    u32::from(FIRST_POD) + number * PODS_EACH
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
    /// A pod's slot. The first is no pod's. A node that is full gives the last one to all.
    fn of(&mut self, uid: &str, told: Option<u32>) -> u32 {
        if let Some(slot) = self.by_uid.get(uid) {
            return *slot;
        }
        let told = told.filter(|slot| !self.taken.contains(slot));
        let free = || (1..PODS_EACH - 1).find(|slot| !self.taken.contains(slot));
        let slot = told.or_else(free).unwrap_or(PODS_EACH - 1);
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
        let address = |uid, told| fleet.pod_address("n", 2, &pod(uid, told)).to_string();
        assert_eq!(address("a", None), "10.128.8.1");
        assert_eq!(address("b", Some("10.128.8.7")), "10.128.8.7");
        assert_eq!(address("c", Some("10.128.8.7")), "10.128.8.2");
        assert_eq!(address("a", None), "10.128.8.1");
        fleet.forget_pod("n", "a");
        assert_eq!(address("d", None), "10.128.8.1");
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
