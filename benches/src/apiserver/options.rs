//! What a run beside a kube-apiserver is told on its command line.

use std::path::PathBuf;

use clap::Parser;

use crate::side_by_side::figures::Side;
use crate::side_by_side::options::Common;

/// Measures our apiserver and a kube-apiserver in turn, each over a stock etcd of its own, and prints ratios.
#[derive(Clone, Debug, Parser)]
#[command(name = "apiservers", version)]
pub struct Options {
    /// Our binary; it gets `apiserver` as first argument unless it is called kube-apiserver
    #[arg(long, env = "MAINSTAY_BIN")]
    pub ours: Option<PathBuf>,
    /// The peer's kube-apiserver; without one ours is measured alone
    #[arg(long, env = "KUBE_APISERVER")]
    pub peer: Option<PathBuf>,
    /// The etcd under both: a path, or a name to look up in PATH
    #[arg(long, default_value = "etcd")]
    pub etcd: PathBuf,
    /// Events a second where they come at a rate; requests come at a quarter of it [default: 1000, with --quick 200]
    #[arg(long)]
    pub rate: Option<usize>,
    /// Measure one side alone
    #[arg(long, value_enum)]
    only: Option<Side>,
    #[command(flatten)]
    pub common: Common,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub trials: usize,
    /// Objects that are made, changed and deleted one by one.
    pub objects: usize,
    /// Objects of the lists.
    pub listed: usize,
    /// How often each list is asked for.
    pub lists: usize,
    pub watchers: usize,
    /// Requests or events a second where they come at a rate.
    pub rate: usize,
    pub seconds: f64,
}

impl Options {
    /// The side that is measured alone, if one is.
    pub fn only(&self) -> Option<Side> {
        self.common.smoke.then_some(Side::Ours).or(self.only)
    }

    pub fn scale(&self) -> Scale {
        let (trials, objects, listed, lists, watchers, rate, seconds) =
            match (self.common.smoke, self.common.quick) {
                (true, _) => (1, 50, 200, 1, 50, 100, 1.0),
                (false, true) => (1, 500, 2_000, 3, 1_000, 200, 3.0),
                (false, false) => (3, 2_000, 10_000, 5, 1_000, 1_000, 5.0),
            };
        Scale {
            trials: self.common.trials.unwrap_or(trials),
            objects,
            listed,
            lists,
            watchers,
            rate: self.rate.unwrap_or(rate),
            seconds,
        }
    }
}
