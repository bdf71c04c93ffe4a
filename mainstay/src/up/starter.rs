//! Starts programs, as processes that are watched or as tasks of this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use daemon::{OnFailure, Tasks};
use tokio::sync::mpsc;

use super::program::Program;
use super::replica::Replica;

/// How programs are started.
pub(super) struct Starter<'a> {
    pub(super) tasks: &'a Tasks,
    pub(super) news: mpsc::Sender<String>,
    /// In this process, in place of one for each.
    pub(super) inside: bool,
}

/// A program that was started.
pub(super) enum Running {
    Process(Arc<Replica>),
    /// In this process, with the log of all.
    Inside {
        log: PathBuf,
    },
}

impl Starter<'_> {
    /// Processes are told to stop all at once, and what is inside of this one in reverse order of its start.
    pub(super) fn start(&self, program: Program, other_binary: Option<&Path>) -> Result<Running> {
        let name = program.name.clone();
        if self.inside {
            let log = program.log.clone();
            self.tasks
                .spawn(name, OnFailure::Stop, |stop| program.inside(stop));
            return Ok(Running::Inside { log });
        }
        let command = program.process(other_binary)?;
        let replica = Arc::new(Replica::new(program, command, self.news.clone()));
        let (watched, all_stop) = (replica.clone(), self.tasks.stop_token());
        self.tasks
            .spawn(name, OnFailure::Stop, |_| watched.supervise(all_stop));
        Ok(Running::Process(replica))
    }
}

impl Running {
    /// The process's id, None while it is down.
    pub(super) fn process(&self) -> Option<u32> {
        match self {
            Running::Process(replica) => replica.process(),
            Running::Inside { .. } => Some(std::process::id()),
        }
    }

    pub(super) fn log(&self) -> &Path {
        match self {
            Running::Process(replica) => replica.log(),
            Running::Inside { log } => log,
        }
    }
}
