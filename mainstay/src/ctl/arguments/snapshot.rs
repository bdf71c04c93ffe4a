//! Flags of the commands about snapshot files: etcdutl's.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(in crate::ctl) enum Snapshot {
    /// Stores a member's snapshot in a file
    Save { filename: PathBuf },
    /// Gets the status of a snapshot file
    Status { filename: PathBuf },
    /// Makes the data folder of a member of a new cluster from a snapshot file
    Restore(Restore),
}

#[derive(Debug, Args)]
pub(in crate::ctl) struct Restore {
    pub(in crate::ctl) filename: PathBuf,
    #[command(flatten)]
    pub(in crate::ctl) member: NewMember,
    /// Take a file without a checksum, such as a copy out of a data folder, or with a wrong one
    #[arg(long)]
    pub(in crate::ctl) skip_hash_check: bool,
    #[command(flatten)]
    pub(in crate::ctl) bump: Bump,
    /// Taken because etcdutl has it; there is no memory map
    #[arg(long, hide = true)]
    pub(in crate::ctl) initial_memory_map_size: Option<u64>,
}

/// A member of a new cluster whose data folder is made.
#[derive(Debug, Clone, Args)]
pub(in crate::ctl) struct NewMember {
    /// Folder to make; a restore without it makes NAME.etcd
    #[arg(long)]
    pub(in crate::ctl) data_dir: Option<PathBuf>,
    /// Folder for the log; inside the data folder when not given
    #[arg(long)]
    pub(in crate::ctl) wal_dir: Option<PathBuf>,
    /// Name of this member
    #[arg(long, default_value = "default")]
    pub(in crate::ctl) name: String,
    /// Members of the new cluster
    #[arg(long, default_value = "default=http://localhost:2380")]
    pub(in crate::ctl) initial_cluster: String,
    /// Token of the new cluster
    #[arg(long, default_value = "etcd-cluster")]
    pub(in crate::ctl) initial_cluster_token: String,
    /// This member's peer URLs
    #[arg(long, default_value = "http://localhost:2380")]
    pub(in crate::ctl) initial_advertise_peer_urls: String,
}

/// Revisions that a new cluster leaves out, so that who watched the old one past what is restored notices.
#[derive(Debug, Args)]
pub(in crate::ctl) struct Bump {
    /// How much to add to the newest revision
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) bump_revision: u64,
    /// Mark the newest revision as compacted; goes with --bump-revision
    #[arg(long)]
    pub(in crate::ctl) mark_compacted: bool,
}
