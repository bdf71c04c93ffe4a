//! `mainstay up` without work: how long until it has done what it does by itself, and what all its processes hold and use.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::apiserver::client::{Call, Client};
use crate::apiserver::servers::{last_lines, spawn};
use crate::load::processes::{children, proportional_bytes, usage};
use crate::side_by_side::figures::Figure;
use crate::side_by_side::servers::{Binary, free_ports};

const READY_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);
const LOG: &str = "up.log";
/// What is there when the apiserver is ready, and when controllers have begun.
const MILESTONES: [(&str, &str); 3] = [
    ("ready", "/readyz"),
    (
        "service account",
        "/api/v1/namespaces/default/serviceaccounts/default",
    ),
    (
        "root CA",
        "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
    ),
];

/// What is started.
#[derive(Clone, Copy)]
pub struct Shape {
    pub one_process: bool,
    pub nodes: usize,
}

/// Stopped when it is dropped, with all its processes.
struct Up {
    process: Child,
    folder: PathBuf,
    address: SocketAddr,
}

/// Starts it on an empty folder and lets it be for some time.
pub async fn idle(
    ours: &Binary,
    data: &Path,
    shape: Shape,
    idle_seconds: f64,
) -> Result<Vec<Figure>> {
    let began = Instant::now();
    let mut up = Up::start(ours, data.join("up"), shape)?;
    let mut figures = Vec::new();
    for (name, path) in MILESTONES {
        while !up.has(path).await {
            up.check()?;
            if began.elapsed() > READY_MAX {
                bail!("{name}: not there after {READY_MAX:?}; {}", up.log()?);
            }
            tokio::time::sleep(POLL).await;
        }
        figures.push(Figure::new(name, "s", began.elapsed().as_secs_f64()));
    }
    tokio::time::sleep(Duration::from_secs_f64(idle_seconds)).await;
    let (from, before) = (Instant::now(), up.cpu()?);
    tokio::time::sleep(Duration::from_secs_f64(idle_seconds)).await;
    let used = (up.cpu()? - before).as_secs_f64() / from.elapsed().as_secs_f64();
    let (mut resident, mut proportional) = (0, 0);
    let processes = up.processes()?;
    for process in &processes {
        resident += usage(*process)?.resident_bytes;
        proportional += proportional_bytes(*process)?;
    }
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    figures.extend([
        Figure::new("processes", "", processes.len() as f64),
        Figure::new("memory, resident", "MB", megabytes(resident)),
        Figure::new("memory, proportional", "MB", megabytes(proportional)),
        Figure::new("CPU", "% of a core", used * 100.0),
    ]);
    Ok(figures)
}

impl Up {
    fn start(ours: &Binary, folder: PathBuf, shape: Shape) -> Result<Up> {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let stores = if shape.one_process { 1 } else { 3 };
        let ports = free_ports(2 * stores + 5)?;
        let (of_stores, others) = ports.split_at(2 * stores);
        let lines = of_stores.chunks(2);
        let lines = lines.map(|pair| format!("{} {}\n", pair[0], pair[1]));
        fs::write(folder.join("ports"), lines.collect::<String>())?;
        let (agents, apiservers) = (others[0], &others[1..]);
        let apiservers: Vec<String> = apiservers.iter().map(u16::to_string).collect();
        fs::write(folder.join("apiserver-ports"), apiservers.join(" "))?;
        fs::write(folder.join("agent-port"), agents.to_string())?;
        let mut command = ours.command("up");
        command.args(["--data-dir=.", &format!("--nodes={}", shape.nodes)]);
        command.args(shape.one_process.then_some("--one-process"));
        let process = spawn(command, &folder, LOG)?;
        Ok(Up {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], others[1])),
            folder,
        })
    }

    /// Whether the apiserver has this.
    async fn has(&self, path: &str) -> bool {
        let file = |name: &str| self.folder.join("pki").join(name);
        let (certificate, key) = (file("admin.crt"), file("admin.key"));
        let Ok(client) = Client::connect_as(self.address, (&certificate, &key)).await else {
            return false;
        };
        let answer = client.ask(Call::get(path)).await;
        answer.is_ok_and(|answer| answer.status.is_success())
    }

    fn check(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("it ended with {status}; {}", self.log()?);
        }
        Ok(())
    }

    fn log(&self) -> Result<String> {
        last_lines(&self.folder.join(LOG))
    }

    fn processes(&self) -> Result<Vec<u32>> {
        let mut all = children(self.process.id())?;
        all.push(self.process.id());
        Ok(all)
    }

    fn cpu(&self) -> Result<Duration> {
        let processes = self.processes()?;
        processes.iter().map(|pid| Ok(usage(*pid)?.cpu)).sum()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.process.id().cast_signed());
        let stopped = pid.map(|pid| kill_process(pid, Signal::TERM));
        if let Some(Err(error)) = stopped {
            eprintln!("cannot stop it: {error}");
        }
        if let Err(error) = self.process.wait() {
            eprintln!("cannot wait for its end: {error}");
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}
