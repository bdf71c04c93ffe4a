//! How a log is opened: sizes and bounds.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::format::SEGMENT_HEADER_BYTES;

/// Smallest and largest segment; offsets inside a segment are 32 bits wide.
const SEGMENT_BYTES_MIN: u64 = 4 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Sizes and bounds of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of a segment file. Segments written with another size stay readable.
    pub segment_bytes: u64,
    /// Payload bytes kept in memory for readers, counted from the newest entry back. Entries that are not
    /// on disk yet stay in memory whatever the bound says.
    pub window_bytes_max: usize,
    /// Bytes that may wait in the queue. A caller that finds it full blocks until the log's thread has
    /// taken what waits. As one batch is being written while the next gathers, and a single operation is
    /// never split, memory is bounded by twice this plus one operation.
    pub queue_bytes_max: usize,
    /// Purged segments kept for reuse; further ones are deleted.
    pub spare_segments_max: usize,
    /// Nice value asked for the log's thread; ignored when the process may not raise its priority.
    pub thread_nice: i32,
    /// Told how long each fdatasync took.
    pub sync_observer: Option<SyncObserver>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            window_bytes_max: 64 << 20,
            queue_bytes_max: 32 << 20,
            spare_segments_max: 2,
            thread_nice: -10,
            sync_observer: None,
        }
    }
}

impl Options {
    /// Largest payload of an entry.
    pub fn entry_bytes_max(&self) -> usize {
        (self.segment_bytes / 2) as usize - SEGMENT_HEADER_BYTES
    }

    /// Largest vote, committed or purge mark. Every segment starts with a copy of each.
    pub fn blob_bytes_max(&self) -> usize {
        ((self.segment_bytes / 16) as usize).min(64 << 10)
    }

    pub(crate) fn check(&self) -> io::Result<()> {
        if (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a segment has {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} bytes, not {}",
                self.segment_bytes
            ),
        ))
    }
}

/// A function told the duration of each fdatasync; it runs on the log's thread.
#[derive(Clone)]
pub struct SyncObserver(pub Arc<dyn Fn(Duration) + Send + Sync>);

impl fmt::Debug for SyncObserver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SyncObserver")
    }
}
