//! The comparison's command: our cluster and a peer's on the same work.

use anyhow::Result;
use benches::side_by_side;
use benches::side_by_side::options::Options;
use clap::Parser;

fn main() -> Result<()> {
    side_by_side::run(&Options::parse())
}
