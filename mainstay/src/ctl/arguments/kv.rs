//! Flags of the commands about keys.

use std::ffi::OsString;

use clap::{Args, Parser, ValueEnum};

use super::hexadecimal;

#[derive(Debug, Parser)]
#[command(name = "get", no_binary_name = true)]
pub(in crate::ctl) struct Get {
    pub(in crate::ctl) key: OsString,
    pub(in crate::ctl) range_end: Option<OsString>,
    /// Linearizable(l) or serializable(s)
    #[arg(long, default_value = "l", value_parser = ["l", "s"])]
    pub(in crate::ctl) consistency: String,
    /// Order of results
    #[arg(long, value_enum, ignore_case = true)]
    pub(in crate::ctl) order: Option<Order>,
    /// Sort target
    #[arg(long, value_enum, ignore_case = true)]
    pub(in crate::ctl) sort_by: Option<Target>,
    /// Most results
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) limit: i64,
    /// Keys that begin with the key
    #[arg(long)]
    pub(in crate::ctl) prefix: bool,
    /// Keys from the key on
    #[arg(long)]
    pub(in crate::ctl) from_key: bool,
    /// Revision to read at
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) rev: i64,
    /// Only the keys
    #[arg(long)]
    pub(in crate::ctl) keys_only: bool,
    /// Only the count
    #[arg(long)]
    pub(in crate::ctl) count_only: bool,
    /// Only values in the simple format
    #[arg(long)]
    pub(in crate::ctl) print_value_only: bool,
    /// Lowest create revision of keys to show
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) min_create_rev: i64,
    /// Highest create revision of keys to show
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) max_create_rev: i64,
    /// Lowest modification revision of keys to show
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) min_mod_rev: i64,
    /// Highest modification revision of keys to show
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) max_mod_rev: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::ctl) enum Order {
    Ascend,
    Descend,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::ctl) enum Target {
    Create,
    Key,
    Modify,
    Value,
    Version,
}

#[derive(Debug, Parser)]
#[command(name = "put", no_binary_name = true)]
pub(in crate::ctl) struct Put {
    pub(in crate::ctl) key: OsString,
    pub(in crate::ctl) value: Option<OsString>,
    /// Lease to attach, in hex
    #[arg(long, value_parser = hexadecimal, default_value = "0")]
    pub(in crate::ctl) lease: i64,
    /// Return the previous pair
    #[arg(long)]
    pub(in crate::ctl) prev_kv: bool,
    /// Keep the value
    #[arg(long)]
    pub(in crate::ctl) ignore_value: bool,
    /// Keep the lease
    #[arg(long)]
    pub(in crate::ctl) ignore_lease: bool,
}

#[derive(Debug, Parser)]
#[command(name = "del", no_binary_name = true)]
pub(in crate::ctl) struct Del {
    pub(in crate::ctl) key: OsString,
    pub(in crate::ctl) range_end: Option<OsString>,
    /// Keys that begin with the key
    #[arg(long)]
    pub(in crate::ctl) prefix: bool,
    /// Keys from the key on
    #[arg(long)]
    pub(in crate::ctl) from_key: bool,
    /// Return the deleted pairs
    #[arg(long)]
    pub(in crate::ctl) prev_kv: bool,
}

#[derive(Debug, Args)]
pub(in crate::ctl) struct Watch {
    #[arg(
        env = "ETCDCTL_WATCH_KEY",
        required_unless_present = "interactive",
        default_value = "",
        hide_default_value = true
    )]
    pub(in crate::ctl) key: OsString,
    #[arg(env = "ETCDCTL_WATCH_RANGE_END")]
    pub(in crate::ctl) range_end: Option<OsString>,
    /// Runs for each event, with ETCD_WATCH_REVISION, _EVENT_TYPE, _KEY and _VALUE
    #[arg(last = true)]
    pub(in crate::ctl) command: Vec<String>,
    /// Keys that begin with the key
    #[arg(long)]
    pub(in crate::ctl) prefix: bool,
    /// Revision to start at
    #[arg(long, default_value_t = 0)]
    pub(in crate::ctl) rev: i64,
    /// Show the pair before each event
    #[arg(long)]
    pub(in crate::ctl) prev_kv: bool,
    /// Ask for progress messages
    #[arg(long)]
    pub(in crate::ctl) progress_notify: bool,
    /// Read `watch` and `progress` lines from standard input
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value_t = false,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(in crate::ctl) interactive: bool,
}

/// A line of `watch -i`: its first word is the command.
#[derive(Debug, Parser)]
#[command(name = "watch", disable_help_flag = true)]
pub(in crate::ctl) struct WatchLine {
    #[command(flatten)]
    pub(in crate::ctl) watch: Watch,
}
