//! A client of one member: no second attempt, no other member, and an honest word on what came of each request.

mod convert;
mod outcome;

use std::time::Duration;

use anyhow::{Context, Result};
use check::history::{
    Answer, HashKv, LeaseGrant, LeaseKeepAlive, LeaseRevoke, LeaseTime, LeaseTimeToLive, Outcome,
    Request, Response,
};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::watch_client::WatchClient;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

pub(crate) use convert::watch_event;
pub use outcome::classify;

/// Time a request gets. What is unanswered then has an unknown outcome.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Largest answer that is taken, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What a member says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its own id.
    pub id: u64,
    /// The leader it follows; 0 for none.
    pub leader: u64,
    /// Raft's term.
    pub term: u64,
}

/// Clients of every service, over one connection to one member. It connects when it is first used, and again after a
/// connection broke; a request is sent over one connection at most.
#[derive(Debug, Clone)]
pub struct Client {
    kv: KvClient<Channel>,
    lease: LeaseClient<Channel>,
    maintenance: MaintenanceClient<Channel>,
    cluster: ClusterClient<Channel>,
    watch: WatchClient<Channel>,
}

impl Client {
    /// A client of the member at `url`.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn new(url: &str) -> Result<Client> {
        Ok(Client::over(endpoint(url)?.connect_lazy()))
    }

    /// A client whose connection is given up soon after the member stops answering pings.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn impatient(url: &str) -> Result<Client> {
        let endpoint = endpoint(url)?
            .http2_keep_alive_interval(REQUEST_TIMEOUT)
            .keep_alive_timeout(REQUEST_TIMEOUT)
            .keep_alive_while_idle(true);
        Ok(Client::over(endpoint.connect_lazy()))
    }

    fn over(channel: Channel) -> Client {
        Client {
            kv: KvClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
            lease: LeaseClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            cluster: ClusterClient::new(channel.clone()),
            watch: WatchClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX),
        }
    }

    /// Makes one request, once.
    pub async fn ask(&mut self, request: &Request) -> Outcome {
        self.ask_within(request, REQUEST_TIMEOUT).await
    }

    /// Makes one request, once, with another time-out.
    pub async fn ask_within(&mut self, request: &Request, limit: Duration) -> Outcome {
        match tokio::time::timeout(limit, self.send(request)).await {
            Ok(Ok(response)) => Outcome::Ok(response),
            Ok(Err(status)) => classify(&status),
            Err(_) => Outcome::Unknown {
                error: format!("no answer within {} ms", limit.as_millis()),
            },
        }
    }

    async fn send(&mut self, request: &Request) -> Result<Response, Status> {
        match request {
            Request::Range(range) => {
                let answer = self.kv.range(convert::range(range)).await?.into_inner();
                let revision = convert::revision(answer.header.as_ref());
                Ok(convert::response(revision, convert::ranged(answer)))
            }
            Request::Put(put) => {
                let answer = self.kv.put(convert::put(put)).await?.into_inner();
                let revision = convert::revision(answer.header.as_ref());
                Ok(convert::response(revision, convert::was_put(answer)))
            }
            Request::DeleteRange(delete) => {
                let request = convert::delete_range(delete);
                let answer = self.kv.delete_range(request).await?.into_inner();
                let revision = convert::revision(answer.header.as_ref());
                Ok(convert::response(revision, convert::deleted(answer)))
            }
            Request::Txn(txn) => {
                let answer = self.kv.txn(convert::txn(txn)).await?.into_inner();
                let revision = convert::revision(answer.header.as_ref());
                Ok(convert::response(revision, convert::was_txn(answer)))
            }
            Request::Compact(compact) => {
                let request = pb::CompactionRequest {
                    revision: compact.revision,
                    physical: compact.physical,
                };
                let answer = self.kv.compact(request).await?.into_inner();
                let revision = convert::revision(answer.header.as_ref());
                Ok(convert::response(revision, Answer::Compact))
            }
            Request::LeaseGrant(grant) => self.grant(*grant).await,
            Request::LeaseRevoke(revoke) => self.revoke(*revoke).await,
            Request::LeaseKeepAlive(renew) => self.keep_alive(*renew).await,
            Request::LeaseTimeToLive(ask) => self.time_to_live(*ask).await,
            Request::HashKv(hash) => self.hash_kv(*hash).await,
        }
    }

    async fn grant(&mut self, grant: LeaseGrant) -> Result<Response, Status> {
        let request = pb::LeaseGrantRequest {
            ttl: grant.ttl,
            id: grant.id,
        };
        let answer = self.lease.lease_grant(request).await?.into_inner();
        let time = LeaseTime {
            id: answer.id,
            ttl: answer.ttl,
            ..LeaseTime::default()
        };
        let revision = convert::revision(answer.header.as_ref());
        Ok(convert::response(revision, Answer::LeaseGrant(time)))
    }

    async fn revoke(&mut self, revoke: LeaseRevoke) -> Result<Response, Status> {
        let request = pb::LeaseRevokeRequest { id: revoke.id };
        let answer = self.lease.lease_revoke(request).await?.into_inner();
        let revision = convert::revision(answer.header.as_ref());
        Ok(convert::response(revision, Answer::LeaseRevoke))
    }

    async fn keep_alive(&mut self, renew: LeaseKeepAlive) -> Result<Response, Status> {
        let requests = tokio_stream::once(pb::LeaseKeepAliveRequest { id: renew.id });
        let mut answers = self.lease.lease_keep_alive(requests).await?.into_inner();
        let answer = answers
            .message()
            .await?
            .ok_or_else(|| Status::unknown("the stream ended without an answer"))?;
        let time = LeaseTime {
            id: answer.id,
            ttl: answer.ttl,
            ..LeaseTime::default()
        };
        let revision = convert::revision(answer.header.as_ref());
        Ok(convert::response(revision, Answer::LeaseKeepAlive(time)))
    }

    async fn time_to_live(&mut self, ask: LeaseTimeToLive) -> Result<Response, Status> {
        let request = pb::LeaseTimeToLiveRequest {
            id: ask.id,
            keys: ask.keys,
        };
        let answer = self.lease.lease_time_to_live(request).await?.into_inner();
        let time = LeaseTime {
            id: answer.id,
            ttl: answer.ttl,
            granted_ttl: answer.granted_ttl,
            keys: answer.keys.iter().map(|key| key.as_ref().into()).collect(),
        };
        let revision = convert::revision(answer.header.as_ref());
        Ok(convert::response(revision, Answer::LeaseTimeToLive(time)))
    }

    async fn hash_kv(&mut self, hash: HashKv) -> Result<Response, Status> {
        let request = pb::HashKvRequest {
            revision: hash.revision,
        };
        let answer = self.maintenance.hash_kv(request).await?.into_inner();
        let revision = convert::revision(answer.header.as_ref());
        Ok(convert::response(
            revision,
            Answer::HashKv(check::history::Hashed {
                hash: answer.hash,
                compact_revision: answer.compact_revision,
                hash_revision: answer.hash_revision,
            }),
        ))
    }

    /// What the member says of itself.
    ///
    /// # Errors
    /// What the member or the connection gives.
    pub async fn status(&mut self) -> Result<MemberStatus, Status> {
        let answer = self.maintenance.status(pb::StatusRequest {}).await?;
        let answer = answer.into_inner();
        let header = answer.header.unwrap_or_default();
        Ok(MemberStatus {
            id: header.member_id,
            leader: answer.leader,
            term: answer.raft_term.max(header.raft_term),
        })
    }

    /// Whether the store has found that its members differ.
    ///
    /// # Errors
    /// What the member or the connection gives.
    pub async fn has_corrupt_alarm(&mut self) -> Result<bool, Status> {
        let answer = self.maintenance.status(pb::StatusRequest {}).await?;
        let errors = answer.into_inner().errors;
        Ok(errors.iter().any(|error| error.contains("alarm:CORRUPT")))
    }

    /// Name and version of the server, as it says them.
    ///
    /// # Errors
    /// What the member or the connection gives.
    pub async fn version(&mut self) -> Result<String, Status> {
        let answer = self.maintenance.status(pb::StatusRequest {}).await?;
        Ok(answer.into_inner().version)
    }

    /// Asks the member, which has to lead, to hand over to another.
    ///
    /// # Errors
    /// What the member or the connection gives.
    pub async fn move_leader(&mut self, target: u64) -> Result<(), Status> {
        let request = pb::MoveLeaderRequest { target_id: target };
        self.maintenance.move_leader(request).await.map(|_| ())
    }

    /// All members, as a majority has them.
    ///
    /// # Errors
    /// What the member or the connection gives.
    pub async fn members(&mut self) -> Result<Vec<pb::Member>, Status> {
        let request = pb::MemberListRequest { linearizable: true };
        let listed = self.cluster.member_list(request).await?;
        Ok(listed.into_inner().members)
    }

    /// Adds a member that will be reached at `peer_url`; its id.
    ///
    /// # Errors
    /// What the member or the connection gives.
    pub async fn add_member(&mut self, peer_url: &str, is_learner: bool) -> Result<u64, Status> {
        let request = pb::MemberAddRequest {
            peer_ur_ls: vec![peer_url.to_owned()],
            is_learner,
        };
        let added = self.cluster.member_add(request).await?.into_inner();
        Ok(added.member.unwrap_or_default().id)
    }

    /// Removes a member.
    ///
    /// # Errors
    /// What the member or the connection gives.
    pub async fn remove_member(&mut self, id: u64) -> Result<(), Status> {
        let request = pb::MemberRemoveRequest { id };
        self.cluster.member_remove(request).await.map(|_| ())
    }

    /// Makes a voter of a learner.
    ///
    /// # Errors
    /// What the member or the connection gives.
    pub async fn promote_member(&mut self, id: u64) -> Result<(), Status> {
        let request = pb::MemberPromoteRequest { id };
        self.cluster.member_promote(request).await.map(|_| ())
    }

    /// Opens a stream for watches.
    ///
    /// # Errors
    /// What the member or the connection gives.
    pub(crate) async fn watch(
        &mut self,
        requests: impl tokio_stream::Stream<Item = pb::WatchRequest> + Send + 'static,
    ) -> Result<tonic::Streaming<pb::WatchResponse>, Status> {
        Ok(self.watch.watch(requests).await?.into_inner())
    }
}

fn endpoint(url: &str) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(url.to_owned())
        .with_context(|| format!("{url} is no address"))?
        .connect_timeout(REQUEST_TIMEOUT)
        .tcp_nodelay(true))
}
