//! What every long-running program of the house needs: owned tasks, signals, log output, a serving flag and a way from start to exit code.

mod health;
mod open_files;
mod run;
mod signal;
mod tasks;
mod telemetry;

pub use health::Health;
pub use open_files::{connections_max, open_files_max, raise_open_files};
pub use run::{run, until_signal};
pub use signal::{Signal, Signals};
pub use tasks::{OnFailure, Report, TaskFailure, Tasks};
pub use telemetry::{Format, Output, Telemetry, TelemetryError};
pub use tokio_util::sync::CancellationToken;
