//! Preferred affinity: domains weigh by the pods in them, as the pod and the pods there would have it.

use std::sync::Arc;

use crate::{
    cluster::{Carries, Counts, NodeIndex, Site, Snapshot},
    framework::{SCORE_MAX, Score},
    plugins::domains::Domains,
    pod::PodView,
};

/// Weights of domains, by topology key.
pub(super) struct Preferred<'a>(Vec<(Arc<str>, Domains<'a>)>);

impl<'a> Preferred<'a> {
    /// What the pod prefers, and what pods that are there say of it: their terms of some kinds, each with a factor. `None` if that is
    /// nothing.
    pub(super) fn of(
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        carried: &[(Carries, i64)],
    ) -> Option<Preferred<'a>> {
        let mut preferred = Preferred(Vec::new());
        let own = [
            (&pod.affinities.preferred, 1),
            (&pod.affinities.avoided, -1),
        ];
        for (terms, sign) in own {
            for one in terms {
                let counts = snapshot.matching_pods(&one.query);
                let weight = sign * i64::from(one.weight);
                preferred.add(snapshot, &one.term.topology_key, &counts, weight);
            }
        }
        let namespaces = snapshot.objects.namespaces();
        for &(kind, factor) in carried.iter().filter(|(_, factor)| *factor != 0) {
            for one in snapshot.carried(kind) {
                if one.term.pods.matches(pod, namespaces) {
                    // A required term has no weight of its own.
                    let weight = if one.weight == 0 {
                        1
                    } else {
                        i64::from(one.weight)
                    };
                    preferred.add(snapshot, &one.term.topology_key, &one.pods, factor * weight);
                }
            }
        }
        (!preferred.0.is_empty()).then_some(preferred)
    }

    fn add(&mut self, snapshot: &'a Snapshot, key: &Arc<str>, counts: &Counts, weight: i64) {
        if counts.total() == 0 {
            return;
        }
        let at = self
            .0
            .iter()
            .position(|(other, _)| other == key)
            .unwrap_or_else(|| {
                self.0.push((key.clone(), Domains::new(snapshot, key)));
                self.0.len() - 1
            });
        self.0[at].1.add_counts(counts, weight);
    }
}

impl Score for Preferred<'_> {
    fn score(&self, site: &Site<'_>) -> i64 {
        let weights = self
            .0
            .iter()
            .map(|(_, domains)| domains.of(site.index()).unwrap_or(0));
        weights.sum()
    }

    fn normalize(&self, _: &[NodeIndex], scores: &mut [i64]) {
        let least = scores.iter().copied().min().unwrap_or(0);
        let span = scores.iter().copied().max().unwrap_or(0) - least;
        for score in scores {
            *score = match span {
                0 => 0,
                span => (SCORE_MAX as f64 * ((*score - least) as f64 / span as f64)) as i64,
            };
        }
    }
}
