//! The door for simulations: a whole replica on a network, a disk and a clock that somebody else makes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use daemon::Tasks;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use wal::simulation::{SimulatedDisk, Stepper};

use super::assembly::{Assembly, Means};
use super::{STOP_GRACE, become_ready, joins, open, start};
use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::raft::{Connector, LeadershipWatch, RejoinGuard, StateFolder};
use crate::replica::Replica;

pub use crate::raft::{Dial, DialledStream};

/// Size of the log's segments: small, so that they are filled and recycled often.
const SEGMENT_BYTES: u64 = 64 << 10;

/// What surrounds a member. A runtime of one thread is expected.
pub struct Surroundings {
    pub dial: Dial,
    /// Holds the raft log, whatever becomes of the process.
    pub disk: SimulatedDisk,
    /// Told whenever the log has something to write.
    pub on_log_work: Box<dyn Fn() + Send + Sync>,
    /// Gets the log's writer, before raft uses the log.
    pub on_log_opened: Box<dyn FnOnce(Stepper) + Send>,
    /// Gets what outlives a crash, before anything is applied.
    pub on_state_opened: Box<dyn FnOnce(Durable) + Send>,
}

/// What of a member's folder a crash leaves.
#[derive(Clone)]
pub struct Durable {
    data: Arc<DataFolder>,
    folder: Arc<StateFolder>,
}

impl Durable {
    /// Makes the data folder `to` as a crash now would leave it; it must not exist.
    ///
    /// # Errors
    /// When the files cannot be linked or written.
    pub fn copy(&self, to: &Path) -> anyhow::Result<()> {
        self.data.copy_marks(to)?;
        self.folder.copy_durable(&to.join("member").join("state"))
    }
}

/// A replica that runs. It ends with its runtime, as a process does.
pub struct Node {
    assembly: Assembly,
    tasks: Tasks,
    replica: Arc<Replica>,
    leadership: LeadershipWatch,
    guard: Arc<RejoinGuard>,
}

/// Starts a replica as the server does.
///
/// # Errors
/// As the server: the folder is somebody else's, or the log is damaged.
pub async fn start_node<I>(
    config: Config,
    surroundings: Surroundings,
    incoming: impl Stream<Item = io::Result<I>> + Send + 'static,
) -> anyhow::Result<Node>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = Arc::new(config);
    let Surroundings {
        dial,
        disk,
        on_log_work,
        on_log_opened,
        on_state_opened,
    } = surroundings;
    let means = Means {
        connector: Connector::dialling(dial),
        open_log: Box::new(move |directory, options| {
            let options = wal::Options {
                segment_bytes: SEGMENT_BYTES,
                ..options
            };
            let (wal, recovered, stepper) =
                wal::simulation::open(&disk, directory, options, on_log_work)?;
            on_log_opened(stepper);
            Ok((wal, recovered))
        }),
        sweeps: false,
    };
    let joins = joins(&config, &means.connector).await?;
    let data = Arc::new(DataFolder::open(&config, joins)?);
    let tasks = Tasks::new();
    let (assembly, feeds) = open(&config, &data, means).await?;
    on_state_opened(Durable {
        data: Arc::clone(&data),
        folder: Arc::clone(&assembly.folder),
    });
    let started = start(&assembly, &data, &tasks, incoming, feeds).await?;
    Ok(Node {
        assembly,
        tasks,
        replica: started.replica,
        leadership: started.leadership,
        guard: started.guard,
    })
}

impl Node {
    /// Returns once the member is known to the cluster and a linearizable read succeeded.
    ///
    /// # Errors
    /// When the replica has stopped.
    pub async fn ready(&self) -> anyhow::Result<()> {
        become_ready(&self.assembly, &self.replica).await
    }

    /// Returns once the replica cannot go on, with the reason.
    pub async fn ended(&self) -> String {
        self.tasks.stop_asked().await;
        let report = self.tasks.stop(STOP_GRACE).await;
        report
            .failure
            .map_or("it was told to".to_owned(), |failure| failure.to_string())
    }

    pub fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// The leader this member knows and its term, seen at one moment.
    pub fn led(&self) -> (Option<u64>, u64) {
        self.leadership.led()
    }

    /// Elections that this member has called because the leader's process had ended.
    pub fn early_elections(&self) -> u64 {
        self.assembly.metrics.early_elections.get()
    }

    /// False while a member that joined again has not caught up.
    pub fn may_vote(&self) -> bool {
        self.guard.may_vote()
    }
}
