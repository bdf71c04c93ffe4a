//! One server process with its folder, its log and its ports.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep, timeout};

use super::{POLL_INTERVAL, READY_TIMEOUT};
use crate::client::Client;
use crate::target::Target;

/// Name and ports of one member, as the others need them.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) client_port: u16,
    pub(super) peer_port: u16,
}

/// One member of a cluster.
#[derive(Debug)]
pub struct Member {
    pub name: String,
    pub client_port: u16,
    pub peer_port: u16,
    pub data_dir: PathBuf,
    pub log_path: PathBuf,
    /// Everything after the program and its subcommand.
    pub flags: Vec<String>,
    target: Target,
    process: Option<Child>,
}

impl Member {
    pub(super) fn new(
        target: &Target,
        place: &Place,
        all: &[Place],
        dir: &Path,
        extra: &[String],
    ) -> Member {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let data_dir = dir.join(&place.name);
        let peers: Vec<String> = all
            .iter()
            .map(|place| format!("{}={}", place.name, url(place.peer_port)))
            .collect();
        let mut flags: Vec<String> = [
            ("--name", place.name.clone()),
            ("--data-dir", data_dir.display().to_string()),
            ("--listen-client-urls", url(place.client_port)),
            ("--advertise-client-urls", url(place.client_port)),
            ("--listen-peer-urls", url(place.peer_port)),
            ("--initial-advertise-peer-urls", url(place.peer_port)),
            ("--initial-cluster", peers.join(",")),
            ("--initial-cluster-state", "new".to_owned()),
            ("--initial-cluster-token", "interop".to_owned()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
        flags.extend_from_slice(extra);
        Member {
            name: place.name.clone(),
            client_port: place.client_port,
            peer_port: place.peer_port,
            log_path: dir.join(format!("{}.log", place.name)),
            data_dir,
            flags,
            target: target.clone(),
            process: None,
        }
    }

    /// From its next start on, the member comes into a cluster that is there already.
    pub fn joins_existing(&mut self) {
        self.set_flag("--initial-cluster-state", "existing");
    }

    /// The value of a flag that the member has.
    pub fn flag(&self, flag: &str) -> &str {
        let at = self.flags.iter().position(|given| given == flag);
        &self.flags[at.expect("a flag that every member is given") + 1]
    }

    /// Another value for a flag that the member has, from its next start on.
    pub fn set_flag(&mut self, flag: &str, value: &str) {
        let at = self.flags.iter().position(|given| given == flag);
        let at = at.expect("a flag that every member is given");
        value.clone_into(&mut self.flags[at + 1]);
    }

    pub fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    pub fn client_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    /// The command this member is started with; its output goes to the member's log.
    pub fn command(&self) -> Result<Command> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log_path)?;
        let mut command = self.target.command();
        command
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }

    /// Starts the process, over the data an earlier one left.
    pub fn start(&mut self) -> Result<()> {
        anyhow::ensure!(self.process.is_none(), "{} runs already", self.name);
        let child = self
            .command()?
            .spawn()
            .with_context(|| format!("starting {}", self.name))?;
        self.process = Some(child);
        Ok(())
    }

    /// Whether the process is there. One that ended by itself is taken note of.
    pub fn is_running(&mut self) -> bool {
        let Some(child) = &mut self.process else {
            return false;
        };
        if let Ok(Some(status)) = child.try_wait() {
            println!(
                "{} ended by itself: {status}; its log: {}",
                self.name,
                self.log_tail()
            );
            self.process = None;
        }
        self.process.is_some()
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Waits until the member answers a linearizable read.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let mut last = String::from("never asked");
        while Instant::now() < deadline {
            if !self.is_running() {
                bail!("{} ended while it was waited for", self.name);
            }
            let url = self.client_url();
            let asked = async {
                let mut client = Client::connect(&url).await?;
                client.get("ready?").await.context("reading")
            };
            match timeout(Duration::from_secs(3), asked).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => last = format!("{error:#}"),
                Err(_) => last = "no answer".to_owned(),
            }
            sleep(POLL_INTERVAL).await;
        }
        bail!(
            "{} is not ready: {last}; its log: {}",
            self.name,
            self.log_tail()
        )
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self
            .process
            .as_ref()
            .with_context(|| format!("{} does not run", self.name))?;
        let pid = Pid::from_raw(child.id().cast_signed()).context("a process id is not zero")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Freezes the process: it keeps its connections and answers nothing.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen process go on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends the process without warning, if it runs.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.process.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks the process to end, and waits for it.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_exit().await
    }

    /// Waits until the process has ended by itself.
    pub async fn wait_exit(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let child = self.process.as_mut().context("it does not run")?;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                self.process = None;
                return Ok(status);
            }
            sleep(POLL_INTERVAL).await;
        }
        bail!("{} still runs; its log: {}", self.name, self.log_tail())
    }

    /// Everything the member has written so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log_path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(15);
        format!("{}\n{}", self.log_path.display(), lines[from..].join("\n"))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill().ok();
    }
}
