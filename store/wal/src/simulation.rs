//! The log without threads on a disk in memory, for replicas on simulated time.

mod disk;

#[cfg(test)]
mod tests;

use std::path::Path;

pub(crate) use disk::SimulatedFile;
pub use disk::{PowerFailure, SimulatedDisk};

use crate::disk::Disk;
use crate::error::OpenError;
use crate::handle::{Recovered, Wal};
use crate::options::Options;
use crate::shared::Operation;
use crate::writer::Writer;

/// The log's thread as something to step: what is queued is first written, then synced and acknowledged. Between the two
/// steps the disk has it unsynced. Dropping the stepper is the end of a process: nothing more is written.
pub struct Stepper {
    /// None once the log has failed.
    writer: Option<Writer>,
    written: Option<Vec<Operation>>,
}

/// Opens a log on a simulated disk. `on_work` is told whenever an operation was queued.
///
/// # Errors
/// As [`Wal::open`].
pub fn open(
    disk: &SimulatedDisk,
    directory: &Path,
    options: Options,
    on_work: impl Fn() + Send + Sync + 'static,
) -> Result<(Wal, Recovered, Stepper), OpenError> {
    let disk = Disk::simulated(disk.clone());
    let (wal, mut writer, recovered) =
        Wal::open_inline(disk, directory, options, Box::new(on_work))?;
    writer.retire_at_start();
    let stepper = Stepper {
        writer: Some(writer),
        written: None,
    };
    Ok((wal, recovered, stepper))
}

impl Stepper {
    /// Writes everything that is queued, without a sync; false when nothing is. An error ends the log.
    ///
    /// # Panics
    /// When what was begun before is not finished.
    pub fn begin(&mut self) -> bool {
        assert!(self.written.is_none(), "one batch is written at a time");
        let Some(writer) = &mut self.writer else {
            return false;
        };
        let Some((operations, committed)) = writer.shared().try_take() else {
            return false;
        };
        match writer.begin(&operations, committed) {
            Ok(()) => self.written = Some(operations),
            Err(error) => {
                writer.fail(operations, &error);
                self.writer = None;
            }
        }
        true
    }

    /// Syncs what was written and runs the callbacks.
    pub fn finish(&mut self) {
        let (Some(writer), Some(operations)) = (&mut self.writer, self.written.take()) else {
            return;
        };
        match writer.sync() {
            Ok(()) => writer.finish(operations),
            Err(error) => {
                writer.fail(operations, &error);
                self.writer = None;
            }
        }
    }

    /// Tries again to make a segment that could not be made.
    pub fn tend(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.tend();
        }
    }
}
