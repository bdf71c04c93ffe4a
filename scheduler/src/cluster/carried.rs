//! Terms of affinity that pods on nodes carry, with how many pods of each node carry them.

use std::{collections::HashMap, sync::Arc};

use super::{Counts, NodeIndex};
use crate::pod::{AffinityTerm, PodView};

/// What kind of term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carries {
    RequiredAffinity,
    RequiredAntiAffinity,
    PreferredAffinity,
    PreferredAntiAffinity,
}

impl Carries {
    /// Every kind.
    pub const ALL: [Carries; 4] = [
        Carries::RequiredAffinity,
        Carries::RequiredAntiAffinity,
        Carries::PreferredAffinity,
        Carries::PreferredAntiAffinity,
    ];
}

/// A term that at least one pod on a node carries.
#[derive(Debug)]
pub struct CarriedTerm {
    pub term: Arc<AffinityTerm>,
    /// Its weight, positive for anti-affinity too. 0 of a required term.
    pub weight: i32,
    /// Pods that carry it.
    pub pods: Counts,
}

#[derive(Debug, Default)]
pub(super) struct Carried([HashMap<(i32, Arc<AffinityTerm>), CarriedTerm>; 4]);

impl Carried {
    pub(super) fn of(&self, kind: Carries) -> impl Iterator<Item = &CarriedTerm> {
        self.0[kind as usize].values()
    }

    pub(super) fn count(&mut self, pod: &PodView, at: (NodeIndex, usize), added: bool) {
        for kind in Carries::ALL {
            for (weight, term) in terms(pod, kind) {
                self.count_term(kind, (weight, term), at, added);
            }
        }
    }

    fn count_term(
        &mut self,
        kind: Carries,
        key: (i32, &Arc<AffinityTerm>),
        at: (NodeIndex, usize),
        added: bool,
    ) {
        let key = (key.0, key.1.clone());
        let terms = &mut self.0[kind as usize];
        if added {
            let new = || CarriedTerm {
                term: key.1.clone(),
                weight: key.0,
                pods: Counts::default(),
            };
            terms
                .entry(key.clone())
                .or_insert_with(new)
                .pods
                .increment(at.0, at.1);
        } else if let Some(entry) = terms.get_mut(&key) {
            entry.pods.decrement(at.0);
            if entry.pods.total() == 0 {
                terms.remove(&key);
            }
        }
    }
}

/// The terms of one kind that a pod carries, with their weights.
pub fn terms(
    pod: &PodView,
    kind: Carries,
) -> Box<dyn Iterator<Item = (i32, &Arc<AffinityTerm>)> + '_> {
    let all = &pod.affinities;
    match kind {
        Carries::RequiredAffinity => Box::new(all.required.iter().map(|term| (0, term))),
        Carries::RequiredAntiAffinity => Box::new(all.forbidden.iter().map(|(term, _)| (0, term))),
        Carries::PreferredAffinity => {
            Box::new(all.preferred.iter().map(|one| (one.weight, &one.term)))
        }
        Carries::PreferredAntiAffinity => {
            Box::new(all.avoided.iter().map(|one| (one.weight, &one.term)))
        }
    }
}
