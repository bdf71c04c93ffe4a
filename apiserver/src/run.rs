//! The apiserver as a process, or as a part of one.

use std::process::ExitCode;

use anyhow::Result;
use daemon::{CancellationToken, Telemetry};

use crate::{Config, Server};

/// Runs a server until a signal or a failure ends it.
pub fn run(config: Config) -> ExitCode {
    let telemetry = Telemetry::of_verbosity(config.verbosity);
    daemon::run("mainstay apiserver", &telemetry, |stop| serve(config, stop))
}

/// Runs a server until it is told to stop.
///
/// # Errors
/// When it cannot start, or a part of it fails.
pub async fn serve(config: Config, stop: CancellationToken) -> Result<()> {
    let server = Server::start(&config).await?;
    tracing::info!(address = %server.address, "serving Kubernetes' API");
    tokio::select! {
        () = stop.cancelled() => {}
        () = server.stop_asked() => {}
    }
    server.stop().await
}
