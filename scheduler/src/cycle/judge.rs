//! The filters of one cycle, in order.

use crate::{
    cluster::{NodeIndex, Site, Snapshot, Trial},
    framework::{Filter, Verdict},
    pod::PodView,
};

/// Filters with the places of their plugins.
#[derive(Default)]
pub(super) struct Judge<'a>(Vec<(usize, Box<dyn Filter + 'a>)>);

impl<'a> Judge<'a> {
    pub(super) fn add(&mut self, plugin: usize, filter: Box<dyn Filter + 'a>) {
        self.0.push((plugin, filter));
    }

    /// The first plugin that rejects the node.
    pub(super) fn judge(&self, site: &Site<'_>) -> Result<(), (usize, Verdict)> {
        for (plugin, filter) in &self.0 {
            let verdict = filter.filter(site);
            if !verdict.fits() {
                return Err((*plugin, verdict));
            }
        }
        Ok(())
    }

    /// Judges a node as it would be.
    pub(super) fn on_trial(
        &self,
        snapshot: &Snapshot,
        node: NodeIndex,
        trial: &Trial,
    ) -> Result<(), (usize, Verdict)> {
        let mut fork = self.fork();
        trial
            .removed
            .iter()
            .for_each(|pod| fork.pod_removed(pod, node));
        trial.added.iter().for_each(|pod| fork.pod_added(pod, node));
        fork.judge(&Site::with(snapshot, node, trial))
    }

    pub(super) fn fork(&self) -> Judge<'_> {
        Judge(
            self.0
                .iter()
                .map(|(plugin, filter)| (*plugin, filter.fork()))
                .collect(),
        )
    }

    pub(super) fn pod_added(&mut self, pod: &PodView, node: NodeIndex) {
        self.0
            .iter_mut()
            .for_each(|(_, filter)| filter.pod_added(pod, node));
    }

    pub(super) fn pod_removed(&mut self, pod: &PodView, node: NodeIndex) {
        self.0
            .iter_mut()
            .for_each(|(_, filter)| filter.pod_removed(pod, node));
    }
}
