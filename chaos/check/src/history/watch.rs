//! What a watcher asks for and gets.

use serde::{Deserialize, Serialize};

use super::{Blob, KeyValue, is_default};

/// A watch was asked for. Its range is as in [`super::Range`].
///
/// A watch that goes on after a lost stream is a new one, with an id of its own and a `start_revision`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchOpened {
    /// Unique among the watches of the history; not the id on the wire.
    pub id: u64,
    /// Which client watches.
    pub client: u32,
    /// The member it was sent to, by index.
    pub member: u32,
    /// When the request was sent, in nanoseconds.
    pub time_ns: u64,
    /// A witness: an ordinary watch over the whole key space without filters, from revision 1 or from where the member's
    /// last witness ended. What the witnesses saw is the order of writes that everything else is judged by.
    #[serde(skip_serializing_if = "is_default")]
    pub witness: bool,
    /// First key.
    pub key: Blob,
    /// End of the range.
    #[serde(skip_serializing_if = "is_default")]
    pub range_end: Blob,
    /// First revision wanted; 0 for whatever follows the revision in the header of the `created` response.
    #[serde(skip_serializing_if = "is_default")]
    pub start_revision: i64,
    /// Leave puts out.
    #[serde(skip_serializing_if = "is_default")]
    pub no_put: bool,
    /// Leave deletes out.
    #[serde(skip_serializing_if = "is_default")]
    pub no_delete: bool,
    /// Events carry what was there before.
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
    /// A response may come in pieces.
    #[serde(skip_serializing_if = "is_default")]
    pub fragment: bool,
    /// The server says now and then how far it is.
    #[serde(skip_serializing_if = "is_default")]
    pub progress_notify: bool,
}

/// One message of a watch as it was received. One that speaks for all watches of a stream (a progress answer) is recorded
/// once for each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchResponse {
    /// The watch, as in [`WatchOpened::id`].
    pub watch: u64,
    /// When it was received, in nanoseconds.
    pub time_ns: u64,
    /// The revision in the header.
    pub revision: i64,
    /// The watch is there now.
    #[serde(skip_serializing_if = "is_default")]
    pub created: bool,
    /// The server ended the watch; nothing follows.
    #[serde(skip_serializing_if = "is_default")]
    pub canceled: bool,
    /// Why, in the server's words.
    #[serde(skip_serializing_if = "is_default")]
    pub cancel_reason: String,
    /// The watch wanted what a compaction had given up; this is the oldest revision there is.
    #[serde(skip_serializing_if = "is_default")]
    pub compact_revision: i64,
    /// More pieces of the same response follow.
    #[serde(skip_serializing_if = "is_default")]
    pub fragment: bool,
    /// The events.
    #[serde(skip_serializing_if = "is_default")]
    pub events: Vec<Event>,
}

impl WatchResponse {
    /// Whether this only says how far the watch is: everything up to the header's revision has been sent.
    #[must_use]
    pub fn is_progress(&self) -> bool {
        self.events.is_empty() && !self.created && !self.canceled && !self.fragment
    }
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Put or delete.
    pub kind: EventKind,
    /// The key as written; of a delete the key and the mod_revision only.
    pub kv: KeyValue,
    /// What was there before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prev_kv: Option<KeyValue>,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was written.
    Put,
    /// It was deleted.
    Delete,
}

/// The client let go of a watch, or lost its stream. What it would still have got is not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchClosed {
    /// The watch, as in [`WatchOpened::id`].
    pub watch: u64,
    /// When, in nanoseconds.
    pub time_ns: u64,
    /// Why, in plain words.
    #[serde(skip_serializing_if = "is_default")]
    pub reason: String,
}
