//! Which replicas run where: ports that are free, a folder that is ours alone, and both found again on the next start.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use tokio::process::Command;

/// As in etcd's own example for a cluster on one machine.
const CLIENT_PORTS: [u16; 3] = [2379, 22379, 32379];
/// Kubernetes' own port is the one in front of the apiservers.
const APISERVER_PORTS: [u16; 4] = [6443, 16443, 26443, 36443];
/// The kubelet's own.
const AGENT_PORT: u16 = 10_250;
/// How far to look for a free port.
const PORTS_TRIED: u16 = 200;
const TOKEN: &str = "mainstay-up";
/// Set for replicas of ours: they end when we do, however we end.
pub(crate) const END_WITH_PARENT: &str = "MAINSTAY_END_WITH_PARENT";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) client_port: u16,
    pub(super) peer_port: u16,
    pub(super) data_dir: PathBuf,
    pub(super) log: PathBuf,
}

impl Member {
    pub(super) fn client_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) data_dir: PathBuf,
    pub(super) members: Vec<Member>,
    /// What the operator should know of the choice.
    pub(super) notes: Vec<String>,
    /// Held as long as we run.
    _lock: File,
}

impl Plan {
    /// Takes the ports that the folder remembers, or picks new ones for an empty folder.
    pub(super) fn make(data_dir: &Path) -> Result<Plan> {
        let shown = data_dir.display();
        fs::create_dir_all(data_dir).with_context(|| format!("cannot make the folder {shown}"))?;
        let data_dir = data_dir
            .canonicalize()
            .with_context(|| format!("cannot read {shown}"))?;
        let lock = File::create(data_dir.join("lock"))
            .with_context(|| format!("cannot write into {shown}"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another `mainstay up` runs on the folder {shown}");
        }
        let mut notes = Vec::new();
        let file = data_dir.join("ports");
        let ports = match fs::read_to_string(&file) {
            Ok(text) => {
                notes.push(format!("found a cluster in {}", data_dir.display()));
                remembered_ports(&text).with_context(|| format!("{} is damaged", file.display()))?
            }
            Err(_) => free_ports(&mut notes)?,
        };
        let ports = check_remembered(ports, &mut notes)?;
        let lines = ports.map(|(client, peer)| format!("{client} {peer}\n"));
        fs::write(&file, lines.concat())
            .with_context(|| format!("cannot write {}", file.display()))?;
        let members = ports
            .iter()
            .zip(1..)
            .map(|((client_port, peer_port), number)| {
                let name = format!("replica{number}");
                Member {
                    client_port: *client_port,
                    peer_port: *peer_port,
                    data_dir: data_dir.join(&name),
                    log: data_dir.join(format!("{name}.log")),
                    name,
                }
            });
        Ok(Plan {
            members: members.collect(),
            data_dir,
            notes,
            _lock: lock,
        })
    }

    /// The port in front of the apiservers and theirs: those of the last start, or the next free ones.
    pub(super) fn apiserver_ports(&self) -> Result<[u16; 4]> {
        let file = self.data_dir.join("apiserver-ports");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let before: Vec<u16> = text
            .split_whitespace()
            .filter_map(|port| port.parse().ok())
            .collect();
        let mut taken: Vec<u16> = self
            .members
            .iter()
            .flat_map(|member| [member.client_port, member.peer_port])
            .collect();
        let mut ports = APISERVER_PORTS;
        for (index, port) in ports.iter_mut().enumerate() {
            *port = next_free(before.get(index).copied().unwrap_or(*port), &taken)?;
            taken.push(*port);
        }
        let text = ports.map(|port| port.to_string()).join(" ");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(ports)
    }

    /// The port of simulated nodes' agents, at all of their addresses: that of the last start, or the next free one.
    pub(super) fn agent_port(&self, addresses: &[Ipv4Addr]) -> Result<u16> {
        let file = self.data_dir.join("agent-port");
        let before = fs::read_to_string(&file).unwrap_or_default();
        let from = before.trim().parse().unwrap_or(AGENT_PORT);
        let is_free = |port: &u16| {
            let mut listening = addresses
                .iter()
                .map(|address| TcpListener::bind((*address, *port)));
            listening.all(|listener| listener.is_ok())
        };
        let port = (from..from.saturating_add(PORTS_TRIED)).find(is_free);
        let port = port.with_context(|| format!("no free port from {from} on for agents"))?;
        fs::write(&file, port.to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(port)
    }

    /// How to start a replica. Its output goes to its log; its signals are its own, so that Ctrl-C comes to us alone.
    pub(super) fn command(
        &self,
        member: &Member,
        program: Option<&Path>,
        flags: &[String],
    ) -> Result<Command> {
        let mut command = match program {
            Some(program) => Command::new(program),
            None => {
                let own = std::env::current_exe().context("cannot find our own program")?;
                let mut command = Command::new(own);
                command.arg("store");
                command
            }
        };
        let cluster: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("{}={}", member.name, member.peer_url()))
            .collect();
        command
            .arg("--name")
            .arg(&member.name)
            .arg("--data-dir")
            .arg(&member.data_dir);
        for (flag, value) in [
            ("--listen-client-urls", member.client_url()),
            ("--advertise-client-urls", member.client_url()),
            ("--listen-peer-urls", member.peer_url()),
            ("--initial-advertise-peer-urls", member.peer_url()),
            ("--initial-cluster", cluster.join(",")),
            ("--initial-cluster-token", TOKEN.to_owned()),
            ("--initial-cluster-state", "new".to_owned()),
        ] {
            command.arg(flag).arg(value);
        }
        command.args(flags);
        for (key, _) in std::env::vars_os().filter(|(key, _)| is_flag_variable(key)) {
            command.env_remove(key);
        }
        command
            .env(END_WITH_PARENT, "1")
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }
}

/// Opened for every start: the log goes on where it was.
pub(super) fn log_file(log: &Path) -> Result<(File, File)> {
    let file = OpenOptions::new().create(true).append(true).open(log);
    let file = file.with_context(|| format!("cannot write {}", log.display()))?;
    let other = file.try_clone().context("cannot share the log")?;
    Ok((file, other))
}

/// etcd's variables would contradict the flags.
fn is_flag_variable(key: &std::ffi::OsStr) -> bool {
    key.to_str().is_some_and(|key| key.starts_with("ETCD_"))
}

fn remembered_ports(text: &str) -> Result<[(u16, u16); 3]> {
    let mut ports = Vec::new();
    for line in text.lines() {
        let (client, peer) = line.split_once(' ').context("a line without two ports")?;
        ports.push((client.parse()?, peer.parse()?));
    }
    <[(u16, u16); 3]>::try_from(ports)
        .ok()
        .context("not three lines")
}

/// Members know each other by their peer URLs, so those stay. Clients can be told another port.
fn check_remembered(
    mut ports: [(u16, u16); 3],
    notes: &mut Vec<String>,
) -> Result<[(u16, u16); 3]> {
    for index in 0..ports.len() {
        let (client, peer) = ports[index];
        if !is_free(peer) {
            bail!("port {peer} is in use, and the cluster was made with it");
        }
        if !is_free(client) {
            let taken = ports
                .iter()
                .flat_map(|(client, peer)| [*client, *peer])
                .collect::<Vec<_>>();
            let other = next_free(client, &taken)?;
            notes.push(format!("port {client} is in use: taking {other}"));
            ports[index].0 = other;
        }
    }
    Ok(ports)
}

fn free_ports(notes: &mut Vec<String>) -> Result<[(u16, u16); 3]> {
    let mut taken = Vec::new();
    let mut ports = [(0, 0); 3];
    for (pair, usual) in ports.iter_mut().zip(CLIENT_PORTS) {
        let client = next_free(usual, &taken)?;
        taken.push(client);
        let peer = next_free(client + 1, &taken)?;
        taken.push(peer);
        if client != usual {
            notes.push(format!("port {usual} is in use: taking {client}"));
        }
        if client == usual && peer != usual + 1 {
            notes.push(format!("port {} is in use: taking {peer}", usual + 1));
        }
        *pair = (client, peer);
    }
    Ok(ports)
}

fn next_free(from: u16, taken: &[u16]) -> Result<u16> {
    let mut candidates =
        (from..from.saturating_add(PORTS_TRIED)).filter(|port| !taken.contains(port));
    candidates
        .find(|port| is_free(*port))
        .with_context(|| format!("no free port from {from} on"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ports that were free a moment ago, all different.
    fn some_free_ports<const N: usize>() -> [u16; N] {
        let listeners = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        listeners.map(|listener| listener.local_addr().unwrap().port())
    }

    #[test]
    fn a_folder_remembers_its_ports() {
        let dir = tempfile::tempdir().unwrap();
        let first = Plan::make(dir.path()).unwrap();
        let members = first.members.clone();
        assert!(Plan::make(dir.path()).is_err(), "the folder is taken");
        drop(first);
        let [a, b, c, d, e, f] = some_free_ports();
        let ports = format!("{a} {b}\n{c} {d}\n{e} {f}\n");
        fs::write(dir.path().join("ports"), ports).unwrap();
        let second = Plan::make(dir.path()).unwrap();
        assert_ne!(second.members, members);
        assert_eq!(second.members[2].peer_port, f);
    }

    #[test]
    fn agents_get_a_port_that_is_free_at_all_their_addresses_and_keep_it() {
        let addresses = [Ipv4Addr::new(127, 77, 0, 1), Ipv4Addr::new(127, 77, 0, 2)];
        let busy = TcpListener::bind((addresses[1], 0)).unwrap();
        let port = busy.local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::make(dir.path()).unwrap();
        fs::write(dir.path().join("agent-port"), port.to_string()).unwrap();
        let other = plan.agent_port(&addresses).unwrap();
        assert!(other > port);
        drop(busy);
        assert_eq!(plan.agent_port(&addresses).unwrap(), other);
    }

    #[test]
    fn a_damaged_ports_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ports"), "1 2\n3\n").unwrap();
        let error = Plan::make(dir.path()).unwrap_err();
        assert!(
            format!("{error:#}").contains("ports is damaged"),
            "{error:#}"
        );
    }

    #[test]
    fn a_busy_client_port_moves_and_a_busy_peer_port_is_an_error() {
        let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = busy.local_addr().unwrap().port();
        let mut notes = Vec::new();
        let [a, b, c, d, e] = some_free_ports();
        let moved = check_remembered([(port, a), (b, c), (d, e)], &mut notes).unwrap();
        assert_ne!(moved[0].0, port);
        assert_eq!(
            notes,
            [format!("port {port} is in use: taking {}", moved[0].0)]
        );
        assert!(check_remembered([(a, port), (b, c), (d, e)], &mut notes).is_err());
    }
}
