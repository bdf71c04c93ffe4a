//! Physical compaction: first the index forgets, then RocksDB rewrites the files that hold much garbage.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

use super::StateMachine;
use crate::disk::File;
use crate::index::Forgotten;

/// Main revisions whose garbage is counted together.
const REVISIONS_PER_BUCKET: i64 = 1024;
/// Keys looked at under one lock.
const KEYS_PER_LOCK: usize = 512;
/// A file is rewritten once one row in this many is garbage that can go.
const ROWS_PER_GARBAGE: u64 = 4;

/// How far physical compaction has come. Nothing of it is stored: opening trims the index anyway
/// and counts the garbage again.
pub(super) struct Sweep {
    /// Compact revision the index is trimmed to.
    trimmed_revision: i64,
    step: Step,
}

enum Step {
    Idle,
    /// Trimming to `compact_revision`; keys up to `after` are done. What the index forgets may be
    /// dropped at once, so everything up to `compact_revision` was made durable before: a crash
    /// must not lose a row whose successor is not on disk yet.
    Trim {
        compact_revision: i64,
        after: Option<Box<[u8]>>,
    },
    /// Files that begin at or before `after` are done.
    Rewrite {
        after: i64,
    },
}

/// Rows on disk that the index does not refer to, counted by bucket of revisions.
#[derive(Default)]
pub(crate) struct Garbage(BTreeMap<i64, Counts>);

#[derive(Default, Clone, Copy)]
struct Counts {
    values: u64,
    tombstones: u64,
}

impl Garbage {
    pub(crate) fn add(&mut self, row: Forgotten) {
        let counts = self
            .0
            .entry(row.revision / REVISIONS_PER_BUCKET)
            .or_default();
        if row.tombstone {
            counts.tombstones += 1
        } else {
            counts.values += 1
        }
    }

    pub(super) fn remove(&mut self, row: Forgotten) {
        let bucket = row.revision / REVISIONS_PER_BUCKET;
        let Some(counts) = self.0.get_mut(&bucket) else {
            return;
        };
        let count = if row.tombstone {
            &mut counts.tombstones
        } else {
            &mut counts.values
        };
        *count = count.saturating_sub(1);
        if counts.values == 0 && counts.tombstones == 0 {
            self.0.remove(&bucket);
        }
    }

    /// Before this revision no value is garbage.
    fn first_value(&self) -> Option<i64> {
        let first = self.0.iter().find(|(_, counts)| counts.values > 0);
        first.map(|(bucket, _)| bucket * REVISIONS_PER_BUCKET)
    }

    fn of(&self, file: &File) -> impl Iterator<Item = (i64, Counts)> {
        let first = file.first_revision / REVISIONS_PER_BUCKET;
        let last = file.last_revision / REVISIONS_PER_BUCKET;
        let buckets: RangeInclusive<i64> = first..=last;
        self.0
            .range(buckets)
            .map(|(bucket, counts)| (bucket * REVISIONS_PER_BUCKET, *counts))
    }

    /// Garbage that a rewrite of the file would drop.
    fn droppable(&self, file: &File, droppable_tombstones: i64) -> u64 {
        let may_go = |bucket| bucket + REVISIONS_PER_BUCKET - 1 <= droppable_tombstones;
        let rows = |(bucket, counts): (i64, Counts)| {
            counts.values + if may_go(bucket) { counts.tombstones } else { 0 }
        };
        self.of(file).map(rows).sum()
    }

    fn tombstones_after(&self, revision: i64) -> u64 {
        self.0
            .range(revision / REVISIONS_PER_BUCKET..)
            .map(|(_, counts)| counts.tombstones)
            .sum()
    }
}

impl Sweep {
    pub(super) fn after_rebuild(compact_revision: i64) -> Sweep {
        Sweep {
            trimmed_revision: compact_revision,
            step: Step::Rewrite { after: -1 },
        }
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
                // The replica learns of a failure from its next run.
                if self.flush().is_err() {
                    return false;
                }
                self.shared
                    .droppable_values
                    .store(compact_revision, Ordering::Release);
                sweep.step = Step::Trim {
                    compact_revision,
                    after: None,
                };
            }
            Step::Trim {
                compact_revision,
                after,
            } => {
                let after = self.trim(compact_revision, after, max_keys.max(1));
                if after.is_none() {
                    sweep.trimmed_revision = compact_revision;
                    sweep.step = Step::Rewrite { after: -1 };
                } else {
                    sweep.step = Step::Trim {
                        compact_revision,
                        after,
                    };
                }
            }
            Step::Rewrite { after } => {
                if let Some(after) = self.rewrite_one(after) {
                    sweep.step = Step::Rewrite { after };
                }
            }
        }
        true
    }

    fn trim(
        &self,
        compact_revision: i64,
        mut after: Option<Box<[u8]>>,
        max_keys: usize,
    ) -> Option<Box<[u8]>> {
        let mut keys_left = max_keys;
        while keys_left > 0 {
            let keys = keys_left.min(KEYS_PER_LOCK);
            keys_left -= keys;
            let mut state = self.shared.state.write();
            // Counted under the lock, so that a row is never counted as dropped first.
            let mut garbage = self.shared.garbage.lock();
            let forget = |row| garbage.add(row);
            after = state
                .index
                .trim(after.as_deref(), keys, compact_revision, forget);
            after.as_ref()?;
        }
        after
    }

    /// Lets tombstones go up to the first value that is still to be dropped.
    fn release_tombstones(&self) -> i64 {
        let values = self.shared.droppable_values.load(Ordering::Acquire);
        let first_value = self.shared.garbage.lock().first_value();
        let released = first_value.map_or(values, |first| values.min(first - 1));
        // Counted as dropped is not yet dropped: only when no rewrite is under way.
        if self.disk.is_settled() {
            self.shared
                .droppable_tombstones
                .fetch_max(released, Ordering::AcqRel);
        }
        self.shared.droppable_tombstones.load(Ordering::Acquire)
    }

    /// Rewrites the next file after `after` that is worth it. None at the last.
    fn rewrite_one(&self, after: i64) -> Option<i64> {
        let released = self.release_tombstones();
        let mut files = self.disk.files().ok()?;
        files.sort_by_key(|file| (file.first_revision, file.last_revision));
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        let file = {
            let garbage = self.shared.garbage.lock();
            // Many tombstones wait for few values: then every value is worth a rewrite.
            let is_blocked = garbage.tombstones_after(released + 1) * ROWS_PER_GARBAGE >= rows;
            files
                .into_iter()
                .filter(|file| file.first_revision > after)
                .find(|file| {
                    let garbage_rows = garbage.droppable(file, released);
                    garbage_rows > 0 && (is_blocked || garbage_rows * ROWS_PER_GARBAGE >= file.rows)
                })?
        };
        self.disk.rewrite(file.first_revision, file.last_revision);
        Some(file.first_revision)
    }
}
