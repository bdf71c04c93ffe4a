//! The domains that one label divides nodes into.

use std::{collections::HashMap, sync::Arc};

use super::NodeIndex;

/// Number of a domain: where its numbers are in arrays by domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(pub u32);

impl Domain {
    /// Its place in arrays.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Nodes by the value of one label.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// By slot of nodes; `NONE` for a node without the label.
    domain_of: Vec<u32>,
    values: Vec<Arc<str>>,
    by_value: HashMap<Arc<str>, u32>,
    /// By domain: how many nodes are in it. A domain that lost its nodes keeps its number.
    nodes_in: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Topology {
    /// The domain of a node; `None` if it lacks the label.
    #[must_use]
    pub fn domain(&self, node: NodeIndex) -> Option<Domain> {
        let domain = self.domain_of.get(node.slot()).copied().unwrap_or(NONE);
        (domain != NONE).then_some(Domain(domain))
    }

    /// How long arrays by domain have to be. Some domains may have no nodes any more.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no node has the label, or ever had.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many nodes are in a domain.
    #[must_use]
    pub fn nodes_in(&self, domain: Domain) -> u32 {
        self.nodes_in[domain.index()]
    }

    /// The label's value.
    #[must_use]
    pub fn value(&self, domain: Domain) -> &str {
        &self.values[domain.index()]
    }

    /// The domain of a value.
    #[must_use]
    pub fn of_value(&self, value: &str) -> Option<Domain> {
        self.by_value.get(value).copied().map(Domain)
    }

    pub(super) fn set(&mut self, node: NodeIndex, value: Option<&str>) {
        if self.domain_of.len() <= node.slot() {
            self.domain_of.resize(node.slot() + 1, NONE);
        }
        let old = self.domain_of[node.slot()];
        if old != NONE {
            self.nodes_in[old as usize] -= 1;
        }
        self.domain_of[node.slot()] = value.map_or(NONE, |value| {
            let domain = self
                .by_value
                .get(value)
                .copied()
                .unwrap_or_else(|| self.add(value.into()));
            self.nodes_in[domain as usize] += 1;
            domain
        });
    }

    fn add(&mut self, value: Arc<str>) -> u32 {
        let domain = self.values.len() as u32;
        self.values.push(value.clone());
        self.by_value.insert(value, domain);
        self.nodes_in.push(0);
        domain
    }

    /// How many domains have no nodes any more.
    pub(super) fn abandoned(&self) -> usize {
        self.nodes_in.iter().filter(|count| **count == 0).count()
    }
}
