//! How old this member's state may be: the time since it last had everything that the leader said was committed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::codec;
use super::types::{LogId, Vote};

/// Index up to which a leader knows everything to be committed. None until it has committed an entry of its own term:
/// before, its predecessor may have committed more than it knows of.
pub(super) fn committed_by(vote: &Vote, committed: Option<&LogId>) -> Option<u64> {
    let committed = committed.filter(|id| codec::term_of(id) == vote.leader_id.term)?;
    Some(committed.index)
}

/// Clones share what was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Freshness(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    fresh_at: Option<Instant>,
    /// When the leader was heard, and what it had committed then, as long as that is not applied here.
    awaited: Option<(Instant, u64)>,
}

impl Seen {
    fn look(&mut self, applied: u64) {
        if let Some((at, committed)) = self.awaited
            && applied >= committed
        {
            self.fresh_at = Some(at);
            self.awaited = None;
        }
    }
}

impl Freshness {
    /// A leader was heard, which had committed the log up to here.
    pub(crate) fn heard(&self, at: Instant, committed: u64, applied: u64) {
        let mut seen = self.0.lock();
        seen.look(applied);
        // What is awaited is not replaced: under load the next commit is always ahead.
        if seen.awaited.is_none() {
            seen.awaited = Some((at, committed));
            seen.look(applied);
        }
    }

    /// None when this member never had everything.
    pub(crate) fn staleness(&self, now: Instant, applied: u64) -> Option<Duration> {
        let mut seen = self.0.lock();
        seen.look(applied);
        let fresh_at = seen.fresh_at?;
        Some(now.saturating_duration_since(fresh_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_state_is_as_old_as_the_last_word_that_it_had_all_of() {
        let start = Instant::now();
        let freshness = Freshness::default();
        assert_eq!(freshness.staleness(start, 5), None);
        freshness.heard(start, 5, 5);
        assert_eq!(freshness.staleness(start + SECOND, 5), Some(SECOND));
        // Heard later, but not applied yet: still as old as before.
        freshness.heard(start + SECOND, 9, 5);
        assert_eq!(freshness.staleness(start + 2 * SECOND, 8), Some(2 * SECOND));
        assert_eq!(freshness.staleness(start + 2 * SECOND, 9), Some(SECOND));
    }

    #[test]
    fn a_member_that_is_always_a_little_behind_is_not_old() {
        let start = Instant::now();
        let freshness = Freshness::default();
        for second in 0..100_u32 {
            let committed = u64::from(second) + 1;
            freshness.heard(start + second * SECOND, committed, committed - 1);
        }
        let staleness = freshness.staleness(start + 100 * SECOND, 99).unwrap();
        assert!(staleness <= 3 * SECOND, "{staleness:?}");
    }
}
