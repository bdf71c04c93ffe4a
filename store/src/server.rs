//! Builds a replica from its parts, starts them in order and stops them in reverse; tasks are born here.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use daemon::{CancellationToken, OnFailure, Signals, Tasks};
use state_machine::{AlarmAction, AlarmChange, AlarmKind, Command};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use crate::config::{Config, Url};
use crate::data_folder::DataFolder;
use crate::lessor::{LeaderLoop, Lessor};
use crate::metrics::Metrics;
use crate::raft::{
    self, Applier, ApplyProgress, Attributes, Leader, LeadershipWatch, Listeners, LogStore, Member,
    MemberTable, PeerService, Peers, Raft, RaftSettings, RejoinGuard, StateFolder, Transport,
};
use crate::replica::{Batcher, Parts, Proposals, ReadRounds, Reads, Replica};
use crate::waiters::Waiters;
use crate::watch::{Hub, HubOptions};
use crate::{compactor, grpc};

/// Time that stopping may take before the process gives up on what is left.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Time that handing over leadership may take when a leader stops.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);
/// The state is made durable at least this often while it changes, so that the log can be cut.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);
/// How many times the usual entries the log may grow by while a snapshot is under way to a follower.
const SNAPSHOT_PATIENCE: u64 = 10;
/// Keys that one step of physical compaction looks at.
const SWEEP_KEYS: usize = 1000;
/// etcd's share of a request's time that is not elections.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP/2 windows between replicas: large enough that replication never waits for one.
const PEER_WINDOW_BYTES: u32 = 16 << 20;

/// Runs one replica until it is told to stop or cannot go on.
pub fn run(config: Config) -> ExitCode {
    if let Err(error) = config.telemetry.install() {
        return fail(&format!("{error:#}"));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    match runtime.block_on(serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn fail(why: &str) -> ExitCode {
    tracing::error!("{why}");
    ExitCode::FAILURE
}

/// Everything of a replica that the start has to hand from step to step.
struct Assembly {
    config: Arc<Config>,
    folder: Arc<StateFolder>,
    lessor: Arc<Lessor>,
    hub: Arc<Hub>,
    members: MemberTable,
    peers: Peers,
    waiters: Arc<Waiters>,
    unflushed_entries: Arc<AtomicU64>,
    wal: wal::Wal,
    raft: Raft,
    applied: ApplyProgress,
    member_id: u64,
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let config = Arc::new(config);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for remark in &config.remarks {
        tracing::debug!("{remark}");
    }
    let data = DataFolder::open(&config)?;
    let peer_listeners = bind_all(&config.listen_peer_urls).await?;
    let mut client_listeners = grpc::Listeners {
        clients: bind_all(&config.listen_client_urls).await?,
        pages: bind_all(&config.listen_client_http_urls).await?,
    };
    client_listeners
        .pages
        .extend(bind_all(&config.listen_metrics_urls).await?);
    let tasks = Tasks::new();
    let metrics = Arc::new(Metrics::default());
    let assembly = open(&config, &data, &metrics).await?;
    let replica = start(&assembly, &data, &tasks, peer_listeners).await?;
    let stopped = tokio::select! {
        ready = become_ready(&assembly, &replica) => { ready?; false }
        _ = signals.next() => true,
        () = tasks.stop_asked() => true,
    };
    if !stopped {
        serve_clients(&assembly, &replica, &tasks, client_listeners, &metrics);
        tracing::info!("ready to serve client requests");
        tokio::select! {
            signal = signals.next() => tracing::info!(signal = signal.name(), "stopping"),
            () = tasks.stop_asked() => {}
        }
        hand_over(&replica).await;
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

async fn bind_all(urls: &[Url]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for url in urls {
        let listener = TcpListener::bind((url.host(), url.port())).await;
        listeners.push(listener.with_context(|| format!("cannot listen on {url}"))?);
    }
    Ok(listeners)
}

/// Opens log and state, and builds raft on them without starting it.
async fn open(
    config: &Arc<Config>,
    data: &DataFolder,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Assembly> {
    let identity = data.identity();
    let observer = {
        let metrics = Arc::clone(metrics);
        wal::SyncObserver(Arc::new(move |took| metrics.wal_fsync.observe(took)))
    };
    let wal_options = wal::Options {
        sync_observer: Some(observer),
        ..wal::Options::default()
    };
    let (wal_dir, state_dir, may_be_empty) =
        (data.wal().to_owned(), data.state(), data.may_be_empty());
    let (log, folder, wal) = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let (wal, recovered) = wal::Wal::open(&wal_dir, wal_options)?;
        if recovered.cut_bytes > 0 {
            tracing::warn!(
                bytes = recovered.cut_bytes,
                "cut an unfinished write off the end of the log"
            );
        }
        let folder = StateFolder::open(&state_dir, state_machine::Options::default())?;
        raft::check_together(&recovered, &folder, may_be_empty)?;
        Ok((LogStore::new(wal.clone(), &recovered)?, folder, wal))
    })
    .await??;
    let folder = Arc::new(folder);
    let machine = folder.machine();
    let lessor = Arc::new(Lessor::default());
    lessor.reset(&machine);
    let hub_options = HubOptions {
        max_request_bytes: config.max_request_bytes,
        ..HubOptions::default()
    };
    let hub = Hub::new(hub_options, machine);
    let members = MemberTable::default();
    let peers = Peers::new(identity.cluster_id, identity.member_id, members.clone());
    let waiters = Arc::new(Waiters::new(std::hash::BuildHasher::hash_one(
        &std::hash::RandomState::new(),
        identity.member_id,
    )));
    let unflushed_entries = Arc::new(AtomicU64::new(0));
    let listeners = Listeners {
        member_id: identity.member_id,
        waiters: Arc::clone(&waiters),
        hub: Arc::clone(&hub),
        lessor: Arc::clone(&lessor),
        members: members.clone(),
        unflushed_entries: Arc::clone(&unflushed_entries),
        metrics: Arc::clone(metrics),
    };
    let (applier, applied) = Applier::new(Arc::clone(&folder), listeners)?;
    let transport = Transport(peers.clone());
    let raft = raft::build(
        identity.member_id,
        &raft_settings(config),
        transport,
        log,
        applier,
    )
    .await?;
    let (config, member_id) = (Arc::clone(config), identity.member_id);
    Ok(Assembly {
        config,
        folder,
        lessor,
        hub,
        members,
        peers,
        waiters,
        unflushed_entries,
        wal,
        raft,
        applied,
        member_id,
    })
}

fn raft_settings(config: &Config) -> RaftSettings {
    RaftSettings {
        heartbeat: config.heartbeat_interval,
        election_timeout: config.election_timeout,
        pre_vote: config.pre_vote,
        log_entries_kept: config.snapshot_catchup_entries,
    }
}

/// Starts raft, the peer service and every loop.
async fn start(
    assembly: &Assembly,
    data: &DataFolder,
    tasks: &Tasks,
    peer_listeners: Vec<TcpListener>,
) -> anyhow::Result<Arc<Replica>> {
    let Assembly {
        config,
        folder,
        lessor,
        raft,
        applied,
        peers,
        waiters,
        ..
    } = assembly;
    let identity = data.identity();
    let request_timeout = REQUEST_TIMEOUT + 2 * config.election_timeout;
    let (leadership, follow) = LeadershipWatch::new(raft.clone(), applied.clone());
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
    let guard = Arc::new(RejoinGuard::new(data.rejoin_mark()));
    if !guard.may_vote() {
        tracing::warn!(
            "joined again without the old log; not voting until caught up with the leader"
        );
    }
    let replica = Arc::new(Replica::new(Parts {
        identity,
        raft: raft.clone(),
        folder: Arc::clone(folder),
        hub: Arc::clone(&assembly.hub),
        members: assembly.members.clone(),
        peers: peers.clone(),
        proposals: proposals.clone(),
        reads: reads.clone(),
        leader: leader.clone(),
        leadership: leadership.clone(),
        request_timeout,
        minimum_lease_ttl_seconds: minimum_lease_ttl_seconds(config.election_timeout),
    }));
    let service = PeerService {
        identity,
        members: assembly.members.clone(),
        raft: raft.clone(),
        folder: Arc::clone(folder),
        guard: Arc::clone(&guard),
        leader,
        proposals: proposals.clone(),
    };
    serve_peers(tasks, service, peer_listeners);
    if data.may_initialize() {
        refuse_second_bootstrap(assembly).await?;
    }
    raft.run();
    raft.runtime_config().elect(guard.may_vote());
    spawn_loops(
        assembly,
        tasks,
        Loops {
            follow,
            batcher,
            rounds,
            proposals,
            reads: reads.clone(),
            leadership,
            guard,
        },
    );
    if data.may_initialize() {
        initialize(assembly).await?;
        data.initialized()?;
    }
    Ok(replica)
}

/// etcd's rule: one and a half election timeouts, rounded up to seconds.
fn minimum_lease_ttl_seconds(election_timeout: Duration) -> i64 {
    let milliseconds = i64::try_from(election_timeout.as_millis()).unwrap_or(i64::MAX / 3);
    (milliseconds * 3).div_euclid(2000) + i64::from((milliseconds * 3) % 2000 != 0)
}

struct Loops<F> {
    follow: F,
    batcher: Batcher,
    rounds: ReadRounds,
    proposals: Proposals,
    reads: Reads,
    leadership: LeadershipWatch,
    guard: Arc<RejoinGuard>,
}

/// Runs a loop until it ends or is told to.
fn spawn(tasks: &Tasks, name: &str, work: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(name, OnFailure::Stop, |stop| async move {
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
        Ok::<(), anyhow::Error>(())
    });
}

fn spawn_loops(
    assembly: &Assembly,
    tasks: &Tasks,
    loops: Loops<impl Future<Output = ()> + Send + 'static>,
) {
    let Loops {
        follow,
        batcher,
        rounds,
        proposals,
        reads,
        leadership,
        guard,
    } = loops;
    let member_id = assembly.member_id;
    spawn(tasks, "leadership", follow);
    spawn(tasks, "batcher", batcher.run());
    let hub = Arc::clone(&assembly.hub);
    spawn(tasks, "watch", async move { hub.dispatch().await });
    spawn(tasks, "reads", rounds.run());
    let reserve_proposals = proposals.clone();
    let leader_loop = LeaderLoop {
        lessor: Arc::clone(&assembly.lessor),
        proposals: proposals.clone(),
        reads,
        leadership: leadership.clone(),
        member_id,
    };
    spawn(tasks, "lessor", leader_loop.run());
    let mode = assembly.config.auto_compaction;
    let folder = Arc::clone(&assembly.folder);
    spawn(
        tasks,
        "compactor",
        compactor::run(mode, folder, proposals, leadership, member_id),
    );
    spawn_raft_watch(assembly, tasks);
    spawn_housekeeping(assembly, tasks, guard);
    spawn_disk_watch(assembly, tasks, reserve_proposals);
    spawn_sweeper(assembly, tasks);
}

/// A raft that cannot go on (a disk error, a broken invariant) stops the process.
fn spawn_raft_watch(assembly: &Assembly, tasks: &Tasks) {
    let failure = raft::failure(&assembly.raft);
    tasks.spawn("raft", OnFailure::Stop, |stop| async move {
        tokio::select! {
            why = failure => Err(anyhow::anyhow!("raft stopped: {why}")),
            () = stop.cancelled() => Ok(()),
        }
    });
}

/// Makes the state durable from time to time, so that the log behind it can go, and clears up.
fn spawn_housekeeping(assembly: &Assembly, tasks: &Tasks, guard: Arc<RejoinGuard>) {
    let raft = assembly.raft.clone();
    let unflushed = Arc::clone(&assembly.unflushed_entries);
    let waiters = Arc::clone(&assembly.waiters);
    let folder = Arc::clone(&assembly.folder);
    let peers = assembly.peers.clone();
    let entries_max = assembly.config.snapshot_count.max(1);
    let work = async move {
        let mut tick = tokio::time::interval(HOUSEKEEPING_INTERVAL);
        let mut flushed = tokio::time::Instant::now();
        loop {
            tick.tick().await;
            waiters.drop_abandoned();
            let retired = Arc::clone(&folder);
            _ = tokio::task::spawn_blocking(move || retired.remove_retired()).await;
            raft.runtime_config().elect(guard.may_vote());
            let entries = unflushed.load(Ordering::Relaxed);
            // A follower that is being sent a snapshot needs the log from there on.
            if peers.sending_snapshots() > 0 && entries < SNAPSHOT_PATIENCE * entries_max {
                continue;
            }
            if entries >= entries_max || (entries > 0 && flushed.elapsed() >= FLUSH_INTERVAL) {
                unflushed.store(0, Ordering::Relaxed);
                flushed = tokio::time::Instant::now();
                if raft.trigger().snapshot().await.is_err() {
                    return;
                }
            }
        }
    };
    spawn(tasks, "housekeeping", work);
}

/// Raises the NOSPACE alarm while the log can still be written, when there will soon be no room for it.
fn spawn_disk_watch(assembly: &Assembly, tasks: &Tasks, proposals: Proposals) {
    let (wal, folder, member) = (
        assembly.wal.clone(),
        Arc::clone(&assembly.folder),
        assembly.member_id,
    );
    let work = async move {
        let mut tick = tokio::time::interval(HOUSEKEEPING_INTERVAL);
        loop {
            tick.tick().await;
            let full = wal
                .check_reserve()
                .is_err_and(|error| error.kind() == ErrorKind::StorageFull);
            if !full
                || folder
                    .machine()
                    .alarms()
                    .contains(&(member, AlarmKind::NoSpace))
            {
                continue;
            }
            tracing::error!("the disk is full; raising the NOSPACE alarm");
            let alarm = AlarmChange {
                action: AlarmAction::Activate,
                member,
                alarm: AlarmKind::NoSpace,
            };
            if let Err(error) = proposals.propose(&Command::Alarm(alarm)).await {
                tracing::warn!(%error, "the NOSPACE alarm is not replicated yet");
            }
        }
    };
    spawn(tasks, "disk", work);
}

/// Physical compaction in small steps on its own thread.
fn spawn_sweeper(assembly: &Assembly, tasks: &Tasks) {
    let folder = Arc::clone(&assembly.folder);
    let sweep = move |stop: CancellationToken| -> anyhow::Result<()> {
        while !stop.is_cancelled() {
            if !folder.machine().sweep(SWEEP_KEYS) {
                std::thread::park_timeout(Duration::from_millis(200));
            }
        }
        Ok(())
    };
    if let Err(error) = tasks.spawn_thread("sweeper", OnFailure::Stop, sweep) {
        tracing::error!(%error, "no thread for physical compaction; history will not be removed");
    }
}

fn serve_peers(tasks: &Tasks, service: PeerService, listeners: Vec<TcpListener>) {
    let incoming = futures::stream::select_all(
        listeners
            .into_iter()
            .map(|listener| TcpIncoming::from(listener).with_nodelay(Some(true))),
    );
    let server = service.into_server();
    tasks.spawn("peers", OnFailure::Stop, |stop| async move {
        let serving = tonic::transport::Server::builder()
            .initial_stream_window_size(PEER_WINDOW_BYTES)
            .initial_connection_window_size(PEER_WINDOW_BYTES)
            .http2_keepalive_interval(Some(Duration::from_secs(2)))
            .http2_keepalive_timeout(Some(Duration::from_secs(3)))
            .add_service(server)
            .serve_with_incoming(incoming);
        // Streams of other members never end by themselves, so nothing is waited for.
        tokio::select! {
            result = serving => result,
            () = stop.cancelled() => Ok(()),
        }
    });
}

/// A member that the others know and that has no data has lost it: as a new member it would vote again and could undo
/// what it had acknowledged. Whoever does not answer is not waited for, as in etcd.
async fn refuse_second_bootstrap(assembly: &Assembly) -> anyhow::Result<()> {
    let others = assembly
        .config
        .initial_cluster
        .iter()
        .filter(|member| member.id != assembly.member_id);
    let asked = others.map(|member| {
        assembly
            .peers
            .started_members(member.id, member.peer_urls[0].as_str())
    });
    for known in futures::future::join_all(asked).await {
        anyhow::ensure!(
            !known.contains(&assembly.member_id),
            "member {:x} has already been bootstrapped and its data is gone; start it with --initial-cluster-state \
             existing, so that it copies the data from the others before it votes again",
            assembly.member_id
        );
    }
    Ok(())
}

/// Makes the cluster that the flags describe.
async fn initialize(assembly: &Assembly) -> anyhow::Result<()> {
    let members: BTreeMap<u64, Member> = assembly
        .config
        .initial_cluster
        .iter()
        .map(|member| {
            let peer_urls = member
                .peer_urls
                .iter()
                .map(|url| url.as_str().to_owned())
                .collect();
            (member.id, Member { peer_urls })
        })
        .collect();
    raft::initialize(&assembly.raft, members).await
}

/// Waits until there is a leader and the cluster knows this member's name and client URLs.
async fn become_ready(assembly: &Assembly, replica: &Replica) -> anyhow::Result<()> {
    let config = &assembly.config;
    let attributes = Attributes {
        name: config.name.clone(),
        client_urls: config
            .advertise_client_urls
            .iter()
            .map(|url| url.as_str().to_owned())
            .collect(),
    };
    loop {
        let known = assembly.members.all().into_iter().any(|member| {
            member.id == assembly.member_id
                && member.name == attributes.name
                && member.client_urls == attributes.client_urls
        });
        if known && replica.read_barrier().await.is_ok() {
            return Ok(());
        }
        if let Err(error) = replica.publish(&attributes).await {
            tracing::debug!(%error, "cannot publish this member's client URLs yet");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn serve_clients(
    assembly: &Assembly,
    replica: &Arc<Replica>,
    tasks: &Tasks,
    listeners: grpc::Listeners,
    metrics: &Arc<Metrics>,
) {
    let limits = grpc::Limits::from_config(&assembly.config);
    let (replica, metrics) = (Arc::clone(replica), Arc::clone(metrics));
    tasks.spawn("clients", OnFailure::Stop, |stop| {
        grpc::serve(listeners, replica, metrics, limits, stop)
    });
}

/// A leader that stops hands over first, so that its clients' requests go on elsewhere.
async fn hand_over(replica: &Replica) {
    let status = replica.raft_status();
    let me = replica.identity().member_id;
    if status.leader != Some(me) {
        return;
    }
    let others: BTreeSet<u64> = replica
        .members()
        .into_iter()
        .filter(|member| member.id != me && !member.is_learner)
        .map(|member| member.id)
        .collect();
    for target in others {
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
