//! Builds a replica from its parts, starts them in order and stops them in reverse; tasks are born here.

mod assembly;
mod join;
mod loops;
mod notify;
mod ports;
mod probe;
mod removal;
#[cfg(feature = "simulation")]
pub mod simulation;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use daemon::{CancellationToken, OnFailure, Tasks};
use futures::{Stream, TryStreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};

use self::assembly::{Assembly, Feeds, Means, open};
use self::loops::{Loops, spawn_loops};
use self::ports::{Ports, peer_connections};
use crate::archive;
use crate::config::{Config, Url};
use crate::consistency;
use crate::data_folder::DataFolder;
use crate::grpc::{self, Face, Port};
use crate::raft::{
    self, Attributes, Connection, Connector, Contact, EarlyElection, Leader, LeadershipWatch,
    MemberChanges, MemberLoop, MemberRules, PeerService, RejoinGuard,
};
use crate::replica::{Identity, Parts, Proposals, Reads, Replica};
use crate::spans::Exporter;

/// Time that stopping may take before the process gives up on what is left.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Time that handing over leadership may take when a leader stops.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);
/// etcd's share of a request's time that is not elections.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Hashes that are made for other members at a time.
const PEER_HASHES_MAX: usize = 1;
/// HTTP/2 windows between replicas: large enough that replication never waits for one.
const PEER_WINDOW_BYTES: u32 = 16 << 20;

/// Runs one replica until it is told to stop or cannot go on.
pub fn run(config: Config) -> ExitCode {
    if let Err(error) = config.telemetry.install() {
        return fail(&format!("{error:#}"));
    }
    daemon::raise_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    match runtime.block_on(daemon::until_signal(|stop| serve(config, stop))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&format!("{error:#}")),
        Err(error) => fail(&format!("cannot handle signals: {error}")),
    }
}

/// A panic anywhere is a broken invariant: a replica that went on without the task it ended, in a library's care too,
/// could be deaf or wrong.
fn stop_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "stopping at a broken invariant");
        print(panic);
        std::process::abort();
    }));
}

fn fail(why: &str) -> ExitCode {
    tracing::error!("{why}");
    ExitCode::FAILURE
}

/// Runs one replica until it is told to stop. From now on a panic of any task ends the process.
///
/// # Errors
/// When it cannot start or go on.
pub async fn serve(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    stop_on_panic();
    let config = Arc::new(config);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for remark in &config.remarks {
        tracing::debug!("{remark}");
    }
    let ports = Ports::bind(&config).await?;
    let means = Means::system(Connector::new(ports.dialer));
    let joins = tokio::select! {
        joins = joins(&config, &means.connector) => joins?,
        () = stop.cancelled() => return Ok(()),
    };
    let data = DataFolder::open(&config, joins)?;
    let tasks = Tasks::new();
    let (assembly, feeds) = open(&config, &data, means).await?;
    if config.corruption_checks.before_start && assembly.members.get(assembly.member_id).is_some() {
        tokio::select! {
            checked = check_before_start(&assembly) => checked?,
            () = stop.cancelled() => return Ok(()),
        }
    }
    // The first to start is the last to end.
    spawn_archive(&assembly, &data, &tasks)?;
    let incoming = peer_connections(ports.peers, &tasks);
    let started = start(&assembly, &data, &tasks, incoming, feeds).await?;
    let replica = started.replica;
    serve_pages(&assembly, &replica, &tasks, ports.pages);
    probe::spawn(&assembly, &tasks);
    let mut removed = std::pin::pin!(removal::removed(&assembly, &replica));
    let stopped = tokio::select! {
        ready = become_ready(&assembly, &replica) => { ready?; false }
        () = stop.cancelled() => true,
        () = tasks.stop_asked() => true,
        () = &mut removed => { say_removed(&config); true }
    };
    if !stopped {
        serve_clients(&assembly, &replica, &tasks, ports.clients);
        tracing::info!("ready to serve client requests");
        notify::ready();
        tokio::select! {
            () = stop.cancelled() => hand_over(&replica).await,
            () = tasks.stop_asked() => hand_over(&replica).await,
            () = &mut removed => say_removed(&config),
        }
    }
    let report = tasks.stop(STOP_GRACE).await;
    if let Err(error) = assembly.raft.shutdown().await {
        tracing::warn!(%error, "raft did not stop cleanly");
    }
    let folder = Arc::clone(&assembly.folder);
    let flushed = tokio::task::spawn_blocking(move || folder.machine().flush()).await?;
    drop(data);
    match report.failure {
        Some(failure) => Err(failure.into()),
        None => Ok(flushed.map(|_mark| ())?),
    }
}

/// Keeps what is applied for point-in-time recovery, when that is asked for.
fn spawn_archive(assembly: &Assembly, data: &DataFolder, tasks: &Tasks) -> anyhow::Result<()> {
    let Some(settings) = &assembly.config.archive else {
        return Ok(());
    };
    let source = archive::Source {
        identity: data.identity(),
        wal: assembly.wal.clone(),
        folder: Arc::clone(&assembly.folder),
        applied: assembly.applied.clone(),
        metrics: Arc::clone(&assembly.metrics),
    };
    archive::spawn(settings, source, tasks)
}

/// A member that is new has nothing to compare yet, and never comes here.
async fn check_before_start(assembly: &Assembly) -> anyhow::Result<()> {
    let machine = assembly.folder.machine();
    consistency::check_before_start(
        assembly.member_id,
        &assembly.members,
        &assembly.peers,
        machine,
    )
    .await
}

/// Who this member is, when only the cluster that it joins can say so.
async fn joins(config: &Config, connector: &Connector) -> anyhow::Result<Option<Identity>> {
    if !DataFolder::joins(config) {
        return Ok(None);
    }
    join::identity(config, connector).await.map(Some)
}

fn say_removed(config: &Config) {
    tracing::error!(
        data_dir = %config.data_dir.display(),
        "this member has been removed from the cluster for good; its data folder is of no use any more"
    );
}

/// Starts raft, the peer service and every loop.
async fn start<I>(
    assembly: &Assembly,
    data: &DataFolder,
    tasks: &Tasks,
    incoming: impl Stream<Item = io::Result<I>> + Send + 'static,
    feeds: Feeds,
) -> anyhow::Result<Started>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Assembly {
        config,
        lessor,
        raft,
        applied,
        peers,
        waiters,
        ..
    } = assembly;
    spawn_exporter(tasks, feeds.exporter);
    let identity = data.identity();
    let request_timeout = REQUEST_TIMEOUT + 2 * config.election_timeout;
    let contact = Contact::new(config.election_timeout);
    let (leadership, follow) = LeadershipWatch::new(raft.clone(), applied.clone(), contact.clone());
    let leader = Leader::new(raft.clone(), Arc::clone(lessor));
    let ways = (leader.clone(), peers.clone());
    let (proposals, batcher) = Proposals::new(
        identity.member_id,
        Arc::clone(waiters),
        leadership.clone(),
        request_timeout,
        ways,
    );
    let ways = (leader.clone(), peers.clone());
    let (reads, rounds) = Reads::new(
        identity.member_id,
        leadership.clone(),
        applied.clone(),
        request_timeout,
        ways,
    );
    let guard = rejoin_guard(data);
    let (changes, member_loop) = member_changes(assembly, &leadership, &contact, request_timeout);
    let replica = replica(
        (assembly, identity),
        (&leader, &leadership),
        (&proposals, &reads, &changes),
        request_timeout,
    );
    let ways = (leader, proposals.clone(), changes, contact);
    let service = peer_service(identity, assembly, &guard, ways);
    serve_peers(tasks, service, assembly, incoming);
    let early_election = early_election(assembly, &guard, feeds.closed_connections);
    join::refuse_second_bootstrap(assembly, data).await?;
    spawn_floor(assembly, tasks, &guard);
    raft.run();
    raft.runtime_config().elect(guard.may_vote());
    spawn_loops(
        assembly,
        tasks,
        Loops {
            follow,
            batcher,
            rounds,
            member_loop,
            proposals,
            reads: reads.clone(),
            leadership: leadership.clone(),
            guard: Arc::clone(&guard),
            early_election,
        },
    );
    initialize(assembly, data).await?;
    Ok(Started {
        replica,
        leadership,
        guard,
    })
}

/// It is started first, and so stopped last: what ends before it has spans to tell.
fn spawn_exporter(tasks: &Tasks, exporter: Option<Exporter>) {
    if let Some(exporter) = exporter {
        tasks.spawn("spans", OnFailure::Stop, |stop| exporter.run(stop));
    }
}

/// A replica whose loops run.
struct Started {
    replica: Arc<Replica>,
    #[cfg_attr(
        not(feature = "simulation"),
        expect(dead_code, reason = "only simulations look at it")
    )]
    leadership: LeadershipWatch,
    #[cfg_attr(
        not(feature = "simulation"),
        expect(dead_code, reason = "only simulations look at it")
    )]
    guard: Arc<RejoinGuard>,
}

fn member_changes(
    assembly: &Assembly,
    leadership: &LeadershipWatch,
    contact: &Contact,
    timeout: Duration,
) -> (MemberChanges, MemberLoop) {
    let config = &assembly.config;
    let rules = MemberRules {
        strict: config.strict_reconfig_check,
        learners_max: config.max_learners,
        timeout,
    };
    MemberChanges::new(
        assembly.raft.clone(),
        leadership.clone(),
        assembly.members.clone(),
        contact.clone(),
        rules,
    )
}

fn replica(
    (assembly, identity): (&Assembly, Identity),
    (leader, leadership): (&Leader, &LeadershipWatch),
    (proposals, reads, changes): (&Proposals, &Reads, &MemberChanges),
    request_timeout: Duration,
) -> Arc<Replica> {
    Arc::new(Replica::new(Parts {
        identity,
        raft: assembly.raft.clone(),
        folder: Arc::clone(&assembly.folder),
        hub: Arc::clone(&assembly.hub),
        space: Arc::clone(&assembly.space),
        authenticator: Arc::clone(&assembly.authenticator),
        tracer: assembly.tracer.clone(),
        members: assembly.members.clone(),
        peers: assembly.peers.clone(),
        proposals: proposals.clone(),
        changes: changes.clone(),
        reads: reads.clone(),
        leader: leader.clone(),
        leadership: leadership.clone(),
        request_timeout,
        minimum_lease_ttl_seconds: minimum_lease_ttl_seconds(assembly.config.election_timeout),
    }))
}

fn peer_service(
    identity: Identity,
    assembly: &Assembly,
    guard: &Arc<RejoinGuard>,
    (leader, proposals, changes, contact): (Leader, Proposals, MemberChanges, Contact),
) -> PeerService {
    PeerService {
        identity,
        members: assembly.members.clone(),
        applied: assembly.applied.clone(),
        contact,
        detector: assembly.detector.clone(),
        raft: assembly.raft.clone(),
        folder: Arc::clone(&assembly.folder),
        guard: Arc::clone(guard),
        leader,
        proposals,
        changes,
        samples: assembly.samples.clone(),
        hashing: Arc::new(Semaphore::new(PEER_HASHES_MAX)),
    }
}

fn early_election(
    assembly: &Assembly,
    guard: &Arc<RejoinGuard>,
    closed: mpsc::Receiver<u64>,
) -> EarlyElection {
    EarlyElection {
        raft: assembly.raft.clone(),
        peers: assembly.peers.clone(),
        members: assembly.members.clone(),
        guard: Arc::clone(guard),
        detector: assembly.detector.clone(),
        closed,
        member_id: assembly.member_id,
        metrics: Arc::clone(&assembly.metrics),
    }
}

fn rejoin_guard(data: &DataFolder) -> Arc<RejoinGuard> {
    let guard = RejoinGuard::new(data.rejoin_mark());
    if !guard.may_vote() {
        tracing::warn!(
            "joined again without the old log; not voting until caught up with the leader"
        );
    }
    Arc::new(guard)
}

/// A member that joined again follows nobody until it knows whom the others follow.
fn spawn_floor(assembly: &Assembly, tasks: &Tasks, guard: &Arc<RejoinGuard>) {
    let (urls, peers) = (join::others(assembly), assembly.peers.clone());
    let (guard, member_id) = (Arc::clone(guard), assembly.member_id);
    tasks.spawn("rejoin", OnFailure::Stop, |stop| async move {
        let ask = || join::led_terms(&urls, &peers, member_id);
        tokio::select! {
            () = guard.learn_floor(ask) => {}
            () = stop.cancelled() => {}
        }
        Ok::<(), anyhow::Error>(())
    });
}

/// etcd's rule: one and a half election timeouts, rounded up to seconds.
fn minimum_lease_ttl_seconds(election_timeout: Duration) -> i64 {
    let milliseconds = i64::try_from(election_timeout.as_millis()).unwrap_or(i64::MAX / 3);
    (milliseconds * 3).div_euclid(2000) + i64::from((milliseconds * 3) % 2000 != 0)
}

fn serve_peers<I>(
    tasks: &Tasks,
    service: PeerService,
    assembly: &Assembly,
    incoming: impl Stream<Item = io::Result<I>> + Send + 'static,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let detector = assembly.detector.clone();
    let traffic = assembly.peers.traffic().clone();
    let incoming = incoming.map_ok(move |stream| Connection::new(stream, &detector));
    let server = service.into_server();
    tasks.spawn("peers", OnFailure::Stop, |stop| async move {
        let serving = tonic::transport::Server::builder()
            .initial_stream_window_size(PEER_WINDOW_BYTES)
            .initial_connection_window_size(PEER_WINDOW_BYTES)
            .http2_keepalive_interval(Some(Duration::from_secs(2)))
            .http2_keepalive_timeout(Some(Duration::from_secs(3)))
            .layer(traffic)
            .add_service(server)
            .serve_with_incoming(incoming);
        // Streams of other members never end by themselves, so nothing is waited for.
        tokio::select! {
            result = serving => result,
            () = stop.cancelled() => Ok(()),
        }
    });
}

/// Makes the cluster that the flags describe, unless that was done.
async fn initialize(assembly: &Assembly, data: &DataFolder) -> anyhow::Result<()> {
    if !data.may_initialize() {
        return Ok(());
    }
    raft::initialize(&assembly.raft, assembly.config.initial_peer_urls()).await?;
    Ok(data.initialized()?)
}

/// Waits until there is a leader, and until the cluster knows this member's name and client URLs and has given it the
/// vote that it was added with: whoever waits for it may end another one next.
async fn become_ready(assembly: &Assembly, replica: &Replica) -> anyhow::Result<()> {
    let config = &assembly.config;
    let attributes = Attributes {
        name: config.name.clone(),
        client_urls: Url::texts(&config.advertise_client_urls),
    };
    loop {
        let own = assembly.members.get(assembly.member_id);
        let known = own.is_some_and(|member| {
            member.name == attributes.name && member.client_urls == attributes.client_urls
        });
        let votes = !assembly.members.is_joining(assembly.member_id);
        if known && votes && replica.read_barrier().await.is_ok() {
            return Ok(());
        }
        if !known && let Err(error) = replica.publish(&attributes).await {
            tracing::debug!(%error, "cannot publish this member's client URLs yet");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn serve_clients(
    assembly: &Assembly,
    replica: &Arc<Replica>,
    tasks: &Tasks,
    ports: Vec<(Face, Port)>,
) {
    let limits = assembly.limits.clone();
    let (replica, metrics) = (Arc::clone(replica), Arc::clone(&assembly.metrics));
    tasks.spawn("clients", OnFailure::Stop, |stop| {
        grpc::serve(ports, replica, metrics, limits, stop)
    });
}

/// Health pages and metrics with listeners of their own, from the start: probes ask while there is no leader yet.
fn serve_pages(assembly: &Assembly, replica: &Arc<Replica>, tasks: &Tasks, ports: Vec<Port>) {
    if ports.is_empty() {
        return;
    }
    let limits = assembly.limits.clone();
    let (replica, metrics) = (Arc::clone(replica), Arc::clone(&assembly.metrics));
    tasks.spawn("pages", OnFailure::Stop, |stop| {
        grpc::serve_pages(ports, replica, metrics, limits, stop)
    });
}

/// A leader that stops hands over first, so that its clients' requests go on elsewhere.
async fn hand_over(replica: &Replica) {
    for target in replica.successors() {
        let moved = tokio::time::timeout(HANDOVER_TIMEOUT, replica.move_leader(target)).await;
        if matches!(moved, Ok(Ok(()))) {
            tracing::info!(
                target_member = format_args!("{target:x}"),
                "handed over leadership"
            );
            return;
        }
    }
}
