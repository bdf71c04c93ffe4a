//! The cluster under test: members that can be started, frozen, ended and cut off.

mod component;
mod guard;
mod hooks;
mod parts;
mod process;
mod roles;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use crate::net::{Mesh, Processes};
use crate::shim::Shim;
use crate::target::{Hooks, Program, Target};

pub use component::Component;
pub use parts::Ground;
pub(crate) use parts::{LEASE_SECONDS, parts_program};
pub use process::{Ended, State};
pub use roles::{Role, Roles};

use guard::Guard;
use parts::Part;
use process::Process;

/// Members of a cluster that is started here.
pub const MEMBERS: usize = 3;
/// Pause between two looks at a condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Where members have their data, below the folder of a run, and where the shim has what a power cut would leave.
const DATA_FOLDER: &str = "data";
const DURABLE_FOLDER: &str = "durable";
/// Time a member gets to end after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How one member is driven.
#[derive(Debug)]
enum Driver {
    Process(Process),
    Hooks(Hooks),
}

/// What a scenario needs of its cluster.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// What the network draws from.
    pub seed: u64,
    /// Members keep a short log, if the target says how.
    pub short_log: bool,
    /// Members run behind the library for disks and clocks, if the target can.
    pub shim: bool,
}

/// The members and, when they run here, the network between them.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Driver>,
    urls: Vec<String>,
    mesh: Option<Mesh>,
    processes: Arc<Processes>,
    guard: Option<Guard>,
    rejoins_emptied: bool,
    parts: Vec<Part>,
}

/// Removes what the members of a run had on their disks. Nobody looks at it when all went as it should, and it is large.
pub(crate) fn remove_data(folder: &Path) {
    for part in [DATA_FOLDER, DURABLE_FOLDER] {
        // What cannot be removed takes room and changes nothing else.
        std::fs::remove_dir_all(folder.join(part)).ok();
    }
}

impl Cluster {
    /// Prepares the cluster of a target, with data and logs under `folder`; starts no member.
    ///
    /// # Errors
    /// When ports or folders cannot be had, or the library for disks and clocks is not built.
    pub async fn prepare(target: &Target, folder: &Path, setup: Setup) -> Result<Cluster> {
        match &target.program {
            Some(program) => Cluster::of_program(program, folder, setup).await,
            None => Ok(Cluster {
                urls: target.members.iter().map(|m| m.endpoint.clone()).collect(),
                processes: Arc::new(Processes::new(target.members.len())),
                members: target.members.iter().cloned().map(Driver::Hooks).collect(),
                mesh: None,
                guard: None,
                rejoins_emptied: false,
                parts: Vec::new(),
            }),
        }
    }

    async fn of_program(program: &Program, folder: &Path, setup: Setup) -> Result<Cluster> {
        let processes = Arc::new(Processes::new(MEMBERS));
        let mut peer_ports = Vec::new();
        let mut client_ports = Vec::new();
        for _ in 0..MEMBERS {
            peer_ports.push(crate::ports::free().await?);
            client_ports.push(crate::ports::free().await?);
        }
        let mesh = Mesh::start(&peer_ports, processes.clone(), setup.seed).await?;
        let initial: Vec<String> = (0..MEMBERS)
            .map(|member| format!("{}={}", name(member), local(mesh.front(member))))
            .collect();
        let initial = initial.join(",");
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
        let mut program = program.clone();
        if setup.short_log {
            program.flags.extend(program.short_log_flags.clone());
        }
        let mut members = Vec::new();
        for member in 0..MEMBERS {
            let data = folder.join(DATA_FOLDER).join(name(member));
            let flags = [
                ("--name", name(member)),
                ("--data-dir", data.display().to_string()),
                ("--listen-client-urls", local(client_ports[member])),
                ("--advertise-client-urls", local(client_ports[member])),
                ("--listen-peer-urls", local(peer_ports[member])),
                ("--initial-advertise-peer-urls", local(mesh.front(member))),
                ("--initial-cluster", initial.clone()),
                ("--initial-cluster-token", "chaos".to_owned()),
            ];
            let log = logs.join(format!("{}.log", name(member)));
            let mut process = Process::new(&program, &flags, data, log);
            if setup.shim && program.calls_libc {
                process.put_behind_shim(&folder.join(DURABLE_FOLDER).join(name(member)))?;
            }
            members.push(Driver::Process(process));
        }
        Ok(Cluster {
            members,
            urls: client_ports.iter().map(|port| local(*port)).collect(),
            mesh: Some(mesh),
            processes,
            guard: Some(Guard::start()?),
            rejoins_emptied: program.rejoins_emptied,
            parts: Vec::new(),
        })
    }

    /// How many members there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Where clients reach the members.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// A member's name.
    pub fn name(&self, member: usize) -> String {
        match &self.members[member] {
            Driver::Process(_) => name(member),
            Driver::Hooks(hooks) => hooks.name.clone(),
        }
    }

    /// The network between the members, if it is ours to break.
    pub fn mesh(&self) -> Option<&Mesh> {
        self.mesh.as_ref()
    }

    /// Where the others reach a member.
    ///
    /// # Errors
    /// When the members do not run here.
    pub fn peer_url(&self, member: usize) -> Result<String> {
        let mesh = self.mesh.as_ref().context("the members do not run here")?;
        Ok(local(mesh.front(member)))
    }

    /// Whether an emptied member may join again.
    pub fn rejoins_emptied(&self) -> bool {
        self.rejoins_emptied
    }

    /// Whether the members are processes of this one.
    pub fn runs_here(&self) -> bool {
        self.mesh.is_some()
    }

    /// Starts every member of a new cluster. A cluster that runs already is left as it is.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn start_all(&mut self) -> Result<()> {
        if self.runs_here() {
            for member in 0..self.size() {
                self.start_process(member, State::New)?;
            }
        }
        Ok(())
    }

    fn start_process(&mut self, member: usize, state: State) -> Result<()> {
        let Driver::Process(process) = &mut self.members[member] else {
            bail!("{} is no process of this one", self.name(member));
        };
        let id = process.start(Some(state))?;
        self.processes.set(member, Some(id));
        if let Some(guard) = &mut self.guard {
            guard.add(id);
        }
        Ok(())
    }

    /// Starts a member again, over the data it has.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(&mut self, member: usize) -> Result<()> {
        match &self.members[member] {
            Driver::Process(_) => self.start_process(member, State::New),
            Driver::Hooks(hooks) => hooks::run(hooks, "start", hooks.start.as_deref()).await,
        }
    }

    /// Starts a member that others know, without the data it had.
    ///
    /// # Errors
    /// When the folder cannot be removed or the process not be started.
    pub fn start_emptied(&mut self, member: usize) -> Result<()> {
        ensure!(
            self.shim(member).is_err(),
            "an emptied folder is another one than its durable picture is of"
        );
        let data = self.data(member)?;
        std::fs::remove_dir_all(&data).with_context(|| format!("removing {}", data.display()))?;
        self.start_process(member, State::Existing)
    }

    /// The data folder of a member.
    ///
    /// # Errors
    /// When the member does not run here.
    pub fn data(&self, member: usize) -> Result<PathBuf> {
        Ok(self.process(member)?.data().to_owned())
    }

    /// What a member has logged since its last start.
    ///
    /// # Errors
    /// When the member does not run here or its log cannot be read.
    pub fn log_since_start(&self, member: usize) -> Result<String> {
        self.process(member)?.log_since_start()
    }

    /// What stands between a member and its disk and clock.
    ///
    /// # Errors
    /// When nothing does.
    pub fn shim(&self, member: usize) -> Result<&Shim> {
        let shim = self.process(member)?.shim();
        shim.context("nothing stands between this target's members and their disks and clocks: they do not call libc")
    }

    fn process(&self, member: usize) -> Result<&Process> {
        match &self.members[member] {
            Driver::Process(process) => Ok(process),
            Driver::Hooks(hooks) => bail!("{} is no process of this one", hooks.name),
        }
    }

    fn process_mut(&mut self, member: usize) -> Option<&mut Process> {
        match &mut self.members[member] {
            Driver::Process(process) => Some(process),
            Driver::Hooks(_) => None,
        }
    }

    /// Ends members at once: every one gets its signal before any is waited for.
    ///
    /// # Errors
    /// When one cannot be ended, or had ended before.
    pub async fn kill(&mut self, members: &[usize]) -> Result<()> {
        for member in members {
            match &self.members[*member] {
                Driver::Process(process) => process.signal(rustix::process::Signal::KILL)?,
                Driver::Hooks(hooks) => hooks::run(hooks, "kill", hooks.kill.as_deref()).await?,
            }
        }
        for member in members {
            if self.runs_here() {
                let ended = self.wait_end(*member).await?;
                ensure!(ended == Ended::Killed, "it {ended} instead of being killed");
            }
        }
        Ok(())
    }

    /// Asks a member to end, and waits until it has.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self, member: usize) -> Result<Option<Ended>> {
        match &self.members[member] {
            Driver::Process(process) => {
                process.signal(rustix::process::Signal::TERM)?;
                Ok(Some(self.wait_end(member).await?))
            }
            Driver::Hooks(hooks) => {
                hooks::run(hooks, "stop", hooks.stop.as_deref()).await?;
                Ok(None)
            }
        }
    }

    /// Waits until a member's process has ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait_end(&mut self, member: usize) -> Result<Ended> {
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(ended) = self.ended(member) {
                return Ok(ended);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!("{} still runs after {STOP_TIMEOUT:?}", self.name(member))
    }

    /// How a member's process ended, if it has, or does not run.
    pub fn ended(&mut self, member: usize) -> Option<Ended> {
        let process = self.process_mut(member)?;
        let id = process.id();
        let ended = process.ended()?;
        self.processes.set(member, None);
        if let (Some(guard), Some(id)) = (&mut self.guard, id) {
            guard.remove(id);
        }
        Some(ended)
    }

    /// Freezes a member: it keeps its connections and does nothing.
    ///
    /// # Errors
    /// When it does not run, or does not stop.
    pub async fn pause(&self, member: usize) -> Result<()> {
        match &self.members[member] {
            Driver::Process(process) => process.pause().await,
            Driver::Hooks(hooks) => hooks::run(hooks, "pause", hooks.pause.as_deref()).await,
        }
    }

    /// Lets a frozen member go on.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn resume(&self, member: usize) -> Result<()> {
        match &self.members[member] {
            Driver::Process(process) => process.signal(rustix::process::Signal::CONT),
            Driver::Hooks(hooks) => hooks::run(hooks, "resume", hooks.resume.as_deref()).await,
        }
    }

    /// Cuts a member of a cluster elsewhere off from the others, or ends that.
    ///
    /// # Errors
    /// When the command is missing or fails.
    pub async fn cut_by_hook(&self, member: usize, cut: bool) -> Result<()> {
        match &self.members[member] {
            Driver::Process(_) => bail!("the links of {} are cut here", self.name(member)),
            Driver::Hooks(hooks) if cut => hooks::run(hooks, "cut", hooks.cut.as_deref()).await,
            Driver::Hooks(hooks) => hooks::run(hooks, "heal", hooks.heal.as_deref()).await,
        }
    }

    /// Ends everything that was started here.
    pub async fn end(mut self) {
        for member in 0..self.size() {
            if let Some(process) = self.process_mut(member) {
                process.kill();
            }
        }
        for part in &mut self.parts {
            part.kill();
        }
        if let Some(mesh) = self.mesh.take() {
            mesh.stop().await;
        }
        if let Some(guard) = self.guard.take() {
            guard.end();
        }
    }
}

fn name(member: usize) -> String {
    format!("member-{member}")
}

fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_held_the_data_go_and_the_rest_stays() {
        let run = tempfile::tempdir().unwrap();
        for part in [DATA_FOLDER, DURABLE_FOLDER, "logs"] {
            std::fs::create_dir_all(run.path().join(part).join("member-0")).unwrap();
        }
        remove_data(run.path());
        let left = std::fs::read_dir(run.path()).unwrap();
        let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["logs"]);
    }
}
