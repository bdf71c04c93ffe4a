//! How openraft is set up here; what differs from its defaults has its reason.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

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
    let heartbeat = milliseconds(settings.heartbeat);
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
