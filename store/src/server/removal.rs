//! A member that was removed from the cluster learns of it and ends.

use std::time::Duration;

use super::assembly::Assembly;
use super::join;
use crate::replica::Replica;

/// Returns once this member knows that it was removed: from its own log or, while it hears no leader, from the others.
pub(super) async fn removed(assembly: &Assembly, replica: &Replica) {
    let interval: Duration = assembly.config.election_timeout;
    let identity = replica.identity();
    loop {
        tokio::time::sleep(interval).await;
        if assembly.members.was_removed(identity.member_id) {
            return;
        }
        if replica.raft_status().leader.is_none() && join::is_removed(assembly, identity).await {
            return;
        }
    }
}
