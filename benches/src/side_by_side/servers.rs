//! Three server processes on loopback, ours or etcd's, started with the same flags.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::load::cluster;
use crate::load::engine::Engine;
use crate::load::messages::{self, MemberStatus};

const MEMBERS: usize = 3;
const READY_MAX: Duration = Duration::from_secs(120);
const STOP_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// Below the range from which the system gives ports to connections.
const PORTS_FIRST: u16 = 12_000;
const PORTS: u16 = 18_000;
/// Set for programs of ours: they end when we do, however we end.
pub(crate) const END_WITH_PARENT: &str = "MAINSTAY_END_WITH_PARENT";
/// Enough for a million keys; etcd's own default is 2 GiB.
const QUOTA_BYTES: &str = "8589934592";

/// A server program.
#[derive(Clone, Debug)]
pub struct Binary {
    path: PathBuf,
    label: String,
}

impl Binary {
    /// A path, or a name that is looked up in PATH.
    pub fn find(name: &Path) -> Result<Binary> {
        let label = name
            .file_name()
            .context("no file name")?
            .to_string_lossy()
            .into_owned();
        let found = if name.components().count() > 1 {
            name.canonicalize().ok()
        } else {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders)
                .map(|folder| folder.join(name))
                .find(|path| path.is_file())
        };
        let path = found.with_context(|| format!("there is no program {}", name.display()))?;
        Ok(Binary { path, label })
    }

    /// The program's name.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// etcd and kube-apiserver take their flags at once, our program after a subcommand; started under their names it behaves like them.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.path);
        if !matches!(self.label.as_str(), "etcd" | "kube-apiserver") {
            command.arg(subcommand);
        }
        command
    }

    /// The first line the program prints for `--version`.
    pub fn description(&self) -> String {
        let output = Command::new(&self.path).arg("--version").output().ok();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let version = text
            .as_deref()
            .and_then(|text| text.lines().next())
            .unwrap_or("version unknown");
        format!("{}: {version}", self.label)
    }
}

struct Member {
    name: String,
    client: String,
    peer: String,
    process: Option<Child>,
}

/// A running cluster. Dropped, it is killed and its data removed.
pub struct Cluster {
    binary: Binary,
    folder: PathBuf,
    members: Vec<Member>,
    flags: Vec<String>,
}

impl Cluster {
    /// Starts three members with empty data under `data` and waits until each answers a linearizable read.
    pub fn start(binary: &Binary, data: &Path, flags: &[&str]) -> Result<Cluster> {
        Cluster::start_members(MEMBERS, binary, data, flags)
    }

    /// As `start`, with so many members.
    pub fn start_members(
        members: usize,
        binary: &Binary,
        data: &Path,
        flags: &[&str],
    ) -> Result<Cluster> {
        let folder = data.join("cluster");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let ports = free_ports(2 * members)?;
        let members = ports.chunks(2).enumerate().map(|(number, ports)| Member {
            name: format!("m{number}"),
            client: format!("127.0.0.1:{}", ports[0]),
            peer: format!("127.0.0.1:{}", ports[1]),
            process: None,
        });
        let members = members.collect();
        let flags = flags.iter().map(ToString::to_string).collect();
        let mut cluster = Cluster {
            binary: binary.clone(),
            folder,
            members,
            flags,
        };
        cluster.start_all()?;
        Ok(cluster)
    }

    /// Where the members' data and logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Client addresses, host:port.
    pub fn endpoints(&self) -> Vec<String> {
        self.members
            .iter()
            .map(|member| member.client.clone())
            .collect()
    }

    pub fn pids(&self) -> Vec<u32> {
        self.members
            .iter()
            .filter_map(|member| member.process.as_ref())
            .map(Child::id)
            .collect()
    }

    /// Starts every member that does not run; returns the time until all are ready.
    pub fn start_all(&mut self) -> Result<Duration> {
        let start = Instant::now();
        for number in 0..self.members.len() {
            if self.members[number].process.is_none() {
                self.spawn(number)?;
            }
        }
        for number in 0..self.members.len() {
            self.wait_ready(number)?;
        }
        Ok(start.elapsed())
    }

    fn spawn(&mut self, number: usize) -> Result<()> {
        let initial_cluster: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("{}=http://{}", member.name, member.peer))
            .collect();
        let member = &self.members[number];
        let client = format!("http://{}", member.client);
        let peer = format!("http://{}", member.peer);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("{}.log", member.name)))?;
        let mut command = self.binary.command("store");
        command
            .args(["--name", &member.name])
            .arg("--data-dir")
            .arg(self.data_folder(number));
        command.args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ]);
        command.args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ]);
        command.args(["--initial-cluster", &initial_cluster.join(",")]);
        command.args([
            "--initial-cluster-token",
            "bench",
            "--initial-cluster-state",
            "new",
        ]);
        command
            .args(["--quota-backend-bytes", QUOTA_BYTES])
            .args(&self.flags);
        command
            .env(END_WITH_PARENT, "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.path.display()))?;
        self.members[number].process = Some(process);
        Ok(())
    }

    fn wait_ready(&mut self, number: usize) -> Result<()> {
        let deadline = Instant::now() + READY_MAX;
        loop {
            let reason = match linearizable_read(&self.members[number].client) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let member = &mut self.members[number];
            if let Some(process) = &mut member.process
                && let Some(status) = process.try_wait()?
            {
                let log = fs::read_to_string(self.folder.join(format!("{}.log", member.name)))?;
                let start = log.len() - log.len().min(2000);
                bail!(
                    "{} ended with {status}; its log ends with:\n{}",
                    member.name,
                    &log[start..]
                );
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {READY_MAX:?}: {reason}", member.name);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Asks every member to stop and waits until they have.
    pub fn stop_all(&mut self) -> Result<()> {
        for process in self
            .members
            .iter()
            .filter_map(|member| member.process.as_ref())
        {
            let pid = Pid::from_raw(process.id().cast_signed()).context("no process id")?;
            kill_process(pid, Signal::TERM)?;
        }
        let deadline = Instant::now() + STOP_MAX;
        for member in &mut self.members {
            if let Some(process) = &mut member.process {
                while process.try_wait()?.is_none() {
                    if Instant::now() > deadline {
                        bail!("{} does not stop", member.name);
                    }
                    std::thread::sleep(POLL);
                }
            }
            member.process = None;
        }
        Ok(())
    }

    /// Kills one member without warning.
    pub fn kill(&mut self, number: usize) -> Result<()> {
        if let Some(mut process) = self.members[number].process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// What a member says of itself.
    pub fn status(&self, number: usize) -> Result<MemberStatus> {
        cluster::status(&self.members[number].client)
    }

    /// The number of a member that does not lead.
    pub fn follower(&self) -> Result<usize> {
        for number in 0..self.members.len() {
            let status = self.status(number)?;
            if status.leader != 0 && status.leader != status.member {
                return Ok(number);
            }
        }
        bail!("no member follows")
    }

    fn data_folder(&self, number: usize) -> PathBuf {
        self.folder.join(&self.members[number].name)
    }

    /// Bytes the members' data takes on disk, all together.
    pub fn disk_bytes(&self) -> Result<u64> {
        (0..self.members.len())
            .map(|number| allocated_bytes(&self.data_folder(number)))
            .sum()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for number in 0..self.members.len() {
            if let Err(error) = self.kill(number) {
                eprintln!("cannot end a server: {error}");
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

fn linearizable_read(address: &str) -> Result<()> {
    let mut engine = Engine::new()?;
    let connection = engine.connect(address)?;
    let mut request = Vec::new();
    messages::range(b"ready", &[], false, &mut request);
    engine.ask(connection, messages::RANGE, &request).map(drop)
}

/// Ports nobody uses now, and that no connection is given before they are used.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % u32::from(PORTS))?;
    let each = (0..PORTS).map(|_| {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed) % PORTS;
        PORTS_FIRST + (start + step) % PORTS
    });
    let free = each.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let ports: Vec<u16> = free.take(count).collect();
    ensure!(ports.len() == count, "no {count} ports are free");
    Ok(ports)
}

/// Blocks in use under a folder. Hard links count once each, as few files have them.
fn allocated_bytes(folder: &Path) -> Result<u64> {
    const BLOCK: u64 = 512;
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() {
            allocated_bytes(&entry.path())?
        } else {
            metadata.blocks() * BLOCK
        };
    }
    Ok(total)
}
