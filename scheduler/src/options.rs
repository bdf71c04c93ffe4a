//! The command line, with kube-scheduler's flags.

use std::path::PathBuf;

use clap::Parser;
use component::{ElectionFlags, ServingFlags};

/// kube-scheduler's flags. Those that a client of this apiserver has no use for are accepted, so that command lines can stay as they are.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "mainstay scheduler",
    about = "Gives pods their nodes",
    disable_version_flag = true
)]
pub struct Options {
    /// File that says which apiservers there are and as whom to call them; not looked at with --config
    #[arg(long, default_value = "")]
    pub kubeconfig: String,
    /// Addresses of apiservers, divided by commas, in place of the kubeconfig's
    #[arg(long, default_value = "")]
    pub master: String,
    /// File with a `KubeSchedulerConfiguration`, `kubescheduler.config.k8s.io/v1`
    #[arg(long)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub election: ElectionFlags,
    #[command(flatten)]
    pub serving: ServingFlags,
    /// From 4 on with debug output
    #[arg(short = 'v', long = "v", default_value_t = 2)]
    pub verbosity: u8,
    #[command(flatten)]
    pub accepted: Accepted,
}

/// Flags that change nothing here.
#[derive(Debug, Clone, Default, Parser)]
pub struct Accepted {
    #[arg(long, hide = true)]
    feature_gates: Option<String>,
    #[arg(long, hide = true)]
    kube_api_qps: Option<f32>,
    #[arg(long, hide = true)]
    kube_api_burst: Option<i32>,
    #[arg(long, hide = true)]
    kube_api_content_type: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    contention_profiling: Option<bool>,
}

impl Options {
    /// Reads flags.
    ///
    /// # Errors
    /// If they cannot be understood, or ask for help.
    pub fn parse_words(words: Vec<String>) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("mainstay scheduler".to_owned()).chain(words))
    }
}
