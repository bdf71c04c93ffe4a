//! Flags of the command that moves a live cluster.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{NewMember, duration};

#[derive(Debug, Args)]
pub(in crate::ctl) struct Migrate {
    /// Members of the cluster that clients use now; the flags for every command are about it
    #[arg(long, value_delimiter = ',', required = true)]
    pub(in crate::ctl) from: Vec<String>,
    /// Members of the new cluster, restored from a snapshot of the other: follow until cut-over
    #[arg(long, value_delimiter = ',')]
    pub(in crate::ctl) to: Vec<String>,
    /// Cut over by itself, once the target has everything and the source was quiet for --quiet
    #[arg(long, requires = "to")]
    pub(in crate::ctl) cut_over: bool,
    /// How long a source without a write counts as quiet
    #[arg(long, value_parser = duration, default_value = "3s")]
    pub(in crate::ctl) quiet: Duration,
    /// Longest wait for the target to be started
    #[arg(long, value_parser = duration, default_value = "10m")]
    pub(in crate::ctl) wait: Duration,
    /// Operations in a transaction that the target takes: its own --max-txn-ops
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..), default_value_t = 128)]
    pub(in crate::ctl) max_txn_ops: u16,
    #[command(flatten)]
    pub(in crate::ctl) access: TargetAccess,
    /// With its --data-dir the source is copied first
    #[command(flatten)]
    pub(in crate::ctl) member: NewMember,
}

/// How the target is spoken to, where that is not as the source is.
#[derive(Debug, Clone, Args)]
pub(in crate::ctl) struct TargetAccess {
    /// Who asks the target, as NAME:PASSWORD; --user when not given
    #[arg(long)]
    pub(in crate::ctl) to_user: Option<String>,
    /// Who signs the certificates of the target's members; --cacert when not given
    #[arg(long)]
    pub(in crate::ctl) to_cacert: Option<PathBuf>,
    /// Certificate to show to the target; --cert when not given
    #[arg(long, requires = "to_key")]
    pub(in crate::ctl) to_cert: Option<PathBuf>,
    /// Key of the certificate
    #[arg(long, requires = "to_cert")]
    pub(in crate::ctl) to_key: Option<PathBuf>,
    /// Do not look at the certificates of the target's members
    #[arg(long)]
    pub(in crate::ctl) to_insecure_skip_tls_verify: bool,
}
