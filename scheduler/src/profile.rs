//! A profile: the plugins that decide for the pods of one scheduler name, in order, with their weights.

use std::sync::Arc;

use crate::framework::{EventKinds, Plugin};

/// Most plugins of a profile, so that a set of them is one word.
pub const PLUGINS_MAX: usize = 64;

/// Plugins of a profile, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PluginSet(u64);

impl PluginSet {
    /// Puts one in.
    pub fn insert(&mut self, place: usize) {
        self.0 |= 1 << place;
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The places of those in it.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..PLUGINS_MAX).filter(move |place| self.0 >> place & 1 == 1)
    }
}

/// A plugin with the points that it takes part in.
pub struct Enabled {
    pub plugin: Box<dyn Plugin>,
    /// `preEnqueue`.
    pub gates: bool,
    /// `preFilter` and `filter`.
    pub filters: bool,
    /// `preScore` and `score`, with this weight.
    pub weight: Option<i64>,
    /// `reserve` and `preBind`.
    pub reserves: bool,
}

impl Enabled {
    /// A plugin at all its points, with a weight for its score.
    #[must_use]
    pub fn everywhere(plugin: Box<dyn Plugin>, weight: i64) -> Enabled {
        Enabled {
            plugin,
            gates: true,
            filters: true,
            weight: Some(weight),
            reserves: true,
        }
    }
}

/// How preemption chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreemptionLimits {
    /// Share of the nodes that are tried, in percent.
    pub candidates_min_percent: usize,
    /// Nodes that are tried at least.
    pub candidates_min: usize,
}

impl Default for PreemptionLimits {
    fn default() -> PreemptionLimits {
        PreemptionLimits {
            candidates_min_percent: 10,
            candidates_min: 100,
        }
    }
}

/// How pods of one scheduler name are scheduled.
pub struct Profile {
    pub scheduler_name: Arc<str>,
    /// At most `PLUGINS_MAX`, in the order in which they filter.
    pub plugins: Vec<Enabled>,
    /// `percentageOfNodesToScore`; 0 or `None` for a share that falls as the cluster grows.
    pub nodes_scored_percent: Option<usize>,
    /// `None` if `DefaultPreemption` is disabled.
    pub preemption: Option<PreemptionLimits>,
}

/// Nodes that are looked for at least.
const FEASIBLE_MIN: usize = 100;
/// Lowest share of nodes that is looked for, in percent.
const FEASIBLE_MIN_PERCENT: usize = 5;

impl Profile {
    /// How many nodes that fit are enough, of so many.
    #[must_use]
    pub fn feasible_enough(&self, nodes: usize) -> usize {
        if nodes < FEASIBLE_MIN {
            return nodes;
        }
        if self.plugins.iter().all(|one| one.weight.is_none()) {
            return 1;
        }
        let percent = self
            .nodes_scored_percent
            .filter(|percent| *percent > 0)
            .unwrap_or_else(|| {
                50usize
                    .saturating_sub(nodes / 125)
                    .max(FEASIBLE_MIN_PERCENT)
            });
        (nodes * percent / 100).max(FEASIBLE_MIN)
    }

    /// What kinds of events these plugins wait for.
    #[must_use]
    pub fn events_of(&self, plugins: PluginSet) -> EventKinds {
        let events = plugins
            .iter()
            .map(|place| self.plugins[place].plugin.events());
        events.fold(EventKinds::NONE, |all, one| all | one)
    }

    /// Names of plugins.
    pub fn names_of(&self, plugins: PluginSet) -> impl Iterator<Item = &'static str> + '_ {
        plugins
            .iter()
            .map(|place| self.plugins[place].plugin.name())
    }
}
