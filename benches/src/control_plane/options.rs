//! What the bench of control planes is told on its command line.

use std::path::PathBuf;

use clap::Parser;

use crate::side_by_side::options::Common;

/// Measures a whole control plane of ours through its processes: the scheduler on upstream's loads, and deployments until their pods run.
#[derive(Clone, Debug, Parser)]
#[command(name = "control-plane", version)]
pub struct Options {
    /// Our binary
    #[arg(long, env = "MAINSTAY_BIN")]
    pub ours: Option<PathBuf>,
    /// A stock etcd in place of our store: a path, or a name to look up in PATH
    #[arg(long)]
    pub etcd: Option<PathBuf>,
    /// Members of the store [default: 3, with --smoke 1]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub stores: Option<u8>,
    /// Apiservers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub apiservers: u8,
    /// Nodes [default: a row's own, mostly 5000; with --quick a tenth]
    #[arg(long)]
    pub nodes: Option<usize>,
    /// A factor on the pods of every row [default: 1, with --quick 0.1]
    #[arg(long)]
    pub scale: Option<f64>,
    #[command(flatten)]
    pub common: Common,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub trials: usize,
    nodes: Option<usize>,
    nodes_factor: f64,
    pods_factor: f64,
    /// Seconds that a control plane without work is looked at.
    pub idle_seconds: f64,
}

impl Options {
    pub fn stores(&self) -> usize {
        let usual = if self.common.smoke { 1 } else { 3 };
        usize::from(self.stores.unwrap_or(usual))
    }

    pub fn scale(&self) -> Scale {
        let (factor, idle_seconds) = match (self.common.smoke, self.common.quick) {
            (true, _) => (0.004, 1.0),
            (false, true) => (0.1, 5.0),
            (false, false) => (1.0, 30.0),
        };
        Scale {
            trials: self.common.trials.unwrap_or(1),
            nodes: self.nodes,
            nodes_factor: factor,
            pods_factor: self.scale.unwrap_or(factor),
            idle_seconds,
        }
    }
}

impl Scale {
    /// How many nodes there are where upstream has so many. A row of one node keeps it.
    pub fn nodes(&self, upstream: usize) -> usize {
        match self.nodes {
            _ if upstream == 1 => 1,
            Some(nodes) => nodes,
            None => scaled(upstream, self.nodes_factor),
        }
    }

    /// How many pods there are where upstream has so many.
    pub fn pods(&self, upstream: usize) -> usize {
        scaled(upstream, self.pods_factor)
    }
}

fn scaled(count: usize, factor: f64) -> usize {
    match count {
        0 => 0,
        count => ((count as f64 * factor).round() as usize).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(words: &str) -> Scale {
        let words = ["control-plane", "--ours", "mainstay"]
            .into_iter()
            .chain(words.split_whitespace());
        Options::try_parse_from(words).unwrap().scale()
    }

    #[test]
    fn a_scale_is_a_factor_on_pods_and_leaves_a_single_node() {
        let (whole, quick) = (scale(""), scale("--quick"));
        assert_eq!((whole.nodes(5000), whole.pods(10_000)), (5000, 10_000));
        assert_eq!((quick.nodes(5000), quick.pods(10_000)), (500, 1000));
        let told = scale("--nodes 100 --scale 0.5");
        assert_eq!((told.nodes(5000), told.pods(1000)), (100, 500));
        assert_eq!((told.nodes(1), told.pods(0), told.pods(1)), (1, 0, 1));
    }
}
