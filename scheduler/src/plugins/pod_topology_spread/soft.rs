//! Soft constraints: nodes rank by how few pods there are already where the pod would be.

use std::borrow::Cow;

use super::{HOSTNAME, Included, counted};
use crate::{
    cluster::{Counts, NodeIndex, NodeSet, Site, Snapshot},
    framework::{SCORE_MAX, Score},
    plugins::domains::Domains,
    pod::{PodView, SpreadConstraint},
};

/// The soft constraints of a pod, with the pods that count.
pub(super) struct Soft<'a> {
    rules: Vec<Rule<'a>>,
    /// Nodes that lack a label, and score nothing.
    ignored: NodeSet,
}

struct Rule<'a> {
    constraint: Cow<'a, SpreadConstraint>,
    /// So that topologies of few domains count as much as those of many.
    weight: f64,
    counts: Counting<'a>,
}

/// Pods where a node is.
enum Counting<'a> {
    /// On the node itself, and whether it has the label.
    Node(Cow<'a, Counts>, Domains<'a>),
    Domain(Domains<'a>),
}

impl<'a> Soft<'a> {
    pub(super) fn new(
        (pod, snapshot): (&'a PodView, &'a Snapshot),
        constraints: Vec<Cow<'a, SpreadConstraint>>,
        nodes: &[NodeIndex],
        needs_all_keys: bool,
    ) -> Soft<'a> {
        let topologies: Vec<Domains<'a>> = constraints
            .iter()
            .map(|constraint| Domains::new(snapshot, &constraint.topology_key))
            .collect();
        let is_whole = |node: NodeIndex| {
            !needs_all_keys
                || topologies
                    .iter()
                    .all(|domains| domains.domain(node).is_some())
        };
        let whole: Vec<NodeIndex> = nodes
            .iter()
            .copied()
            .filter(|node| is_whole(*node))
            .collect();
        let ignored = nodes
            .iter()
            .copied()
            .filter(|node| !is_whole(*node))
            .collect();
        let counted_nodes: Vec<NodeIndex> = snapshot
            .nodes()
            .iter()
            .copied()
            .filter(|node| is_whole(*node))
            .collect();
        let rules = constraints.into_iter().map(|constraint| {
            let domains = Domains::new(snapshot, &constraint.topology_key);
            if &*constraint.topology_key == HOSTNAME {
                let weight = weight(whole.len());
                let counts = Counting::Node(counted(&constraint, snapshot), domains);
                return Rule {
                    constraint,
                    weight,
                    counts,
                };
            }
            let weight = weight(domains_of(&domains, &whole));
            let sums = sum((pod, snapshot), &constraint, domains, &counted_nodes);
            Rule {
                constraint,
                weight,
                counts: Counting::Domain(sums),
            }
        });
        Soft {
            rules: rules.collect(),
            ignored,
        }
    }
}

/// How many domains nodes are in; nodes without the label are one more.
fn domains_of(domains: &Domains<'_>, nodes: &[NodeIndex]) -> usize {
    let mut seen = vec![false; domains.len() + 1];
    for node in nodes {
        let at = domains
            .domain(*node)
            .map_or(domains.len(), |domain| domain.index());
        seen[at] = true;
    }
    seen.iter().filter(|seen| **seen).count()
}

fn weight(domains: usize) -> f64 {
    ((domains + 2) as f64).ln()
}

fn sum<'a>(
    (pod, snapshot): (&'a PodView, &'a Snapshot),
    constraint: &SpreadConstraint,
    mut domains: Domains<'a>,
    nodes: &[NodeIndex],
) -> Domains<'a> {
    let included = Included::of(constraint, pod, snapshot);
    let mut by_slot = vec![0_i64; snapshot.slots()];
    let counts = counted(constraint, snapshot);
    counts.for_each(|node, count| by_slot[node.slot()] = i64::from(count));
    for &node in nodes {
        let count = by_slot[node.slot()];
        if count > 0 && included.has(pod, snapshot, node) {
            domains.add(node, count);
        }
    }
    domains
}

impl Rule<'_> {
    /// What the pods there cost; nothing where the node lacks the label.
    fn cost(&self, node: NodeIndex) -> f64 {
        let count = match &self.counts {
            Counting::Node(counts, domains) => {
                domains.domain(node).map(|_| i64::from(counts.get(node)))
            }
            Counting::Domain(domains) => domains.of(node),
        };
        // A constraint that allows more skew makes less of it.
        let tolerated = f64::from(self.constraint.skew_max - 1);
        count.map_or(0.0, |count| count as f64 * self.weight + tolerated)
    }
}

impl Score for Soft<'_> {
    fn score(&self, site: &Site<'_>) -> i64 {
        if self.ignored.contains(site.index()) {
            return 0;
        }
        let mut cost = 0.0;
        for rule in &self.rules {
            cost += rule.cost(site.index());
        }
        cost.round() as i64
    }

    fn normalize(&self, nodes: &[NodeIndex], scores: &mut [i64]) {
        let counts =
            |(node, score): (&NodeIndex, &i64)| (!self.ignored.contains(*node)).then_some(*score);
        let costs = || nodes.iter().zip(&*scores).filter_map(counts);
        let (least, most) = (costs().min().unwrap_or(0), costs().max().unwrap_or(0));
        for (node, score) in nodes.iter().zip(scores) {
            *score = if self.ignored.contains(*node) {
                0
            } else if most == 0 {
                SCORE_MAX
            } else {
                SCORE_MAX * (most + least - *score) / most
            };
        }
    }
}
