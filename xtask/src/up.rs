//! `cargo xtask up`: a cluster from sources.

use anyhow::{Context, Result};

use crate::command::Run;
use crate::{setup, workspace};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::toolset()?;
    build(&["mainstay"])?;
    let program = workspace::program("mainstay")?;
    let program = program
        .to_str()
        .context("the target folder's name is not UTF-8")?;
    Err(Run::new(program).args(["up"]).args(arguments).become_it())
}

/// Release builds only: RocksDB is compiled once per profile.
pub(crate) fn build(packages: &[&str]) -> Result<()> {
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    println!("[xtask] the first build compiles RocksDB and takes minutes; later ones do not");
    Run::cargo()
        .args(["build", "--release"])
        .args(packages)
        .run()
}
