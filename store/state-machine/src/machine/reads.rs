//! Reads from any thread, at a revision that is stored, without holding up the applier.

use super::{Fatal, StateMachine};
use crate::command::{KeyRange, Range, Txn};
use crate::index::KeyMeta;
use crate::key_value::Fields;
use crate::outcome::{EncodedKeyValue, RangeResponse, Rejection, Revision, TxnResponse};
use crate::read::{self, Collected, Count, Item, Query, Source};

use std::sync::atomic::Ordering;

/// Keys looked at before the applier gets a turn.
const KEYS_PER_LOCK: usize = 1024;

/// Bytes that an answer takes for a key beside key and value.
const FIELDS_BYTES: u64 = 32;

/// How much a read looks at and answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    pub keys: usize,
    /// Of the answer.
    pub bytes: u64,
}

/// Why a read stopped.
pub(crate) enum Stopped {
    /// A compaction went past the revision that is read.
    Compacted,
    Rejected(Rejection),
    Fatal(Fatal),
}

impl From<Fatal> for Stopped {
    fn from(fatal: Fatal) -> Stopped {
        Stopped::Fatal(fatal)
    }
}

impl StateMachine {
    /// Reads keys. The number is the store revision of the read, for the header.
    pub fn range(&self, range: &Range) -> Result<(i64, RangeResponse), Rejection> {
        self.range_counting(range, Count::Range)
    }

    /// Reads keys as [`StateMachine::range`] does, but ends at the limit: of the keys behind it only the first is
    /// looked at, and `count` is the keys so far. A range whose limit cannot end it is read whole: one that has none,
    /// or that is sorted, filtered or only counted.
    pub fn range_page(&self, range: &Range) -> Result<(i64, RangeResponse), Rejection> {
        self.range_counting(range, Count::Page)
    }

    fn range_counting(
        &self,
        range: &Range,
        count: Count,
    ) -> Result<(i64, RangeResponse), Rejection> {
        self.at_newest(|revision| {
            if range.revision > revision {
                return Err(Stopped::Rejected(Rejection::FutureRevision));
            }
            if range.revision <= 0 {
                return read::range(self, range, revision, count);
            }
            read::range(self, range, range.revision, count).map_err(|stopped| match stopped {
                Stopped::Compacted => Stopped::Rejected(self.compacted()),
                other => other,
            })
        })
    }

    /// What a read of `keys` at the newest revision looks at and answers, counted until it is more than `most`. Deleted
    /// keys whose history is kept are looked at too. Of the keys that are there, so many are answered, with their
    /// values or without.
    pub fn weigh(
        &self,
        keys: &KeyRange,
        (answered_max, has_values): (usize, bool),
        most: Weight,
    ) -> Weight {
        let mut weight = Weight::default();
        let mut answered = 0;
        let mut resume: Option<Box<[u8]>> = None;
        loop {
            let state = self.shared.state.read();
            let mut walked = 0;
            let mut last = None;
            for (key, meta) in state.index.range(keys, resume.as_deref()) {
                weight.keys += 1;
                if !meta.is_deleted() && answered < answered_max {
                    answered += 1;
                    let size = if has_values {
                        meta.size()
                    } else {
                        key.len() as u64
                    };
                    weight.bytes += size + FIELDS_BYTES;
                }
                if weight.keys > most.keys || weight.bytes > most.bytes {
                    return weight;
                }
                walked += 1;
                if walked == KEYS_PER_LOCK {
                    last = Some(Box::from(key));
                    break;
                }
            }
            if last.is_none() {
                return weight;
            }
            resume = last;
        }
    }

    /// Runs a transaction whose branches hold only ranges, under one revision.
    pub fn read_txn(&self, txn: &Txn) -> Result<(i64, TxnResponse), Rejection> {
        self.at_newest(|revision| {
            let path = read::path(self, txn, revision)?;
            path.check_ranges(revision, self.compact_revision())
                .map_err(Stopped::Rejected)?;
            read::read_txn(self, &path, revision)
        })
    }

    /// Reads at the newest revision; again when a compaction overtook the read.
    fn at_newest<T>(
        &self,
        read: impl Fn(i64) -> Result<T, Stopped>,
    ) -> Result<(i64, T), Rejection> {
        loop {
            let revision = self.revision();
            match read(revision) {
                Ok(found) => return Ok((revision, found)),
                Err(Stopped::Compacted) => {}
                Err(Stopped::Rejected(rejection)) => return Err(rejection),
                Err(Stopped::Fatal(fatal)) => return Err(self.refuse_damaged(&fatal)),
            }
        }
    }

    fn compacted(&self) -> Rejection {
        Rejection::Compacted {
            compact_revision: self.compact_revision(),
        }
    }

    /// A read that met a broken disk is refused, and the applier stops with its next run.
    pub(super) fn refuse_damaged(&self, fatal: &Fatal) -> Rejection {
        tracing::error!(error = %fatal, "a read failed; the state machine stops");
        self.failed.store(true, Ordering::Release);
        Rejection::Corrupt
    }

    /// The key-value written at exactly `at`; none when it is compacted or was a delete.
    pub fn key_value_at(&self, at: Revision) -> Option<EncodedKeyValue> {
        if at.main > self.revision() {
            return None;
        }
        let kv = match self.disk.value(at) {
            Ok(kv) => kv?,
            Err(fatal) => {
                self.refuse_damaged(&fatal);
                return None;
            }
        };
        let compact_revision = self.compact_revision();
        if at.main <= compact_revision {
            let fields = Fields::decode(&kv).ok()?;
            let state = self.shared.state.read();
            let visible = state
                .index
                .get(fields.key)
                .and_then(|meta| meta.visible_at(compact_revision));
            if visible != Some(at) {
                return None;
            }
        }
        Some(EncodedKeyValue(kv))
    }

    /// Keeps values read from disk for the next reader, if they are still the newest.
    fn keep_values(&self, items: &[Item], missing: &[usize]) {
        let state = self.shared.state.read();
        let mut values = self.values.write();
        let mut bytes_left = values.fill_bytes_max();
        for &position in missing {
            let Some(kv) = &items[position].kv else {
                continue;
            };
            let Some(left) = bytes_left.checked_sub(kv.len()) else {
                return;
            };
            bytes_left = left;
            let at = items[position].at;
            let Ok(fields) = Fields::decode(kv) else {
                continue;
            };
            let newest = |meta: &&KeyMeta| meta.newest() == at;
            if let Some(meta) = state.index.get(fields.key).filter(newest) {
                meta.set_slot(values.insert(at, kv.clone(), (meta.slot(), at)));
            }
        }
    }
}

impl Source for StateMachine {
    type Error = Stopped;

    fn collect(&self, query: &Query<'_>, at: i64) -> Result<Collected, Stopped> {
        let mut collected = Collected::default();
        let mut resume = None;
        loop {
            let state = self.shared.state.read();
            // Checked under the lock: a sweep trims only to a compact revision that is published.
            if at < self.compact_revision() {
                return Err(Stopped::Compacted);
            }
            let values = self.values.read();
            let part = (resume.as_deref(), KEYS_PER_LOCK);
            resume = read::collect((&state.index, &values), query, at, part, &mut collected);
            if resume.is_none() {
                return Ok(collected);
            }
        }
    }

    fn fill(&self, items: &mut [Item]) -> Result<(), Stopped> {
        let missing: Vec<usize> = (0..items.len())
            .filter(|&position| items[position].kv.is_none())
            .collect();
        for &position in &missing {
            let at = items[position].at;
            items[position].kv = self.disk.value(at)?;
            if items[position].kv.is_none() {
                // Only a newer change that is compacted can have taken the row away.
                if at.main < self.compact_revision() {
                    return Err(Stopped::Compacted);
                }
                return Err(Fatal::Damaged(format!("the value at {at:?} is missing")).into());
            }
        }
        self.keep_values(items, &missing);
        Ok(())
    }
}
