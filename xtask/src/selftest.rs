//! `cargo xtask selftest`: proves that `chaos` finds what is known to be wrong, in a store that is built for it too.

use anyhow::{Context, Result};

use crate::command::Run;
use crate::{setup, up, workspace};

/// The one build with planted bugs. The whole workspace is selected, so that RocksDB is not compiled once more.
const PLANTED_BUILD: [&str; 9] = [
    "build",
    "--release",
    "--workspace",
    "--features",
    "mainstay/planted-bugs,simulation/planted-bugs",
    "--bin",
    "planted",
    "--bin",
    "simulation-planted",
];

/// What the damaged histories of CI are drawn from.
const SEED_OF_THE_JUDGE: &str = "1";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::toolset()?;
    setup::peers()?;
    up::build(&["mainstay", "chaos"])?;
    Run::cargo().args(PLANTED_BUILD).run()?;
    chaos()?
        .args(arguments)
        .env("MAINSTAY_BIN", workspace::program("mainstay")?)
        .env("MAINSTAY_PLANTED_BIN", workspace::program("planted")?)
        .run()
}

/// The part that needs no second build of the store: damaged histories, the same ones each time. What is drawn anew is for
/// those who look at what comes of it.
pub(crate) fn of_the_judge() -> Result<()> {
    up::build(&["mainstay", "chaos"])?;
    chaos()?
        .args(["--judge-alone", "--seed", SEED_OF_THE_JUDGE])
        .run()
}

fn chaos() -> Result<Run> {
    let program = workspace::program("chaos")?;
    let program = program
        .to_str()
        .context("the target folder's name is not UTF-8")?;
    let out = workspace::target_dir()?.join("selftest");
    if out.exists() {
        std::fs::remove_dir_all(&out).with_context(|| format!("emptying {}", out.display()))?;
    }
    let out = out
        .to_str()
        .context("the target folder's name is not UTF-8")?;
    Ok(Run::new(program).args(["selftest", "--out", out]))
}
