//! Where the servers are, and who this client is to them.

mod cluster;
mod kubeconfig;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time for a call that says nothing else, from its first try to its answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Most servers of one configuration.
pub const SERVERS_MAX: usize = 16;

/// What a client needs to know before it can call.
#[derive(Clone)]
pub struct Config {
    /// Addresses as in a kubeconfig: `https://10.0.0.1:6443`. All are servers of one cluster; the first that can be reached is used.
    pub servers: Vec<String>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The name in the servers' certificates, where it is not the host of their address.
    pub server_name: Option<String>,
    pub credentials: Credentials,
    /// Who the client says it is. What stands before a slash is the manager of the fields it writes: `kube-scheduler/v1`.
    pub user_agent: String,
    /// Time for one call with all its attempts. Lists have four times as long.
    pub call_timeout: Duration,
}

/// Whose certificates are believed.
#[derive(Clone)]
pub enum Trust {
    /// Certificates of authorities, in PEM.
    Authorities(Vec<u8>),
    /// Anybody's: whoever is in between can read and change everything.
    Anybody,
}

/// Who the client is.
#[derive(Clone)]
pub enum Credentials {
    Anonymous,
    /// A certificate with what leads to its authority, and its key, both in PEM.
    Certificate {
        certificate: Vec<u8>,
        key: Vec<u8>,
    },
    Token(String),
    /// A file with a token, which is read anew every minute.
    TokenFile(PathBuf),
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

impl Config {
    /// A configuration of somebody who is not known, at servers that are.
    #[must_use]
    pub fn new(servers: Vec<String>, trust: Trust) -> Config {
        Config {
            servers,
            trust,
            server_name: None,
            credentials: Credentials::Anonymous,
            user_agent: concat!("mainstay-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            call_timeout: CALL_TIMEOUT,
        }
    }

    /// What a kubeconfig says in its current context.
    ///
    /// # Errors
    ///
    /// If the file or one that it names cannot be read, or it wants what there is not here: programs that make credentials,
    /// user names with passwords, plain HTTP.
    pub fn from_kubeconfig(path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        kubeconfig::read(path.as_ref())
    }

    /// What a pod is given to reach the apiserver of its cluster.
    ///
    /// # Errors
    ///
    /// If this is no pod, or it was given no service account.
    pub fn in_cluster() -> Result<Config, ConfigError> {
        cluster::read(Path::new(cluster::FOLDER), |name| std::env::var(name).ok())
    }

    /// The same at other servers, which are separated by commas: `https://a:6443,https://b:6443`.
    #[must_use]
    pub fn with_servers(mut self, servers: &str) -> Config {
        self.servers = servers
            .split(',')
            .map(str::trim)
            .filter(|server| !server.is_empty())
            .map(str::to_owned)
            .collect();
        self
    }

    /// The same under another name, which gets this crate's version where it has none.
    #[must_use]
    pub fn with_user_agent(mut self, name: &str) -> Config {
        self.user_agent = if name.contains('/') {
            name.to_owned()
        } else {
            format!("{name}/{}", env!("CARGO_PKG_VERSION"))
        };
        self
    }
}

/// Secrets are not shown.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("servers", &self.servers)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}
