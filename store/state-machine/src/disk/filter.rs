//! Drops rows that no read needs any more when RocksDB rewrites files.

use std::ffi::CStr;
use std::sync::Arc;

use rocksdb::CompactionDecision;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};

use super::row::RowKey;
use crate::key_value::Fields;
use crate::outcome::Revision;

const NAME: &CStr = c"superseded revisions";

/// Says which rows may go. Asked from RocksDB's own threads.
pub(crate) trait Superseded: Send + Sync + 'static {
    /// Newest main revision at which rows may go.
    fn droppable_revision(&self) -> i64;
    fn is_superseded(&self, key: &[u8], at: Revision) -> bool;
}

pub(super) struct Factory(pub(super) Arc<dyn Superseded>);

impl CompactionFilterFactory for Factory {
    type Filter = Filter;

    fn create(&mut self, _context: CompactionFilterContext) -> Filter {
        Filter { droppable_revision: self.0.droppable_revision(), superseded: Arc::clone(&self.0) }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

pub(super) struct Filter {
    droppable_revision: i64,
    superseded: Arc<dyn Superseded>,
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, row_key: &[u8], row: &[u8]) -> CompactionDecision {
        let parsed = RowKey::parse(row_key).filter(|(at, _)| at.main <= self.droppable_revision);
        let Some((at, _)) = parsed else { return CompactionDecision::Keep };
        match Fields::decode(row) {
            Ok(fields) if self.superseded.is_superseded(fields.key, at) => CompactionDecision::Remove,
            // A damaged row stays for whoever reads it to notice.
            _ => CompactionDecision::Keep,
        }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}
