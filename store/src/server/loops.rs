//! The loops of a running replica, each a task with a name.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use daemon::{CancellationToken, OnFailure, Tasks};

use super::assembly::Assembly;
use crate::blocking;
use crate::compactor;
use crate::consistency::Checker;
use crate::lessor::LeaderLoop;
use crate::raft::{self, EarlyElection, LeadershipWatch, MemberLoop, RejoinGuard};
use crate::replica::{Batcher, Proposals, ReadRounds, Reads};
use crate::space::SpaceLoop;

/// The state is made durable at least this often while it changes, so that the log can be cut.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);
/// How many times the usual entries the log may grow by while a snapshot is under way to a follower.
const SNAPSHOT_PATIENCE: u64 = 10;
/// Time that a loop which ended by itself leaves to the task that knows why.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);
/// Keys that one step of physical compaction looks at.
const SWEEP_KEYS: usize = 1000;

/// The loops that are made with their handles, and what the others need.
pub(super) struct Loops<F> {
    pub(super) follow: F,
    pub(super) batcher: Batcher,
    pub(super) rounds: ReadRounds,
    pub(super) member_loop: MemberLoop,
    pub(super) proposals: Proposals,
    pub(super) reads: Reads,
    pub(super) leadership: LeadershipWatch,
    pub(super) guard: Arc<RejoinGuard>,
    pub(super) early_election: EarlyElection,
}

/// Runs a loop until it is told to end. One that ends by itself has lost what it lives on, and the replica stops.
fn spawn(tasks: &Tasks, name: &str, work: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(name, OnFailure::Stop, |stop| async move {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = work => {}
        }
        // What it lived on ends the replica with a better reason, if it can.
        match tokio::time::timeout(REASON_TIMEOUT, stop.cancelled()).await {
            Ok(()) => Ok(()),
            Err(_elapsed) => Err(anyhow::anyhow!("it ended before it was told to")),
        }
    });
}

/// Starts every loop of a replica.
pub(super) fn spawn_loops(
    assembly: &Assembly,
    tasks: &Tasks,
    loops: Loops<impl Future<Output = ()> + Send + 'static>,
) {
    let Loops {
        follow,
        batcher,
        rounds,
        member_loop,
        proposals,
        reads,
        leadership,
        guard,
        early_election,
    } = loops;
    let member_id = assembly.member_id;
    let interval = assembly.config.heartbeat_interval;
    let heartbeats = raft::heartbeats(assembly.raft.clone(), interval);
    spawn(tasks, "leadership", follow);
    spawn(tasks, "batcher", batcher.run());
    spawn(tasks, "members", member_loop.run());
    let hub = Arc::clone(&assembly.hub);
    spawn(tasks, "watch", async move { hub.dispatch().await });
    spawn(tasks, "reads", rounds.run());
    spawn(tasks, "early election", early_election.run());
    spawn(tasks, "heartbeats", heartbeats);
    let leader_loop = LeaderLoop {
        lessor: Arc::clone(&assembly.lessor),
        proposals: proposals.clone(),
        reads,
        leadership: leadership.clone(),
        member_id,
    };
    spawn(tasks, "lessor", leader_loop.run());
    let space_loop = SpaceLoop {
        space: Arc::clone(&assembly.space),
        folder: Arc::clone(&assembly.folder),
        folders: assembly.folders.clone(),
        proposals: proposals.clone(),
        leadership: leadership.clone(),
        member_id,
    };
    spawn(tasks, "space", space_loop.run());
    spawn_checker(assembly, tasks, (&proposals, &leadership));
    let mode = assembly.config.auto_compaction;
    let folder = Arc::clone(&assembly.folder);
    spawn(
        tasks,
        "compactor",
        compactor::run(mode, folder, proposals, leadership, member_id),
    );
    spawn_raft_watch(assembly, tasks);
    spawn_housekeeping(assembly, tasks, guard);
    spawn_disk_watch(assembly, tasks);
    if assembly.sweeps {
        spawn_sweeper(assembly, tasks);
    }
}

/// Compares the members: what they apply always, what they have stored if the flags ask for it.
fn spawn_checker(
    assembly: &Assembly,
    tasks: &Tasks,
    (proposals, leadership): (&Proposals, &LeadershipWatch),
) {
    let checker = Checker {
        member_id: assembly.member_id,
        members: assembly.members.clone(),
        peers: assembly.peers.clone(),
        folder: Arc::clone(&assembly.folder),
        samples: assembly.samples.clone(),
        proposals: proposals.clone(),
        leadership: leadership.clone(),
        metrics: Arc::clone(&assembly.metrics),
    };
    spawn(tasks, "digests", checker.clone().compare_digests());
    let checks = assembly.config.corruption_checks;
    if checks.interval.is_some() || checks.after_compactions {
        spawn(tasks, "hashes", checker.compare_hashes(checks));
    }
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
            _ = blocking::run(move || retired.remove_retired()).await;
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

/// Says when there is no room for the log to grow, before this member has to stop for it, and when there is again.
///
/// It raises no alarm: that would end the writes of the whole cluster for one member's disk.
fn spawn_disk_watch(assembly: &Assembly, tasks: &Tasks) {
    let wal = assembly.wal.clone();
    let work = async move {
        let mut tick = tokio::time::interval(HOUSEKEEPING_INTERVAL);
        let mut was_full = false;
        loop {
            tick.tick().await;
            let full = wal
                .check_reserve()
                .is_err_and(|error| error.kind() == ErrorKind::StorageFull);
            match (was_full, full) {
                (false, true) => tracing::error!(
                    "the disk is full: this member stops when its log has to grow; make room"
                ),
                (true, false) => tracing::info!("the disk has room for the log again"),
                _ => {}
            }
            was_full = full;
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
