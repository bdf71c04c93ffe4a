//! Physical compaction: first the index forgets, then RocksDB rewrites the files that hold much garbage.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::StateMachine;

/// Main revisions whose garbage is counted together.
const REVISIONS_PER_BUCKET: i64 = 1024;
/// Keys looked at under one lock.
const KEYS_PER_LOCK: usize = 512;
/// A file is rewritten once one row in this many is garbage.
const ROWS_PER_GARBAGE: u64 = 4;

/// How far physical compaction has come. Nothing of it is stored: opening trims the index anyway
/// and counts the garbage again.
pub(super) struct Sweep {
    /// Compact revision the index is trimmed to.
    trimmed_revision: i64,
    step: Step,
    garbage: Garbage,
}

enum Step {
    Idle,
    /// Trimming to `compact_revision`; keys up to `after` are done.
    Trim { compact_revision: i64, after: Option<Box<[u8]>> },
    /// The index is trimmed; garbage becomes droppable once everything is durable.
    Flush { compact_revision: i64 },
    Rewrite,
}

/// Rows on disk that nothing refers to, counted by bucket of revisions.
#[derive(Default)]
pub(crate) struct Garbage(BTreeMap<i64, u64>);

impl Garbage {
    pub(crate) fn add(&mut self, revision: i64) {
        *self.0.entry(revision / REVISIONS_PER_BUCKET).or_default() += 1;
    }

    fn buckets(first_revision: i64, last_revision: i64) -> std::ops::RangeInclusive<i64> {
        first_revision / REVISIONS_PER_BUCKET..=last_revision / REVISIONS_PER_BUCKET
    }

    fn rows(&self, first_revision: i64, last_revision: i64) -> u64 {
        self.0.range(Self::buckets(first_revision, last_revision)).map(|(_, rows)| rows).sum()
    }

    fn forget(&mut self, first_revision: i64, last_revision: i64) {
        let rewritten = Self::buckets(first_revision, last_revision);
        self.0.retain(|bucket, _| !rewritten.contains(bucket));
    }
}

impl Sweep {
    pub(super) fn after_rebuild(compact_revision: i64, garbage: Garbage) -> Sweep {
        Sweep { trimmed_revision: compact_revision, step: Step::Rewrite, garbage }
    }
}

impl StateMachine {
    /// One bounded step of physical compaction: looks at up to `max_keys` keys, or rewrites one
    /// file's worth of rows. True while there is more to do. May wait for the disk; never holds up
    /// the applier for long.
    pub fn sweep(&self, max_keys: usize) -> bool {
        let sweep = &mut *self.sweep.lock();
        if self.failed.load(Ordering::Acquire) {
            return false;
        }
        match std::mem::replace(&mut sweep.step, Step::Idle) {
            Step::Idle => {
                let compact_revision = self.compact_revision();
                if compact_revision <= sweep.trimmed_revision {
                    return false;
                }
                sweep.step = Step::Trim { compact_revision, after: None };
            }
            Step::Trim { compact_revision, after } => {
                let after = self.trim(sweep, compact_revision, after, max_keys.max(1));
                sweep.step = match after {
                    None => Step::Flush { compact_revision },
                    after => Step::Trim { compact_revision, after },
                };
            }
            Step::Flush { compact_revision } => {
                // The replica learns of a failure from its next run.
                if self.flush().is_err() {
                    return false;
                }
                self.shared.droppable_revision.store(compact_revision, Ordering::Release);
                sweep.trimmed_revision = compact_revision;
                sweep.step = Step::Rewrite;
            }
            Step::Rewrite => {
                if self.rewrite_one(&mut sweep.garbage) {
                    sweep.step = Step::Rewrite;
                }
            }
        }
        true
    }

    fn trim(
        &self,
        sweep: &mut Sweep,
        compact_revision: i64,
        mut after: Option<Box<[u8]>>,
        max_keys: usize,
    ) -> Option<Box<[u8]>> {
        let mut keys_left = max_keys;
        while keys_left > 0 {
            let keys = keys_left.min(KEYS_PER_LOCK);
            keys_left -= keys;
            let mut state = self.shared.state.write();
            let forget = |revision| sweep.garbage.add(revision);
            after = state.index.trim(after.as_deref(), keys, compact_revision, forget);
            after.as_ref()?;
        }
        after
    }

    /// Rewrites the rows of one file that holds much garbage. False when there is none.
    fn rewrite_one(&self, garbage: &mut Garbage) -> bool {
        let Ok(files) = self.disk.files() else { return false };
        let worth = files.iter().find(|file| {
            let rows = garbage.rows(file.first_revision, file.last_revision);
            rows > 0 && rows * ROWS_PER_GARBAGE >= file.rows
        });
        let Some(file) = worth else { return false };
        self.disk.rewrite(file.first_revision, file.last_revision);
        garbage.forget(file.first_revision, file.last_revision);
        true
    }
}
