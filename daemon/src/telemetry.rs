//! Log output: level, shape and where the lines go, as etcd's log flags name them.

mod json;

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Crates that warn of every message that a peer away does not take. Below debug only their errors are of use.
const CHATTY: [&str; 6] = ["openraft", "h2", "hyper", "hyper_util", "tonic", "tower"];

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, with the keys etcd uses: level, ts, caller, msg, then the fields.
    Json,
    /// For people.
    Console,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Stderr,
    Stdout,
    /// Appended to; made when missing.
    File(PathBuf),
}

/// How a process logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    pub level: Level,
    pub format: Format,
    pub outputs: Vec<Output>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("cannot open log file {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("log output was set up twice")]
    Twice(#[from] TryInitError),
}

impl Telemetry {
    /// Lines for people on standard error, as much as Kubernetes' flag `--v` asks for: with debug output from 4 on.
    #[must_use]
    pub fn of_verbosity(verbosity: u8) -> Telemetry {
        let is_debug = verbosity >= 4;
        Telemetry {
            level: if is_debug { Level::DEBUG } else { Level::INFO },
            format: Format::Console,
            outputs: vec![Output::Stderr],
        }
    }

    /// Makes this the log output of the whole process.
    ///
    /// # Errors
    /// When a log file cannot be opened, or output was set up before.
    pub fn install(&self) -> Result<(), TelemetryError> {
        let mut layers = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            layers.push(self.layer(output)?);
        }
        tracing_subscriber::registry().with(layers).try_init()?;
        Ok(())
    }

    fn layer(
        &self,
        output: &Output,
    ) -> Result<Box<dyn Layer<Registry> + Send + Sync>, TelemetryError> {
        let writer = match output {
            Output::Stderr => BoxMakeWriter::new(io::stderr),
            Output::Stdout => BoxMakeWriter::new(io::stdout),
            Output::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                let file = file.map_err(|source| TelemetryError::File {
                    path: path.clone(),
                    source,
                })?;
                BoxMakeWriter::new(file)
            }
        };
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(writer)
            .with_ansi(false);
        let layer = match self.format {
            Format::Json => lines.event_format(json::JsonLine).boxed(),
            Format::Console => lines.with_target(false).boxed(),
        };
        Ok(layer.with_filter(filter(self.level)).boxed())
    }
}

fn filter(level: Level) -> Targets {
    let quieter = match level {
        Level::TRACE => LevelFilter::DEBUG,
        Level::DEBUG => LevelFilter::INFO,
        _ => LevelFilter::ERROR,
    };
    let chatty = CHATTY.iter().map(|name| (*name, quieter));
    Targets::new().with_default(level).with_targets(chatty)
}
