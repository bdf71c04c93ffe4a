//! The newest revisions, as many as fit a number of bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::{Entry, Gauge};
use super::group::Group;

/// Revisions in order. Dropping the oldest drops them from the logs of the groups as well.
pub(super) struct Ring {
    slots: VecDeque<Slot>,
    gauge: Arc<Gauge>,
    max_bytes: usize,
}

struct Slot {
    entry: Arc<Entry>,
    /// The groups whose logs hold the entry.
    groups: Box<[Arc<Group>]>,
}

impl Ring {
    pub(super) fn new(max_bytes: usize) -> Ring {
        Ring {
            slots: VecDeque::new(),
            gauge: Arc::default(),
            max_bytes,
        }
    }

    pub(super) fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }

    pub(super) fn push(&mut self, entry: Arc<Entry>, groups: Box<[Arc<Group>]>) {
        self.slots.push_back(Slot { entry, groups });
    }

    /// Drops the oldest revisions until the rest fits. The newest always stays.
    pub(super) fn trim(&mut self) {
        while self.slots.len() > 1 && self.gauge.bytes() > self.max_bytes {
            let Some(slot) = self.slots.pop_front() else {
                return;
            };
            for group in &slot.groups {
                group.evict_through(slot.entry.revision());
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }

    /// The oldest revision held.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.slots.front().map(|slot| slot.entry.revision())
    }

    /// Up to `max_revisions` entries of the revisions `from..=through`.
    pub(super) fn window(&self, from: i64, through: i64, max_revisions: usize) -> Vec<Arc<Entry>> {
        let start = self
            .slots
            .partition_point(|slot| slot.entry.revision() < from);
        let slots = self.slots.iter().skip(start).take(max_revisions);
        slots
            .map(|slot| slot.entry.clone())
            .take_while(|entry| entry.revision() <= through)
            .collect()
    }
}
