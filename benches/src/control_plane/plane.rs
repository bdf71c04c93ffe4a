//! A control plane as processes on loopback: stores, apiservers, and whichever of the other parts a row starts.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::apiserver::client::{Call, Client};
use crate::apiserver::servers::{FLAGS, TOKEN, last_lines, spawn, write_identities};
use crate::load::processes::{self, Usage};
use crate::side_by_side::servers::{Binary, Cluster, free_ports};

const READY_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Store,
    Apiserver,
    Scheduler,
    Controllers,
    Nodes,
    /// The bench itself, which makes the objects and watches them.
    Bench,
}

pub const ROLES: [Role; 6] = [
    Role::Store,
    Role::Apiserver,
    Role::Scheduler,
    Role::Controllers,
    Role::Nodes,
    Role::Bench,
];

impl Role {
    pub fn label(self) -> &'static str {
        match self {
            Role::Store => "store",
            Role::Apiserver => "apiserver",
            Role::Scheduler => "scheduler",
            Role::Controllers => "controllers",
            Role::Nodes => "nodes",
            Role::Bench => "bench",
        }
    }
}

/// Which programs a control plane is of, and how many of them there are.
#[derive(Clone, Debug)]
pub struct Shape {
    pub ours: Binary,
    /// Ours or a stock etcd.
    pub store: Binary,
    pub stores: usize,
    pub apiservers: usize,
}

struct Part {
    role: Role,
    log: PathBuf,
    process: Child,
}

/// A running control plane. Dropped, it is killed and its data removed.
pub struct Plane {
    ours: Binary,
    folder: PathBuf,
    stores: Cluster,
    /// All others, in the order they were started.
    parts: Vec<Part>,
    /// Of the apiservers.
    pub addresses: Vec<SocketAddr>,
    /// How long the stores took to answer.
    pub stores_ready: Duration,
    /// How long the apiservers took, after the stores.
    pub apiservers_ready: Duration,
}

impl Plane {
    /// Starts stores and apiservers without any data, and waits until they answer. Some admission plugins are left out.
    pub async fn start(shape: &Shape, data: &Path, left_out: &str) -> Result<Plane> {
        let folder = data.join("plane");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        write_identities(&folder)?;
        let began = Instant::now();
        let stores = Cluster::start_members(shape.stores, &shape.store, data, &[])?;
        let ports = free_ports(shape.apiservers)?;
        let addresses = ports
            .into_iter()
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut plane = Plane {
            ours: shape.ours.clone(),
            folder,
            stores,
            parts: Vec::new(),
            addresses: addresses.collect(),
            stores_ready: began.elapsed(),
            apiservers_ready: Duration::ZERO,
        };
        fs::write(plane.folder.join("kubeconfig"), plane.kubeconfig())?;
        let began = Instant::now();
        plane.start_apiservers(left_out)?;
        for address in plane.addresses.clone() {
            while !is_ready(address).await {
                plane.check()?;
                if began.elapsed() > READY_MAX {
                    bail!("the apiserver at {address} is not ready after {READY_MAX:?}");
                }
                tokio::time::sleep(POLL).await;
            }
        }
        plane.apiservers_ready = began.elapsed();
        Ok(plane)
    }

    fn start_apiservers(&mut self, left_out: &str) -> Result<()> {
        let stores: Vec<String> = self
            .stores
            .endpoints()
            .iter()
            .map(|store| format!("http://{store}"))
            .collect();
        let stores = stores.join(",");
        for (number, address) in self.addresses.clone().into_iter().enumerate() {
            let mut flags = vec![
                format!("--etcd-servers={stores}"),
                format!("--secure-port={}", address.port()),
                format!("--cert-dir=certs-{number}"),
            ];
            if !left_out.is_empty() {
                flags.push(format!("--disable-admission-plugins={left_out}"));
            }
            let mut command = self.ours.command("apiserver");
            command.args(FLAGS).args(flags);
            self.add(Role::Apiserver, command)?;
        }
        Ok(())
    }

    /// All apiservers, whoever they say they are: they certified themselves.
    fn kubeconfig(&self) -> String {
        let servers: Vec<String> = self
            .addresses
            .iter()
            .map(|address| format!("https://{address}"))
            .collect();
        let servers = servers.join(",");
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: bench\n\
             clusters: [{{name: bench, cluster: {{server: '{servers}', insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: bench, user: {{token: {TOKEN}}}}}]\n\
             contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]\n"
        )
    }

    pub fn start_scheduler(&mut self) -> Result<()> {
        let flags = ["--leader-elect=false", "--secure-port=0"];
        self.start_part(Role::Scheduler, "scheduler", &flags)
    }

    pub fn start_controllers(&mut self) -> Result<()> {
        let flags = [
            "--leader-elect=false",
            "--secure-port=0",
            "--service-account-private-key-file=sa.key",
        ];
        self.start_part(Role::Controllers, "controllers", &flags)
    }

    /// Starts one process with so many simulated nodes.
    pub fn start_nodes(&mut self, nodes: usize) -> Result<()> {
        let nodes = format!("--nodes={nodes}");
        let flags = [&nodes, "--events=false", "--agent-port=0"];
        self.start_part(Role::Nodes, "node", &flags)
    }

    fn start_part(&mut self, role: Role, subcommand: &str, flags: &[&str]) -> Result<()> {
        let mut command = self.ours.command(subcommand);
        command.arg("--kubeconfig=kubeconfig").args(flags);
        self.add(role, command)
    }

    fn add(&mut self, role: Role, command: Command) -> Result<()> {
        let log = format!("{}-{}.log", role.label(), self.parts.len());
        let process = spawn(command, &self.folder, &log)?;
        let log = self.folder.join(log);
        self.parts.push(Part { role, log, process });
        Ok(())
    }

    /// # Errors
    ///
    /// If a part has ended by itself; the error has what it said last.
    pub fn check(&mut self) -> Result<()> {
        for part in &mut self.parts {
            if let Some(status) = part.process.try_wait()? {
                let log = last_lines(&part.log)?;
                bail!("the {} ended with {status}; {log}", part.role.label());
            }
        }
        Ok(())
    }

    /// What each part says last in its log, for who looks for a reason.
    pub fn last_words(&self) -> String {
        let of_part = |part: &Part| {
            let words = last_lines(&part.log).unwrap_or_default();
            format!("{}: {words}\n", part.role.label())
        };
        self.parts.iter().map(of_part).collect()
    }

    /// What the processes of each role used so far, in the order of `ROLES`; processor time and memory of several are added.
    pub fn usage(&self) -> Result<[Usage; ROLES.len()]> {
        let mut used = [Usage::default(); ROLES.len()];
        let stores = self.stores.pids().into_iter().map(|pid| (Role::Store, pid));
        let others = self.parts.iter().map(|part| (part.role, part.process.id()));
        let own = (Role::Bench, std::process::id());
        for (role, pid) in stores.chain(others).chain([own]) {
            let one = processes::usage(pid)?;
            let sum = &mut used[role as usize];
            sum.cpu += one.cpu;
            sum.resident_bytes += one.resident_bytes;
        }
        Ok(used)
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        for part in self.parts.iter_mut().rev() {
            if let Err(error) = part.process.kill().and_then(|()| part.process.wait()) {
                eprintln!("cannot end the {}: {error}", part.role.label());
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(client) = Client::connect(address).await else {
        return false;
    };
    let answer = client.ask(Call::get("/readyz")).await;
    answer.is_ok_and(|answer| answer.status.is_success())
}
