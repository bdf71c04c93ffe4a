//! How many pods came into which place of the queue, and for which reason.

use crate::framework::EventKinds;

/// Upstream's names of reasons: first those of events by their bits, then the queue's own.
const NAMES: [&str; 29] = [
    "NodeAdd",
    "NodeUpdateNodeAllocatable",
    "NodeUpdateNodeLabel",
    "NodeUpdateNodeTaint",
    "NodeUpdateNodeAnnotation",
    "NodeUpdateNodeDeclaredFeature",
    "AssignedPodAdd",
    "AssignedPodUpdatePodLabel",
    "AssignedPodUpdatePodScaleDown",
    "AssignedPodDelete",
    "UnschedulablePodUpdatePodSchedulingGatesEliminated",
    "UnschedulablePodUpdatePodToleration",
    "UnschedulablePodUpdate",
    "PersistentVolumeClaimAll",
    "PersistentVolumeAll",
    "StorageClassAll",
    "CSINodeAll",
    "CSIDriverAll",
    "CSIStorageCapacityAll",
    "VolumeAttachmentAll",
    "NamespaceAll",
    "NodeDelete",
    "UnschedulablePodAdd",
    "UnschedulablePodUpdate",
    "ScheduleAttemptFailure",
    "BackoffComplete",
    "PopFromBackoffQ",
    "ForceActivate",
    "UnschedulableTimeout",
];
/// The places that are counted, by upstream's names.
const PLACES: [&str; 3] = ["active", "backoff", "unschedulable"];

/// Why a pod comes into a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause(usize);

impl Cause {
    pub(super) const ADDED: Cause = Cause(22);
    pub(super) const FAILED: Cause = Cause(24);
    pub(super) const BACKOFF_OVER: Cause = Cause(25);
    pub(super) const BEFORE_BACKOFF_IS_OVER: Cause = Cause(26);
    pub(super) const FORCED: Cause = Cause(27);
    pub(super) const TIMED_OUT: Cause = Cause(28);
    /// The pod itself changed.
    pub const CHANGED: Cause = Cause(23);
    /// Its victims are gone, or could not be made to go.
    pub const PREEMPTED: Cause = Cause(9);

    /// An event of these kinds, of which the first counts.
    pub(super) fn of(kinds: EventKinds) -> Cause {
        Cause(
            kinds
                .bits()
                .next()
                .unwrap_or(Cause::CHANGED.0)
                .min(Cause::CHANGED.0),
        )
    }
}

/// A place that pods come into.
#[derive(Debug, Clone, Copy)]
pub(super) enum Into {
    Active,
    Backoff,
    Unschedulable,
}

/// The counts.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals([[u64; PLACES.len()]; NAMES.len()]);

impl Default for Arrivals {
    fn default() -> Arrivals {
        Arrivals([[0; PLACES.len()]; NAMES.len()])
    }
}

impl Arrivals {
    pub(super) fn count(&mut self, place: Into, cause: Cause) {
        self.0[cause.0][place as usize] += 1;
    }

    /// Places, reasons and counts, of what has happened at all. A reason is there once.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let mut all = std::collections::BTreeMap::new();
        for (counts, name) in self.0.iter().zip(NAMES) {
            for (count, place) in counts.iter().zip(PLACES) {
                *all.entry((place, name)).or_insert(0) += count;
            }
        }
        let happened = all.into_iter().filter(|(_, count)| *count > 0);
        happened.map(|((place, name), count)| (place, name, count))
    }
}
