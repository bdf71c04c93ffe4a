//! Automatic compaction: the leader gives up history by age or by count, as etcd's modes do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use state_machine::{Caller, Command, Compact};
use tokio::time::Instant;

use crate::config::AutoCompaction;
use crate::raft::{LeadershipWatch, StateFolder};
use crate::replica::Proposals;

/// How often the revision mode looks, as in etcd.
const REVISION_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The periodic mode notes the revision this many times a period, and at least once an hour.
const NOTES_PER_PERIOD: u32 = 10;
const NOTE_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60 / NOTES_PER_PERIOD as u64);

/// Revisions noted over time; the one that has become old enough is compacted.
struct Ages {
    period: Duration,
    notes: VecDeque<(Instant, i64)>,
}

impl Ages {
    /// Notes the current revision and returns the newest one that is a whole period old.
    fn note(&mut self, now: Instant, revision: i64) -> Option<i64> {
        self.notes.push_back((now, revision));
        let mut due = None;
        while let Some((noted, revision)) = self.notes.front().copied()
            && now.duration_since(noted) >= self.period
        {
            due = Some(revision);
            self.notes.pop_front();
        }
        due
    }
}

/// Proposes compactions while this member leads; ends at once when the mode is off.
pub(crate) async fn run(
    mode: AutoCompaction,
    folder: Arc<StateFolder>,
    proposals: Proposals,
    leadership: LeadershipWatch,
    member_id: u64,
) {
    let (interval, mut ages) = match mode {
        AutoCompaction::Off => return std::future::pending().await,
        AutoCompaction::Revision(_) => (REVISION_INTERVAL, None),
        AutoCompaction::Periodic(period) => {
            let interval = (period / NOTES_PER_PERIOD)
                .min(NOTE_INTERVAL_MAX)
                .max(Duration::from_millis(100));
            (
                interval,
                Some(Ages {
                    period,
                    notes: VecDeque::new(),
                }),
            )
        }
    };
    let mut tick = tokio::time::interval(interval);
    loop {
        tick.tick().await;
        let machine = folder.machine();
        let current = machine.revision();
        let target = match (&mut ages, mode) {
            (Some(ages), _) => ages.note(Instant::now(), current),
            (None, AutoCompaction::Revision(keep)) => {
                Some(current.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX)))
            }
            (None, _) => None,
        };
        let Some(revision) =
            target.filter(|revision| *revision > machine.compact_revision().max(0))
        else {
            continue;
        };
        drop(machine);
        if leadership.leader() != Some(member_id) {
            continue;
        }
        match proposals
            .propose(&Command::Compact(Compact { revision }).by(Caller::System))
            .await
        {
            Ok(Ok(_)) => tracing::info!(revision, "finished auto compaction"),
            Ok(Err(rejection)) => tracing::debug!(revision, %rejection, "nothing to compact"),
            Err(error) => tracing::warn!(revision, %error, "auto compaction failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_compacted_when_it_is_a_period_old() {
        let mut ages = Ages {
            period: Duration::from_secs(10),
            notes: VecDeque::new(),
        };
        let start = Instant::now();
        assert_eq!(ages.note(start, 5), None);
        assert_eq!(ages.note(start + Duration::from_secs(6), 7), None);
        assert_eq!(ages.note(start + Duration::from_secs(12), 9), Some(5));
        assert_eq!(ages.note(start + Duration::from_secs(30), 9), Some(9));
    }
}
