//! Comparisons of what is stored, by etcd's HashKV: at intervals, after compactions, and before a member serves.

use std::sync::Arc;
use std::time::Duration;

use state_machine::{HashKv, StateMachine};

use super::{Checker, Finding, judge, ticks};
use crate::config::CorruptionChecks;
use crate::raft::{MemberTable, Peers};

/// Longest wait for a member's hash, for which it reads everything that it has stored.
const HASH_TIMEOUT: Duration = Duration::from_secs(60);

impl Checker {
    /// Compares what the members have stored, at the intervals that the flags ask for.
    pub(crate) async fn compare_hashes(self, checks: CorruptionChecks) {
        let mut periods = checks.interval.map(ticks);
        let mut compactions = checks
            .after_compactions
            .then(|| ticks(checks.compaction_interval));
        let mut checked_revision = 0;
        loop {
            let is_period = tokio::select! {
                () = next(&mut periods) => true,
                () = next(&mut compactions) => false,
            };
            if !self.leads() {
                continue;
            }
            if is_period {
                let counted = self.compare_stored(0).await;
                tracing::info!(members = counted, "finished peer corruption check");
                continue;
            }
            let revision = self.folder.machine().compact_revision();
            if revision <= checked_revision {
                continue;
            }
            let counted = self.compare_stored(revision).await;
            tracing::info!(
                revision,
                members = counted,
                "finished compaction hash check"
            );
            // Those that are still behind are asked with the next tick.
            if counted == self.members.all().len() {
                checked_revision = revision;
            }
        }
    }

    /// Compares hashes up to a revision, 0 for the newest; how many members could be compared. Those with another compact
    /// revision cannot.
    async fn compare_stored(&self, revision: i64) -> usize {
        let Ok(own) = own_hash(self.folder.machine(), revision).await else {
            return 0;
        };
        let others = hashes_of_others(self.member_id, &self.members, &self.peers, own).await;
        let mut answers = vec![(self.member_id, own.hash)];
        for (member, answer) in &others {
            match answer {
                Ok(hash) if hash.compact_revision == own.compact_revision => {
                    answers.push((*member, hash.hash));
                }
                Ok(_) => {}
                Err(why) => {
                    let member = format_args!("{member:x}");
                    tracing::debug!(member, why, "a member's hash cannot be compared");
                }
            }
        }
        self.metrics.consistency_checks.add(1);
        let finding: Finding = judge(&answers, others.len() + 1);
        let what = format!("what is stored up to revision {}", own.hash_revision);
        self.act_on(finding, &what).await;
        answers.len()
    }
}

/// The next tick; never, when there are none.
async fn next(ticks: &mut Option<tokio::time::Interval>) {
    match ticks {
        Some(ticks) => _ = ticks.tick().await,
        None => std::future::pending().await,
    }
}

async fn own_hash(machine: Arc<StateMachine>, revision: i64) -> anyhow::Result<HashKv> {
    let hashed = tokio::task::spawn_blocking(move || machine.hash_kv(revision)).await?;
    Ok(hashed?)
}

/// What every other member answers when it is asked for its hash at the same revision.
async fn hashes_of_others(
    own_id: u64,
    members: &MemberTable,
    peers: &Peers,
    own: HashKv,
) -> Vec<(u64, Result<HashKv, String>)> {
    let asked = members.others(own_id).map(|other| async move {
        let answer = peers.hash_kv(other.id, own.hash_revision, HASH_TIMEOUT);
        (other.id, answer.await)
    });
    futures::future::join_all(asked).await
}

/// etcd's initial check: a member whose data differs from that of another one does not start. Who does not answer, or is
/// elsewhere in the history, says nothing.
pub(crate) async fn check_before_start(
    member_id: u64,
    members: &MemberTable,
    peers: &Peers,
    machine: Arc<StateMachine>,
) -> anyhow::Result<()> {
    tracing::info!("starting initial corruption check");
    let own = own_hash(machine, 0).await?;
    let mut mismatches = 0;
    for (other, answer) in hashes_of_others(member_id, members, peers, own).await {
        let other = format_args!("{other:x}");
        match answer {
            Ok(hash) if hash.compact_revision != own.compact_revision => tracing::warn!(
                member = other,
                own = own.compact_revision,
                theirs = hash.compact_revision,
                "found different compact revision values from remote peer"
            ),
            Ok(hash) if hash.hash != own.hash => {
                mismatches += 1;
                tracing::error!(
                    member = other,
                    revision = own.hash_revision,
                    own = own.hash,
                    theirs = hash.hash,
                    "found different hash values from remote peer"
                );
            }
            Ok(_) => {}
            Err(why) => tracing::warn!(member = other, why, "cannot fetch hash from remote peer"),
        }
    }
    anyhow::ensure!(
        mismatches == 0,
        "{member_id:x} found data inconsistency with peers; if the others are right, remove its data folder and start it \
         with --initial-cluster-state existing, so that it copies the data from them"
    );
    tracing::info!("initial corruption checking passed; no corruption");
    Ok(())
}
