//! What a run is told on its command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::load::workload::Order;

/// Puts load on etcd servers and says how they bore it.
#[derive(Clone, Debug, Parser)]
#[command(name = "mainstay-bench", version)]
pub struct Options {
    #[command(subcommand)]
    pub kind: Kind,
    #[command(flatten)]
    pub load: Load,
}

/// Which members are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Connections go round all endpoints.
    All,
    /// All connections go to the leader.
    Leader,
}

/// The options every workload has.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Client endpoints, separated by commas
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "127.0.0.1:2379"
    )]
    pub endpoints: Vec<String>,
    /// Requests in flight; with --rate the most there may be
    #[arg(long, global = true, default_value_t = 100)]
    pub clients: usize,
    /// Connections they share [default: one per client, 30 at most]
    #[arg(long, global = true)]
    pub connections: Option<usize>,
    #[arg(long, global = true, value_enum, default_value = "all")]
    pub target: Target,
    /// Seconds measured
    #[arg(long, global = true, default_value_t = 10.0)]
    pub duration: f64,
    /// Seconds of load before
    #[arg(long, global = true, default_value_t = 1.0)]
    pub warmup: f64,
    /// Make this many requests instead, without warm-up
    #[arg(long, global = true)]
    pub total: Option<u64>,
    /// Requests a second, whether or not earlier ones were answered; latency then counts from when a request was due
    #[arg(long, global = true)]
    pub rate: Option<f64>,
    /// Bytes of each value
    #[arg(long, global = true, default_value_t = 256)]
    pub val_size: usize,
    /// Number of different keys
    #[arg(long, global = true, default_value_t = 10_000)]
    pub key_space_size: u64,
    #[arg(long, global = true, default_value = "mainstay-bench/")]
    pub key_prefix: String,
    #[arg(long, global = true, value_enum, default_value = "random")]
    pub key_order: Order,
    #[arg(long, global = true, default_value_t = 1)]
    pub seed: u64,
    /// Server processes to account for, separated by commas
    #[arg(long, global = true, value_delimiter = ',')]
    pub server_pid: Vec<u32>,
    /// A folder on the servers' disk, to count what is written to that device
    #[arg(long, global = true)]
    pub data_folder: Option<PathBuf>,
    /// Compact at the current revision this many seconds into the measured time
    #[arg(long, global = true)]
    pub compact_after: Option<f64>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

/// The workloads.
#[derive(Clone, Debug, Subcommand)]
pub enum Kind {
    /// Write values
    Put,
    /// Read keys, which are written first when they are not there
    Range {
        /// Neighbouring keys in each answer
        #[arg(long, default_value_t = 1)]
        width: u64,
        /// Read from the member asked, without asking the leader
        #[arg(long)]
        serializable: bool,
    },
    /// Write as Kubernetes does: put when the key's mod_revision is the one last seen
    Txn,
    /// Write, and count what watchers see
    Watch {
        #[arg(long, default_value_t = 100)]
        watchers: usize,
        /// Streams the watchers share [default: one per watch connection]
        #[arg(long)]
        streams: Option<usize>,
        /// Connections the streams share
        #[arg(long, default_value_t = 10)]
        watch_connections: usize,
        /// Keys that are written and watched
        #[arg(long, default_value_t = 1)]
        watch_keys: u64,
        #[arg(long)]
        prev_kv: bool,
    },
    /// Renew leases, one stream and one lease per client
    KeepAlive {
        /// Seconds
        #[arg(long, default_value_t = 60)]
        ttl: i64,
    },
}

impl Kind {
    /// The workload's name in reports.
    pub fn name(&self) -> String {
        match self {
            Kind::Put => "put".to_owned(),
            Kind::Txn => "txn".to_owned(),
            Kind::Range {
                width,
                serializable,
            } => {
                format!(
                    "range {width} {}",
                    if *serializable {
                        "serializable"
                    } else {
                        "linearizable"
                    }
                )
            }
            Kind::Watch {
                watchers, prev_kv, ..
            } => {
                format!("watch {watchers}{}", if *prev_kv { " prev_kv" } else { "" })
            }
            Kind::KeepAlive { .. } => "keep-alive".to_owned(),
        }
    }
}

impl Load {
    /// Connections to open for the clients.
    pub fn connection_count(&self) -> usize {
        const SHARED_MAX: usize = 30;
        self.connections.unwrap_or(SHARED_MAX).min(self.clients)
    }
}
