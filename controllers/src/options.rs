//! kube-controller-manager's flags, as kubeadm, kind and minikube pass them, into one checked struct.

mod signing;
mod upkeep;
mod workers;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser};

pub use signing::Signing;
pub use upkeep::{Attaching, Autoscaling, Nodes};
pub use workers::Workers;

/// The flags. Names and meanings are kube-controller-manager's.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "mainstay controllers",
    about = "Kubernetes' controllers",
    disable_version_flag = true
)]
pub struct Options {
    /// How the apiserver is reached, and as whom
    #[arg(long, value_name = "FILE", required = true)]
    pub kubeconfig: PathBuf,
    /// Which controllers run: `*` is all that run by default, `name` this one too, `-name` not this one
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "*",
        allow_hyphen_values = true
    )]
    pub controllers: Vec<String>,
    /// Address that /healthz is served at
    #[arg(long, default_value = "127.0.0.1")]
    pub bind_address: IpAddr,
    /// Port that /healthz is served at, over TLS; 0 for none
    #[arg(long, default_value_t = 10_257)]
    pub secure_port: u16,
    #[command(flatten)]
    pub election: Election,
    #[command(flatten)]
    pub workers: Workers,
    #[command(flatten)]
    pub signing: Signing,
    #[command(flatten)]
    pub nodes: Nodes,
    #[command(flatten)]
    pub autoscaling: Autoscaling,
    #[command(flatten)]
    pub attaching: Attaching,

    /// Time between two full counts of what quotas have used
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub resource_quota_sync_period: Duration,
    /// Time between two looks at all volumes and claims
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub pvclaimbinder_sync_period: Duration,
    /// Whether what has lost its owners is deleted
    #[arg(long, default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub enable_garbage_collector: bool,
    /// How many pods that have ended are left before the oldest are deleted
    #[arg(long, default_value_t = 12_500)]
    pub terminated_pod_gc_threshold: i64,

    #[command(flatten)]
    pub accepted: Accepted,
    /// More is logged; 4 and above is debug
    #[arg(short = 'v', long = "v", default_value_t = 2)]
    pub verbosity: u8,
}

/// How one of several processes is chosen that run the controllers.
#[derive(Debug, Clone, Args)]
pub struct Election {
    /// Whether to run the controllers only while holding the lease
    #[arg(long, default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub leader_elect: bool,
    /// Time after which others take over a lease that is not renewed
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub leader_elect_lease_duration: Duration,
    /// Time after which a holder that cannot renew its lease gives up
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub leader_elect_renew_deadline: Duration,
    /// Time between two tries
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub leader_elect_retry_period: Duration,
    /// What is held: a Lease
    #[arg(long, default_value = "leases", value_parser = ["leases"])]
    pub leader_elect_resource_lock: String,
    /// Name of the lease
    #[arg(long, default_value = "kube-controller-manager")]
    pub leader_elect_resource_name: String,
    /// Namespace of the lease
    #[arg(long, default_value = "kube-system")]
    pub leader_elect_resource_namespace: String,
}

/// Flags that change nothing here, and are taken so that command lines for kube-controller-manager work.
#[derive(Debug, Clone, Args)]
pub struct Accepted {
    /// Accepted: all controllers ask as the user of --kubeconfig
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub use_service_account_credentials: bool,
    /// Accepted: nobody is asked who reads /healthz
    #[arg(long, value_name = "FILE")]
    pub authentication_kubeconfig: Option<PathBuf>,
    /// Accepted: nobody is asked who may read /healthz
    #[arg(long, value_name = "FILE")]
    pub authorization_kubeconfig: Option<PathBuf>,
    /// Accepted: no certificate of a client is looked at
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    /// Accepted: no server stands in front
    #[arg(long, value_name = "FILE")]
    pub requestheader_client_ca_file: Option<PathBuf>,
    /// Accepted: a cloud's resources would have it in their names
    #[arg(long, default_value = "kubernetes")]
    pub cluster_name: String,
    /// Accepted: volumes are made by drivers
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub enable_hostpath_provisioner: bool,
    /// Accepted: there are no profiles
    #[arg(long, default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub profiling: bool,
}

/// A time as Go writes it: `1h30m`, `5m0s`, `500ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let nanos = objects::codec::duration::parse(text)?;
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_negative| format!("{text:?} is less than nothing"))
}

impl Options {
    /// Reads a command line, the program's name not among it, and checks it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, which is also how help is told.
    pub fn parse_words(words: Vec<String>) -> Result<Options, clap::Error> {
        let program = std::iter::once("mainstay controllers".to_owned());
        let options = Options::try_parse_from(program.chain(words))?;
        match options.fault() {
            None => Ok(options),
            Some(fault) => Err(clap::Error::raw(
                clap::error::ErrorKind::ValueValidation,
                format!("{fault}\n"),
            )),
        }
    }

    /// What does not go together.
    fn fault(&self) -> Option<String> {
        let known = crate::list::names();
        let unknown = self.controllers.iter().find_map(|word| {
            let name = word.strip_prefix('-').unwrap_or(word);
            (name != "*" && !known.contains(&name)).then_some(name)
        });
        if let Some(name) = unknown {
            return Some(format!("{name:?} is not in the list of known controllers"));
        }
        let election = &self.election;
        if election.leader_elect {
            if election.leader_elect_lease_duration <= election.leader_elect_renew_deadline {
                let fault = "--leader-elect-lease-duration must be greater than --leader-elect-renew-deadline";
                return Some(fault.to_owned());
            }
            // A try is put off by up to 1.2 times its pause.
            if election.leader_elect_renew_deadline * 10 <= election.leader_elect_retry_period * 12
            {
                let fault = "--leader-elect-renew-deadline must be greater than --leader-elect-retry-period times 1.2";
                return Some(fault.to_owned());
            }
        }
        self.signing.fault()
    }
}

#[cfg(test)]
mod tests;
