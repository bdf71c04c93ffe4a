//! The bench of whole control planes: stores, apiservers, the scheduler, controllers and nodes as processes.

use anyhow::Result;
use benches::control_plane;
use benches::control_plane::options::Options;
use clap::Parser;

fn main() -> Result<()> {
    control_plane::run(&Options::parse())
}
