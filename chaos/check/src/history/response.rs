//! What can be answered.

use serde::{Deserialize, Serialize};

use super::{Blob, is_default};

/// An answer and the revision in its header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The revision in the header.
    pub revision: i64,
    /// The rest.
    pub answer: Answer,
}

/// An answer without its header. Those inside a txn have no header of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To a range.
    Range(Ranged),
    /// To a put.
    Put {
        /// What was there, if it was asked for and there was something.
        #[serde(default, skip_serializing_if = "is_default")]
        prev_kv: Option<KeyValue>,
    },
    /// To a delete.
    DeleteRange(Deleted),
    /// To a txn.
    Txn(TxnAnswer),
    /// To a compaction.
    Compact,
    /// To a grant: the lease's id and the time it was given.
    LeaseGrant(LeaseTime),
    /// To a revoke.
    LeaseRevoke,
    /// To a keep-alive; a time of 0 means there is no such lease.
    LeaseKeepAlive(LeaseTime),
    /// To a question for the time to live; a time of -1 means there is no such lease.
    LeaseTimeToLive(LeaseTime),
    /// To a question for the hash.
    HashKv(Hashed),
}

/// What a range answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ranged {
    /// The keys.
    #[serde(skip_serializing_if = "is_default")]
    pub kvs: Vec<KeyValue>,
    /// The limit cut something off.
    #[serde(skip_serializing_if = "is_default")]
    pub more: bool,
    /// How many keys the range holds, without regard to limit and filters.
    #[serde(skip_serializing_if = "is_default")]
    pub count: i64,
}

/// A key as it stood at some revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    /// The key.
    pub key: Blob,
    /// The revision at which this generation began.
    #[serde(skip_serializing_if = "is_default")]
    pub create_revision: i64,
    /// The revision of the last write.
    #[serde(skip_serializing_if = "is_default")]
    pub mod_revision: i64,
    /// Number of writes in this generation.
    #[serde(skip_serializing_if = "is_default")]
    pub version: i64,
    /// The value.
    #[serde(skip_serializing_if = "is_default")]
    pub value: Blob,
    /// The lease, 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub lease: i64,
}

/// What a delete answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deleted {
    /// How many keys were deleted.
    pub deleted: i64,
    /// What was there, if it was asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kvs: Vec<KeyValue>,
}

/// What a txn answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TxnAnswer {
    /// All compares held.
    pub succeeded: bool,
    /// One answer for each request of the list that was done.
    #[serde(skip_serializing_if = "is_default")]
    pub answers: Vec<Answer>,
}

/// A lease and its times, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseTime {
    /// The lease.
    pub id: i64,
    /// How long it has, in seconds.
    pub ttl: i64,
    /// How long it was granted for, in seconds; only in answers to a question for the time to live.
    #[serde(skip_serializing_if = "is_default")]
    pub granted_ttl: i64,
    /// Its keys, if they were asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub keys: Vec<Blob>,
}

/// The hash of a member's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hashed {
    /// The hash.
    pub hash: u32,
    /// The compacted revision it was made with.
    #[serde(skip_serializing_if = "is_default")]
    pub compact_revision: i64,
    /// The revision it was made at; 0 if the server does not say, and then the one asked for counts, or the header's.
    #[serde(skip_serializing_if = "is_default")]
    pub hash_revision: i64,
}

/// Why a request certainly had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What the checker can judge by.
    pub kind: RefusalKind,
    /// The error's own words.
    #[serde(default, skip_serializing_if = "is_default")]
    pub text: String,
}

/// The refusals that say something of the store's state, and one for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The revision was given up by a compaction.
    Compacted,
    /// The revision is not there yet.
    FutureRevision,
    /// There is no such lease.
    LeaseNotFound,
    /// The lease's id is taken.
    LeaseExists,
    /// A put that keeps value or lease of a key that is not there.
    KeyNotFound,
    /// Anything else that proves there was no effect: a bad request, a full queue, no connection.
    Other,
}
