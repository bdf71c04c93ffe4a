//! The waist of the store: what the edge may ask of this replica, wherever the leader is.

mod batcher;
mod members;
mod proposals;
mod reads;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use state_machine::{Command, Outcome, StateMachine};

pub(crate) use batcher::Batcher;
pub(crate) use proposals::{Proposals, REQUEST_BYTES_MAX};
pub(crate) use reads::{ReadRounds, Reads};

use crate::authn::Authenticator;
use crate::raft::{
    Attributes, Leader, LeadershipWatch, MemberChanges, MemberTable, PeerClient, Peers, Raft,
    StateFolder,
};
use crate::space::Space;
use crate::spans::Tracer;
use crate::watch::Hub;

/// Who this replica is. Both ids are computed as etcd computes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: u64,
    pub member_id: u64,
}

/// A replica's place in the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    pub id: u64,
    /// Empty until the member has come up once.
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

/// How raft stands, as this replica sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RaftStatus {
    pub term: u64,
    pub leader: Option<u64>,
    pub last_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub is_learner: bool,
}

/// What is left of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTime {
    pub granted_seconds: i64,
    pub remaining_seconds: i64,
}

/// A request that may work later. All but `NotLeader`, `NoLeader` and `TooManyRequests` leave open whether a write took
/// effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("no leader")]
    NoLeader,
    #[error("not leader")]
    NotLeader,
    #[error("leader changed")]
    LeaderChanged,
    #[error("request timed out")]
    TimedOut,
    #[error("request timed out, possibly due to previous leader failure")]
    TimedOutLeaderFailed,
    #[error("too many requests")]
    TooManyRequests,
    #[error("request is too large")]
    TooLarge,
    #[error("server stopped")]
    Stopped,
}

/// Why leadership was not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoveLeaderError {
    #[error("not leader")]
    NotLeader,
    #[error("bad leader transferee")]
    BadTransferee,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Parts of a replica, made by `server`.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    pub(crate) raft: Raft,
    pub(crate) folder: Arc<StateFolder>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) space: Arc<Space>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) members: MemberTable,
    pub(crate) peers: Peers,
    pub(crate) proposals: Proposals,
    pub(crate) changes: MemberChanges,
    pub(crate) reads: Reads,
    pub(crate) leader: Leader,
    pub(crate) leadership: LeadershipWatch,
    /// Longest a request waits for raft: etcd's 5 s and two election timeouts.
    pub(crate) request_timeout: Duration,
    pub(crate) minimum_lease_ttl_seconds: i64,
}

/// One running copy of the store.
pub struct Replica(Parts);

impl Replica {
    pub(crate) fn new(parts: Parts) -> Self {
        Replica(parts)
    }

    /// Replicates a command and returns what it gave once it is applied here. Never retried: after a time-out nobody
    /// knows whether it took effect.
    pub async fn propose(&self, command: Command) -> Result<Outcome, Unavailable> {
        self.0.proposals.propose(&command).await
    }

    /// After this the local state is at least as new as the cluster's was at the call.
    pub async fn read_barrier(&self) -> Result<(), Unavailable> {
        self.0.reads.barrier().await
    }

    /// The state as applied here. Hold it for one request only: a snapshot may replace it.
    pub fn machine(&self) -> Arc<StateMachine> {
        self.0.folder.machine()
    }

    /// An empty file without a name, on the disk of the state.
    pub(crate) fn scratch_file(&self) -> std::io::Result<std::fs::File> {
        self.0.folder.scratch_file()
    }

    /// How much room there is for writes.
    pub(crate) fn space(&self) -> &Space {
        &self.0.space
    }

    /// Who knows tokens and passwords.
    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.0.authenticator
    }

    /// Who makes spans of requests, if any are traced.
    pub(crate) fn tracer(&self) -> Option<&Tracer> {
        self.0.tracer.as_ref()
    }

    /// Whether this replica has applied the log up to an index.
    pub(crate) fn has_applied(&self, index: u64) -> bool {
        self.0.leadership.applied_index() >= index
    }

    pub fn watch_hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    /// Renews a lease and returns its time to live in seconds; none when there is no such lease.
    pub async fn keep_alive(&self, lease: i64) -> Result<Option<i64>, Unavailable> {
        match self.try_keep_alive(lease).await? {
            Some(ttl_seconds) => Ok(Some(ttl_seconds)),
            // Another member may have acknowledged a grant that the leader has not applied yet.
            None => {
                self.read_barrier().await?;
                self.try_keep_alive(lease).await
            }
        }
    }

    async fn try_keep_alive(&self, lease: i64) -> Result<Option<i64>, Unavailable> {
        let applied_index = self.0.leadership.applied_index();
        self.on_leader(
            || Box::pin(self.0.leader.keep_alive(lease, &self.0.proposals)),
            |mut peer| {
                Box::pin(async move {
                    let request = proto::peer::KeepAliveRequest {
                        leases: vec![lease],
                        applied_index,
                    };
                    let reply = peer.keep_alive(request).await?.into_inner();
                    Ok(reply.ttl_seconds.first().copied().filter(|ttl| *ttl > 0))
                })
            },
        )
        .await
    }

    /// Time left of a lease, as the leader's clock has it.
    pub async fn time_to_live(&self, lease: i64) -> Result<Option<LeaseTime>, Unavailable> {
        match self.try_time_to_live(lease).await? {
            Some(time) => Ok(Some(time)),
            // As for a renewal.
            None => {
                self.read_barrier().await?;
                self.try_time_to_live(lease).await
            }
        }
    }

    async fn try_time_to_live(&self, lease: i64) -> Result<Option<LeaseTime>, Unavailable> {
        let applied_index = self.0.leadership.applied_index();
        self.on_leader(
            || Box::pin(std::future::ready(self.0.leader.time_to_live(lease))),
            |mut peer| {
                Box::pin(async move {
                    let request = proto::peer::TimeToLiveRequest {
                        lease,
                        applied_index,
                    };
                    let reply = peer.time_to_live(request).await?.into_inner();
                    Ok(reply.found.then_some(LeaseTime {
                        granted_seconds: reply.granted_seconds,
                        remaining_seconds: reply.remaining_seconds,
                    }))
                })
            },
        )
        .await
    }

    /// Runs `here` when this member leads, else `there` on the leader. Asked again while the leader changes, until the
    /// request's time is over; only for calls that may be repeated.
    async fn on_leader<'a, T>(
        &'a self,
        here: impl Fn() -> BoxFuture<'a, Result<T, Unavailable>>,
        there: impl Fn(PeerClient) -> BoxFuture<'a, Result<T, tonic::Status>>,
    ) -> Result<T, Unavailable> {
        let deadline = tokio::time::Instant::now() + self.0.request_timeout;
        let mut leadership = self.0.leadership.clone();
        loop {
            let leader = leadership.leader();
            if leader == Some(self.0.identity.member_id) {
                match here().await {
                    Err(Unavailable::NotLeader) => {}
                    result => return result,
                }
            } else if let Some(peer) = leader.and_then(|id| self.0.peers.control(id)) {
                match tokio::time::timeout_at(deadline, there(peer)).await {
                    Ok(Ok(value)) => return Ok(value),
                    Ok(Err(status)) => tracing::debug!(%status, "the leader did not answer"),
                    Err(_elapsed) => return Err(Unavailable::TimedOut),
                }
            }
            leadership.changed_or_retry(deadline).await?;
        }
    }

    /// Smallest time to live a lease is given, in seconds: etcd's one and a half election timeouts, rounded up.
    pub fn minimum_lease_ttl_seconds(&self) -> i64 {
        self.0.minimum_lease_ttl_seconds
    }

    pub fn identity(&self) -> Identity {
        self.0.identity
    }

    pub fn raft_status(&self) -> RaftStatus {
        let mut status = self.0.leadership.status();
        // A new voter that catches up is a learner for raft, but serves its clients.
        if let Some(member) = self.0.members.get(self.0.identity.member_id) {
            status.is_learner = member.is_learner;
        }
        status
    }

    /// How old the local state may be; none when this member never had everything that was committed.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        self.0.leadership.staleness()
    }

    /// Raft's current term; cheap, for every response's header.
    pub fn raft_term(&self) -> u64 {
        self.0.leadership.term()
    }

    /// Tells the cluster this member's name and client URLs.
    pub(crate) async fn publish(&self, attributes: &Attributes) -> Result<(), Unavailable> {
        self.0.proposals.publish(attributes).await
    }

    /// Whom this member can hand leadership to, the best first; none while it does not lead.
    pub(crate) fn successors(&self) -> Vec<u64> {
        self.0.leadership.successors()
    }

    /// Hands leadership to another voter and waits until it has it. One that does not answer is not tried: writes would
    /// stand still until the next election.
    pub async fn move_leader(&self, target: u64) -> Result<(), MoveLeaderError> {
        let me = self.0.identity.member_id;
        let mut leadership = self.0.leadership.clone();
        if leadership.leader() != Some(me) {
            return Err(MoveLeaderError::NotLeader);
        }
        let known = self.0.members.get(target);
        if known.is_none_or(|member| member.is_learner) {
            return Err(MoveLeaderError::BadTransferee);
        }
        if target == me {
            return Ok(());
        }
        if !leadership.successors().contains(&target) {
            return Err(Unavailable::TimedOut.into());
        }
        let transfer = self.0.raft.trigger().transfer_leader(target).await;
        transfer.map_err(|_fatal| Unavailable::Stopped)?;
        let deadline = tokio::time::Instant::now() + self.0.request_timeout;
        while leadership.leader() != Some(target) {
            leadership.changed_or_retry(deadline).await?;
        }
        Ok(())
    }
}
