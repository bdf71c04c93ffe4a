//! How openraft is set up here; what differs from its defaults has its reason.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};
use tokio::time::MissedTickBehavior;

use super::Raft;

/// Most log entries in one append message; its bytes are bounded by the log store.
const APPEND_ENTRIES: u64 = 4096;
/// Time that one snapshot may take on its way.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(600);
/// A follower that is further behind than this gets a snapshot instead of the log.
const LAG_ENTRIES: u64 = 200_000;

/// What an operator chooses of raft.
#[derive(Debug, Clone)]
pub(crate) struct RaftSettings {
    pub(crate) heartbeat: Duration,
    pub(crate) election_timeout: Duration,
    pub(crate) pre_vote: bool,
    /// Entries kept behind the durable state for followers that are a little late.
    pub(crate) log_entries_kept: u64,
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// openraft's configuration for a replica.
pub(super) fn build(settings: &RaftSettings) -> anyhow::Result<Config> {
    let election = milliseconds(settings.election_timeout);
    // openraft gives up a heartbeat that is not answered within one interval, and a leader that hears no answers for its
    // lease takes no writes. So this is the time for an answer, which has to cross a long way or wait for a slow disk; it
    // is half the lease, so that one of two may be late. How often a leader is heard is the flag's: see `heartbeats`.
    let heartbeat = milliseconds(settings.heartbeat).max(election * 3 / 10);
    let config = Config {
        cluster_name: "mainstay".to_owned(),
        heartbeat_interval: heartbeat,
        // A follower waits for the leader's lease, which is the larger of the two, and then for a random time between
        // them: together one election timeout, to one and a fifth.
        election_timeout_min: (election * 2 / 5).max(heartbeat + 1),
        election_timeout_max: (election * 3 / 5).max(heartbeat + 2),
        enable_pre_vote: Some(settings.pre_vote),
        // The state is durable only up to the last flush, so leadership of an earlier run must not be resumed.
        enable_leader_restore: Some(false),
        // A member that joined again has less than it once acknowledged: it is fed anew. A log that shrank by damage is
        // refused by the log itself, and by the rejoin guard's mark.
        allow_log_reversion: Some(true),
        // Replicators see entries as soon as they are handed to the log, before they are synced.
        broadcast_submitted_on_append: Some(true),
        install_snapshot_timeout: milliseconds(SNAPSHOT_TIMEOUT),
        // A "snapshot" here is a flush of the state machine; housekeeping says when.
        snapshot_policy: SnapshotPolicy::Never,
        replication_lag_threshold: LAG_ENTRIES,
        max_in_snapshot_log_to_keep: settings.log_entries_kept,
        max_payload_entries: APPEND_ENTRIES,
        ..Config::default()
    };
    Ok(config.validate()?)
}

/// Has a leader send heartbeats as often as the operator wants them. One that is still unanswered is not sent again: the
/// next goes out once it was answered or given up. Ends with raft; a follower does nothing.
pub(crate) async fn heartbeats(raft: Raft, interval: Duration) {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if raft.trigger().heartbeat().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(heartbeat: u64, election_timeout: u64) -> Config {
        let settings = RaftSettings {
            heartbeat: Duration::from_millis(heartbeat),
            election_timeout: Duration::from_millis(election_timeout),
            pre_vote: true,
            log_entries_kept: 1,
        };
        build(&settings).unwrap()
    }

    #[test]
    fn an_answer_to_a_heartbeat_has_half_a_lease_whatever_the_interval_is() {
        for heartbeat in [1, 10, 100, 200] {
            let config = built(heartbeat, 1000);
            assert_eq!(config.heartbeat_interval, 300, "{heartbeat}");
            assert_eq!(config.election_timeout_max, 600, "openraft's lease");
        }
        assert_eq!(built(500, 10_000).heartbeat_interval, 3000);
    }

    #[test]
    fn every_interval_that_the_flags_allow_is_accepted() {
        for (heartbeat, election_timeout) in [(1, 5), (2, 10), (100, 500), (10_000, 50_000)] {
            let config = built(heartbeat, election_timeout);
            assert!(config.heartbeat_interval >= heartbeat);
            assert!(config.heartbeat_interval < config.election_timeout_min);
        }
    }
}
