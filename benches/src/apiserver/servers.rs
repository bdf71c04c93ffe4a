//! An apiserver over an etcd of its own, on loopback: ours or a kube-apiserver, started with the same flags.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rcgen::KeyPair;

use crate::apiserver::client::{Call, Client};
use crate::load::processes::{self, Usage};
use crate::side_by_side::servers::{Binary, END_WITH_PARENT, free_ports};

/// Who sends the requests: a member of the group that may do everything.
pub const TOKEN: &str = "admin-token";

const READY_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);
/// What every apiserver is told.
pub(crate) const FLAGS: &[&str] = &[
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    "--service-account-issuer=https://kubernetes.default.svc",
    "--service-account-key-file=sa.pub",
    "--service-account-signing-key-file=sa.key",
    "--token-auth-file=tokens.csv",
    "--authorization-mode=RBAC",
    "--service-cluster-ip-range=10.0.0.0/24",
];
/// Service accounts are made by controllers, which do not run here.
const OWN_FLAGS: [&str; 2] = [
    "--cert-dir=certs",
    "--disable-admission-plugins=ServiceAccount",
];

/// An apiserver and its store. Dropped, they are killed and their data removed.
pub struct Servers {
    binary: Binary,
    folder: PathBuf,
    store_address: String,
    pub address: SocketAddr,
    store: Child,
    server: Child,
    started: Instant,
}

impl Servers {
    /// Starts both with empty data under `data`. The store answers when this returns; the apiserver is waited for by `ready`.
    pub fn start(store: &Binary, binary: &Binary, data: &Path) -> Result<Servers> {
        let folder = data.join("apiserver");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        write_identities(&folder)?;
        let ports = free_ports(3)?;
        let store_address = format!("http://127.0.0.1:{}", ports[0]);
        let mut command = store.command("store");
        command.arg(format!("--data-dir={}", folder.join("store").display()));
        for flag in ["listen-client-urls", "advertise-client-urls"] {
            command.arg(format!("--{flag}={store_address}"));
        }
        let peer = format!("http://127.0.0.1:{}", ports[1]);
        for flag in ["listen-peer-urls", "initial-advertise-peer-urls"] {
            command.arg(format!("--{flag}={peer}"));
        }
        command.args(["--name=m0", &format!("--initial-cluster=m0={peer}")]);
        let store = spawn(command, &folder, "store.log")?;
        let address = SocketAddr::from(([127, 0, 0, 1], ports[2]));
        let started = Instant::now();
        let server = spawn_server(binary, &folder, &store_address, address)?;
        Ok(Servers {
            binary: binary.clone(),
            folder,
            store_address,
            address,
            store,
            server,
            started,
        })
    }

    pub fn label(&self) -> &str {
        self.binary.label()
    }

    /// Kills the apiserver and starts it again over what the store has.
    pub fn restart(&mut self) -> Result<()> {
        self.server.kill()?;
        self.server.wait()?;
        self.started = Instant::now();
        self.server = spawn_server(
            &self.binary,
            &self.folder,
            &self.store_address,
            self.address,
        )?;
        Ok(())
    }

    /// Waits until the apiserver says that it is ready; how long that was since it was started.
    pub async fn ready(&mut self) -> Result<Duration> {
        loop {
            if let Ok(client) = Client::connect(self.address).await
                && let Ok(answer) = client.ask(Call::get("/readyz")).await
                && answer.status.is_success()
            {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.server.try_wait()? {
                let log = last_lines(&self.folder.join("apiserver.log"))?;
                bail!("{} ended with {status}; {log}", self.label());
            }
            if self.started.elapsed() > READY_MAX {
                bail!("{} is not ready after {READY_MAX:?}", self.label());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What the apiserver used since it was started.
    pub fn usage(&self) -> Result<Usage> {
        processes::usage(self.server.id())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for process in [&mut self.server, &mut self.store] {
            if let Err(error) = process.kill().and_then(|()| process.wait()) {
                eprintln!("cannot end a server: {error}");
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

fn spawn_server(binary: &Binary, folder: &Path, store: &str, address: SocketAddr) -> Result<Child> {
    let mut command = binary.command("apiserver");
    command
        .args(FLAGS)
        .args(OWN_FLAGS)
        .arg(format!("--etcd-servers={store}"))
        .arg(format!("--secure-port={}", address.port()));
    spawn(command, folder, "apiserver.log")
}

/// The keys of service accounts, and who has the token.
pub(crate) fn write_identities(folder: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    fs::write(folder.join("sa.key"), key.serialize_pem())?;
    fs::write(folder.join("sa.pub"), key.public_key_pem())?;
    fs::write(
        folder.join("tokens.csv"),
        format!("{TOKEN},admin,admin-uid,\"system:masters\"\n"),
    )?;
    Ok(())
}

/// What a log ends with, in words.
pub(crate) fn last_lines(log: &Path) -> Result<String> {
    let log = fs::read_to_string(log)?;
    let tail: Vec<&str> = log.lines().rev().take(20).collect();
    let tail = tail.join("\n");
    Ok(format!("the last lines of its log, backwards:\n{tail}"))
}

/// Starts a program in a folder, with its output in a log there.
pub(crate) fn spawn(mut command: Command, folder: &Path, log: &str) -> Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join(log))?;
    command
        .current_dir(folder)
        .env(END_WITH_PARENT, "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))
}
