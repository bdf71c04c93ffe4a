//! Drops rows that no read needs any more when RocksDB rewrites files.

use std::ffi::CStr;
use std::sync::Arc;

use rocksdb::CompactionDecision;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};

use super::row::RowKey;
use crate::index::Forgotten;
use crate::key_value::Fields;
use crate::outcome::Revision;

const NAME: &CStr = c"superseded revisions";

/// Newest main revisions at which rows may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) values: i64,
    /// A tombstone keeps the values before it from coming back when the index is rebuilt, so it may
    /// only go when all of those are gone.
    pub(crate) tombstones: i64,
}

/// Says which rows may go. Asked from RocksDB's own threads.
pub(crate) trait Superseded: Send + Sync + 'static {
    fn limits(&self) -> Limits;
    fn is_superseded(&self, key: &[u8], at: Revision) -> bool;
    /// Hears of rows that a rewrite left out, when it is about to be installed.
    fn dropped(&self, rows: &[Forgotten]);
}

/// Dropped rows gathered before they are told of.
const DROPPED_MAX: usize = 1024;

pub(super) struct Factory(pub(super) Arc<dyn Superseded>);

impl CompactionFilterFactory for Factory {
    type Filter = Filter;

    fn create(&mut self, _context: CompactionFilterContext) -> Filter {
        Filter {
            limits: self.0.limits(),
            superseded: Arc::clone(&self.0),
            dropped: Vec::new(),
        }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

pub(super) struct Filter {
    limits: Limits,
    superseded: Arc<dyn Superseded>,
    dropped: Vec<Forgotten>,
}

impl Filter {
    /// The row's place if it may go. A damaged row stays for whoever reads it to notice.
    fn droppable(&self, row_key: &[u8], row: &[u8]) -> Option<Forgotten> {
        let (at, tombstone) = RowKey::parse(row_key)?;
        let limit = if tombstone {
            self.limits.tombstones
        } else {
            self.limits.values
        };
        let may_go = at.main <= limit
            && self
                .superseded
                .is_superseded(Fields::decode(row).ok()?.key, at);
        may_go.then_some(Forgotten {
            revision: at.main,
            tombstone,
        })
    }
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, row_key: &[u8], row: &[u8]) -> CompactionDecision {
        let Some(dropped) = self.droppable(row_key, row) else {
            return CompactionDecision::Keep;
        };
        self.dropped.push(dropped);
        if self.dropped.len() >= DROPPED_MAX {
            self.superseded.dropped(&self.dropped);
            self.dropped.clear();
        }
        CompactionDecision::Remove
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        self.superseded.dropped(&self.dropped);
    }
}
