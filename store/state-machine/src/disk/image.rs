//! The store as it was at one moment, whatever is written or rewritten later.

use rocksdb::{DBRawIteratorWithThreadMode, ReadOptions, SnapshotWithThreadMode};

use super::row::RowKey;
use super::{DB, Disk, KV, Marks, Row, SCAN_READAHEAD_BYTES};
use crate::machine::Fatal;

/// Marks and rows of one moment.
pub(crate) struct Image<'a> {
    disk: &'a Disk,
    snapshot: SnapshotWithThreadMode<'a, DB>,
    /// Holds on to the files of that moment: a rewrite leaves rows out whether or not a snapshot has them.
    rows: DBRawIteratorWithThreadMode<'a, DB>,
}

impl Disk {
    /// Takes an image. The caller sees to it that nothing is written meanwhile.
    pub(crate) fn image(&self) -> Image<'_> {
        let snapshot = self.db.snapshot();
        let mut options = ReadOptions::default();
        options.set_snapshot(&snapshot);
        options.fill_cache(false);
        options.set_readahead_size(SCAN_READAHEAD_BYTES);
        let mut rows = self.db.raw_iterator_cf_opt(self.family(KV), options);
        rows.seek_to_first();
        Image {
            disk: self,
            snapshot,
            rows,
        }
    }
}

impl Image<'_> {
    pub(crate) fn marks(&self) -> Result<Marks, Fatal> {
        self.disk
            .marks_in(|options| options.set_snapshot(&self.snapshot))
    }

    /// The next row, in order of revisions; none at the end.
    pub(crate) fn row(&self) -> Result<Option<Row<'_>>, Fatal> {
        let Some((row_key, kv)) = self.rows.item() else {
            self.rows.status()?;
            return Ok(None);
        };
        let (at, tombstone) = RowKey::parse(row_key)
            .ok_or_else(|| Fatal::Damaged(format!("a row is named {row_key:?}")))?;
        Ok(Some(Row {
            at,
            tombstone,
            row_key,
            kv,
        }))
    }

    /// Goes on to the row after the one that [`Image::row`] gives.
    pub(crate) fn advance(&mut self) {
        self.rows.next();
    }
}
