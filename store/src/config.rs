//! What an operator may choose: etcd's flags and environment for a static cluster, read once and checked once.

mod authentication;
mod bounds;
mod build;
mod corruption;
mod file;
mod gates;
mod go;
mod help;
mod identity;
mod rate_limits;
mod security;
mod spans;
mod table;
mod url;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::Telemetry;

use crate::archive;

pub use self::authentication::{Authentication, JwtOptions, TokenKind};
pub use self::bounds::{Bounds, DISK_RESERVE_BYTES, DiskReserve, RangeBounds, SlowRequests};
pub use self::corruption::CorruptionChecks;
pub use self::identity::{cluster_id, member_id, new_member_id};
pub use self::rate_limits::{RateLimit, Whose};
pub use self::security::Security;
pub use self::spans::Tracing;
pub use self::url::{Url, UrlError};

/// The release of etcd whose API this store speaks. Clients read it: kube-apiserver wants a semantic version.
pub const SERVER_VERSION: &str = "3.6.14";

/// The settings of one replica. Names are those of etcd's flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub name: String,
    pub data_dir: PathBuf,
    /// Inside `data_dir` when not given.
    pub wal_dir: Option<PathBuf>,
    pub listen_client_urls: Vec<Url>,
    /// Where HTTP/1 is served alone; empty when it shares the client URLs.
    pub listen_client_http_urls: Vec<Url>,
    pub listen_peer_urls: Vec<Url>,
    pub listen_metrics_urls: Vec<Url>,
    pub advertise_client_urls: Vec<Url>,
    pub initial_advertise_peer_urls: Vec<Url>,
    /// In order of their names.
    pub initial_cluster: Vec<InitialMember>,
    pub initial_cluster_state: ClusterState,
    pub initial_cluster_token: String,
    pub heartbeat_interval: Duration,
    pub election_timeout: Duration,
    pub initial_election_tick_advance: bool,
    pub pre_vote: bool,
    pub strict_reconfig_check: bool,
    pub max_learners: u64,
    /// Log entries between snapshots.
    pub snapshot_count: u64,
    /// Log entries kept behind a snapshot.
    pub snapshot_catchup_entries: u64,
    /// Live bytes that raise the space alarm; None for no quota.
    pub quota_bytes: Option<u64>,
    pub auto_compaction: AutoCompaction,
    pub max_txn_ops: usize,
    pub max_request_bytes: usize,
    pub max_concurrent_streams: u32,
    pub grpc_keepalive_min_time: Duration,
    /// None for no pings.
    pub grpc_keepalive_interval: Option<Duration>,
    pub grpc_keepalive_timeout: Duration,
    pub watch_progress_notify_interval: Duration,
    /// Whether JSON requests under `/v3/` are served.
    pub enable_grpc_gateway: bool,
    /// Origins that may ask from a browser; `*` among them stands for all, and so does none at all.
    pub cors: Vec<String>,
    /// Names under which this server is asked without TLS; `*` among them stands for all, and so does none at all.
    pub host_whitelist: Vec<String>,
    /// Whether the times of each method are kept.
    pub extensive_metrics: bool,
    /// TLS of the client ports.
    pub client_security: Security,
    /// TLS of the peer ports, and towards other members.
    pub peer_security: Security,
    /// `--socket-reuse-port`.
    pub socket_reuse_port: bool,
    pub authentication: Authentication,
    /// Where and how what is applied is kept for point-in-time recovery.
    pub archive: Option<archive::Settings>,
    pub bounds: Bounds,
    pub corruption_checks: CorruptionChecks,
    pub telemetry: Telemetry,
    /// None when no request is traced.
    pub tracing: Option<Tracing>,
    /// What the operator should see at warning level once there is a log.
    pub warnings: Vec<String>,
    /// Flags that were taken and have no effect, for the debug level.
    pub remarks: Vec<String>,
}

/// One member of `--initial-cluster`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialMember {
    pub id: u64,
    pub name: String,
    /// Sorted, at least one.
    pub peer_urls: Vec<Url>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterState {
    New,
    Existing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoCompaction {
    Off,
    /// Keeps the history of this much time.
    Periodic(Duration),
    /// Keeps this many revisions.
    Revision(u64),
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    Run(Box<Config>),
    /// Print this on standard output and exit with success.
    Print(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The command line cannot be read.
    #[error("{0}")]
    Usage(String),
    /// It can be read, and what it says cannot be.
    #[error("{0}")]
    Invalid(String),
}

impl ConfigError {
    /// etcd's exit code for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            ConfigError::Usage(_) => 2,
            ConfigError::Invalid(_) => 1,
        }
    }

    /// What to print on standard error, with a line end.
    pub fn message(&self) -> String {
        match self {
            ConfigError::Usage(text) => format!("{text}\n{}", help::USAGE),
            ConfigError::Invalid(text) => {
                format!("error verifying flags, {text}. See 'etcd --help'.\n")
            }
        }
    }
}

impl Config {
    /// Reads flags (without the program's name) and ETCD_ variables.
    pub fn parse(
        arguments: impl IntoIterator<Item = String>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Parsed, ConfigError> {
        let values = match values::Values::read(arguments, environment)? {
            values::Read::Values(values) => values,
            values::Read::Help => return Ok(Parsed::Print(help::flags())),
            values::Read::Version => return Ok(Parsed::Print(version_lines())),
            values::Read::File(path) => file::read(Path::new(&path))?,
        };
        let config = build::config(values).map_err(ConfigError::Invalid)?;
        Ok(Parsed::Run(Box::new(config)))
    }

    /// Checks that the cluster the flags describe can be made. etcd asks this only when the data folder is empty: an existing member
    /// knows its cluster.
    pub fn verify_bootstrap(&self) -> Result<(), ConfigError> {
        build::verify_bootstrap(self).map_err(ConfigError::Invalid)
    }

    /// This member as `--initial-cluster` has it.
    pub fn initial_member(&self) -> Option<&InitialMember> {
        self.initial_cluster
            .iter()
            .find(|member| member.name == self.name)
    }

    /// The peer URLs in `--initial-cluster`, by the ids of its members.
    pub fn initial_peer_urls(&self) -> BTreeMap<u64, Vec<String>> {
        let members = self.initial_cluster.iter();
        members
            .map(|member| (member.id, Url::texts(&member.peer_urls)))
            .collect()
    }

    /// The ID of the cluster that `--initial-cluster` describes.
    pub fn cluster_id(&self) -> u64 {
        cluster_id(self.initial_cluster.iter().map(|member| member.id))
    }
}

/// What `etcd --version` prints; scripts read the first line.
pub fn version_lines() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!(
        "etcd Version: {SERVER_VERSION}\n\
         Git SHA: none (Mainstay {})\n\
         Go Version: none (Rust)\n\
         Go OS/Arch: {}/{architecture}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
    )
}

#[cfg(test)]
mod garbage;
#[cfg(test)]
mod tests;
