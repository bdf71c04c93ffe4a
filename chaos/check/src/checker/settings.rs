//! What a checker may rely on, and what it may forget.

/// What a checker may rely on, and what it may forget.
///
/// A record whose time lies `disorder_ns` before the latest may still come; an operation is under way for at most
/// `operation_ns`. So everything up to the latest time less both is known in full, and is judged. A history that breaks
/// these promises is inconclusive.
///
/// Memory holds what is younger than that, the last `kept_revisions` revisions, and the writes without an answer whose effect
/// has not been seen (at most `kept_unknown`, since it may come at any later time). What would need an older revision is
/// counted as not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much earlier than the latest record a record may be, in nanoseconds.
    pub disorder_ns: u64,
    /// The longest time from call to return, or to giving up, in nanoseconds: the clients' time limit and some room.
    pub operation_ns: u64,
    /// How many revisions are kept.
    pub kept_revisions: usize,
    /// How many writes without an answer or an effect are kept.
    pub kept_unknown: usize,
    /// How much longer than its time a lease may live before it is noted, in nanoseconds.
    pub lease_slack_ns: u64,
}

/// Enough for an election and the scan for leases that ended.
const LEASE_SLACK_NS: u64 = 5_000_000_000;

impl Default for Settings {
    /// For a history that is at hand as a whole: everything is judged at the end and nothing forgotten.
    fn default() -> Self {
        Self {
            disorder_ns: u64::MAX,
            operation_ns: u64::MAX,
            kept_revisions: usize::MAX,
            kept_unknown: usize::MAX,
            lease_slack_ns: LEASE_SLACK_NS,
        }
    }
}

impl Settings {
    /// For a history that is judged while it is written, by clients with a time limit of `operation_ns` nanoseconds.
    #[must_use]
    pub fn streaming(operation_ns: u64) -> Self {
        Self {
            disorder_ns: 1_000_000_000,
            operation_ns,
            kept_revisions: 1_000_000,
            kept_unknown: 1_000_000,
            lease_slack_ns: LEASE_SLACK_NS,
        }
    }

    /// Up to when everything is known, in nanoseconds.
    pub(super) fn horizon_ns(&self, now_ns: u64) -> Option<u64> {
        now_ns.checked_sub(self.disorder_ns.saturating_add(self.operation_ns))
    }
}
