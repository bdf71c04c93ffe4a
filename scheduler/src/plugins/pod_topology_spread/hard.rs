//! Hard constraints: nodes where the pod would be too many.

use std::borrow::Cow;

use super::{Included, counted};
use crate::{
    cluster::{NodeIndex, Site, Snapshot},
    framework::{Filter, Verdict},
    plugins::domains::Domains,
    pod::{PodView, SpreadConstraint},
};

const REASON: &str = "node(s) didn't match pod topology spread constraints";
const REASON_KEY: &str =
    "node(s) didn't match pod topology spread constraints (missing required label)";

/// The hard constraints of a pod, with the pods that count.
pub(super) struct Hard<'a> {
    pod: &'a PodView,
    snapshot: &'a Snapshot,
    rules: Vec<Rule<'a>>,
}

struct Rule<'a> {
    constraint: Cow<'a, SpreadConstraint>,
    included: Included<'a>,
    domains: Domains<'a>,
    /// By domain: whether a node of it is included.
    eligible: Cow<'a, [bool]>,
    eligible_count: usize,
    /// The smallest sum of an eligible domain.
    least: i64,
}

impl<'a> Hard<'a> {
    pub(super) fn new(
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        constraints: Vec<Cow<'a, SpreadConstraint>>,
    ) -> Hard<'a> {
        let mut rules: Vec<Rule<'a>> = constraints
            .into_iter()
            .map(|one| Rule::new(one, pod, snapshot))
            .collect();
        for at in 0..rules.len() {
            // A node counts for a constraint only if it has the labels of all.
            let (before, rest) = rules.split_at_mut(at);
            let (rule, after) = rest.split_first_mut().expect("the index is one of a rule");
            let others = || before.iter().chain(&*after);
            let is_whole = |node| others().all(|other| other.domains.domain(node).is_some());
            rule.count(pod, snapshot, is_whole);
        }
        Hard {
            pod,
            snapshot,
            rules,
        }
    }

    fn change(&mut self, other: &PodView, node: NodeIndex, amount: i64) {
        let (pod, snapshot) = (self.pod, self.snapshot);
        if self
            .rules
            .iter()
            .any(|rule| rule.domains.domain(node).is_none())
        {
            return;
        }
        let namespaces = snapshot.objects.namespaces();
        for rule in &mut self.rules {
            let constraint = &rule.constraint;
            let counts = !constraint.selector.is_everything()
                && constraint.query.matches(other, namespaces)
                && rule.included.has(pod, snapshot, node);
            if counts {
                rule.domains.add(node, amount);
                rule.find_least();
            }
        }
    }
}

impl<'a> Rule<'a> {
    fn new(
        constraint: Cow<'a, SpreadConstraint>,
        pod: &'a PodView,
        snapshot: &'a Snapshot,
    ) -> Rule<'a> {
        Rule {
            included: Included::of(&constraint, pod, snapshot),
            domains: Domains::new(snapshot, &constraint.topology_key),
            eligible: Cow::Owned(Vec::new()),
            eligible_count: 0,
            least: 0,
            constraint,
        }
    }

    fn count(&mut self, pod: &PodView, snapshot: &Snapshot, is_whole: impl Fn(NodeIndex) -> bool) {
        let mut eligible = vec![false; self.domains.len()];
        let counts = counted(&self.constraint, snapshot);
        let mut by_slot = vec![0_i64; snapshot.slots()];
        counts.for_each(|node, count| by_slot[node.slot()] = i64::from(count));
        for &node in snapshot.nodes() {
            let Some(domain) = self.domains.domain(node) else {
                continue;
            };
            if is_whole(node) && self.included.has(pod, snapshot, node) {
                eligible[domain.index()] = true;
                self.domains.add(node, by_slot[node.slot()]);
            }
        }
        self.eligible_count = eligible.iter().filter(|eligible| **eligible).count();
        self.eligible = Cow::Owned(eligible);
        self.find_least();
    }

    fn find_least(&mut self) {
        let sums = self.domains.sums().iter().zip(&*self.eligible);
        let eligible = sums.filter(|(_, eligible)| **eligible).map(|(sum, _)| *sum);
        self.least = eligible.min().unwrap_or(i64::MAX);
    }

    fn judge(&self, node: NodeIndex) -> Verdict {
        let Some(there) = self.domains.of(node) else {
            return Verdict::Unresolvable(REASON_KEY.into());
        };
        let domains_min = usize::try_from(self.constraint.domains_min).unwrap_or(0);
        // With fewer domains than there are to be, those that are missing have no pods.
        let least = if self.eligible_count < domains_min {
            0
        } else {
            self.least
        };
        let skew = there + i64::from(self.constraint.selects_itself) - least;
        if skew > i64::from(self.constraint.skew_max) {
            return Verdict::Unschedulable(REASON.into());
        }
        Verdict::Fits
    }

    fn fork(&self) -> Rule<'_> {
        Rule {
            constraint: Cow::Borrowed(&self.constraint),
            included: self.included.fork(),
            domains: self.domains.fork(),
            eligible: Cow::Borrowed(&self.eligible),
            eligible_count: self.eligible_count,
            least: self.least,
        }
    }
}

impl Filter for Hard<'_> {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        let verdicts = self.rules.iter().map(|rule| rule.judge(site.index()));
        verdicts
            .into_iter()
            .find(|verdict| !verdict.fits())
            .unwrap_or(Verdict::Fits)
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(Hard {
            pod: self.pod,
            snapshot: self.snapshot,
            rules: self.rules.iter().map(Rule::fork).collect(),
        })
    }

    fn pod_added(&mut self, pod: &PodView, node: NodeIndex) {
        self.change(pod, node, 1);
    }

    fn pod_removed(&mut self, pod: &PodView, node: NodeIndex) {
        self.change(pod, node, -1);
    }
}
