//! Clusters in TLS, with an authority of their own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{Authority, Caller, Files, Holder};
use crate::client::ANSWER_TIMEOUT;
use crate::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use crate::target::Target;

/// Where the tests run, as certificates name it.
pub const HERE: &[&str] = &["localhost", "127.0.0.1"];

/// An authority and what it has signed for a server and its usual client.
pub struct Pki {
    folder: TempDir,
    pub authority: Authority,
    pub server: Files,
    pub client: Files,
}

impl Pki {
    pub fn new() -> Result<Pki> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new(folder.path(), "ca")?;
        let holder = |common_name| Holder {
            common_name,
            hosts: HERE,
            ..Holder::default()
        };
        Ok(Pki {
            server: authority.issue("server", &holder("server"))?,
            client: authority.issue("client", &holder("root"))?,
            authority,
            folder,
        })
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A caller that trusts the authority and shows nothing.
    pub fn nobody(&self) -> Caller {
        Caller::nobody(&self.authority.bundle)
    }

    /// The usual client.
    pub fn caller(&self) -> Caller {
        self.nobody().showing(&self.client)
    }

    /// Flags of a server that asks clients for a certificate.
    pub fn mutual(&self) -> Vec<String> {
        let mut flags = self.one_sided();
        flags.push("--client-cert-auth".to_owned());
        flags.push(flag("trusted-ca-file", &self.authority.bundle));
        flags
    }

    /// Flags of a server that asks nobody.
    pub fn one_sided(&self) -> Vec<String> {
        vec![
            flag("cert-file", &self.server.cert),
            flag("key-file", &self.server.key),
        ]
    }

    /// Flags of members that ask one another for a certificate.
    pub fn peers(&self) -> Vec<String> {
        vec![
            flag("peer-cert-file", &self.server.cert),
            flag("peer-key-file", &self.server.key),
            flag("peer-trusted-ca-file", &self.authority.bundle),
            "--peer-client-cert-auth".to_owned(),
        ]
    }
}

/// A flag for a file.
pub fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// Which ports of a cluster speak TLS.
#[derive(Debug, Clone, Copy)]
pub struct Secured {
    pub clients: bool,
    pub peers: bool,
}

pub const CLIENTS: Secured = Secured {
    clients: true,
    peers: false,
};

pub const PEERS: Secured = Secured {
    clients: false,
    peers: true,
};

/// A cluster whose URLs say what is secured; nothing runs yet.
pub fn prepare(
    target: &Target,
    members: usize,
    secured: Secured,
    flags: &[String],
) -> Result<Cluster> {
    let options = Options {
        members,
        flags: flags.to_vec(),
        in_memory: true,
    };
    let mut cluster = Cluster::prepare(target, &options)?;
    for member in &mut cluster.members {
        let mut name = String::new();
        for word in &mut member.flags {
            let is_client = name.contains("client-urls");
            let is_peer = name.contains("peer-urls") || name == "--initial-cluster";
            if (is_client && secured.clients) || (is_peer && secured.peers) {
                *word = word.replace("http://", "https://");
            }
            name.clone_from(word);
        }
    }
    Ok(cluster)
}

/// Starts every member, and waits until one that is let in is answered by each.
pub async fn start(cluster: &mut Cluster, caller: &Caller) -> Result<()> {
    for member in &mut cluster.members {
        member.start()?;
    }
    for member in &mut cluster.members {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let mut client = caller.client(member.client_port)?;
            let asked = tokio::time::timeout(ANSWER_TIMEOUT, client.get("ready?")).await;
            if matches!(asked, Ok(Ok(_))) {
                break;
            }
            ensure!(
                Instant::now() < deadline && member.is_running(),
                "{} is not ready: {asked:?}\n{}",
                member.name,
                member.log_tail()
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    Ok(())
}

/// One member that is ready.
pub async fn running(
    target: &Target,
    secured: Secured,
    flags: &[String],
    caller: &Caller,
) -> Result<Cluster> {
    let mut cluster = prepare(target, 1, secured, flags)?;
    start(&mut cluster, caller).await?;
    Ok(cluster)
}

/// Stock etcd, and ours.
pub fn both() -> Result<[Target; 2]> {
    Ok([Target::etcd()?, Target::mainstay()?])
}
