//! The comparison of apiservers: ours and a kube-apiserver on the same work.

use anyhow::Result;
use benches::apiserver;
use benches::apiserver::options::Options;
use clap::Parser;

fn main() -> Result<()> {
    apiserver::run(&Options::parse())
}
