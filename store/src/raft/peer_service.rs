//! The receiving half of replica-to-replica traffic.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{SnapshotResponse, StreamAppendError, StreamAppendResult};
use proto::peer;
use proto::peer::peer_server::{Peer, PeerServer};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use super::connection::Caller;
use super::freshness::committed_by;
use super::transport::MESSAGE_BYTES;
use super::types::{Raft, TypeConfig};
use super::{
    ApplyProgress, Contact, FailureDetector, Leader, MemberChanges, MemberTable, Place,
    RejoinGuard, StateFolder, transfer, wire,
};
use crate::consistency::Samples;
use crate::replica::{Identity, Proposals, Unavailable};

/// Metadata keys of every call, all in hex.
pub(super) const CLUSTER_ID: &str = "mainstay-cluster-id";
pub(super) const MEMBER_ID: &str = "mainstay-member-id";
pub(super) const TARGET_ID: &str = "mainstay-target-id";

/// Longest wait for this member to apply what the caller has applied.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(1);

type Reply<T> = Result<Response<T>, Status>;

/// Answers the other members.
pub(crate) struct PeerService {
    pub(crate) identity: Identity,
    pub(crate) members: MemberTable,
    pub(crate) applied: ApplyProgress,
    pub(crate) contact: Contact,
    pub(crate) detector: FailureDetector,
    pub(crate) raft: Raft,
    pub(crate) folder: Arc<StateFolder>,
    pub(crate) guard: Arc<RejoinGuard>,
    pub(crate) leader: Leader,
    pub(crate) proposals: Proposals,
    pub(crate) changes: MemberChanges,
    pub(crate) samples: Samples,
    /// A hash reads everything that is stored.
    pub(crate) hashing: Arc<Semaphore>,
}

impl PeerService {
    pub(crate) fn into_server(self) -> PeerServer<Self> {
        PeerServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }

    /// Refuses calls that are not meant for this member; returns who calls.
    fn check<T>(&self, request: &Request<T>) -> Result<u64, Status> {
        let id = |key| {
            request
                .metadata()
                .get(key)
                .and_then(|id| id.to_str().ok())
                .unwrap_or("none")
        };
        let Identity {
            cluster_id,
            member_id,
        } = self.identity;
        let (cluster, target) = (id(CLUSTER_ID), id(TARGET_ID));
        if !names(cluster, cluster_id) {
            tracing::warn!(
                member = id(MEMBER_ID),
                cluster,
                "refused a peer of another cluster"
            );
            return Err(Status::failed_precondition("cluster ID mismatch"));
        }
        if !names(target, member_id) {
            tracing::warn!(
                member = id(MEMBER_ID),
                target,
                "refused a call for another member"
            );
            return Err(Status::failed_precondition(
                "member ID mismatch: the peer URL leads to another member",
            ));
        }
        let member = u64::from_str_radix(id(MEMBER_ID), 16)
            .map_err(|_not_hex| Status::failed_precondition("no member ID"))?;
        if self.members.was_removed(member) {
            return Err(Status::failed_precondition(
                "the member has been permanently removed from the cluster",
            ));
        }
        if let Some(caller) = request.extensions().get::<Caller>() {
            caller.is(member);
        }
        Ok(member)
    }

    fn place(&self) -> Place {
        Place {
            cluster_id: self.identity.cluster_id,
            members: self.members.all(),
            removed: self.members.removed(),
        }
    }

    /// Waits until the log is applied here as far as it is where the call comes from.
    async fn catch_up(&self, index: u64) -> Result<(), Status> {
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|applied| *applied >= index);
        match tokio::time::timeout(CATCH_UP_TIMEOUT, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Status::unavailable(
                "waiting for the applied index took too long",
            )),
        }
    }
}

/// Whether the hex digits of a call's metadata are this id.
fn names(digits: &str, id: u64) -> bool {
    u64::from_str_radix(digits, 16) == Ok(id)
}

/// Whoever was not refused for its vote is the leader.
fn note(contact: &Contact, guard: &RejoinGuard, result: &StreamAppendResult<TypeConfig>) {
    match result {
        Ok(last) => guard.matched(last.as_ref()),
        Err(StreamAppendError::Conflict(_)) => {}
        Err(StreamAppendError::HigherVote(_)) => return,
    }
    contact.heard();
}

fn rejoining() -> Status {
    Status::failed_precondition("this member has not caught up since it joined again")
}

fn fatal(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl Peer for PeerService {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<peer::AppendReply, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<peer::AppendRequest>>,
    ) -> Reply<Self::AppendStream> {
        self.check(&request)?;
        let guard = Arc::clone(&self.guard);
        // A broken stream, an unreadable request or one that is refused ends the requests; the leader starts over from
        // what was acknowledged.
        let requests = request.into_inner().scan((), move |(), message| {
            let request = message
                .ok()
                .and_then(|message| wire::append_request_from(message).ok())
                .filter(|request| guard.admit(request));
            futures::future::ready(request)
        });
        let (contact, guard) = (self.contact.clone(), Arc::clone(&self.guard));
        let replies = self
            .raft
            .stream_append(requests)
            .map(move |result| match result {
                Ok(result) => {
                    note(&contact, &guard, &result);
                    Ok(wire::append_reply(&result))
                }
                Err(error) => Err(fatal(error)),
            });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn heartbeat(&self, request: Request<peer::AppendRequest>) -> Reply<peer::AppendReply> {
        self.check(&request)?;
        let append = wire::append_request_from(request.into_inner())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if !self.guard.admit(&append) {
            return Err(rejoining());
        }
        let (previous, last) = (append.prev_log_id, append.entries.last().map(|e| e.log_id));
        let at = tokio::time::Instant::now();
        let committed = committed_by(&append.vote, append.leader_commit.as_ref());
        let response = self.raft.append_entries(append).await.map_err(fatal)?;
        let result = response.into_stream_result(previous, last.or(previous));
        note(&self.contact, &self.guard, &result);
        let is_followed = !matches!(result, Err(StreamAppendError::HigherVote(_)));
        if let Some(committed) = committed.filter(|_| is_followed) {
            let applied = *self.applied.borrow();
            self.contact.freshness.heard(at, committed, applied);
        }
        Ok(Response::new(wire::append_reply(&result)))
    }

    async fn vote(&self, request: Request<peer::VoteRequest>) -> Reply<peer::VoteReply> {
        self.check(&request)?;
        if !self.guard.may_vote() {
            return Err(rejoining());
        }
        let message = request.into_inner();
        let mut vote = wire::vote_request_from(&message);
        // On this member's own evidence alone: the lease of a leader that has ended protects nothing.
        vote.leadership_transfer |=
            message.leader_gone && self.detector.is_gone_before(vote.vote.leader_id.term);
        let response = match message.pre_vote {
            true => self.raft.pre_vote(vote).await,
            false => self.raft.vote(vote).await,
        };
        Ok(Response::new(wire::vote_reply(&response.map_err(fatal)?)))
    }

    async fn leader_gone(
        &self,
        request: Request<peer::LeaderGoneRequest>,
    ) -> Reply<peer::LeaderGoneReply> {
        let caller = self.check(&request)?;
        let (gone, last) = wire::leader_gone_from(&request.into_inner());
        let own = self.raft.data_metrics().borrow_watched().last_log;
        let yields = last > own || caller < self.identity.member_id;
        let may_agree = last >= own && self.guard.may_vote();
        let agreed = may_agree
            && self.detector.confirms(gone).await
            && self.detector.promise(gone, caller, yields);
        Ok(Response::new(peer::LeaderGoneReply { agreed }))
    }

    async fn transfer_leader(
        &self,
        request: Request<peer::TransferLeaderRequest>,
    ) -> Reply<peer::TransferLeaderReply> {
        self.check(&request)?;
        if !self.guard.may_vote() {
            return Err(rejoining());
        }
        let transfer = wire::transfer_request_from(&request.into_inner());
        let reason = match self
            .raft
            .handle_transfer_leader(transfer)
            .await
            .map_err(fatal)?
        {
            Ok(()) => None,
            Err(error) => Some(error.to_string()),
        };
        Ok(Response::new(peer::TransferLeaderReply {
            accepted: reason.is_none(),
            reason: reason.unwrap_or_default(),
        }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<peer::SnapshotChunk>>,
    ) -> Reply<peer::SnapshotReply> {
        self.check(&request)?;
        tracing::info!("receiving a snapshot");
        let place = self.folder.new_place();
        let (vote, snapshot) = transfer::receive(request.into_inner(), place).await?;
        if !self.guard.admits(vote.leader_id.term) {
            return Err(rejoining());
        }
        let SnapshotResponse { vote } = self
            .raft
            .install_full_snapshot(vote, snapshot)
            .await
            .map_err(fatal)?;
        Ok(Response::new(peer::SnapshotReply {
            vote: Some(wire::vote_to(&vote)),
        }))
    }

    async fn propose(&self, request: Request<peer::ProposeRequest>) -> Reply<peer::ProposeReply> {
        self.check(&request)?;
        let refusal = match self.leader.propose(request.into_inner().batch).await {
            Ok(()) => None,
            Err(Unavailable::NotLeader) => Some(peer::Refusal {
                not_leader: true,
                reason: "not leader".into(),
            }),
            Err(error) => Some(peer::Refusal {
                not_leader: false,
                reason: error.to_string(),
            }),
        };
        Ok(Response::new(peer::ProposeReply { refusal }))
    }

    async fn read_index(
        &self,
        request: Request<peer::ReadIndexRequest>,
    ) -> Reply<peer::ReadIndexReply> {
        self.check(&request)?;
        let read = self.leader.read_index().await.map_err(fatal)?;
        Ok(Response::new(peer::ReadIndexReply {
            index: read.index,
            term: read.term,
        }))
    }

    async fn keep_alive(
        &self,
        request: Request<peer::KeepAliveRequest>,
    ) -> Reply<peer::KeepAliveReply> {
        self.check(&request)?;
        let request = request.into_inner();
        self.catch_up(request.applied_index).await?;
        let mut ttl_seconds = Vec::new();
        for lease in request.leases {
            let renewed = self
                .leader
                .keep_alive(lease, &self.proposals)
                .await
                .map_err(fatal)?;
            ttl_seconds.push(renewed.unwrap_or(0));
        }
        Ok(Response::new(peer::KeepAliveReply { ttl_seconds }))
    }

    async fn time_to_live(
        &self,
        request: Request<peer::TimeToLiveRequest>,
    ) -> Reply<peer::TimeToLiveReply> {
        self.check(&request)?;
        let request = request.into_inner();
        self.catch_up(request.applied_index).await?;
        let time = self.leader.time_to_live(request.lease).map_err(fatal)?;
        let reply = time.map(|time| peer::TimeToLiveReply {
            found: true,
            granted_seconds: time.granted_seconds,
            remaining_seconds: time.remaining_seconds,
        });
        Ok(Response::new(reply.unwrap_or_default()))
    }

    async fn members(&self, request: Request<peer::MembersRequest>) -> Reply<peer::MembersReply> {
        if request.metadata().contains_key(MEMBER_ID) {
            self.check(&request)?;
        }
        Ok(Response::new(wire::place_to(self.place())))
    }

    async fn digests(&self, request: Request<peer::DigestsRequest>) -> Reply<peer::DigestsReply> {
        self.check(&request)?;
        let digests = self.samples.all().into_iter().map(wire::digest_to);
        Ok(Response::new(peer::DigestsReply {
            digests: digests.collect(),
        }))
    }

    async fn hash_kv(&self, request: Request<peer::HashKvRequest>) -> Reply<peer::HashKvReply> {
        self.check(&request)?;
        let revision = request.into_inner().revision;
        let one_at_a_time = Arc::clone(&self.hashing)
            .try_acquire_owned()
            .map_err(|_busy| Status::resource_exhausted("another hash is being made"))?;
        let machine = self.folder.machine();
        // Whoever asked may be gone before it is made.
        let hashed = tokio::task::spawn_blocking(move || {
            let hashed = machine.hash_kv(revision);
            drop(one_at_a_time);
            hashed
        });
        let hashed = hashed.await;
        let hashed = hashed
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(|rejection| Status::out_of_range(rejection.to_string()))?;
        Ok(Response::new(peer::HashKvReply {
            hash: hashed.hash,
            compact_revision: hashed.compact_revision,
        }))
    }

    async fn change_members(
        &self,
        request: Request<peer::ChangeMembersRequest>,
    ) -> Reply<peer::ChangeMembersReply> {
        self.check(&request)?;
        let change = wire::change_from(request.into_inner())
            .ok_or_else(|| Status::invalid_argument("a change of the members that is none"))?;
        let changed = self.changes.make(change).await;
        let reply = wire::change_reply(changed.map(|()| self.place()));
        Ok(Response::new(reply))
    }
}
