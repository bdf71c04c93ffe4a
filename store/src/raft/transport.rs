//! The sending half of replica-to-replica traffic: one set of connections for each peer.

mod heartbeat;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult, VoteRequest, VoteResponse};
use openraft::raft::{TransferLeaderRequest, TransferLeaderResponse};
use openraft::{OptionalSend, RaftNetworkFactory};
use parking_lot::Mutex;
use proto::peer::peer_client::PeerClient;
use state_machine::HashKv;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

use super::connector::Connector;
use super::traffic::{Outgoing, Traffic};
use super::types::{Member, TypeConfig};
use super::{FailureDetector, MemberChange, MemberError, Place, peer_service, wire};
use crate::consistency::Sample;
use crate::metrics;
use crate::replica::{Identity, Unavailable};

/// Largest message between replicas: a batch of entries, or one piece of a snapshot.
pub(super) const MESSAGE_BYTES: usize = 64 << 20;
/// A connection without an answer to its pings for this long is given up.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 windows: large enough that replication never waits for one.
const WINDOW_BYTES: u32 = 16 << 20;
/// Wait before a peer that could not be reached is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) type Client = PeerClient<InterceptedService<Outgoing, Identify>>;
type Rpc<T> = Result<T, RPCError<TypeConfig>>;

/// Adds who is calling to every request.
#[derive(Clone)]
pub(crate) struct Identify {
    cluster_id: AsciiMetadataValue,
    member_id: AsciiMetadataValue,
    target_id: AsciiMetadataValue,
}

impl Interceptor for Identify {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        let metadata = request.metadata_mut();
        let key = AsciiMetadataKey::from_static;
        metadata.insert(key(peer_service::CLUSTER_ID), self.cluster_id.clone());
        metadata.insert(key(peer_service::MEMBER_ID), self.member_id.clone());
        metadata.insert(key(peer_service::TARGET_ID), self.target_id.clone());
        Ok(request)
    }
}

/// What a connection is used for; uses that must not wait for one another have their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Append,
    Control,
    Snapshot,
}

/// Connections to the other members, made on first use and kept.
#[derive(Clone)]
pub(crate) struct Peers {
    identity: Identity,
    clients: Arc<Mutex<BTreeMap<(u64, Lane), Client>>>,
    members: super::MemberTable,
    connector: Connector,
    detector: FailureDetector,
    sending: Arc<AtomicUsize>,
    traffic: Traffic,
}

/// Counts a snapshot that is under way, while this lives.
struct Sending(Arc<AtomicUsize>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hex(id: u64) -> AsciiMetadataValue {
    AsciiMetadataValue::try_from(format!("{id:x}")).expect("hex digits are plain ASCII")
}

impl Peers {
    /// What goes to the other members is counted in `traffic`.
    pub(crate) fn new(
        identity: Identity,
        members: super::MemberTable,
        connector: Connector,
        detector: FailureDetector,
        traffic: Traffic,
    ) -> Self {
        let (clients, sending) = Default::default();
        Peers {
            identity,
            clients,
            members,
            connector,
            detector,
            sending,
            traffic,
        }
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// How other members are reached.
    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Snapshots on their way to other members.
    pub(crate) fn sending_snapshots(&self) -> usize {
        self.sending.load(Ordering::Relaxed)
    }

    fn count_sending(&self) -> Sending {
        self.sending.fetch_add(1, Ordering::Relaxed);
        Sending(Arc::clone(&self.sending))
    }

    /// The term in which a member leads a quorum; none when it does not, or does not answer.
    pub(crate) async fn led_term(&self, member: u64, url: &str) -> Option<u64> {
        let mut client = self.client(member, Lane::Control, url)?;
        let asked = client.read_index(proto::peer::ReadIndexRequest {});
        let reply = tokio::time::timeout(CONNECT_TIMEOUT, asked)
            .await
            .ok()?
            .ok()?;
        Some(reply.into_inner().term)
    }

    /// Asks the leader to change the members. `NotLeader` says that nothing was done.
    pub(crate) async fn change_members(
        &self,
        leader: u64,
        change: &MemberChange,
        timeout: Duration,
    ) -> Result<Vec<crate::replica::Member>, MemberError> {
        let mut client = self.control(leader).ok_or(Unavailable::NotLeader)?;
        let asked = client.change_members(wire::change_request(change));
        match tokio::time::timeout(timeout, asked).await {
            Ok(Ok(reply)) => wire::changed_from(reply.into_inner()),
            Ok(Err(status)) if was_not_sent(&status) => Err(Unavailable::NotLeader.into()),
            Ok(Err(_)) => Err(Unavailable::LeaderChanged.into()),
            Err(_elapsed) => Err(Unavailable::TimedOut.into()),
        }
    }

    /// Asks a member something small, for the time of a round trip.
    pub(crate) async fn probe(&self, member: u64) {
        if let Some(mut client) = self.control(member) {
            let asked = client.members(proto::peer::MembersRequest {});
            // The answer, and that there is none, is counted where it comes in.
            drop(tokio::time::timeout(CONNECT_TIMEOUT, asked).await);
        }
    }

    /// The digests that a member has noted; none when it does not answer.
    pub(crate) async fn digests(&self, member: u64) -> Option<Vec<Sample>> {
        let mut client = self.control(member)?;
        let asked = client.digests(proto::peer::DigestsRequest {});
        let reply = tokio::time::timeout(CONNECT_TIMEOUT, asked).await.ok()?;
        Some(wire::digests_from(reply.ok()?.into_inner()))
    }

    /// The hash of what a member has stored up to a revision, and its compact revision; or why there is none.
    pub(crate) async fn hash_kv(
        &self,
        member: u64,
        revision: i64,
        timeout: Duration,
    ) -> Result<HashKv, String> {
        let mut client = self.control(member).ok_or("its address is not known")?;
        // Long work is waited for only when there is somebody to do it.
        let is_there = client.members(proto::peer::MembersRequest {});
        match tokio::time::timeout(CONNECT_TIMEOUT, is_there).await {
            Ok(Ok(_)) => {}
            Ok(Err(status)) => return Err(status.message().to_owned()),
            Err(_elapsed) => return Err("it does not answer".to_owned()),
        }
        let asked = client.hash_kv(proto::peer::HashKvRequest { revision });
        match tokio::time::timeout(timeout, asked).await {
            Ok(Ok(reply)) => {
                let reply = reply.into_inner();
                Ok(HashKv {
                    hash: reply.hash,
                    hash_revision: revision,
                    compact_revision: reply.compact_revision,
                })
            }
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_elapsed) => Err("it took too long".to_owned()),
        }
    }

    /// The connection for short calls to a member, if its address is known.
    pub(crate) fn control(&self, member: u64) -> Option<Client> {
        let known = self.clients.lock().get(&(member, Lane::Control)).cloned();
        known.or_else(|| {
            let url = self.members.peer_url(member)?;
            self.client(member, Lane::Control, &url)
        })
    }

    fn client(&self, member: u64, lane: Lane, url: &str) -> Option<Client> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&(member, lane)) {
            return Some(client.clone());
        }
        let (members, first) = (self.members.clone(), url.to_owned());
        // Looked up for each connection: a member may have moved since the last one.
        let urls = move || {
            let member = members.get(member);
            member.map_or(vec![first.clone()], |member| member.peer_urls)
        };
        let channel = Outgoing {
            channel: self.connector.channel(&endpoint(url)?, urls),
            peer: self.traffic.peer(member),
        };
        let identify = Identify {
            cluster_id: hex(self.identity.cluster_id),
            member_id: hex(self.identity.member_id),
            target_id: hex(member),
        };
        let client = PeerClient::with_interceptor(channel, identify)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        clients.insert((member, lane), client.clone());
        Some(client)
    }
}

fn endpoint(url: &str) -> Option<Endpoint> {
    let endpoint = Endpoint::from_shared(url.to_owned()).ok()?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    Some(endpoint)
}

/// The cluster that the member behind a peer URL belongs to; none when it does not answer.
pub(crate) async fn ask_members(connector: &Connector, url: &str) -> Option<Place> {
    let channel = connector.channel(&endpoint(url)?, {
        let url = url.to_owned();
        move || vec![url.clone()]
    });
    let mut client = PeerClient::new(channel);
    let asked = client.members(proto::peer::MembersRequest {});
    let reply = tokio::time::timeout(CONNECT_TIMEOUT, asked).await.ok()?;
    Some(wire::place_from(reply.ok()?.into_inner()))
}

/// Makes openraft's network clients.
pub(crate) struct Transport(pub(crate) Peers);

impl Transport {
    fn link(&self, target: u64, node: &Member, lane: Lane) -> Link {
        let url = node.peer_urls.first().cloned().unwrap_or_default();
        Link {
            client: self.0.client(target, lane, &url),
            lane,
            peer: self.0.traffic.peer(target),
            peers: self.0.clone(),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Transport {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &Member) -> Link {
        self.link(target, node, Lane::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Member) -> Link {
        self.link(target, node, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Member) -> Link {
        self.link(target, node, Lane::Snapshot)
    }
}

/// One of openraft's clients for one peer.
pub(crate) struct Link {
    client: Option<Client>,
    lane: Lane,
    peer: Arc<metrics::Peer>,
    peers: Peers,
}

/// Whether a call failed because there was no connection to send it on.
pub(crate) fn was_not_sent(status: &tonic::Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn rpc_error(status: &tonic::Status) -> RPCError<TypeConfig> {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::FailedPrecondition => {
            RPCError::Unreachable(Unreachable::new(status))
        }
        _ => RPCError::Network(NetworkError::new(status)),
    }
}

fn deadline_error() -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(&std::io::Error::from(
        std::io::ErrorKind::TimedOut,
    )))
}

impl Link {
    fn client(&self) -> Rpc<Client> {
        self.client.clone().ok_or_else(|| {
            let error = std::io::Error::other("the peer's URL cannot be used");
            RPCError::Unreachable(Unreachable::new(&error))
        })
    }

    async fn ask_vote(
        &self,
        rpc: VoteRequest<TypeConfig>,
        option: &RPCOption,
        pre_vote: bool,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let mut client = self.client()?;
        let leader_gone = self.peers.detector.is_gone_before(rpc.vote.leader_id.term);
        let call = client.vote(wire::vote_request(&rpc, pre_vote, leader_gone));
        match tokio::time::timeout(option.hard_ttl(), call).await {
            Ok(Ok(reply)) => Ok(wire::vote_response(reply.into_inner())),
            Ok(Err(status)) => Err(rpc_error(&status)),
            Err(_elapsed) => Err(deadline_error()),
        }
    }
}

impl NetBackoff<TypeConfig> for Link {
    fn backoff(&self) -> Option<Backoff> {
        Some(match self.lane {
            Lane::Snapshot => Backoff::new(snapshot::rests()),
            Lane::Append | Lane::Control => Backoff::new(std::iter::repeat(RETRY_INTERVAL)),
        })
    }
}

impl NetVote<TypeConfig> for Link {
    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        self.ask_vote(rpc, &option, false).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        self.ask_vote(rpc, &option, true).await
    }
}

impl NetStreamAppend<TypeConfig> for Link {
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let mut client = self.client()?;
            if self.lane == Lane::Control {
                return Ok(heartbeat::heartbeats(client, input, option.hard_ttl()));
            }
            // openraft rests after a failure inside its request stream, so the stream is asked before the peer is.
            let Some(first) = input.next().await else {
                return Ok(Box::pin(futures::stream::empty()) as BoxStream<'s, _>);
            };
            let requests = futures::stream::once(std::future::ready(first)).chain(input);
            let replies = client
                .append(requests.map(|request| wire::append_request(&request)))
                .await
                .map_err(|status| rpc_error(&status))?
                .into_inner();
            let results = replies.map(|reply| match reply {
                Ok(reply) => wire::append_result(reply),
                Err(status) => Err(rpc_error(&status)),
            });
            Ok(Box::pin(results) as BoxStream<'s, _>)
        })
    }
}

impl NetTransferLeader<TypeConfig> for Link {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        let mut client = self.client()?;
        let call = client.transfer_leader(wire::transfer_request(&request));
        match tokio::time::timeout(option.hard_ttl(), call).await {
            Ok(Ok(reply)) => Ok(wire::transfer_response(&request, &reply.into_inner())),
            Ok(Err(status)) => Err(rpc_error(&status)),
            Err(_elapsed) => Err(deadline_error()),
        }
    }
}
