//! What `why-pending` may be told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(in crate::ctl) struct WhyPending {
    /// The pod, as NAME or NAMESPACE/NAME
    pub(in crate::ctl) pod: String,
    /// Its namespace
    #[arg(short, long)]
    pub(in crate::ctl) namespace: Option<String>,
    /// Name every node, and not the first few of each reason
    #[arg(long)]
    pub(in crate::ctl) all: bool,
    /// How the apiserver is reached; without it the first that is there of those in KUBECONFIG, of data/kubeconfig, which `mainstay up`
    /// writes, and of ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub(in crate::ctl) kubeconfig: Option<PathBuf>,
    /// Format of the answer; -w json is the same as -o json
    #[arg(short, long, value_enum)]
    pub(in crate::ctl) output: Option<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::ctl) enum Output {
    Text,
    Json,
}
