//! What a snapshot file holds, as `etcdutl snapshot status` counts it.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use bbolt::Database;
use bytes::Bytes;
use crc32c::crc32c_append;
use state_machine::decode_key_value;

use super::buckets;
use super::file::BackupFile;

/// Figures of a snapshot file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// CRC-32C over every bucket's name, keys and values.
    pub hash: u32,
    pub revision: i64,
    /// Keys that are not deleted.
    pub total_keys: u64,
    /// Bytes of the database.
    pub total_bytes: u64,
    /// Storage version; empty before etcd 3.6.
    pub version: String,
}

/// Reads a whole file, with or without a checksum behind it.
///
/// # Errors
/// When it cannot be read, or is no file of etcd's.
pub fn status(path: &Path) -> anyhow::Result<Status> {
    let backup = BackupFile::open(path)?;
    let unreadable = || format!("cannot read {}", path.display());
    let database = Database::open(&backup.file, backup.database_bytes).with_context(unreadable)?;
    let mut status = Status {
        hash: 0,
        revision: 0,
        total_keys: 0,
        total_bytes: database.bytes(),
        version: String::new(),
    };
    let mut keys = HashSet::new();
    let mut found = database.buckets().with_context(unreadable)?;
    while let Some(bucket) = found.next().with_context(unreadable)? {
        status.hash = crc32c_append(status.hash, bucket.key);
        let mut cursor = database.bucket_at(bucket.value).with_context(unreadable)?;
        while let Some(entry) = cursor.next().with_context(unreadable)? {
            status.hash = crc32c_append(status.hash, entry.key);
            status.hash = crc32c_append(status.hash, entry.value);
            if bucket.key == buckets::KEY {
                count(&mut status, &mut keys, (entry.key, entry.value)).with_context(unreadable)?;
            } else if (bucket.key, entry.key) == (buckets::META, buckets::STORAGE_VERSION) {
                status.version = String::from_utf8_lossy(entry.value).into_owned();
            }
        }
    }
    status.total_keys = keys.len() as u64;
    Ok(status)
}

fn count(
    status: &mut Status,
    keys: &mut HashSet<Bytes>,
    (name, kv): (&[u8], &[u8]),
) -> anyhow::Result<()> {
    let (main, is_tombstone) =
        buckets::parse_revision_name(name).with_context(|| format!("{name:?} is no revision"))?;
    status.revision = main;
    let kv = decode_key_value(&Bytes::copy_from_slice(kv))
        .with_context(|| format!("the change at revision {main}"))?;
    if is_tombstone {
        keys.remove(&kv.key);
    } else if !keys.contains(&kv.key) {
        keys.insert(Bytes::copy_from_slice(&kv.key));
    }
    Ok(())
}
