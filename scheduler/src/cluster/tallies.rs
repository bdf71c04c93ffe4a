//! Counts of pods by node that are kept up to date for the questions that were asked lately.

use std::{collections::HashMap, sync::Arc};

use super::{Counts, NodeIndex};
use crate::{
    pod::PodView,
    query::{Namespaces, PodQuery},
    selector::Labels,
};

/// Most questions whose answers are kept; those that were not asked for longest are forgotten, a quarter at a time.
pub(super) const TALLIES_MAX: usize = 4096;

#[derive(Debug)]
struct Tally {
    query: Arc<PodQuery>,
    counts: Counts,
    used: u64,
}

/// Answers by question.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    entries: Vec<Tally>,
    by_query: HashMap<Arc<PodQuery>, u32>,
    /// Which entries count pods with such a namespace, labels and state of deletion. Emptied when entries change.
    crowds: HashMap<(Arc<str>, Labels, bool), Box<[u32]>>,
    clock: u64,
}

impl Tallies {
    pub(super) fn get(&self, query: &PodQuery) -> Option<&Counts> {
        self.by_query
            .get(query)
            .map(|at| &self.entries[*at as usize].counts)
    }

    /// Marks an answer as used. `false` if it has to be made.
    pub(super) fn touch(&mut self, query: &PodQuery) -> bool {
        self.clock += 1;
        let Some(at) = self.by_query.get(query) else {
            return false;
        };
        self.entries[*at as usize].used = self.clock;
        true
    }

    pub(super) fn add(&mut self, query: Arc<PodQuery>, counts: Counts) {
        if self.entries.len() >= TALLIES_MAX {
            self.forget_oldest();
        }
        self.by_query
            .insert(query.clone(), self.entries.len() as u32);
        self.entries.push(Tally {
            query,
            counts,
            used: self.clock,
        });
        self.crowds.clear();
    }

    /// Forgets all that depend on labels of namespaces.
    pub(super) fn namespaces_changed(&mut self) {
        self.retain(|tally| !tally.query.by_namespace_labels());
    }

    fn forget_oldest(&mut self) {
        let mut used: Vec<u64> = self.entries.iter().map(|tally| tally.used).collect();
        let (_, bound, _) = used.select_nth_unstable(TALLIES_MAX / 4);
        let bound = *bound;
        self.retain(|tally| tally.used > bound);
    }

    fn retain(&mut self, keep: impl Fn(&Tally) -> bool) {
        self.entries.retain(keep);
        self.crowds.clear();
        let entries = self.entries.iter().enumerate();
        self.by_query = entries
            .map(|(at, tally)| (tally.query.clone(), at as u32))
            .collect();
    }

    /// Counts a pod that is on a node now, or is not any more.
    pub(super) fn count(
        &mut self,
        pod: &PodView,
        at: (NodeIndex, usize),
        added: bool,
        namespaces: &Namespaces,
    ) {
        if self.entries.is_empty() {
            return;
        }
        let crowd = (pod.namespace.clone(), pod.labels.clone(), pod.terminating);
        if self.crowds.len() > TALLIES_MAX * 4 {
            self.crowds.clear();
        }
        let entries = &mut self.entries;
        let matching = self.crowds.entry(crowd).or_insert_with(|| {
            let matching = entries
                .iter()
                .enumerate()
                .filter(|(_, one)| one.query.matches(pod, namespaces));
            matching.map(|(at, _)| at as u32).collect()
        });
        for entry in matching.iter() {
            let counts = &mut entries[*entry as usize].counts;
            if added {
                counts.increment(at.0, at.1)
            } else {
                counts.decrement(at.0)
            }
        }
    }
}
