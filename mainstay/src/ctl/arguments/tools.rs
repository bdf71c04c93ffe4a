//! Flags of the commands that are whole programs: a mirror, two checks, and what is done without a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::duration;

#[derive(Debug, Args)]
pub(in crate::ctl) struct MakeMirror {
    /// A member of the other cluster
    pub(in crate::ctl) destination: String,
    /// Keys that begin with this
    #[arg(long, default_value = "")]
    pub(in crate::ctl) prefix: String,
    /// Revision from which on changes are mirrored; without one all keys are copied first
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) rev: i64,
    /// Most operations in a transaction that the other cluster takes
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::ctl) max_txn_ops: u16,
    /// What keys begin with there, in the place of --prefix
    #[arg(long, default_value = "")]
    pub(in crate::ctl) dest_prefix: String,
    /// Keys lose their prefix there
    #[arg(long)]
    pub(in crate::ctl) no_dest_prefix: bool,
    /// Certificate to show to the other cluster
    #[arg(long, requires = "dest_key")]
    pub(in crate::ctl) dest_cert: Option<PathBuf>,
    /// Key of the certificate
    #[arg(long, requires = "dest_cert")]
    pub(in crate::ctl) dest_key: Option<PathBuf>,
    /// Who signs the certificates of the other cluster
    #[arg(long)]
    pub(in crate::ctl) dest_cacert: Option<PathBuf>,
    /// Whether the other cluster is spoken to in plain, when no other flag is about its TLS
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(in crate::ctl) dest_insecure_transport: bool,
    /// Who asks there, as NAME or NAME:PASSWORD
    #[arg(long)]
    pub(in crate::ctl) dest_user: Option<String>,
    /// The password, when it does not stand in --dest-user
    #[arg(long)]
    pub(in crate::ctl) dest_password: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(in crate::ctl) enum Check {
    /// Writes at a fixed rate for a minute, and judges how fast the cluster answers
    Perf {
        #[command(flatten)]
        load: Load,
        /// What the keys that are written begin with
        #[arg(long, default_value = "/etcdctl-check-perf/")]
        prefix: String,
        /// How long to write
        #[arg(long, value_parser = duration, default_value = "60s")]
        duration: Duration,
    },
    /// Writes many keys, and shows how much memory that takes in the first endpoint's process
    Datascale {
        #[command(flatten)]
        load: Load,
        /// What the keys that are written begin with
        #[arg(long, default_value = "/etcdctl-check-datascale/")]
        prefix: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::ctl) struct Load {
    /// How much: s(small), m(medium), l(large) or xl(xLarge)
    #[arg(long, default_value = "s")]
    pub(in crate::ctl) load: String,
    /// Compact the history afterwards
    #[arg(long)]
    pub(in crate::ctl) auto_compact: bool,
    /// Defragment the endpoints afterwards
    #[arg(long)]
    pub(in crate::ctl) auto_defrag: bool,
}

#[derive(Debug, Args)]
pub(in crate::ctl) struct HashKv {
    /// A snapshot file, or the file `member/snap/db` of a data folder of etcd
    pub(in crate::ctl) filename: PathBuf,
    /// Highest revision to hash
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) rev: i64,
}
