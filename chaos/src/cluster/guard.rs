//! A second process that ends the members when this one dies without doing so itself.
//!
//! The guard reads process ids from a pipe whose other end only this process holds. When this process is killed, the
//! pipe ends, and the guard kills what is still on its list. Members are leaders of process groups, so their children
//! end with them.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

/// The hidden subcommand that makes a process the guard.
const SUBCOMMAND: &str = "guard";
/// The program that has it, when it is not the one that runs.
const PROGRAM: &str = "chaos";

/// A guard at work.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    pub(super) fn start() -> Result<Guard> {
        let own = std::env::current_exe().context("finding this program")?;
        // A test binary has no such subcommand; the program lies beside its folder.
        let program = if own.file_stem().is_some_and(|name| name == PROGRAM) {
            own
        } else {
            own.with_file_name(PROGRAM)
        };
        let mut child = Command::new(&program)
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {} {SUBCOMMAND}", program.display()))?;
        let pipe = child.stdin.take();
        Ok(Guard { child, pipe })
    }

    pub(super) fn add(&mut self, id: u32) {
        self.tell('+', id);
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.tell('-', id);
    }

    fn tell(&mut self, sign: char, id: u32) {
        if let Some(pipe) = &mut self.pipe {
            // A guard that is gone guards nothing; the run goes on without it.
            writeln!(pipe, "{sign}{id}").ok();
        }
    }

    /// Lets the guard go.
    pub(super) fn end(mut self) {
        self.pipe = None;
        self.child.wait().ok();
    }
}

/// Guards until the pipe ends, then kills whoever is left.
///
/// # Errors
/// When the pipe cannot be read.
pub fn guard() -> Result<()> {
    let mut ids = BTreeSet::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let id = line.get(1..).and_then(|id| id.parse::<i32>().ok());
        match (line.chars().next(), id) {
            (Some('+'), Some(id)) => ids.insert(id),
            (Some('-'), Some(id)) => ids.remove(&id),
            _ => false,
        };
    }
    for id in ids.into_iter().filter_map(Pid::from_raw) {
        // One that has ended meanwhile is no longer there.
        rustix::process::kill_process_group(id, Signal::KILL).ok();
    }
    Ok(())
}
