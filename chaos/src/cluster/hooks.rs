//! The commands that break a cluster elsewhere.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::target::Hooks;

/// Time one command gets.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs one command of a member. It finds the member in the variables `CHAOS_MEMBER` and `CHAOS_ENDPOINT`.
pub(super) async fn run(hooks: &Hooks, what: &str, command: Option<&str>) -> Result<()> {
    let line = command.with_context(|| format!("{} has no `{what}` command", hooks.name))?;
    let running = Command::new("sh")
        .args(["-c", line])
        .env("CHAOS_MEMBER", &hooks.name)
        .env("CHAOS_ENDPOINT", &hooks.endpoint)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(COMMAND_TIMEOUT, running)
        .await
        .with_context(|| format!("`{line}` takes longer than {COMMAND_TIMEOUT:?}"))?
        .with_context(|| format!("running `{line}`"))?;
    ensure!(
        output.status.success(),
        "`{line}`: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
