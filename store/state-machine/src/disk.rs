//! The one door to RocksDB: rows, marks and files. Without a write-ahead log, for the raft log is one.

mod batch;
mod filter;
mod image;
mod row;

use std::ffi::CStr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor,
    CompactOptions, DB, DBCompressionType, FlushOptions, LogLevel, ReadOptions,
    WaitForCompactOptions, WriteOptions, properties,
};

use crate::command::{AlarmKind, Release};
use crate::digest::Digest;
use crate::machine::{Fatal, LeaseInfo, Options};
use crate::outcome::Revision;

pub(crate) use batch::Batch;
pub(crate) use filter::{Limits, Superseded};
pub(crate) use image::Image;
pub(crate) use row::RowKey;

// Column families.
const KV: &str = "kv";
const META: &str = "meta";
const LEASE: &str = "lease";
const ALARM: &str = "alarm";
const AUTH: &str = "auth";
const ALL: [&str; 5] = [KV, META, LEASE, ALARM, AUTH];

// Keys of the `meta` column family.
const FORMAT: &[u8] = b"format";
const APPLIED: &[u8] = b"applied";
const COMPACTED: &[u8] = b"compacted";
const DOWNGRADE: &[u8] = b"downgrade";

/// The layout; `docs/storage-format.md` describes it.
const FORMAT_VERSION: &[u8] = b"2";
/// The one before, whose `applied` has no digest.
const FORMAT_WITHOUT_DIGEST: &[u8] = b"1";
const SMALL_WRITE_BUFFER_BYTES: usize = 8 << 20;
const WRITE_BUFFERS_MAX: i32 = 3;
const BACKGROUND_BYTES_PER_SECOND: i64 = 64 << 20;
const SCAN_READAHEAD_BYTES: usize = 2 << 20;
const SETTLE_TIMEOUT_MICROSECONDS: u64 = 1_000_000;
const OPEN_FILES_MAX: i32 = 512;

impl From<rocksdb::Error> for Fatal {
    fn from(error: rocksdb::Error) -> Fatal {
        Fatal::Disk(error.into_string())
    }
}

pub(crate) struct Disk {
    db: DB,
}

/// The marks of the store beside its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) applied: Option<AppliedRow>,
    pub(crate) compact_revision: Option<i64>,
    /// The release that the cluster is being taken back to.
    pub(crate) downgrade: Option<Release>,
    pub(crate) leases: Vec<LeaseInfo>,
    pub(crate) alarms: Vec<(u64, AlarmKind)>,
    /// Rows of users and roles, as they are stored.
    pub(crate) auth: Vec<(Bytes, Bytes)>,
}

/// How far the store is after the newest run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppliedRow {
    pub(crate) revision: i64,
    pub(crate) digest: Digest,
    /// The caller's own.
    pub(crate) mark: Bytes,
}

/// A row of the `kv` column family.
pub(crate) struct Row<'a> {
    pub(crate) at: Revision,
    pub(crate) tombstone: bool,
    /// As stored: [`RowKey`] and encoded key-value.
    pub(crate) row_key: &'a [u8],
    pub(crate) kv: &'a [u8],
}

/// A file of the `kv` column family.
pub(crate) struct File {
    pub(crate) first_revision: i64,
    pub(crate) last_revision: i64,
    pub(crate) rows: u64,
}

impl Disk {
    /// `superseded` is asked from the first moment on and must keep everything until the index stands.
    pub(crate) fn open(
        dir: &Path,
        options: &Options,
        superseded: Arc<dyn Superseded>,
    ) -> Result<Disk, Fatal> {
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let families = ALL.map(|name| {
            let mut family = family_options(options, &cache, name == KV);
            if name == KV {
                family.set_compaction_filter_factory(filter::Factory(Arc::clone(&superseded)));
            }
            ColumnFamilyDescriptor::new(name, family)
        });
        let db = DB::open_cf_descriptors(&database_options(), dir, families)?;
        let disk = Disk { db };
        disk.check_format()?;
        Ok(disk)
    }

    fn check_format(&self) -> Result<(), Fatal> {
        let meta = self.family(META);
        let format = self.db.get_pinned_cf(meta, FORMAT)?;
        let mut batch = Batch::default();
        match format.as_deref() {
            Some(FORMAT_VERSION) => return Ok(()),
            Some(FORMAT_WITHOUT_DIGEST) => {
                if let Some(applied) = self.db.get_pinned_cf(meta, APPLIED)? {
                    let (revision, mark) = number(&applied)?;
                    batch = Batch::after(Digest::UNKNOWN);
                    batch.writer(self).applied(revision, mark);
                }
            }
            Some(version) => {
                let version = String::from_utf8_lossy(version).into_owned();
                return Err(Fatal::Damaged(format!(
                    "unknown format {version:?}; this build reads formats 1 and 2"
                )));
            }
            None => {}
        }
        batch.writer(self).format();
        self.write(batch)
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.db
            .cf_handle(name)
            .expect("open names every column family")
    }

    pub(crate) fn write(&self, batch: Batch) -> Result<(), Fatal> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        Ok(self.db.write_opt(batch.into_rows(), &options)?)
    }

    /// The encoded key-value put at `at`; none when it was dropped or never a put.
    pub(crate) fn value(&self, at: Revision) -> Result<Option<Bytes>, Fatal> {
        let row = self
            .db
            .get_pinned_cf(self.family(KV), RowKey::new(at, false))?;
        Ok(row.map(|row| Bytes::copy_from_slice(&row)))
    }

    /// Visits rows from `from` on, in order of their revisions.
    pub(crate) fn scan(
        &self,
        from: Revision,
        mut visit: impl FnMut(Row<'_>) -> Result<ControlFlow<()>, Fatal>,
    ) -> Result<(), Fatal> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(SCAN_READAHEAD_BYTES);
        let mut rows = self.db.raw_iterator_cf_opt(self.family(KV), options);
        rows.seek(RowKey::new(from, false));
        while let Some((row_key, kv)) = rows.item() {
            let (at, tombstone) = RowKey::parse(row_key)
                .ok_or_else(|| Fatal::Damaged(format!("a row is named {row_key:?}")))?;
            if visit(Row {
                at,
                tombstone,
                row_key,
                kv,
            })?
            .is_break()
            {
                return Ok(());
            }
            rows.next();
        }
        Ok(rows.status()?)
    }

    pub(crate) fn marks(&self) -> Result<Marks, Fatal> {
        self.marks_in(|_newest| {})
    }

    /// The marks as reads with these options find them.
    fn marks_in(&self, set: impl Fn(&mut ReadOptions)) -> Result<Marks, Fatal> {
        let options = || {
            let mut options = ReadOptions::default();
            set(&mut options);
            options
        };
        let meta = self.family(META);
        let mut marks = Marks::default();
        if let Some(applied) = self.db.get_pinned_cf_opt(meta, APPLIED, &options())? {
            marks.applied = Some(applied_row(&applied)?);
        }
        if let Some(compacted) = self.db.get_pinned_cf_opt(meta, COMPACTED, &options())? {
            marks.compact_revision = Some(number(&compacted)?.0);
        }
        if let Some(target) = self.db.get_pinned_cf_opt(meta, DOWNGRADE, &options())? {
            let (major, rest) = number(&target)?;
            let (major, minor) = (major.cast_unsigned(), number(rest)?.0.cast_unsigned());
            marks.downgrade = Some(Release { major, minor });
        }
        let mut leases = self.db.raw_iterator_cf_opt(self.family(LEASE), options());
        leases.seek_to_first();
        while let Some((id, lease)) = leases.item() {
            let (ttl_seconds, rest) = number(lease)?;
            let remaining_seconds = number(rest)?.0;
            marks.leases.push(LeaseInfo {
                id: number(id)?.0,
                ttl_seconds,
                remaining_seconds,
            });
            leases.next();
        }
        leases.status()?;
        let mut alarms = self.db.raw_iterator_cf_opt(self.family(ALARM), options());
        alarms.seek_to_first();
        while let Some(key) = alarms.key() {
            let (member, kind) = number(key)?;
            let kind = match kind {
                [1] => AlarmKind::NoSpace,
                [2] => AlarmKind::Corrupt,
                other => return Err(Fatal::Damaged(format!("an alarm has kind {other:?}"))),
            };
            marks.alarms.push((member.cast_unsigned(), kind));
            alarms.next();
        }
        alarms.status()?;
        marks.auth = self.auth_rows_in(options())?;
        Ok(marks)
    }

    /// Rows of users and roles, in order.
    pub(crate) fn auth_rows(&self) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        self.auth_rows_in(ReadOptions::default())
    }

    fn auth_rows_in(&self, options: ReadOptions) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        let mut found = Vec::new();
        let mut auth = self.db.raw_iterator_cf_opt(self.family(AUTH), options);
        auth.seek_to_first();
        while let Some((key, value)) = auth.item() {
            found.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            auth.next();
        }
        auth.status()?;
        Ok(found)
    }

    /// Makes everything written so far durable, all column families at one point.
    pub(crate) fn flush(&self) -> Result<(), Fatal> {
        let families = ALL.map(|name| self.family(name));
        Ok(self.db.flush_cfs_opt(&families, &FlushOptions::default())?)
    }

    /// Hard-links the files into `dir`. Nothing may be written meanwhile.
    pub(crate) fn checkpoint(&self, dir: &Path) -> Result<(), Fatal> {
        Ok(Checkpoint::new(&self.db)?.create_checkpoint(dir)?)
    }

    /// The same without what is not flushed.
    pub(crate) fn link_durable(&self, dir: &Path) -> Result<(), Fatal> {
        // Flushes only when the write-ahead log, which is off, has this size.
        let checkpoint = Checkpoint::new(&self.db)?;
        Ok(checkpoint.create_checkpoint_with_log_size(dir, u64::MAX)?)
    }

    pub(crate) fn files(&self) -> Result<Vec<File>, Fatal> {
        let main = |key: Option<&Vec<u8>>| {
            key.and_then(|key| RowKey::parse(key))
                .map(|(at, _)| at.main)
        };
        let mut files = Vec::new();
        for file in self
            .db
            .live_files()?
            .iter()
            .filter(|file| file.column_family_name == KV)
        {
            if let (Some(first_revision), Some(last_revision)) =
                (main(file.start_key.as_ref()), main(file.end_key.as_ref()))
            {
                files.push(File {
                    first_revision,
                    last_revision,
                    rows: file.num_entries,
                });
            }
        }
        Ok(files)
    }

    pub(crate) fn bytes(&self) -> Result<u64, Fatal> {
        Ok(self
            .db
            .live_files()?
            .iter()
            .map(|file| file.size as u64)
            .sum())
    }

    /// Whether every rewrite that began is installed and none ever failed. A rewrite counts as running
    /// for a moment after it returned, so this waits a little for those that do.
    pub(crate) fn is_settled(&self) -> bool {
        let mut patience = WaitForCompactOptions::default();
        patience.set_timeout(SETTLE_TIMEOUT_MICROSECONDS);
        // That it timed out or failed is what the properties say.
        let _ = self.db.wait_for_compact(&patience);
        let kv = self.family(KV);
        let is_zero = |name: &CStr| matches!(self.db.property_int_value_cf(kv, name), Ok(Some(0)));
        is_zero(properties::NUM_RUNNING_COMPACTIONS) && is_zero(properties::BACKGROUND_ERRORS)
    }

    /// Rewrites the files that hold rows of these main revisions, without the droppable rows.
    pub(crate) fn rewrite(&self, first_revision: i64, last_revision: i64) {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        let start = RowKey::new(
            Revision {
                main: first_revision,
                sub: 0,
            },
            false,
        );
        let end = RowKey::new(
            Revision {
                main: last_revision,
                sub: i64::MAX,
            },
            true,
        );
        self.db
            .compact_range_cf_opt(self.family(KV), Some(start), Some(end), &options);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.db.cancel_all_background_work(true);
    }
}

fn database_options() -> rocksdb::Options {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_max_background_jobs(2);
    options.set_ratelimiter(BACKGROUND_BYTES_PER_SECOND, 100_000, 10);
    options.set_bytes_per_sync(1 << 20);
    options.set_max_open_files(OPEN_FILES_MAX);
    // Memory and files that are done with are freed in the background, not by the applier.
    options.set_avoid_unnecessary_blocking_io(true);
    // One thread writes.
    options.set_allow_concurrent_memtable_write(false);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn family_options(options: &Options, cache: &Cache, is_kv: bool) -> rocksdb::Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_size(16 << 10);
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut family = rocksdb::Options::default();
    family.set_block_based_table_factory(&blocks);
    let small = SMALL_WRITE_BUFFER_BYTES.min(options.write_buffer_bytes);
    family.set_write_buffer_size(if is_kv {
        options.write_buffer_bytes
    } else {
        small
    });
    family.set_max_write_buffer_number(WRITE_BUFFERS_MAX);
    family.set_level_zero_slowdown_writes_trigger(30);
    family.set_level_zero_stop_writes_trigger(60);
    let (fast, dense) = (DBCompressionType::Lz4, DBCompressionType::Zstd);
    family.set_compression_per_level(&[fast, fast, dense, dense, dense, dense, dense]);
    family
}

fn number(bytes: &[u8]) -> Result<(i64, &[u8]), Fatal> {
    let (number, rest) = bytes
        .split_first_chunk()
        .ok_or_else(|| Fatal::Damaged(format!("a number has {} bytes", bytes.len())))?;
    Ok((i64::from_be_bytes(*number), rest))
}

fn applied_row(bytes: &[u8]) -> Result<AppliedRow, Fatal> {
    let (revision, rest) = number(bytes)?;
    let (since, rest) = number(rest)?;
    let (value, mark) = rest
        .split_first_chunk()
        .ok_or_else(|| Fatal::Damaged(format!("a digest has {} bytes", rest.len())))?;
    let value = u32::from_be_bytes(*value);
    Ok(AppliedRow {
        revision,
        digest: Digest { since, value },
        mark: Bytes::copy_from_slice(mark),
    })
}

#[cfg(test)]
mod tests;
