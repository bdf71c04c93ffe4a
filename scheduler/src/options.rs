//! The command line, with kube-scheduler's flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};

/// kube-scheduler's flags. Those that a client of this apiserver has no use for are accepted, so that command lines can stay as they are.
#[derive(Debug, Clone, Parser)]
#[command(name = "scheduler", about = "Gives pods their nodes")]
pub struct Options {
    /// File that says which apiservers there are and as whom to call them.
    #[arg(long, default_value = "")]
    pub kubeconfig: String,
    /// Addresses of apiservers, divided by commas, in place of the kubeconfig's.
    #[arg(long, default_value = "")]
    pub master: String,
    /// File with a `KubeSchedulerConfiguration`, `kubescheduler.config.k8s.io/v1`.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Schedule only while holding the lease.
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub leader_elect: bool,
    /// Seconds that others wait before they take a lease that is not renewed: `15s`.
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub leader_elect_lease_duration: Duration,
    /// Seconds that a leader tries to renew: `10s`.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub leader_elect_renew_deadline: Duration,
    /// Seconds between tries: `2s`.
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub leader_elect_retry_period: Duration,
    #[arg(long, default_value = "kube-scheduler")]
    pub leader_elect_resource_name: String,
    #[arg(long, default_value = "kube-system")]
    pub leader_elect_resource_namespace: String,
    /// From 4 on with debug output.
    #[arg(short = 'v', long = "v", default_value_t = 2)]
    pub verbosity: u8,
    #[command(flatten)]
    pub accepted: Accepted,
}

/// Flags that change nothing: this scheduler serves no port of its own.
#[derive(Debug, Clone, Default, Parser)]
pub struct Accepted {
    #[arg(long, hide = true)]
    authentication_kubeconfig: Option<String>,
    #[arg(long, hide = true)]
    authorization_kubeconfig: Option<String>,
    #[arg(long, hide = true)]
    bind_address: Option<String>,
    #[arg(long, hide = true)]
    secure_port: Option<u16>,
    #[arg(long, hide = true)]
    client_ca_file: Option<String>,
    #[arg(long, hide = true)]
    requestheader_client_ca_file: Option<String>,
    #[arg(long, hide = true)]
    tls_cert_file: Option<String>,
    #[arg(long, hide = true)]
    tls_private_key_file: Option<String>,
    #[arg(long, hide = true)]
    cert_dir: Option<String>,
    #[arg(long, hide = true)]
    leader_elect_resource_lock: Option<String>,
    #[arg(long, hide = true)]
    feature_gates: Option<String>,
    #[arg(long, hide = true)]
    kube_api_qps: Option<f32>,
    #[arg(long, hide = true)]
    kube_api_burst: Option<i32>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    profiling: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    authentication_skip_lookup: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    authentication_tolerate_lookup_failure: Option<bool>,
}

impl Options {
    /// Reads flags; with names of tests' environments such as `-v=2`.
    ///
    /// # Errors
    /// If they cannot be understood, or ask for help.
    pub fn parse_words(words: Vec<String>) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("scheduler".to_owned()).chain(words))
    }
}

/// A duration in Go's form: `15s`, `1m30s`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let nanos = objects::codec::duration::parse(text)?;
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_negative| format!("{text:?} is less than nothing"))
}
