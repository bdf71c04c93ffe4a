//! Point-in-time recovery: base snapshots and what was applied after them, in a folder, and the way back to any moment.
//!
//! The archiver reads what was applied from the raft log, so nothing waits for it and nothing is queued for it. Where it
//! falls so far behind that the log is gone, or cannot write, the archive has a gap, and a new span begins with a base.

mod archiver;
mod base;
mod choice;
mod figures;
mod folder;
mod format;
mod reader;
mod restore;
mod retention;
mod status;
#[cfg(test)]
mod tests;
mod time;
mod writer;

pub(crate) use archiver::{Source, spawn};
pub(crate) use figures::Figures;
pub use restore::{RestoredFrom, Target, restore};
pub use status::{BaseStatus, MemberStatus, Progress, SpanStatus, status};
pub use time::Time;

use std::path::PathBuf;
use std::time::Duration;

/// Whether and how a replica archives. Names are those of its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub dir: PathBuf,
    pub base_interval: Duration,
    /// How far back a restore has to reach; None keeps everything.
    pub retention: Option<Duration>,
}

/// Longest time between two syncs while something is archived: with [`PACE`] and the time that a sync takes, what the
/// loss of a whole cluster may cost.
pub(crate) const SYNC_INTERVAL: Duration = Duration::from_millis(500);
/// Shortest time between two looks at what was applied, and so the precision of times.
pub(crate) const PACE: Duration = Duration::from_millis(20);
/// Time between two milestones while nothing is applied.
pub(crate) const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// Time until a folder that failed is tried again.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Size from which a segment is followed by the next.
pub(crate) const SEGMENT_BYTES: u64 = 32 << 20;
/// Largest file that is taken for a segment: one batch more, which is one entry at least.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 96 << 20;
/// Payload bytes of the raft log read at a time.
pub(crate) const BATCH_BYTES: usize = 2 << 20;
