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

/// Builds programs. Release builds only, and always of the whole workspace's selection: cargo compiles crates once for each
/// profile and for each choice of features, which the selected packages make.
pub(crate) fn build(programs: &[&str]) -> Result<()> {
    let programs = programs.iter().flat_map(|program| ["--bin", program]);
    println!("[xtask] the first build compiles RocksDB and takes minutes; later ones do not");
    Run::cargo()
        .args(["build", "--release", "--workspace"])
        .args(programs)
        .run()
}
