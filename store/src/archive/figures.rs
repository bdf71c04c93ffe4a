//! How the archiver is doing, for metrics.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::time::Time;
use crate::metrics::Counter;

/// Set by the archiver, read by whoever asks for metrics.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    is_on: AtomicBool,
    is_active: AtomicBool,
    index: AtomicU64,
    revision: AtomicI64,
    milliseconds: AtomicU64,
    base_revision: AtomicI64,
    pub(crate) bytes: Counter,
    pub(crate) bases: Counter,
    pub(crate) failures: Counter,
    pub(crate) gaps: Counter,
}

/// One look at them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Whether there is a span that is written.
    pub(crate) is_active: bool,
    /// The last entry that is on disk in the archive, and the revision then.
    pub(crate) index: u64,
    pub(crate) revision: i64,
    /// Revision of the newest base.
    pub(crate) base_revision: i64,
    time: Time,
}

impl Seen {
    /// Seconds for which something was applied that is not on disk in the archive.
    pub(crate) fn lag_seconds(&self, applied_index: u64) -> f64 {
        if applied_index <= self.index {
            return 0.0;
        }
        Time::now().since(self.time).as_secs_f64()
    }
}

impl Figures {
    /// From here on there is something to tell.
    pub(super) fn turn_on(&self, now: Time) {
        self.milliseconds.store(now.0, Ordering::Relaxed);
        self.is_on.store(true, Ordering::Release);
    }

    pub(super) fn set_active(&self, is_active: bool) {
        self.is_active.store(is_active, Ordering::Relaxed);
    }

    /// Everything up to here is on disk.
    pub(super) fn set_synced(&self, index: u64, revision: Option<i64>, time: Time) {
        self.index.store(index, Ordering::Relaxed);
        self.milliseconds.store(time.0, Ordering::Relaxed);
        if let Some(revision) = revision {
            self.revision.store(revision, Ordering::Relaxed);
        }
    }

    pub(super) fn count_base(&self, revision: i64) {
        self.bases.add(1);
        self.base_revision.store(revision, Ordering::Relaxed);
    }

    /// None when nothing is archived.
    pub(crate) fn see(&self) -> Option<Seen> {
        self.is_on.load(Ordering::Acquire).then(|| Seen {
            is_active: self.is_active.load(Ordering::Relaxed),
            index: self.index.load(Ordering::Relaxed),
            revision: self.revision.load(Ordering::Relaxed),
            base_revision: self.base_revision.load(Ordering::Relaxed),
            time: Time(self.milliseconds.load(Ordering::Relaxed)),
        })
    }
}
