//! The controllers as a process: log output, signals, the lease of the one that runs them, and an exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use client::{Client, Config, Election, ElectionConfig, Informers, Recorder};
use daemon::{Format, Output, Signals, Tasks, Telemetry};

use crate::context::Context;
use crate::list::CONTROLLERS;
use crate::material::Material;
use crate::monitors::Monitors;
use crate::options::Options;
use crate::page;

/// Who the controllers are to the apiserver, and the component of events.
const AGENT: &str = "kube-controller-manager";
/// Time for all controllers to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the controllers until a signal, a failure or the end of a term ends them.
///
/// A process whose lease is lost exits with a failure, as upstream's does: whoever started it starts it again, and all that it knew is
/// read anew.
pub fn run(options: &Options) -> ExitCode {
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(serve(options)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mainstay controllers: {error:#}");
            ExitCode::FAILURE
        }
    }
}
