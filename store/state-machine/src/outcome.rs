//! What applying a command gives: an outcome for whoever asked, and events for whoever watches.

use std::sync::Arc;

use bytes::Bytes;

use crate::auth::AuthRejection;
use crate::command::AlarmKind;

/// A refusal is a value: every replica reaches the same one.
pub type Outcome = Result<Response, Rejection>;

/// Answer to one command, in the order of the commands of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Store revision right after this command: the `revision` of etcd's response header.
    pub revision: i64,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
    LeaseGrant {
        id: i64,
        ttl_seconds: i64,
    },
    Alarms(Vec<(u64, AlarmKind)>),
    /// Compact, LeaseRevoke, LeaseCheckpoint, Downgrade, Auth, Authenticate, Nothing.
    Done,
}

/// A key and its value as etcd's `mvccpb.KeyValue`, kept in wire form from the put to the socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedKeyValue(pub Bytes);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutResponse {
    pub prev_kv: Option<EncodedKeyValue>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteRangeResponse {
    pub deleted: i64,
    pub prev_kvs: Vec<EncodedKeyValue>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeResponse {
    pub kvs: Vec<EncodedKeyValue>,
    pub more: bool,
    pub count: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxnResponse {
    pub succeeded: bool,
    pub responses: Vec<OpResponse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResponse {
    /// `revision` of an inner response's header.
    Range {
        revision: i64,
        response: RangeResponse,
    },
    Put {
        revision: i64,
        response: PutResponse,
    },
    DeleteRange {
        revision: i64,
        response: DeleteRangeResponse,
    },
    Txn {
        revision: i64,
        response: TxnResponse,
    },
}

/// Why a request was refused. The edge turns each into etcd's status and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("required revision has been compacted")]
    Compacted { compact_revision: i64 },
    #[error("required revision is a future revision")]
    FutureRevision,
    #[error("key not found")]
    KeyNotFound,
    #[error("requested lease not found")]
    LeaseNotFound,
    #[error("lease already exists")]
    LeaseExists,
    #[error("database space exceeded")]
    NoSpace,
    #[error("corrupt cluster")]
    Corrupt,
    #[error("cluster has a downgrade job in progress")]
    DowngradeInProgress,
    #[error("no inflight downgrade job")]
    NoDowngrade,
    #[error(transparent)]
    Auth(#[from] AuthRejection),
}

/// Everything that one revision changed. Watchers see it whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionEvents {
    pub revision: i64,
    /// In the order of their sub-revisions.
    pub events: Arc<[Event]>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub key: Bytes,
    /// The new key-value; of a delete, key and mod revision alone.
    pub kv: EncodedKeyValue,
    /// Whether this put made the key (create_revision == mod_revision).
    pub created: bool,
    /// Where the value before this change stands, if there was one; see `StateMachine::key_value_at`.
    pub prev: Option<Revision>,
}

/// The numbers are etcd's `Event.EventType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Put = 0,
    Delete = 1,
}

/// A place in the history: the store's counter, and the order of the changes under one count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    pub main: i64,
    pub sub: i64,
}

/// How leases changed, in the order it happened. The leader's lessor keeps its clock by these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseChange {
    Granted { id: i64, ttl_seconds: i64 },
    Revoked { id: i64 },
    Renewed { id: i64 },
}
