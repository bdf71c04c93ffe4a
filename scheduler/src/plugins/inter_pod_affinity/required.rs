//! Required affinity: where pods must be, and where they keep each other away.

use std::sync::Arc;

use super::matches_all;
use crate::{
    cluster::{Carries, NodeIndex, Site, Snapshot},
    framework::{Filter, Verdict},
    plugins::domains::Domains,
    pod::PodView,
};

const REASON_NEAR: &str = "node(s) didn't match pod affinity rules";
const REASON_FAR: &str = "node(s) didn't match pod anti-affinity rules";
const REASON_OTHERS: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// Pods by domain, for each topology key that terms have.
type ByKey<'a> = Vec<(Arc<str>, Domains<'a>)>;

/// The required terms that matter for a pod, with the pods that they are about.
pub(super) struct Required<'a> {
    pod: &'a PodView,
    snapshot: &'a Snapshot,
    /// Pods that match all terms of the pod's affinity.
    near: ByKey<'a>,
    /// Pods that match a term of the pod's anti-affinity.
    far: ByKey<'a>,
    /// Pods with an anti-affinity that this pod matches.
    others: ByKey<'a>,
    /// The pod matches its own affinity: the first of a series that wants to be together.
    matches_itself: bool,
}

fn domains<'own, 'a>(
    all: &'own mut ByKey<'a>,
    snapshot: &'a Snapshot,
    key: &Arc<str>,
) -> &'own mut Domains<'a> {
    let at = all
        .iter()
        .position(|(other, _)| other == key)
        .unwrap_or_else(|| {
            all.push((key.clone(), Domains::new(snapshot, key)));
            all.len() - 1
        });
    &mut all[at].1
}

impl<'a> Required<'a> {
    /// `None` if no term matters.
    pub(super) fn of(pod: &'a PodView, snapshot: &'a Snapshot) -> Option<Required<'a>> {
        let affinities = &pod.affinities;
        let namespaces = snapshot.objects.namespaces();
        let mut others = ByKey::new();
        for carried in snapshot.carried(Carries::RequiredAntiAffinity) {
            if carried.term.pods.matches(pod, namespaces) {
                domains(&mut others, snapshot, &carried.term.topology_key)
                    .add_counts(&carried.pods, 1);
            }
        }
        others.retain(|(_, domains)| !domains.is_empty());
        if others.is_empty() && affinities.required.is_empty() && affinities.forbidden.is_empty() {
            return None;
        }
        let mut near = ByKey::new();
        for term in &affinities.required {
            domains(&mut near, snapshot, &term.topology_key);
        }
        if let Some(query) = &affinities.required_query {
            let counts = snapshot.matching_pods(query);
            near.iter_mut()
                .for_each(|(_, domains)| domains.add_counts(&counts, 1));
        }
        let mut far = ByKey::new();
        for (term, query) in &affinities.forbidden {
            let counts = snapshot.matching_pods(query);
            domains(&mut far, snapshot, &term.topology_key).add_counts(&counts, 1);
        }
        let matches_itself = matches_all(&affinities.required, pod, namespaces);
        Some(Required {
            pod,
            snapshot,
            near,
            far,
            others,
            matches_itself,
        })
    }

    fn is_near_enough(&self, node: NodeIndex) -> bool {
        let mut has_pods = true;
        for (_, domains) in &self.near {
            match domains.of(node) {
                Some(pods) => has_pods &= pods > 0,
                None => return false,
            }
        }
        has_pods || (self.matches_itself && self.near.iter().all(|(_, domains)| domains.is_empty()))
    }

    fn change(&mut self, other: &PodView, node: NodeIndex, amount: i64) {
        let (pod, snapshot) = (self.pod, self.snapshot);
        let namespaces = snapshot.objects.namespaces();
        for (term, _) in &other.affinities.forbidden {
            if term.pods.matches(pod, namespaces) {
                domains(&mut self.others, snapshot, &term.topology_key).add(node, amount);
            }
        }
        if matches_all(&pod.affinities.required, other, namespaces) {
            self.near
                .iter_mut()
                .for_each(|(_, domains)| domains.add(node, amount));
        }
        for (term, _) in &pod.affinities.forbidden {
            if term.pods.matches(other, namespaces) {
                domains(&mut self.far, snapshot, &term.topology_key).add(node, amount);
            }
        }
    }
}

fn has_pods(all: &ByKey<'_>, node: NodeIndex) -> bool {
    all.iter()
        .any(|(_, domains)| domains.of(node).is_some_and(|pods| pods > 0))
}

impl Filter for Required<'_> {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        let node = site.index();
        if !self.is_near_enough(node) {
            return Verdict::Unresolvable(REASON_NEAR.into());
        }
        if has_pods(&self.far, node) {
            return Verdict::Unschedulable(REASON_FAR.into());
        }
        if has_pods(&self.others, node) {
            return Verdict::Unschedulable(REASON_OTHERS.into());
        }
        Verdict::Fits
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        fn fork<'a>(all: &'a ByKey<'_>) -> ByKey<'a> {
            all.iter()
                .map(|(key, domains)| (key.clone(), domains.fork()))
                .collect()
        }
        Box::new(Required {
            pod: self.pod,
            snapshot: self.snapshot,
            near: fork(&self.near),
            far: fork(&self.far),
            others: fork(&self.others),
            matches_itself: self.matches_itself,
        })
    }

    fn pod_added(&mut self, pod: &PodView, node: NodeIndex) {
        self.change(pod, node, 1);
    }

    fn pod_removed(&mut self, pod: &PodView, node: NodeIndex) {
        self.change(pod, node, -1);
    }
}
