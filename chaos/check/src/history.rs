//! What a history is made of: the records a recorder writes, one a line, and a checker reads.
//!
//! All times are nanoseconds of one monotonic clock, from any origin. Revisions, versions, lease ids and lease times are
//! signed as on etcd's wire. A written value should occur in no other request: that is how the effect of a write without an
//! answer is recognised.

mod blob;
mod lines;
mod request;
mod response;
mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use blob::Blob;
pub use lines::{LINE_BYTES_MAX, ReadError, Reader, Writer};
pub use request::{
    Compact, Compare, CompareResult, CompareTarget, DeleteRange, HashKv, LeaseGrant,
    LeaseKeepAlive, LeaseRevoke, LeaseTimeToLive, Put, Range, Request, SortOrder, SortTarget, Txn,
};
pub use response::{
    Answer, Deleted, Hashed, KeyValue, LeaseTime, Ranged, Refusal, RefusalKind, Response, TxnAnswer,
};
pub use watch::{Event, EventKind, WatchClosed, WatchOpened, WatchResponse};

/// One line of a history.
///
/// Records are written in the order of the time at which they became known, give or take a bound that a streaming checker
/// is told: an operation when it returned or was given up, a watch response when it was received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// What was run. The first line, once.
    Run(Run),
    /// A request and what came of it.
    Op(Operation),
    /// A watch was asked for.
    WatchOpened(WatchOpened),
    /// A message of a watch was received.
    Watch(WatchResponse),
    /// The client let go of a watch, or lost its stream.
    WatchClosed(WatchClosed),
    /// Something was broken on purpose. Reports carry it, no verdict depends on it.
    Fault(Fault),
    /// The end of the load: see [`Barrier`].
    Barrier(Barrier),
}

/// What was run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// The server's name and release.
    pub server: String,
    /// What the load and the faults were drawn from.
    pub seed: u64,
    /// How many members the cluster has; members are named by their index below this.
    pub members: u32,
    /// The server compacts by itself, so a compaction needs no request in the history.
    #[serde(skip_serializing_if = "is_default")]
    pub automatic_compaction: bool,
    /// Anything else worth carrying: scenario, commit, flags.
    #[serde(skip_serializing_if = "is_default")]
    pub notes: BTreeMap<String, String>,
}

/// A request and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Unique among the operations of the history.
    pub id: u64,
    /// Which client made it. A client may have several operations under way.
    pub client: u32,
    /// The member it was sent to, by index.
    pub member: u32,
    /// When the request was handed to the client library, in nanoseconds.
    pub call_ns: u64,
    /// When the answer was there, in nanoseconds; none if it never came.
    #[serde(default, skip_serializing_if = "is_default")]
    pub return_ns: Option<u64>,
    /// What was asked.
    pub request: Request,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered.
    Ok(Response),
    /// It certainly had no effect and will have none: the server refused it, or it was never sent.
    Failed(Refusal),
    /// It may have had its effect, may still have it, or never: a time-out, a lost connection, a leader that went away.
    Unknown {
        /// The error's own words.
        error: String,
    },
}

/// Something that was broken on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// When it was done, in nanoseconds.
    pub time_ns: u64,
    /// What was done: `kill`, `stop`, `continue`, `cut`, `heal`, `start` and the like.
    pub kind: String,
    /// The member it was done to.
    #[serde(skip_serializing_if = "is_default")]
    pub member: Option<u32>,
    /// What that member was at that moment: `leader`, `follower`.
    #[serde(skip_serializing_if = "is_default")]
    pub role: Option<String>,
    /// Further words.
    #[serde(skip_serializing_if = "is_default")]
    pub detail: String,
}

/// The end of the load: a last write that was answered, called after every other operation had returned or had been given
/// up and after all faults were healed.
///
/// Every watch that is open at the end must have got every matching event up to this revision, so the recorder waits
/// (for a bounded time) until each has before it ends the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Barrier {
    /// When the write was answered, in nanoseconds.
    pub time_ns: u64,
    /// The revision of the write.
    pub revision: i64,
}

impl Record {
    /// When this became known, in nanoseconds; 0 for [`Record::Run`].
    #[must_use]
    pub fn time_ns(&self) -> u64 {
        match self {
            Self::Run(_) => 0,
            Self::Op(operation) => operation.return_ns.unwrap_or(operation.call_ns),
            Self::WatchOpened(opened) => opened.time_ns,
            Self::Watch(response) => response.time_ns,
            Self::WatchClosed(closed) => closed.time_ns,
            Self::Fault(fault) => fault.time_ns,
            Self::Barrier(barrier) => barrier.time_ns,
        }
    }
}

/// Leaves a field out of a line when it says nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
