//! The parts of a replica that exist before anything runs: log, state, raft and what the applier tells.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use state_machine::StateMachine;
use tokio::sync::mpsc;

use crate::authn::Authenticator;
use crate::blocking;
use crate::config::Config;
use crate::consistency::Samples;
use crate::data_folder::DataFolder;
use crate::grpc::Limits;
use crate::lessor::Lessor;
use crate::metrics::Metrics;
use crate::raft::{
    self, Applier, ApplyProgress, Connector, FailureDetector, Listeners, LogStore, MemberTable,
    Peers, Raft, RaftSettings, StateFolder, Traffic, Transport,
};
use crate::space::Space;
use crate::spans::{Exporter, Tracer};
use crate::waiters::Waiters;
use crate::watch::{Hub, HubOptions};

/// Everything of a replica that the start has to hand from step to step.
pub(super) struct Assembly {
    pub(super) config: Arc<Config>,
    pub(super) folder: Arc<StateFolder>,
    pub(super) lessor: Arc<Lessor>,
    pub(super) hub: Arc<Hub>,
    pub(super) space: Arc<Space>,
    /// Of every port for clients.
    pub(super) limits: Limits,
    /// Where log and state lie.
    pub(super) folders: Vec<PathBuf>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) tracer: Option<Tracer>,
    pub(super) members: MemberTable,
    pub(super) peers: Peers,
    pub(super) detector: FailureDetector,
    pub(super) waiters: Arc<Waiters>,
    pub(super) unflushed_entries: Arc<AtomicU64>,
    pub(super) wal: wal::Wal,
    pub(super) raft: Raft,
    pub(super) applied: ApplyProgress,
    pub(super) member_id: u64,
    pub(super) metrics: Arc<Metrics>,
    pub(super) samples: Samples,
    /// Whether physical compaction runs, on a thread of its own.
    pub(super) sweeps: bool,
}

type OpenLog =
    dyn FnOnce(&Path, wal::Options) -> Result<(wal::Wal, wal::Recovered), wal::OpenError> + Send;

/// What a replica uses of the system around it.
pub(super) struct Means {
    pub(super) connector: Connector,
    pub(super) open_log: Box<OpenLog>,
    pub(super) sweeps: bool,
}

impl Means {
    /// The machine's network, disk and threads.
    pub(super) fn system(connector: Connector) -> Self {
        Means {
            connector,
            open_log: Box::new(wal::Wal::open),
            sweeps: true,
        }
    }
}

/// What an assembly's loops are fed from.
pub(super) struct Feeds {
    /// Whose connections close.
    pub(super) closed_connections: mpsc::Receiver<u64>,
    /// When requests are traced.
    pub(super) exporter: Option<Exporter>,
}

/// Opens log and state, and builds raft on them without starting it.
pub(super) async fn open(
    config: &Arc<Config>,
    data: &DataFolder,
    means: Means,
) -> anyhow::Result<(Assembly, Feeds)> {
    let identity = data.identity();
    let metrics = metrics(config);
    let authenticator = Arc::new(Authenticator::new(&config.authentication)?);
    let (tracer, exporter) = tracing(config, &metrics)?;
    let (mut log, folder, wal) = open_storage(data, &metrics, means.open_log).await?;
    authenticator.tokens.start_behind(log.last_index());
    let folder = Arc::new(folder);
    let machine = folder.machine();
    let lessor = new_lessor(&machine);
    let hub = hub(config, machine);
    let members = MemberTable::default();
    let (detector, closed_connections) = FailureDetector::new();
    let peers = Peers::new(
        identity,
        members.clone(),
        means.connector,
        detector.clone(),
        Traffic::new(Arc::clone(&metrics), members.clone()),
    );
    let waiters = new_waiters(identity.member_id);
    if tracer.is_some() {
        log.tell(identity.member_id, Arc::clone(&waiters));
    }
    let unflushed_entries = Arc::new(AtomicU64::new(0));
    let samples = Samples::default();
    let listeners = Listeners {
        member_id: identity.member_id,
        waiters: Arc::clone(&waiters),
        hub: Arc::clone(&hub),
        lessor: Arc::clone(&lessor),
        tokens: Arc::clone(&authenticator.tokens),
        members: members.clone(),
        unflushed_entries: Arc::clone(&unflushed_entries),
        metrics: Arc::clone(&metrics),
        samples: samples.clone(),
    };
    let (applier, applied) = Applier::new(Arc::clone(&folder), listeners)?;
    let (member_id, settings) = (identity.member_id, raft_settings(config));
    let transport = Transport(peers.clone());
    let raft = raft::build(member_id, &settings, transport, log, applier).await?;
    let assembly = Assembly {
        config: Arc::clone(config),
        folder,
        lessor,
        hub,
        space: Arc::new(Space::new(config)),
        limits: Limits::from_config(config),
        folders: vec![data.wal().to_owned(), data.state()],
        authenticator,
        tracer,
        members,
        peers,
        detector,
        waiters,
        unflushed_entries,
        wal,
        raft,
        applied,
        member_id,
        metrics,
        samples,
        sweeps: means.sweeps,
    };
    let feeds = Feeds {
        closed_connections,
        exporter,
    };
    Ok((assembly, feeds))
}

fn hub(config: &Config, machine: Arc<StateMachine>) -> Arc<Hub> {
    let options = HubOptions {
        max_request_bytes: config.max_request_bytes,
        ..HubOptions::default()
    };
    Hub::new(options, machine)
}

fn metrics(config: &Config) -> Arc<Metrics> {
    let prefixes = &config.bounds.metric_prefixes;
    Arc::new(Metrics::new(config.extensive_metrics, prefixes))
}

fn new_lessor(machine: &StateMachine) -> Arc<Lessor> {
    let lessor = Lessor::default();
    lessor.reset(machine);
    Arc::new(lessor)
}

/// Who makes spans of requests and who sends them, if any are traced.
fn tracing(
    config: &Config,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<(Option<Tracer>, Option<Exporter>)> {
    let settings = config.tracing.as_ref();
    let made = settings.map(|settings| Tracer::new(settings, metrics));
    Ok(made.transpose()?.unzip())
}

/// Their numbers begin elsewhere in every run.
fn new_waiters(member_id: u64) -> Arc<Waiters> {
    let state = std::hash::RandomState::new();
    let first = std::hash::BuildHasher::hash_one(&state, member_id);
    Arc::new(Waiters::new(first))
}

fn raft_settings(config: &Config) -> RaftSettings {
    RaftSettings {
        heartbeat: config.heartbeat_interval,
        election_timeout: config.election_timeout,
        pre_vote: config.pre_vote,
        log_entries_kept: config.snapshot_catchup_entries,
    }
}

/// Opens the log and the state, which scan what they hold, off the runtime's threads.
async fn open_storage(
    data: &DataFolder,
    metrics: &Arc<Metrics>,
    open_log: Box<OpenLog>,
) -> anyhow::Result<(LogStore, StateFolder, wal::Wal)> {
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
    blocking::run(move || -> anyhow::Result<_> {
        let (wal, recovered) = open_log(&wal_dir, wal_options).map_err(raft::log_error)?;
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
    .await?
}
