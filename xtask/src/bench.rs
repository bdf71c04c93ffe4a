//! `cargo xtask bench`: Mainstay and a peer in turn on the same work, as a store or, with `apiserver` before the flags, as an apiserver;
//! with `control-plane`, a whole control plane of ours.

use anyhow::{Context, Result, ensure};

use crate::command::Run;
use crate::{setup, up, workspace};

/// The comparisons, the bench of whole control planes, and the load generator of the store's.
pub(crate) const PROGRAMS: [&str; 4] = [
    "side-by-side",
    "apiservers",
    "control-plane",
    "mainstay-bench",
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::toolset()?;
    setup::peers()?;
    up::build(&["mainstay"])?;
    up::build(&PROGRAMS)?;
    match arguments {
        [first, flags @ ..] if first == "apiserver" => comparison("apiservers")?.args(flags).run(),
        [first, flags @ ..] if first == "control-plane" => {
            comparison("control-plane")?.args(flags).run()
        }
        flags => comparison("side-by-side")?.args(flags).run(),
    }
}

/// A comparison program, told where our binary is.
pub(crate) fn comparison(name: &str) -> Result<Run> {
    let program = workspace::program(name)?;
    ensure!(program.is_file(), "the benches have no program {name}");
    let program = program
        .to_str()
        .context("the target folder's name is not UTF-8")?;
    Ok(Run::new(program).env("MAINSTAY_BIN", workspace::program("mainstay")?))
}
