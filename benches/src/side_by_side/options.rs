//! What a side-by-side run is told on its command line.

use std::path::PathBuf;

use clap::Parser;

use crate::side_by_side::figures::Side;

/// What every run is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Rows to run, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub rows: Vec<String>,
    /// One trial, short times and less data
    #[arg(long)]
    pub quick: bool,
    /// Our side alone and just long enough to see that everything works; the figures mean nothing
    #[arg(long, conflicts_with = "quick")]
    pub smoke: bool,
    /// Repetitions of which the median counts [default: 3, with --quick 1]
    #[arg(long)]
    pub trials: Option<usize>,
    /// Where results and, during the run, the servers' data go
    #[arg(long, default_value = "target/bench")]
    pub out: PathBuf,
    /// Print the rows and do nothing
    #[arg(long)]
    pub list: bool,
}

/// Measures our cluster and a peer's in turn and prints ratios.
#[derive(Clone, Debug, Parser)]
#[command(name = "side-by-side", version)]
pub struct Options {
    /// Our binary; it gets `store` as first argument unless it is called etcd
    #[arg(long, env = "MAINSTAY_BIN")]
    pub ours: Option<PathBuf>,
    /// The peer's binary: a path, or a name to look up in PATH
    #[arg(long, default_value = "etcd")]
    pub peer: PathBuf,
    /// Seconds each row is measured [default: 10, with --quick 3]
    #[arg(long)]
    pub seconds: Option<f64>,
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
    pub seconds: f64,
    /// Keys, or revisions, of the rows that need many.
    pub many: u64,
}

impl Options {
    /// The side that is measured alone, if one is.
    pub fn only(&self) -> Option<Side> {
        self.common.smoke.then_some(Side::Ours).or(self.only)
    }

    pub fn scale(&self) -> Scale {
        let (trials, seconds, many) = match (self.common.smoke, self.common.quick) {
            (true, _) => (1, 1.0, 20_000),
            (false, true) => (1, 3.0, 100_000),
            (false, false) => (3, 10.0, 1_000_000),
        };
        Scale {
            trials: self.common.trials.unwrap_or(trials),
            seconds: self.seconds.unwrap_or(seconds),
            many,
        }
    }
}
