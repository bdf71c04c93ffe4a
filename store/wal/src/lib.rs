//! The raft log on disk: append-only segments, one thread that syncs, recovery, and a high-water mark.
//!
//! This crate knows bytes and log indexes. What an entry, a vote or a mark means is its caller's business.
//! Appended entries are readable at once; a callback tells when they are on disk. All operations go
//! through one ordered queue to one thread, which writes everything that waits and syncs it once.
//!
//! The directory belongs to one `Wal` at a time; locking it is the caller's business.

mod disk;
mod error;
mod format;
mod handle;
mod log;
mod mark;
mod options;
mod position;
mod recovery;
mod replay;
mod segment;
mod shared;
#[cfg(feature = "simulation")]
pub mod simulation;
mod supply;
mod writer;

#[cfg(test)]
mod tests;

pub use error::OpenError;
pub use format::{Kind, RECORD_HEADER_BYTES, RecordHeader, record_seed};
pub use handle::{Recovered, Wal};
pub use options::{Options, SyncObserver};

use std::io;

use bytes::Bytes;

/// One entry of the log. The payload is opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub index: u64,
    pub term: u64,
    pub payload: Bytes,
}

/// What runs on the log's thread once an operation is on disk, or has failed.
///
/// It delays every later operation, so it must be short. It must not queue operations of this log: a full
/// queue would never empty.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;
