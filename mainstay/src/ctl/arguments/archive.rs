//! Flags of the commands about archives, which etcd has not.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use store::archive::Time;

use super::{Bump, NewMember};

#[derive(Debug, Subcommand)]
pub(in crate::ctl) enum Archive {
    /// Reads everything in an archive, and says what can be restored and what is damaged
    Status {
        /// What --archive-dir was, or the folder of one member in it
        dir: PathBuf,
    },
    /// Makes the data folder of a member of a new cluster, with the state at a revision or a time
    Restore(RestoreArchive),
}

#[derive(Debug, Args)]
pub(in crate::ctl) struct RestoreArchive {
    /// What --archive-dir was, or the folder of one member in it
    pub(in crate::ctl) dir: PathBuf,
    /// The last revision to restore; everything there is when neither it nor a time is given
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..), conflicts_with = "to_time")]
    pub(in crate::ctl) to_revision: Option<i64>,
    /// The last moment to restore, as in RFC 3339
    #[arg(long)]
    pub(in crate::ctl) to_time: Option<Time>,
    #[command(flatten)]
    pub(in crate::ctl) member: NewMember,
    #[command(flatten)]
    pub(in crate::ctl) bump: Bump,
}
