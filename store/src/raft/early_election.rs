//! Replaces a leader whose process has ended without waiting for the election timeout, when a majority knows of it.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::mpsc;

use super::failure_detector::{self, FailureDetector, Leadership, PROBE_TIMEOUT};
use crate::metrics::Metrics;

use super::{MemberTable, Peers, Raft, RejoinGuard};

/// Times that the others are asked about one end of a leader, and the pause between.
const ASKS_MAX: u32 = 5;
const ASK_PAUSE: Duration = Duration::from_millis(50);

/// Stands for election when the leader's process has ended.
pub(crate) struct EarlyElection {
    pub(crate) raft: Raft,
    pub(crate) peers: Peers,
    pub(crate) members: MemberTable,
    pub(crate) guard: Arc<RejoinGuard>,
    pub(crate) detector: FailureDetector,
    /// Members whose last connection to this one has closed.
    pub(crate) closed: mpsc::Receiver<u64>,
    pub(crate) member_id: u64,
    pub(crate) metrics: Arc<Metrics>,
}

impl EarlyElection {
    /// Runs for as long as the detector lives.
    pub(crate) async fn run(mut self) {
        while let Some(member) = self.closed.recv().await {
            let followed = self.followed().filter(|led| led.leader == member);
            if let Some(gone) = followed
                && self.is_closed(member).await
            {
                self.replace(gone).await;
            }
        }
    }

    /// Whether nobody serves any of a member's peer URLs.
    async fn is_closed(&self, member: u64) -> bool {
        let urls = self.members.get(member).map(|member| member.peer_urls);
        let urls = urls.unwrap_or_default();
        let asked = urls
            .iter()
            .map(|url| failure_detector::is_closed(self.peers.connector(), url));
        let closed = futures::future::join_all(asked).await;
        !closed.is_empty() && closed.into_iter().all(|closed| closed)
    }

    /// The leader that this member follows.
    fn followed(&self) -> Option<Leadership> {
        let server = self.raft.server_metrics();
        let server = server.borrow_watched();
        let leader = server.current_leader.filter(|id| *id != self.member_id)?;
        Some(Leadership {
            leader,
            term: server.vote.leader_id.term,
        })
    }

    async fn replace(&self, gone: Leadership) {
        if !self.detector.note_gone(gone) {
            return;
        }
        tracing::info!(
            leader = format_args!("{:x}", gone.leader),
            term = gone.term,
            "the leader's process has ended: its connections closed and its port refuses others"
        );
        let voters = self.voters();
        let may_stand = voters.contains(&self.member_id) && self.guard.may_vote();
        if !may_stand || self.followed() != Some(gone) || !self.detector.stand(gone) {
            return;
        }
        // Two that stand may refuse one another while the leader's last entry is still on its way into one's log.
        for _ in 0..ASKS_MAX {
            let agreed = self.agreed(&voters, gone).await;
            if !self.detector.still_stands(gone) || self.followed() != Some(gone) {
                return;
            }
            if agreed > voters.len() / 2 {
                self.metrics.early_elections.add(1);
                // Raft that has stopped needs no election; its own task says why.
                self.raft.trigger().elect(false).await.ok();
                return;
            }
            tokio::time::sleep(ASK_PAUSE).await;
        }
        // Another one that notices later need not wait for the election timeout because of one that has given up.
        self.detector.withdraw(gone);
    }

    /// How many of the voters would have this member in the leader's place, itself among them.
    async fn agreed(&self, voters: &[u64], gone: Leadership) -> usize {
        let others = voters.iter().filter(|id| **id != self.member_id);
        let asked = others.map(|id| self.agrees(*id, gone));
        let answers = futures::future::join_all(asked).await;
        1 + answers.into_iter().filter(|agreed| *agreed).count()
    }

    fn voters(&self) -> Vec<u64> {
        let server = self.raft.server_metrics();
        let server = server.borrow_watched();
        server.membership_config.voter_ids().collect()
    }

    /// Whether another voter knows of the leader's end too, and would vote for the log of this member.
    async fn agrees(&self, voter: u64, gone: Leadership) -> bool {
        if voter == gone.leader {
            return false;
        }
        let Some(mut client) = self.peers.control(voter) else {
            return false;
        };
        let last = self.raft.data_metrics().borrow_watched().last_log;
        let request = super::wire::leader_gone_request(gone, last.as_ref());
        // Twice the time that the other one has to make sure of it.
        match tokio::time::timeout(2 * PROBE_TIMEOUT, client.leader_gone(request)).await {
            Ok(Ok(reply)) => reply.into_inner().agreed,
            Ok(Err(_)) | Err(_) => false,
        }
    }
}
