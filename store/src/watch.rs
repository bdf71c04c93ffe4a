//! Fans committed revisions out to watchers: one ring of events, and cursors that read it at their own pace.
//!
//! ```text
//! applier ── publish ──► ring ──► group logs ──► dispatcher ── marks ──► inbox of a stream
//!                          ▲          ▲                                      │
//!                          └──────────┴───────── WatchStream::next ◄─────────┘ (pulls when it can send)
//! ```
//!
//! Watchers that ask for the same events share a group, which matches each revision once and encodes it once. A watcher
//! is a group and the next revision it is to see. Nothing is queued for a watcher, so a slow one costs nothing: when the
//! ring no longer holds its next revision, it reads the history of the state machine until it meets its group again.

mod catch_up;
mod encode;
mod entry;
mod group;
mod hub;
mod inbox;
mod index;
mod intervals;
mod lagging;
mod progress;
mod ring;
mod slab;
mod stream;
mod subscription;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use state_machine::{EncodedKeyValue, KeyRange, Rejection, Revision, RevisionEvents, StateMachine};

pub use hub::{Counters, Hub, HubOptions};
pub use stream::WatchStream;

/// What the hub reads of the state machine. Every method may be called from any thread; `history` and `key_value_at`
/// may read the disk.
pub trait History: Send + Sync {
    /// Whole revisions from `from` on, in order, one at least if there is one, until a bound is reached.
    /// Rejected as compacted when `from` is below the compact revision.
    fn history(
        &self,
        from: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<RevisionEvents>, Rejection>;
    /// The key-value written at exactly `at`; none when it is compacted.
    fn key_value_at(&self, at: Revision) -> Option<EncodedKeyValue>;
    /// Newest applied revision.
    fn revision(&self) -> i64;
    /// Newest compacted revision; 0 or less when there is none.
    fn compact_revision(&self) -> i64;
}

impl History for StateMachine {
    fn history(
        &self,
        from: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<RevisionEvents>, Rejection> {
        StateMachine::history(self, from, max_revisions, max_bytes)
    }

    fn key_value_at(&self, at: Revision) -> Option<EncodedKeyValue> {
        StateMachine::key_value_at(self, at)
    }

    fn revision(&self) -> i64 {
        StateMachine::revision(self)
    }

    fn compact_revision(&self) -> i64 {
        StateMachine::compact_revision(self)
    }
}

/// What one watch asks for. etcd: `WatchCreateRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchSpec {
    pub keys: KeyRange,
    /// First revision to see; 0 for whatever comes after the current one.
    pub start_revision: i64,
    /// 0 to have one picked.
    pub id: i64,
    pub no_put: bool,
    pub no_delete: bool,
    pub prev_kv: bool,
    /// Whether a large response may be split.
    pub fragment: bool,
    /// Whether [`WatchStream::progress_tick`] is for this watch.
    pub progress_notify: bool,
}

/// Why a watch was not made. The texts are etcd's `cancel_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    #[error("mvcc: duplicate watch ID provided on the WatchStream")]
    DuplicateId,
    #[error("mvcc: watcher range is empty")]
    EmptyRange,
    /// The start revision is negative.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
}

/// What a stream is to send next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// `events` holds encoded `events` fields of a `WatchResponse` and nothing else; `revision` is for the header.
    Events {
        watch_id: i64,
        revision: i64,
        events: Bytes,
        fragment: bool,
    },
    /// Nothing at or below `revision` is still to come. `watch_id` -1 speaks for every watch of the stream.
    Progress { watch_id: i64, revision: i64 },
    /// The watch needs history that is gone; it is cancelled.
    Compacted {
        watch_id: i64,
        compact_revision: i64,
    },
}

/// The `range_end` that stands for "no end".
const NO_END: &[u8] = &[0];
