//! The apiserver as a process: log output, signals, and an exit code.

use std::process::ExitCode;

use anyhow::{Context, Result};
use daemon::{Signals, Telemetry};

use crate::{Config, Server};

/// Runs a server until a signal or a failure ends it.
pub fn run(config: &Config) -> ExitCode {
    daemon::run("mainstay apiserver", serve(config))
}

async fn serve(config: &Config) -> Result<()> {
    Telemetry::of_verbosity(config.verbosity).install()?;
    let mut signals = Signals::install().context("cannot handle signals")?;
    let server = Server::start(config).await?;
    tracing::info!(address = %server.address, "serving Kubernetes' API");
    tokio::select! {
        signal = signals.next() => tracing::info!(signal = signal.name(), "stopping"),
        () = server.stop_asked() => {}
    }
    server.stop().await
}
