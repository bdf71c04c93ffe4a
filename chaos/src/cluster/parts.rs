//! The processes above the members of a cluster: they can be started, frozen, ended and cut off as members can.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tokio::time::Instant;

use super::process::Process;
use super::{Cluster, Component, Ended, POLL_INTERVAL, STOP_TIMEOUT};
use crate::net::Line;
use crate::target::Program;

/// Processes of each kind.
const COUNT: usize = 3;
/// Nodes of one process that simulates some.
const NODES_EACH: usize = 2;
/// How leaders are elected, in seconds: short, so that a run has time for several.
pub(crate) const LEASE_SECONDS: u64 = 8;
const RENEW_SECONDS: u64 = 6;
const RETRY_SECONDS: u64 = 1;
/// What one that has lost its lease says as it ends.
const LEASE_LOST: &str = "was lost";
/// Among how many last lines: what it still does may be told behind that.
const LAST_LINES: usize = 10;

/// One process above the members.
#[derive(Debug)]
pub(super) struct Part {
    component: Component,
    number: usize,
    process: Process,
    /// Where clients reach it, if they do.
    port: Option<u16>,
    /// How it reaches those below it: one for each.
    lines: Vec<Line>,
}

impl Part {
    pub(super) fn kill(&mut self) {
        self.process.kill();
    }

    fn name(&self) -> String {
        format!("{}-{}", self.component, self.number)
    }
}

/// The program that parts are started from, and the folder of the run.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// A Mainstay.
    pub program: &'a Path,
    /// Where logs and files go.
    pub folder: &'a Path,
    /// Controllers elect one process that leads; else all of them do, which is wrong.
    pub elects: bool,
}

impl Ground<'_> {
    fn files(&self) -> PathBuf {
        self.folder.join(super::DATA_FOLDER).join("parts")
    }

    fn process(&self, component: Component, number: usize, flags: &[(&str, String)]) -> Process {
        let leads_anyway = component == Component::Controllers && !self.elects;
        let elects = leads_anyway.then(|| "--leader-elect=false".to_owned());
        let program = Program {
            path: self.program.to_owned(),
            arguments: vec![component.to_string()],
            flags: elects.into_iter().collect(),
            environment: BTreeMap::new(),
            known: BTreeMap::new(),
            rejoins_emptied: false,
            calls_libc: false,
            short_log_flags: Vec::new(),
            answers_progress_truly: false,
        };
        let name = format!("{component}-{number}");
        let log = self.folder.join("logs").join(format!("{name}.log"));
        Process::new(&program, flags, self.files().join(name), log)
    }
}

impl Cluster {
    /// Starts apiservers on the members. Whoever says `token` to them may do everything.
    ///
    /// # Errors
    /// When ports or files cannot be had, or a process cannot be started.
    pub async fn start_apiservers(&mut self, ground: Ground<'_>, token: &str) -> Result<()> {
        let component = Component::Apiserver;
        let files = ground.files();
        std::fs::create_dir_all(&files)?;
        let tokens = files.join("tokens.csv");
        let everything = "\"system:masters\"";
        let users = format!(
            "{token},chaos,chaos,{everything}\n\
             controllers,system:kube-controller-manager,controllers,{everything}\n\
             scheduler,system:kube-scheduler,scheduler\n\
             node,nodes,nodes,{everything}\n"
        );
        std::fs::write(&tokens, users)?;
        let stores: Vec<u16> = self.urls.iter().filter_map(|url| port_of(url)).collect();
        for number in 0..COUNT {
            let port = crate::ports::free().await?;
            let lines = lines_to(&stores).await?;
            let fronts: Vec<String> = lines.iter().map(|line| super::local(line.port())).collect();
            let certificates = files.join(format!("{component}-{number}"));
            let flags = [
                ("--etcd-servers", fronts.join(",")),
                ("--secure-port", port.to_string()),
                ("--bind-address", "127.0.0.1".to_owned()),
                ("--advertise-address", "127.0.0.1".to_owned()),
                ("--cert-dir", certificates.display().to_string()),
                ("--token-auth-file", tokens.display().to_string()),
                ("--api-audiences", "chaos".to_owned()),
                ("--authorization-mode", "RBAC".to_owned()),
                ("--service-cluster-ip-range", "10.0.0.0/16".to_owned()),
                // Whoever judges reads from the first revision on.
                ("--etcd-compaction-interval", "0".to_owned()),
            ];
            self.add_part(Part {
                component,
                number,
                process: ground.process(component, number, &flags),
                port: Some(port),
                lines,
            })?;
        }
        Ok(())
    }

    /// Starts controllers, schedulers and simulated nodes on the apiservers.
    ///
    /// # Errors
    /// As [`Cluster::start_apiservers`].
    pub async fn start_components(&mut self, ground: Ground<'_>) -> Result<()> {
        let ports = self.apiserver_ports();
        for component in [
            Component::Controllers,
            Component::Scheduler,
            Component::Node,
        ] {
            for number in 0..COUNT {
                let lines = lines_to(&ports).await?;
                let file = ground
                    .files()
                    .join(format!("{component}-{number}.kubeconfig"));
                std::fs::write(&file, kubeconfig(component, &lines))?;
                let mut flags = vec![("--kubeconfig", file.display().to_string())];
                flags.extend(flags_of(component, number));
                self.add_part(Part {
                    component,
                    number,
                    process: ground.process(component, number, &flags),
                    port: None,
                    lines,
                })?;
            }
        }
        Ok(())
    }

    fn add_part(&mut self, part: Part) -> Result<()> {
        self.parts.push(part);
        self.start_part(self.parts.len() - 1)
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The parts of a kind.
    pub fn parts_of(&self, component: Component) -> Vec<usize> {
        let all = self.parts.iter().enumerate();
        all.filter(|(_, part)| part.component == component)
            .map(|(index, _)| index)
            .collect()
    }

    /// A part's name.
    pub fn part_name(&self, part: usize) -> String {
        self.parts.get(part).map_or_else(String::new, Part::name)
    }

    /// Where clients reach the apiservers.
    pub fn apiserver_ports(&self) -> Vec<u16> {
        self.parts.iter().filter_map(|part| part.port).collect()
    }

    /// Starts one again.
    ///
    /// # Errors
    /// When it runs, or cannot be started.
    pub fn start_part(&mut self, part: usize) -> Result<()> {
        let id = self.part_mut(part)?.process.start(None)?;
        if let Some(guard) = &mut self.guard {
            guard.add(id);
        }
        Ok(())
    }

    fn part_mut(&mut self, part: usize) -> Result<&mut Part> {
        self.parts.get_mut(part).context("there is no such part")
    }

    fn part(&self, part: usize) -> Result<&Part> {
        self.parts.get(part).context("there is no such part")
    }

    /// Ends one at once.
    ///
    /// # Errors
    /// When it cannot be ended, or had ended before.
    pub async fn kill_part(&mut self, part: usize) -> Result<()> {
        self.part(part)?.process.signal(Signal::KILL)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(ended) = self.part_ended(part) {
                ensure!(ended == Ended::Killed, "it {ended} instead of being killed");
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!("{} still runs", self.part_name(part))
    }

    /// How one ended, if it has, or does not run.
    pub fn part_ended(&mut self, part: usize) -> Option<Ended> {
        let process = &mut self.part_mut(part).ok()?.process;
        let id = process.id();
        let ended = process.ended()?;
        if let (Some(guard), Some(id)) = (&mut self.guard, id) {
            guard.remove(id);
        }
        Some(ended)
    }

    /// Whether one that ended did so as it has to: its lease was lost.
    pub fn part_gave_up(&self, part: usize) -> bool {
        let log = self.part_log(part).unwrap_or_default();
        let mut last = log.lines().rev().take(LAST_LINES);
        let leads = self
            .part(part)
            .is_ok_and(|part| part.component.lease().is_some());
        leads && last.any(|line| line.contains(LEASE_LOST))
    }

    /// Starts every part again that ended since its lease was lost, as whoever runs it does.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn start_given_up(&mut self) -> Result<()> {
        for part in 0..self.parts() {
            // One that ended otherwise is left for whoever looks for it.
            if self.part_gave_up(part) && self.part_ended(part).is_some() {
                self.start_part(part)?;
            }
        }
        Ok(())
    }

    /// Freezes one.
    ///
    /// # Errors
    /// When it does not run, or does not stop.
    pub async fn pause_part(&self, part: usize) -> Result<()> {
        self.part(part)?.process.pause().await
    }

    /// Lets a frozen one go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume_part(&self, part: usize) -> Result<()> {
        self.part(part)?.process.signal(Signal::CONT)
    }

    /// What one has logged since its last start.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn part_log(&self, part: usize) -> Result<String> {
        self.part(part)?.process.log_since_start()
    }

    /// What processes must not have done when nothing is broken any more: ended, or logged a panic.
    pub(crate) fn faults_of_processes(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for member in 0..self.size() {
            let log = self.log_since_start(member).unwrap_or_default();
            all.push((self.name(member), self.ended(member), log));
        }
        for part in 0..self.parts() {
            let log = self.part_log(part).unwrap_or_default();
            let ended = self.part_ended(part);
            let ended = ended.filter(|_| !self.part_gave_up(part));
            all.push((self.part_name(part), ended, log));
        }
        let mut found = Vec::new();
        for (name, ended, log) in all {
            found.extend(ended.map(|ended| format!("{name} {ended} at the end")));
            let panic = crate::summary::panic_in(&log);
            found.extend(panic.map(|line| format!("{name} has logged a panic: {line}")));
        }
        found
    }

    /// The lines of a part: its own, and of an apiserver also those of the others to it.
    pub fn lines_of(&self, part: usize) -> Vec<&Line> {
        let Some(one) = self.parts.get(part) else {
            return Vec::new();
        };
        let mut lines: Vec<&Line> = one.lines.iter().collect();
        if one.component == Component::Apiserver {
            let others = self.parts.iter().filter(|part| part.port.is_none());
            lines.extend(others.filter_map(|other| other.lines.get(one.number)));
        }
        lines
    }

    /// Ends every cut between parts and what is below them.
    pub fn heal_lines(&self) {
        let lines = self.parts.iter().flat_map(|part| &part.lines);
        lines.for_each(Line::heal);
    }
}

/// The program that parts are started from, if it is there.
pub(crate) fn parts_program() -> Option<PathBuf> {
    crate::target::Target::ours()
        .program
        .map(|program| program.path)
        .filter(|path| path.is_file())
}

async fn lines_to(ports: &[u16]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for port in ports {
        lines.push(Line::to(*port).await?);
    }
    Ok(lines)
}

fn port_of(url: &str) -> Option<u16> {
    url.rsplit(':').next()?.parse().ok()
}

fn flags_of(component: Component, number: usize) -> Vec<(&'static str, String)> {
    let election = [
        ("--leader-elect-lease-duration", LEASE_SECONDS),
        ("--leader-elect-renew-deadline", RENEW_SECONDS),
        ("--leader-elect-retry-period", RETRY_SECONDS),
    ];
    let election = election.map(|(flag, seconds)| (flag, format!("{seconds}s")));
    match component {
        Component::Apiserver => Vec::new(),
        Component::Scheduler | Component::Controllers => {
            // Three on one host would want the same port.
            let mut flags = vec![("--secure-port", "0".to_owned())];
            flags.extend(election);
            flags
        }
        Component::Node => vec![
            ("--nodes", NODES_EACH.to_string()),
            ("--first", (number * NODES_EACH + 1).to_string()),
            ("--by", format!("chaos-{number}")),
            ("--agent-port", "0".to_owned()),
        ],
    }
}

/// A configuration that names every apiserver, each by the line to it.
fn kubeconfig(component: Component, lines: &[Line]) -> String {
    let servers = lines
        .iter()
        .map(|line| format!("https://127.0.0.1:{}", line.port()));
    let servers: Vec<String> = servers.collect();
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: chaos
  cluster: {{server: \"{}\", insecure-skip-tls-verify: true}}
users:
- name: {component}
  user: {{token: {component}}}
contexts:
- name: chaos
  context: {{cluster: chaos, user: {component}}}
current-context: chaos
",
        servers.join(",")
    )
}
