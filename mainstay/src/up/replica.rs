//! One member's process, a replica's or an apiserver's: started, started again when it ends, and told to stop.

use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use daemon::CancellationToken;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, timeout};

use super::program::Program;

/// First pause before a restart; doubled up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// A replica that ran this long was well: the pause starts small again.
const WELL_AFTER: Duration = Duration::from_secs(10);
/// Ends in a row, none after a good run, until we give up.
const RESTARTS_MAX: u32 = 6;
/// Time to stop by itself before it is killed: more than the parts allow themselves, a store 14 s with handing over and an apiserver 13 s.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// Lines of the log shown when we give up.
const LOG_LINES: usize = 12;
/// What the store ends with when its flags cannot be read; trying again helps nobody.
const USAGE_EXIT_CODE: i32 = 2;

pub(super) struct Replica {
    program: Program,
    command: Mutex<Command>,
    news: mpsc::Sender<String>,
    /// 0 while there is none.
    process: AtomicU32,
}

impl Replica {
    pub(super) fn new(program: Program, command: Command, news: mpsc::Sender<String>) -> Replica {
        Replica {
            program,
            command: Mutex::new(command),
            news,
            process: AtomicU32::new(0),
        }
    }

    /// Where its output goes.
    pub(super) fn log(&self) -> &Path {
        &self.program.log
    }

    /// The process's id, None while it is down.
    pub(super) fn process(&self) -> Option<u32> {
        Some(self.process.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// Runs the process until `stop`. An error when it does not come up or does not go down.
    pub(super) async fn supervise(
        self: std::sync::Arc<Self>,
        stop: CancellationToken,
    ) -> Result<()> {
        let name = &self.program.name;
        let mut ends = 0;
        loop {
            let started = Instant::now();
            let mut child = self.start().await?;
            let status = tokio::select! {
                status = child.wait() => status.context("cannot wait for the process")?,
                () = stop.cancelled() => return self.stop(child).await,
            };
            self.process.store(0, Ordering::Relaxed);
            ends = if started.elapsed() >= WELL_AFTER {
                1
            } else {
                ends + 1
            };
            if status.code() == Some(USAGE_EXIT_CODE) || ends > RESTARTS_MAX {
                bail!(
                    "{name} ended {ends} times ({status}); its log ends:\n{}",
                    self.log_end()
                );
            }
            let pause = PAUSE_MAX.min(PAUSE_FIRST * 2_u32.pow(ends - 1));
            self.tell(format!(
                "{name} {}; starting it again",
                how_it_ended(status)
            ))
            .await;
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn start(&self) -> Result<Child> {
        let (output, errors) = self.program.log_file()?;
        let mut command = self.command.lock().await;
        command
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(errors));
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {}", self.program.name))?;
        self.process
            .store(child.id().unwrap_or(0), Ordering::Relaxed);
        Ok(child)
    }

    async fn stop(&self, mut child: Child) -> Result<()> {
        if let Some(id) = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
        {
            // Fails only when the process is gone, and then the wait returns at once.
            let _ = kill_process(id, Signal::TERM);
        }
        let name = &self.program.name;
        if timeout(STOP_GRACE, child.wait()).await.is_err() {
            child
                .kill()
                .await
                .with_context(|| format!("cannot kill {name}"))?;
            bail!(
                "{name} did not stop in {} s and was killed",
                STOP_GRACE.as_secs()
            );
        }
        self.process.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// News are for the eye: a full queue loses the line, not the replica.
    async fn tell(&self, line: String) {
        let _ = timeout(PAUSE_FIRST, self.news.send(line)).await;
    }

    fn log_end(&self) -> String {
        let text = fs::read(&self.program.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}
