//! Which replicas run where: ports that are free, a folder that is ours alone, and both found again on the next start.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use super::program::{Program, Role};

/// Replicas of a cluster that outlives the end of one, and of one that need not.
pub(super) const THREE: usize = 3;
pub(super) const ONE: usize = 1;
/// As in etcd's own example for a cluster on one machine.
const CLIENT_PORTS: [u16; THREE] = [2379, 22379, 32379];
/// Kubernetes' own port is the one in front of the apiservers.
const APISERVER_PORTS: [u16; THREE + 1] = [6443, 16443, 26443, 36443];
/// The kubelet's own.
const AGENT_PORT: u16 = 10_250;
/// How far to look for a free port.
const PORTS_TRIED: u16 = 200;
const TOKEN: &str = "mainstay-up";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) client_port: u16,
    pub(super) peer_port: u16,
    pub(super) data_dir: PathBuf,
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
    /// So many replicas, at most three, on the ports that the folder remembers, or on new ones for an empty folder.
    pub(super) fn make(data_dir: &Path, replicas: usize) -> Result<Plan> {
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
            Err(_) => free_ports(replicas, &mut notes)?,
        };
        check_number(ports.len(), replicas, &data_dir)?;
        let ports = check_remembered(ports, &mut notes)?;
        let lines: Vec<String> = ports
            .iter()
            .map(|(client, peer)| format!("{client} {peer}\n"))
            .collect();
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

    /// The port in front of the apiservers and theirs, which are one and the same for a single apiserver: those of the last start, or the
    /// next free ones.
    pub(super) fn apiserver_ports(&self) -> Result<Vec<u16>> {
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
        let count = match self.members.len() {
            ONE => 1,
            several => several + 1,
        };
        let mut ports = APISERVER_PORTS[..count].to_vec();
        for (index, port) in ports.iter_mut().enumerate() {
            *port = next_free(before.get(index).copied().unwrap_or(*port), &taken)?;
            taken.push(*port);
        }
        let text: Vec<String> = ports.iter().map(u16::to_string).collect();
        fs::write(&file, text.join(" "))
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(ports)
    }

    /// Where a program logs: what shares a process shares its log.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        match self.members.len() {
            ONE => self.shared_log(),
            _ => self.data_dir.join(format!("{name}.log")),
        }
    }

    /// The log of everything that is inside one process.
    pub(super) fn shared_log(&self) -> PathBuf {
        self.data_dir.join("control-plane.log")
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

    /// A replica with its flags, and those that are given for all.
    pub(super) fn program(&self, member: &Member, flags: &[String]) -> Program {
        let cluster: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("{}={}", member.name, member.peer_url()))
            .collect();
        let own = [
            ("--name", member.name.clone()),
            ("--data-dir", member.data_dir.display().to_string()),
            ("--listen-client-urls", member.client_url()),
            ("--advertise-client-urls", member.client_url()),
            ("--listen-peer-urls", member.peer_url()),
            ("--initial-advertise-peer-urls", member.peer_url()),
            ("--initial-cluster", cluster.join(",")),
            ("--initial-cluster-token", TOKEN.to_owned()),
            ("--initial-cluster-state", "new".to_owned()),
        ];
        let own = own.into_iter();
        let own = own.flat_map(|(flag, value)| [flag.to_owned(), value]);
        Program {
            name: member.name.clone(),
            role: Role::Store,
            flags: own.chain(flags.iter().cloned()).collect(),
            log: self.log(&member.name),
        }
    }
}

/// A cluster stays as large as it was made.
fn check_number(found: usize, wanted: usize, data_dir: &Path) -> Result<()> {
    let shown = data_dir.display();
    match (found, wanted) {
        (found, wanted) if found == wanted => Ok(()),
        (ONE, _) => bail!(
            "{shown} holds a control plane of one of everything: start it with --one-process, or name another --data-dir"
        ),
        _ => bail!(
            "{shown} holds a control plane of three of everything: start it without --one-process, or name another --data-dir"
        ),
    }
}

fn remembered_ports(text: &str) -> Result<Vec<(u16, u16)>> {
    let mut ports = Vec::new();
    for line in text.lines() {
        let (client, peer) = line.split_once(' ').context("a line without two ports")?;
        ports.push((client.parse()?, peer.parse()?));
    }
    anyhow::ensure!([ONE, THREE].contains(&ports.len()), "not one line or three");
    Ok(ports)
}

/// Members know each other by their peer URLs, so those stay. Clients can be told another port.
fn check_remembered(
    mut ports: Vec<(u16, u16)>,
    notes: &mut Vec<String>,
) -> Result<Vec<(u16, u16)>> {
    for index in 0..ports.len() {
        let (client, peer) = ports[index];
        if !is_free(peer) {
            bail!(
                "port {peer} is in use, and the cluster was made with it: end the process that has it, or \
                 start another cluster with another --data-dir"
            );
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

fn free_ports(replicas: usize, notes: &mut Vec<String>) -> Result<Vec<(u16, u16)>> {
    let mut taken = Vec::new();
    let mut ports = Vec::new();
    for usual in CLIENT_PORTS.into_iter().take(replicas) {
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
        ports.push((client, peer));
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
    use std::sync::atomic::{AtomicU16, Ordering};

    use super::*;

    /// Below the range from which the system takes ports for outgoing connections, and between those that a start takes by itself.
    const PORTS_FIRST: u16 = 17_000;
    /// How many there are.
    const PORTS: u16 = 5_000;
    static PORTS_TAKEN: AtomicU16 = AtomicU16::new(0);

    /// Ports that nobody listens on, all different, and none of which another test of this program is given.
    fn some_free_ports<const N: usize>() -> [u16; N] {
        [(); N].map(|()| free_port())
    }

    fn free_port() -> u16 {
        let start = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap();
        for _ in 0..PORTS {
            let step = PORTS_TAKEN.fetch_add(1, Ordering::Relaxed) % PORTS;
            let port = PORTS_FIRST + (start + step) % PORTS;
            if is_free(port) {
                return port;
            }
        }
        panic!("no port is free");
    }

    #[test]
    fn a_folder_remembers_its_ports() {
        let dir = tempfile::tempdir().unwrap();
        let first = Plan::make(dir.path(), THREE).unwrap();
        let members = first.members.clone();
        assert!(
            Plan::make(dir.path(), THREE).is_err(),
            "the folder is taken"
        );
        drop(first);
        let [a, b, c, d, e, f] = some_free_ports();
        let ports = format!("{a} {b}\n{c} {d}\n{e} {f}\n");
        fs::write(dir.path().join("ports"), ports).unwrap();
        let second = Plan::make(dir.path(), THREE).unwrap();
        assert_ne!(second.members, members);
        assert_eq!(second.members[2].peer_port, f);
    }

    #[test]
    fn a_cluster_stays_as_large_as_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let one = Plan::make(dir.path(), ONE).unwrap();
        assert_eq!(one.members.len(), 1);
        assert_eq!(one.apiserver_ports().unwrap().len(), 1);
        drop(one);
        let error = Plan::make(dir.path(), THREE).unwrap_err();
        assert!(error.to_string().contains("start it with --one-process"));
        let dir = tempfile::tempdir().unwrap();
        let three = Plan::make(dir.path(), THREE).unwrap();
        assert_eq!(three.apiserver_ports().unwrap().len(), 4);
        drop(three);
        let error = Plan::make(dir.path(), ONE).unwrap_err();
        assert!(error.to_string().contains("without --one-process"));
    }

    #[test]
    fn agents_get_a_port_that_is_free_at_all_their_addresses_and_keep_it() {
        let addresses = [Ipv4Addr::new(127, 77, 0, 1), Ipv4Addr::new(127, 77, 0, 2)];
        let busy = TcpListener::bind((addresses[1], 0)).unwrap();
        let port = busy.local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan::make(dir.path(), THREE).unwrap();
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
        let error = Plan::make(dir.path(), THREE).unwrap_err();
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
        let moved = check_remembered(vec![(port, a), (b, c), (d, e)], &mut notes).unwrap();
        assert_ne!(moved[0].0, port);
        assert_eq!(
            notes,
            [format!("port {port} is in use: taking {}", moved[0].0)]
        );
        assert!(check_remembered(vec![(a, port), (b, c), (d, e)], &mut notes).is_err());
    }
}
