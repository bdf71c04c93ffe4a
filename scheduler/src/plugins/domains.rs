//! Sums of pods by domain of one topology.

use std::borrow::Cow;

use crate::cluster::{Counts, Domain, NodeIndex, Snapshot, Topology};

/// A sum for each domain of one label.
pub(super) struct Domains<'a> {
    topology: Cow<'a, Topology>,
    sums: Vec<i64>,
    /// Of all domains.
    total: i64,
}

impl<'a> Domains<'a> {
    /// All domains of a label, with sums of 0.
    pub(super) fn new(snapshot: &'a Snapshot, key: &str) -> Domains<'a> {
        let topology = snapshot.topology(key);
        let sums = vec![0; topology.len()];
        Domains {
            topology,
            sums,
            total: 0,
        }
    }

    /// The domain of a node, if it has the label.
    pub(super) fn domain(&self, node: NodeIndex) -> Option<Domain> {
        self.topology.domain(node)
    }

    /// The sum of a domain.
    pub(super) fn at(&self, domain: Domain) -> i64 {
        self.sums[domain.index()]
    }

    /// The sum of a node's domain, if it has the label.
    pub(super) fn of(&self, node: NodeIndex) -> Option<i64> {
        Some(self.at(self.domain(node)?))
    }

    /// All sums, by domain.
    pub(super) fn sums(&self) -> &[i64] {
        &self.sums
    }

    /// How long arrays by domain have to be.
    pub(super) fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether nothing was added, or all was taken away again.
    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Adds to the domain of a node. A node without the label has none to add to.
    pub(super) fn add(&mut self, node: NodeIndex, amount: i64) {
        if let Some(domain) = self.domain(node) {
            self.sums[domain.index()] += amount;
            self.total += amount;
        }
    }

    /// Adds so much for each pod.
    pub(super) fn add_counts(&mut self, counts: &Counts, weight: i64) {
        counts.for_each(|node, count| self.add(node, weight * i64::from(count)));
    }

    /// A copy that can be changed while this one stays as it is.
    pub(super) fn fork(&self) -> Domains<'_> {
        Domains {
            topology: Cow::Borrowed(&self.topology),
            sums: self.sums.clone(),
            total: self.total,
        }
    }
}
