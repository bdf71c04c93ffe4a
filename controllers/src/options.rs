//! kube-controller-manager's flags, as kubeadm, kind and minikube pass them, into one checked struct.

mod signing;
mod upkeep;
mod workers;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser};
pub(crate) use component::duration;
use component::{ElectionFlags, ElectionSettings, ServingFlags};

pub use signing::Signing;
pub use upkeep::{Attaching, Autoscaling, Nodes};
pub use workers::Workers;

use crate::run::AGENT;

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
    #[command(flatten)]
    pub serving: ServingFlags,
    #[command(flatten)]
    pub election: ElectionFlags,
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

/// Flags that change nothing here, and are taken so that command lines for kube-controller-manager work.
#[derive(Debug, Clone, Args)]
pub struct Accepted {
    /// Accepted: all controllers ask as the user of --kubeconfig
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub use_service_account_credentials: bool,
    /// Accepted: a cloud's resources would have it in their names
    #[arg(long, default_value = "kubernetes")]
    pub cluster_name: String,
    /// Accepted: volumes are made by drivers
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub enable_hostpath_provisioner: bool,
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
        let election = self.election().check().err();
        election
            .map(|fault| fault.to_string())
            .or_else(|| self.signing.fault())
    }

    /// Which lease the process wants.
    pub(crate) fn election(&self) -> ElectionSettings {
        ElectionSettings::standard(AGENT).with(&self.election)
    }
}

#[cfg(test)]
mod tests;
