//! `cargo xtask bench`: Mainstay and a peer in turn on the same work.

use anyhow::{Context, Result, ensure};

use crate::command::Run;
use crate::{setup, up, workspace};

/// The comparison, and the load generator that it starts.
pub(crate) const PROGRAMS: [&str; 2] = ["side-by-side", "mainstay-bench"];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::toolset()?;
    setup::peers()?;
    up::build(&["mainstay"])?;
    up::build(&PROGRAMS)?;
    side_by_side()?.args(arguments).run()
}

/// The comparison program, told where our binary is.
pub(crate) fn side_by_side() -> Result<Run> {
    let program = workspace::program("side-by-side")?;
    ensure!(
        program.is_file(),
        "the benches have no side-by-side program"
    );
    let program = program
        .to_str()
        .context("the target folder's name is not UTF-8")?;
    Ok(Run::new(program).env("MAINSTAY_BIN", workspace::program("mainstay")?))
}
