//! The command line, in etcdctl's names.

mod archive;
mod auth;
mod kv;
mod migrate;
mod snapshot;
mod tools;
mod why_pending;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(super) use self::archive::{Archive, RestoreArchive};
pub(super) use self::auth::{Auth, NewPassword, PermittedKeys, Role, User};
pub(super) use self::kv::{Del, Get, Order, Put, Target, Watch, WatchLine};
pub(super) use self::migrate::{Migrate, TargetAccess};
pub(super) use self::snapshot::{Bump, NewMember, Restore, Snapshot};
pub(super) use self::tools::{Check, HashKv, Load, MakeMirror};
pub(super) use self::why_pending::{Output, WhyPending};

/// A client in etcdctl's syntax.
#[derive(Debug, Parser)]
#[command(name = "mainstay ctl", disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// Members to ask, with commas between; the first that answers is taken
    #[arg(
        long,
        global = true,
        env = "ETCDCTL_ENDPOINTS",
        value_delimiter = ',',
        default_value = "127.0.0.1:2379"
    )]
    pub(super) endpoints: Vec<String>,
    /// Who signs the certificates of members, as a bundle in PEM
    #[arg(long, global = true, env = "ETCDCTL_CACERT")]
    pub(super) cacert: Option<PathBuf>,
    /// Certificate to show to members
    #[arg(
        long = "cert",
        global = true,
        env = "ETCDCTL_CERT",
        requires = "key_file"
    )]
    pub(super) cert_file: Option<PathBuf>,
    /// Key of the certificate
    #[arg(
        long = "key",
        global = true,
        env = "ETCDCTL_KEY",
        requires = "cert_file"
    )]
    pub(super) key_file: Option<PathBuf>,
    /// Do not look at the certificates of members
    #[arg(long, global = true, env = "ETCDCTL_INSECURE_SKIP_TLS_VERIFY")]
    pub(super) insecure_skip_tls_verify: bool,
    /// Whether an endpoint without a scheme is spoken to in plain, when no other flag is about TLS
    #[arg(long, global = true, env = "ETCDCTL_INSECURE_TRANSPORT", num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(super) insecure_transport: bool,
    /// Output format
    #[arg(short = 'w', long, global = true, env = "ETCDCTL_WRITE_OUT", value_enum, default_value_t = Format::Simple)]
    pub(super) write_out: Format,
    /// Print byte strings as hex
    #[arg(long, global = true, env = "ETCDCTL_HEX")]
    pub(super) hex: bool,
    /// Who asks, as NAME or NAME:PASSWORD
    #[arg(long, global = true, env = "ETCDCTL_USER")]
    pub(super) user: Option<String>,
    /// The password, when it does not stand in --user
    #[arg(long, global = true, env = "ETCDCTL_PASSWORD")]
    pub(super) password: Option<String>,
    /// Longest wait for a connection
    #[arg(long, global = true, env = "ETCDCTL_DIAL_TIMEOUT", value_parser = duration, default_value = "2s")]
    pub(super) dial_timeout: Duration,
    /// Longest wait for an answer
    #[arg(long, global = true, env = "ETCDCTL_COMMAND_TIMEOUT", value_parser = duration, default_value = "5s")]
    pub(super) command_timeout: Duration,
    /// Time between questions whether the other side is there, while an answer is waited for; at least 10s
    #[arg(long, global = true, env = "ETCDCTL_KEEPALIVE_TIME", value_parser = duration, default_value = "2s")]
    pub(super) keepalive_time: Duration,
    /// Longest wait for the answer to such a question
    #[arg(long, global = true, env = "ETCDCTL_KEEPALIVE_TIMEOUT", value_parser = duration, default_value = "6s")]
    pub(super) keepalive_timeout: Duration,
    /// Taken because etcdctl has it; there is nothing to debug
    #[arg(long, global = true, hide = true)]
    pub(super) debug: bool,
    /// Taken because etcdctl has it; the server has its own limit
    #[arg(long, global = true, hide = true)]
    pub(super) max_request_bytes: Option<u64>,
    /// Taken because etcdctl has it; answers have no limit
    #[arg(long, global = true, hide = true)]
    pub(super) max_recv_bytes: Option<u64>,
    /// Taken because etcdctl has it; nothing is discovered
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) insecure_discovery: Option<bool>,
    /// Refused: endpoints are not looked up in DNS
    #[arg(
        short = 'd',
        long,
        global = true,
        hide = true,
        env = "ETCDCTL_DISCOVERY_SRV"
    )]
    pub(super) discovery_srv: Option<String>,
    /// Goes with the one before
    #[arg(long, global = true, hide = true)]
    pub(super) discovery_srv_name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Simple,
    Json,
    Fields,
    Protobuf,
    Table,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Gets the key or a range of keys
    Get(Get),
    /// Puts the given key into the store; the value comes from standard input when not given
    Put(Put),
    /// Removes the specified key or range of keys
    Del(Del),
    /// Watches events stream on keys or prefixes
    #[command(alias = "w")]
    Watch(Watch),
    /// Txn processes all the requests in one transaction, read from standard input
    Txn {
        /// Say what to enter
        #[arg(short, long, num_args = 0..=1, require_equals = true, default_value_t = false,
            default_missing_value = "true", action = clap::ArgAction::Set)]
        interactive: bool,
    },
    /// Compacts the event history
    #[command(visible_alias = "compact")]
    Compaction {
        revision: i64,
        /// Wait until the history is gone from the disk
        #[arg(long)]
        physical: bool,
    },
    /// Lease related commands
    #[command(subcommand)]
    Lease(Lease),
    /// Membership related commands
    #[command(subcommand)]
    Member(Member),
    /// Endpoint related commands
    #[command(subcommand)]
    Endpoint(Endpoint),
    /// Alarm related commands
    #[command(subcommand)]
    Alarm(Alarm),
    /// Downgrade related commands
    #[command(subcommand)]
    Downgrade(Downgrade),
    /// Snapshot files: etcd's backups
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Copies a live etcd or Mainstay with its history into a new cluster, and follows it until cut-over
    Migrate(Box<Migrate>),
    /// Archives of members that were started with --archive-dir
    #[command(subcommand)]
    Archive(Archive),
    /// Drops what the storage of members does not need
    Defrag {
        #[command(flatten)]
        members: AllMembers,
        /// Refused: nothing here needs it
        #[arg(long, hide = true)]
        data_dir: Option<PathBuf>,
    },
    /// Transfers leadership to another member; asks the endpoint that leads
    MoveLeader {
        #[arg(value_parser = member_id)]
        target: u64,
    },
    /// Acquires a named lock, and holds it until the command or this program ends
    Lock(Lock),
    /// Takes part in an election, or watches one
    Elect {
        election: String,
        /// What the leader makes known; wanted unless this only listens
        #[arg(required_unless_present = "listen")]
        proposal: Option<String>,
        /// Only watch
        #[arg(short, long)]
        listen: bool,
    },
    /// Enable or disable authentication
    #[command(subcommand)]
    Auth(Auth),
    /// User related commands
    #[command(subcommand)]
    User(User),
    /// Role related commands
    #[command(subcommand)]
    Role(Role),
    /// Makes a mirror at the destination etcd cluster
    MakeMirror(MakeMirror),
    /// Commands for checking properties of the cluster
    #[command(subcommand)]
    Check(Check),
    /// Prints the history hash of a snapshot file
    Hashkv(HashKv),
    /// Says why a pod of Kubernetes does not run, from its apiserver
    WhyPending(WhyPending),
    /// Prints a script that completes words in a shell
    Completion { shell: Shell },
    /// Prints the version
    Version,
}

#[derive(Debug, Subcommand)]
pub(super) enum Lease {
    /// Creates leases
    Grant {
        #[arg(value_name = "TTL")]
        ttl_seconds: i64,
    },
    /// Revokes leases
    Revoke {
        #[arg(value_parser = hexadecimal)]
        id: i64,
    },
    /// Gets lease information
    Timetolive {
        #[arg(value_parser = hexadecimal)]
        id: i64,
        /// Also the attached keys
        #[arg(long)]
        keys: bool,
    },
    /// Lists all active leases
    List,
    /// Keeps leases alive
    KeepAlive {
        #[arg(value_parser = hexadecimal)]
        id: i64,
        /// Only once
        #[arg(long)]
        once: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Member {
    /// Lists all members in the cluster
    List {
        /// Linearizable(l) or serializable(s)
        #[arg(long, default_value = "l", value_parser = ["l", "s"])]
        consistency: String,
    },
    /// Adds a member into the cluster
    Add {
        name: String,
        /// Where the others will reach it
        #[arg(long, value_delimiter = ',', required = true)]
        peer_urls: Vec<String>,
        /// It gets all data and has no vote yet
        #[arg(long)]
        learner: bool,
    },
    /// Removes a member from the cluster
    Remove {
        #[arg(value_parser = member_id)]
        id: u64,
    },
    /// Updates a member in the cluster
    Update {
        #[arg(value_parser = member_id)]
        id: u64,
        /// Where the others will reach it
        #[arg(long, value_delimiter = ',', required = true)]
        peer_urls: Vec<String>,
    },
    /// Makes a learner a voting member
    Promote {
        #[arg(value_parser = member_id)]
        id: u64,
    },
}

#[derive(Debug, Args)]
pub(super) struct Lock {
    pub(super) name: String,
    /// Runs while the lock is held
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<String>,
    /// Seconds that the lock outlives this program, should it vanish
    #[arg(long = "ttl", default_value_t = 10)]
    pub(super) ttl_seconds: i64,
}

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct AllMembers {
    /// Every member of the cluster
    #[arg(long)]
    pub(super) cluster: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Endpoint {
    /// Prints out the status of endpoints
    Status(AllMembers),
    /// Checks the healthiness of endpoints
    Health(AllMembers),
    /// Prints the history hash of endpoints
    Hashkv {
        #[command(flatten)]
        members: AllMembers,
        /// Highest revision to hash
        #[arg(long, default_value_t = 0)]
        rev: i64,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Alarm {
    /// Lists all alarms
    List,
    /// Disarms all alarms
    Disarm,
}

#[derive(Debug, Subcommand)]
pub(super) enum Downgrade {
    /// Validates that the cluster can be taken back to a version
    Validate { target_version: String },
    /// Starts to take the cluster back to a version
    Enable { target_version: String },
    /// Cancels the downgrade that is under way
    Cancel,
}

/// Flags that stand alone here and may have `=true` or `=false` in etcdctl.
const BOOLS: [&str; 28] = [
    "--all",
    "--auto-compact",
    "--auto-defrag",
    "--cluster",
    "--count-only",
    "--cut-over",
    "--debug",
    "--detail",
    "--from-key",
    "--hex",
    "--ignore-lease",
    "--ignore-value",
    "--insecure-skip-tls-verify",
    "--keys",
    "--keys-only",
    "--mark-compacted",
    "--learner",
    "--listen",
    "--no-dest-prefix",
    "--no-password",
    "--once",
    "--physical",
    "--prefix",
    "--prev-kv",
    "--print-value-only",
    "--progress-notify",
    "--skip-hash-check",
    "--to-insecure-skip-tls-verify",
];

/// `--prefix=true` becomes `--prefix`, `--prefix=false` nothing. Behind `--` nothing is a flag.
pub(super) fn plain_bools(words: Vec<String>) -> Vec<String> {
    let mut plain = Vec::with_capacity(words.len());
    let mut flags = true;
    for word in words {
        flags &= word != "--";
        match word.split_once('=') {
            Some((flag, "true")) if flags && BOOLS.contains(&flag) => plain.push(flag.to_owned()),
            Some((flag, "false")) if flags && BOOLS.contains(&flag) => {}
            _ => plain.push(word),
        }
    }
    plain
}

fn hexadecimal(text: &str) -> Result<i64, String> {
    i64::from_str_radix(text, 16)
        .map_err(|error| format!("bad lease ID ({error}), expecting ID in Hex"))
}

fn member_id(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16)
        .map_err(|error| format!("bad member ID arg ({error}), expecting ID in Hex"))
}

/// `300ms`, `5s` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, milliseconds) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1_000)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60_000)
    } else {
        return Err("expecting a duration such as 300ms, 5s or 2m".to_owned());
    };
    let number: u32 = number.parse().map_err(|error| format!("{error}"))?;
    Ok(Duration::from_millis(u64::from(number) * milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bools_take_a_value_as_in_etcdctl() {
        let words = [
            "get",
            "--prefix=true",
            "--hex=false",
            "--rev=1",
            "--",
            "--prefix=true",
        ];
        let plain = plain_bools(words.map(str::to_owned).to_vec());
        assert_eq!(plain, ["get", "--prefix", "--rev=1", "--", "--prefix=true"]);
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
