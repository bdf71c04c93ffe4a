//! One member as a process on this machine.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use tokio::time::Instant;

use super::POLL_INTERVAL;
use crate::shim::Shim;
use crate::target::Program;

/// Time in which a stopped process is seen to have stopped.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a replica is told of its cluster when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is one of the first members; or has its data already, and the word plays no part.
    New,
    /// Others know it, and it has lost its data.
    Existing,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By SIGKILL.
    Killed,
    /// By itself, or by another signal; 0 is a success, 143 is SIGTERM in the shell's counting.
    Exit(i32),
    /// It was not running.
    NeverRan,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Killed => f.write_str("was killed"),
            Ended::Exit(code) => write!(f, "ended with exit code {code}"),
            Ended::NeverRan => f.write_str("did not run"),
        }
    }
}

/// One member as a process.
#[derive(Debug)]
pub(super) struct Process {
    program: Program,
    flags: Vec<String>,
    data: PathBuf,
    log: PathBuf,
    log_start: u64,
    shim: Option<Shim>,
    child: Option<Child>,
}

impl Process {
    pub(super) fn new(
        program: &Program,
        flags: &[(&str, String)],
        data: PathBuf,
        log: PathBuf,
    ) -> Process {
        let mut all: Vec<String> = program.arguments.clone();
        all.extend(
            flags
                .iter()
                .flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]),
        );
        all.extend(program.flags.iter().cloned());
        Process {
            program: program.clone(),
            flags: all,
            data,
            log,
            log_start: 0,
            shim: None,
            child: None,
        }
    }

    /// Puts the library for disks and clocks in front of the process from its next start on.
    pub(super) fn put_behind_shim(&mut self, shadow: &Path) -> Result<()> {
        self.shim = Some(Shim::prepare(&self.data, shadow)?);
        Ok(())
    }

    pub(super) fn shim(&self) -> Option<&Shim> {
        self.shim.as_ref()
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the process in a group of its own, so that a Ctrl-C at the terminal is the harness's to handle.
    /// Who is no replica has no state.
    pub(super) fn start(&mut self, state: Option<State>) -> Result<u32> {
        if self.child.is_some() {
            bail!("it runs already");
        }
        std::fs::create_dir_all(&self.data)?;
        // etcd warns of folders that others may read.
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&self.data, private)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        self.log_start = log.metadata()?.len();
        let words = state.map(|state| match state {
            State::New => ["--initial-cluster-state", "new"],
            State::Existing => ["--initial-cluster-state", "existing"],
        });
        let child = Command::new(&self.program.path)
            .args(&self.flags)
            .args(words.into_iter().flatten())
            .envs(&self.program.environment)
            .envs(self.shim.iter().flat_map(Shim::environment))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", self.program.path.display()))?;
        let id = child.id();
        self.child = Some(child);
        Ok(id)
    }

    /// What it has logged since its last start.
    pub(super) fn log_since_start(&self) -> Result<String> {
        let mut file = std::fs::File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.log_start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        let id = Pid::from_raw(child.id().cast_signed()).context("a process id is not zero")?;
        Ok(rustix::process::kill_process(id, signal)?)
    }

    /// Stops it, and waits until the system says that it stands still.
    pub(super) async fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let id = self.id().context("it does not run")?;
        let deadline = Instant::now() + PAUSE_TIMEOUT;
        while Instant::now() < deadline {
            if stands_still(id) {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!("it goes on after SIGSTOP")
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        let Some(child) = &mut self.child else {
            return Some(Ended::NeverRan);
        };
        let status = child.try_wait().ok()??;
        self.child = None;
        Some(read_status(status))
    }

    /// Ends it at once, if it runs.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; waiting is what matters.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_status(status: ExitStatus) -> Ended {
    match (status.signal(), status.code()) {
        (Some(9), _) => Ended::Killed,
        (Some(signal), _) => Ended::Exit(128 + signal),
        (None, code) => Ended::Exit(code.unwrap_or(-1)),
    }
}

/// Whether every look at the process finds it stopped: the state stands behind the name in brackets.
fn stands_still(id: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else {
        return false;
    };
    let state = stat.rsplit(") ").next();
    state.is_some_and(|state| state.starts_with('T'))
}
