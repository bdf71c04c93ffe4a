//! The leader's part of leases: revokes what is over, and writes down what is left.

use std::sync::Arc;
use std::time::Duration;

use state_machine::{Caller, Command, LeaseRevoke, Rejection};
use tokio::time::Instant;

use super::{CHECKPOINT_INTERVAL, Lessor};
use crate::raft::LeadershipWatch;
use crate::replica::{Proposals, Reads};

/// How often the leader looks for leases whose time is over.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(250);

/// What the leader's part works with.
pub(crate) struct LeaderLoop {
    pub(crate) lessor: Arc<Lessor>,
    pub(crate) proposals: Proposals,
    pub(crate) reads: Reads,
    pub(crate) leadership: LeadershipWatch,
    pub(crate) member_id: u64,
}

impl LeaderLoop {
    /// Revokes what is over and writes down what is left, while this member leads.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(EXPIRY_INTERVAL);
        let mut written = Instant::now();
        let mut led_term = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                changed = self.leadership.changed() => if changed.is_err() { return },
            }
            if self.leading() != led_term {
                self.lessor.lead(None, Instant::now());
                led_term = self.begin_to_lead().await;
            }
            let Some(term) = led_term else { continue };
            self.revoke_expired(term).await;
            if written.elapsed() >= CHECKPOINT_INTERVAL {
                written = Instant::now();
                self.write_down(term).await;
            }
        }
    }

    /// The term in which this member leads.
    fn leading(&self) -> Option<u64> {
        (self.leadership.leader() == Some(self.member_id)).then(|| self.leadership.term())
    }

    /// The clock leads only once the renewals of earlier terms are applied here.
    async fn begin_to_lead(&self) -> Option<u64> {
        let term = self.leading()?;
        if self.reads.barrier().await.is_err() || self.leading() != Some(term) {
            return None;
        }
        self.lessor.lead(Some(term), Instant::now());
        Some(term)
    }

    /// What one leader decided by its clock must not be carried out by the next: the revokes are for this term only.
    async fn revoke_expired(&self, term: u64) {
        let expired = self.lessor.expired(Instant::now());
        if expired.is_empty() {
            return;
        }
        let revokes = expired
            .iter()
            .map(|&id| Command::LeaseRevoke(LeaseRevoke { id }).by(Caller::System))
            .collect();
        let answers = self.proposals.propose_in_term(term, revokes).await;
        for (id, answer) in expired.into_iter().zip(answers) {
            match answer {
                Err(error) => {
                    tracing::warn!(lease = id, %error, "an expired lease is not revoked yet");
                    self.lessor.not_revoked(id);
                }
                // Until the alarm is disarmed.
                Ok(Err(Rejection::Corrupt)) => self.lessor.not_revoked(id),
                Ok(_) => {}
            }
        }
    }

    async fn write_down(&self, term: u64) {
        let checkpoints = self.lessor.checkpoints(Instant::now());
        if checkpoints.is_empty() {
            return;
        }
        let note = vec![Command::LeaseCheckpoint(checkpoints).by(Caller::System)];
        for answer in self.proposals.propose_in_term(term, note).await {
            match answer {
                Ok(Ok(_written)) => {}
                Ok(Err(rejection)) => tracing::warn!(%rejection, "lease times refused"),
                Err(error) => tracing::warn!(%error, "lease times not written down"),
            }
        }
    }
}
