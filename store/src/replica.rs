//! Signatures of the replica that the edge is written against.

use std::sync::Arc;

use state_machine::{Command, Outcome, StateMachine};

use crate::watch;

/// The waist of a replica.
pub struct Replica;

/// Whose answer a header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: u64,
    pub member_id: u64,
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: u64,
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

/// Raft as this replica sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RaftStatus {
    pub term: u64,
    pub leader: Option<u64>,
    pub last_index: u64,
    pub applied_index: u64,
    pub is_learner: bool,
}

/// A lease by the leader's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTime {
    pub granted_seconds: i64,
    pub remaining_seconds: i64,
}

/// Why a request may work later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("no leader")]
    NoLeader,
    #[error("leader changed")]
    LeaderChanged,
    #[error("timed out")]
    TimedOut,
    #[error("timed out, possibly because the leader failed")]
    TimedOutLeaderFailed,
    #[error("stopped")]
    Stopped,
    #[error("too many requests")]
    TooManyRequests,
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

#[expect(unused_variables, clippy::unused_async, reason = "signatures")]
impl Replica {
    pub async fn propose(&self, command: Command) -> Result<Outcome, Unavailable> {
        unimplemented!()
    }
    pub async fn read_barrier(&self) -> Result<(), Unavailable> {
        unimplemented!()
    }
    pub fn machine(&self) -> Arc<StateMachine> {
        unimplemented!()
    }
    pub fn watch_hub(&self) -> &Arc<watch::Hub> {
        unimplemented!()
    }
    pub async fn keep_alive(&self, id: i64) -> Result<Option<i64>, Unavailable> {
        unimplemented!()
    }
    pub async fn time_to_live(&self, id: i64) -> Result<Option<LeaseTime>, Unavailable> {
        unimplemented!()
    }
    pub fn minimum_lease_ttl_seconds(&self) -> i64 {
        unimplemented!()
    }
    pub fn identity(&self) -> Identity {
        unimplemented!()
    }
    pub fn members(&self) -> Vec<Member> {
        unimplemented!()
    }
    pub fn raft_status(&self) -> RaftStatus {
        unimplemented!()
    }
    pub async fn move_leader(&self, target: u64) -> Result<(), MoveLeaderError> {
        unimplemented!()
    }
}
