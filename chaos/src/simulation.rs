//! Hands over to the program that simulates our replicas, which lies beside this one.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::verdict::Verdict;

const PROGRAM: &str = "simulation";

/// Becomes the simulation; its exit codes are ours.
///
/// # Errors
/// When the program is not there.
pub(crate) fn run(arguments: &[OsString]) -> Result<Verdict> {
    let own = std::env::current_exe().context("finding this program")?;
    let program = own.with_file_name(PROGRAM);
    let error = Command::new(&program).args(arguments).exec();
    bail!("starting {}: {error}", program.display())
}
