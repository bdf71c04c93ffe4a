//! The client port: etcd's gRPC services, and plain HTTP beside them.

mod access;
mod answer;
mod auth;
mod authn;
mod authority;
mod bulk;
mod check;
mod cluster;
mod connection;
mod convert;
mod election;
mod gateway;
mod header;
mod health;
mod held;
mod kv;
mod lease;
mod line;
mod listener;
mod lock;
mod maintenance;
mod method;
mod pipeline;
mod rates;
mod router;
mod served;
mod sniff;
mod staleness;
mod status;
mod stream;
pub(crate) mod version;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use state_machine::{AlarmAction, AlarmChange, AlarmKind, Caller, Command, Rejection, Response};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::config::{Config, RangeBounds, SlowRequests};
use crate::metrics::Metrics;
use crate::replica::Replica;

pub use access::Access;
pub(crate) use connection::Face;
pub(crate) use convert::alarm_name;
pub(crate) use listener::{Port, serve, serve_pages};
pub(crate) use method::{METHODS, Method};
pub(crate) use rates::Rates;
pub(crate) use status::{NO_LEADER, unavailable};

/// etcd adds this to the largest request to get the largest gRPC message it receives.
const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;

/// Open connections of all clients together, where the limit of open files leaves room for so many.
const CONNECTIONS_MAX: usize = 32_768;
/// Open files that no client may take: up to 512 of RocksDB, and those of the log, of other members and of snapshots. Without
/// one of them the replica would stop.
const FILES_RESERVED: u64 = 512 + 150;
/// Snapshots for clients that are made and sent at a time: each takes the disk room of the store once more.
const SNAPSHOTS_MAX: usize = 2;
/// Time for a new connection to say what it speaks.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the requests that run when the server is told to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Bounds and rules of the client port.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `--max-request-bytes`. Larger proposals are refused as too large.
    pub request_bytes_max: usize,
    /// `--max-txn-ops`.
    pub txn_operations_max: usize,
    /// `--max-concurrent-streams` of one connection; further requests of the connection wait in the client.
    pub concurrent_streams_max: u32,
    /// Open connections. Beyond it a new connection is closed at once.
    pub connections_max: usize,
    /// `--initial-cluster-token`, from which ids of new members are made.
    pub cluster_token: String,
    /// `--quota-backend-bytes`, on live bytes; none for no quota.
    pub quota_bytes: Option<u64>,
    /// `--watch-progress-notify-interval`.
    pub watch_progress_interval: Duration,
    /// `--election-timeout`. Streams that want a leader end after three of these without one.
    pub election_timeout: Duration,
    /// `--grpc-keepalive-interval`: an idle connection is pinged. None for no pings.
    pub keepalive_interval: Option<Duration>,
    /// `--grpc-keepalive-timeout`: time for the answer to a ping.
    pub keepalive_timeout: Duration,
    /// Time for a new connection to say what it speaks, and for the head of an HTTP/1 request.
    pub handshake_timeout: Duration,
    /// `--enable-grpc-gateway`: whether there is JSON under `/v3/`.
    pub has_gateway: bool,
    /// `--cors` and `--host-whitelist`.
    pub access: Access,
    /// Durations above which a request is logged.
    pub slow_requests: SlowRequests,
    /// What large ranges may take.
    pub ranges: RangeBounds,
    /// `--rate-limit`. Clones share the buckets.
    pub(crate) rates: Arc<Rates>,
    /// Time that running requests get to finish at shutdown.
    pub shutdown_grace: Duration,
}

impl Limits {
    /// The bounds that etcd's flags set, and our own for the rest.
    pub fn from_config(config: &Config) -> Limits {
        Limits {
            request_bytes_max: config.max_request_bytes,
            txn_operations_max: config.max_txn_ops,
            concurrent_streams_max: config.max_concurrent_streams,
            connections_max: daemon::connections_max(
                daemon::open_files_max(),
                FILES_RESERVED,
                CONNECTIONS_MAX,
            ),
            cluster_token: config.initial_cluster_token.clone(),
            quota_bytes: config.quota_bytes,
            watch_progress_interval: config.watch_progress_notify_interval,
            election_timeout: config.election_timeout,
            keepalive_interval: config.grpc_keepalive_interval,
            keepalive_timeout: config.grpc_keepalive_timeout,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            access: Access::from_config(config),
            has_gateway: config.enable_grpc_gateway,
            slow_requests: config.bounds.slow_requests,
            ranges: config.bounds.ranges,
            rates: Arc::new(Rates::new(&config.bounds.rate_limits)),
            shutdown_grace: SHUTDOWN_GRACE,
        }
    }

    /// Largest gRPC message that is received, and the size at which watch answers are split.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.request_bytes_max.saturating_add(GRPC_OVERHEAD_BYTES)
    }
}

/// What every service of the client port shares.
pub(crate) struct Edge {
    pub(crate) replica: Arc<Replica>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    /// True once no leader was seen for so long that streams that want one end.
    pub(crate) leaderless: tokio::sync::watch::Receiver<bool>,
    /// Whether this replica was a learner when last looked; a voter never becomes one.
    learner: AtomicBool,
    pub(crate) shutdown: CancellationToken,
    /// Places for snapshots that are made and sent.
    snapshots: Arc<Semaphore>,
    slow_log: served::SlowLog,
    bulk: bulk::Bulk,
    /// Room for bodies of the gateway that are not whole.
    bodies: Arc<Semaphore>,
}

impl Edge {
    fn new(
        replica: Arc<Replica>,
        (metrics, limits): (Arc<Metrics>, Limits),
        leaderless: tokio::sync::watch::Receiver<bool>,
        shutdown: CancellationToken,
    ) -> Edge {
        let bulk = bulk::Bulk::new(limits.ranges, metrics.clone());
        let slow_log = served::SlowLog::new(limits.slow_requests);
        let learner = AtomicBool::new(replica.raft_status().is_learner);
        Edge {
            replica,
            limits,
            metrics,
            leaderless,
            learner,
            shutdown,
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS_MAX)),
            slow_log,
            bulk,
            bodies: Arc::new(Semaphore::new(gateway::BODIES_UNITS)),
        }
    }

    /// Proposes a command and waits until it is applied here.
    async fn propose(&self, command: Command) -> Result<Response, Status> {
        let pending = self.metrics.proposal_pending();
        let outcome = self.replica.propose(command).await;
        drop(pending);
        match outcome {
            Ok(outcome) => outcome.map_err(status::rejected),
            Err(error) => {
                self.metrics.count_proposal_failed();
                Err(unavailable(error))
            }
        }
    }

    /// Returns once this replica is as new as the cluster was at the call.
    pub(crate) async fn read_barrier(&self) -> Result<(), Status> {
        self.replica.read_barrier().await.map_err(|error| {
            self.metrics.count_read_index_failed();
            unavailable(error)
        })
    }

    /// Refuses a proposal of a request that is too large.
    fn check_size(&self, request_bytes: usize) -> Result<(), status::BadRequest> {
        let member_id = self.replica.identity().member_id;
        check::size(request_bytes, member_id, self.limits.request_bytes_max)
    }

    /// Refuses a write of `cost_bytes` for which quota or disk have no room. When it is the quota, the alarm is raised
    /// first; a full disk is this member's own affair, and the others go on.
    async fn check_space(&self, cost_bytes: u64) -> Result<(), Status> {
        let space = self.replica.space();
        if cost_bytes == 0 {
            return Ok(());
        }
        if space.disk_is_low() {
            return Err(status::rejected(Rejection::NoSpace));
        }
        let machine = self.replica.machine();
        let live_bytes = machine.live_bytes();
        if !space.exceeds_quota(live_bytes, cost_bytes) {
            return Ok(());
        }
        let member = self.replica.identity().member_id;
        let is_raised = machine.alarms().contains(&(member, AlarmKind::NoSpace));
        if !is_raised && space.raises_alarm(live_bytes) {
            tracing::warn!(
                live_bytes,
                quota_bytes = self.limits.quota_bytes,
                "the quota is used up; raising the no space alarm"
            );
            let alarm = AlarmChange {
                action: AlarmAction::Activate,
                member,
                alarm: AlarmKind::NoSpace,
            };
            // The write is refused all the same when the alarm cannot be raised.
            let command = Command::Alarm(alarm).by(Caller::System);
            if let Err(error) = self.propose(command).await {
                tracing::warn!(%error, "no space alarm was not raised");
            }
        }
        Err(status::rejected(Rejection::NoSpace))
    }

    /// Learners answer little.
    pub(crate) fn is_learner(&self) -> bool {
        if !self.learner.load(Ordering::Relaxed) {
            return false;
        }
        let is_learner = self.replica.raft_status().is_learner;
        self.learner.store(is_learner, Ordering::Relaxed);
        is_learner
    }

    fn refuse_learner(&self) -> Result<(), Status> {
        if self.is_learner() {
            return Err(status::BadRequest::NotSupportedForLearner.into());
        }
        Ok(())
    }
}
