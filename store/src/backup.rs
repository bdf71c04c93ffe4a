//! Backups: files in the format of etcd's snapshots, made from a running store, looked at, and restored.
//!
//! Such a file is etcd's database, a file of bbolt's, with its SHA-256 behind it. It holds every revision that is not
//! compacted, so what is restored from it has the same history and the same HashKV.

mod auth;
mod buckets;
mod export;
mod file;
mod hash;
mod restore;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use export::{ExportError, SPARE_BYTES, export, seal};
pub use hash::hash_kv;
pub use restore::{Progress, Restore, Restored, restore};
pub(crate) use restore::{Start, restore_and};
pub use status::{Status, status};

use std::path::Path;

/// Length of the checksum behind the database.
pub(crate) const CHECKSUM_BYTES: usize = 32;

/// Compares a file with the checksum behind it.
///
/// # Errors
/// When it cannot be read, has no checksum or another one.
pub fn verify(path: &Path) -> anyhow::Result<()> {
    file::BackupFile::open(path)?.verify(|_done_bytes| {})
}
