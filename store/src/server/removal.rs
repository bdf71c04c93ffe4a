//! A member that was removed from the cluster learns of it and ends.

use std::time::Duration;

use super::assembly::Assembly;
use crate::replica::Replica;

/// Returns once this member knows that it was removed: from its own log or, while it hears no leader, from the others.
pub(super) async fn removed(assembly: &Assembly, replica: &Replica) {
    let interval: Duration = assembly.config.election_timeout;
    loop {
        tokio::time::sleep(interval).await;
        if assembly.members.was_removed(assembly.member_id) {
            return;
        }
        if replica.raft_status().leader.is_some() {
            continue;
        }
        let others = assembly.members.all().into_iter();
        let others = others.filter(|member| member.id != assembly.member_id);
        let asked = others.map(|member| assembly.peers.says_removed(member.id));
        let asked: Vec<_> = asked.collect();
        if futures::future::join_all(asked).await.contains(&true) {
            return;
        }
    }
}
