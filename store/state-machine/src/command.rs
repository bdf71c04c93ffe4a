//! What the raft log carries: every request that changes state, and the reads a transaction may hold.

use bytes::Bytes;

use crate::auth::{AuthChange, Authenticate, By};

/// One replicated request. Applying the same commands in the same order gives every replica the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Put(Put),
    DeleteRange(DeleteRange),
    Txn(Txn),
    Compact(Compact),
    LeaseGrant(LeaseGrant),
    LeaseRevoke(LeaseRevoke),
    /// Remaining times of leases as the leader sees them; see [`LeaseCheckpoint`].
    LeaseCheckpoint(Vec<LeaseCheckpoint>),
    Alarm(AlarmChange),
    Downgrade(DowngradeChange),
    /// Users, roles, and whether they are asked for.
    Auth(AuthChange),
    Authenticate(Authenticate),
    /// Another command, and who asks for it.
    By(Box<By>),
    /// Changes nothing. Its outcome carries the header, which proves that everything before it is applied.
    Nothing,
}

/// Sets one key. etcd: `PutRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Put {
    pub key: Bytes,
    pub value: Bytes,
    /// Lease to attach the key to; 0 for none.
    pub lease: i64,
    pub prev_kv: bool,
    pub ignore_value: bool,
    pub ignore_lease: bool,
}

/// Deletes every key of a range. etcd: `DeleteRangeRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteRange {
    pub keys: KeyRange,
    pub prev_kv: bool,
}

/// etcd's way to name keys: an empty `end` is the one key `start`, the single byte `\0` is every key from `start` on,
/// anything else is the half-open range `[start, end)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct KeyRange {
    pub start: Bytes,
    pub end: Bytes,
}

/// Reads keys at one revision. etcd: `RangeRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    pub keys: KeyRange,
    /// Most keys to return; 0 or less for no limit.
    pub limit: i64,
    /// Revision to read at; 0 or less for the newest.
    pub revision: i64,
    pub sort_order: SortOrder,
    pub sort_target: SortTarget,
    pub keys_only: bool,
    pub count_only: bool,
    /// The four bounds are inclusive; 0 is no bound.
    pub min_mod_revision: i64,
    pub max_mod_revision: i64,
    pub min_create_revision: i64,
    pub max_create_revision: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortOrder {
    #[default]
    None,
    Ascend,
    Descend,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortTarget {
    #[default]
    Key,
    Version,
    Create,
    Mod,
    Value,
}

/// Compares, then one of two branches, all in one revision. etcd: `TxnRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    pub compares: Vec<Compare>,
    pub success: Vec<Op>,
    pub failure: Vec<Op>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Range(Range),
    Put(Put),
    DeleteRange(DeleteRange),
    Txn(Txn),
}

/// One condition on every key of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    pub keys: KeyRange,
    pub result: CompareResult,
    pub operand: Operand,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CompareResult {
    #[default]
    Equal,
    Greater,
    Less,
    NotEqual,
}

/// The field a [`Compare`] looks at and the value it is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    Version(i64),
    CreateRevision(i64),
    ModRevision(i64),
    Value(Bytes),
    Lease(i64),
}

/// Gives up the history before `revision`. etcd: `CompactionRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compact {
    pub revision: i64,
}

/// Makes a lease. Whoever proposes it has picked the id and raised the time to live to the allowed minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseGrant {
    pub id: i64,
    pub ttl_seconds: i64,
}

/// Ends a lease and deletes its keys in one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRevoke {
    pub id: i64,
}

/// What is left of a lease. Unknown ids are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseCheckpoint {
    pub id: i64,
    /// Seconds left; 0 says that the lease was renewed and has its whole time to live again.
    pub remaining_seconds: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmChange {
    pub action: AlarmAction,
    pub member: u64,
    pub alarm: AlarmKind,
}

/// `Get` is a read and never replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmAction {
    Activate,
    Deactivate,
}

/// Begins or ends the time in which the cluster passes for an older release of etcd. etcd: `DowngradeInfoSetRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DowngradeChange {
    Enable(Release),
    Cancel,
}

/// A release of etcd without its patch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    pub major: u64,
    pub minor: u64,
}

/// The numbers are etcd's `AlarmType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// With `Deactivate`: every alarm of the member.
    Any = 0,
    NoSpace = 1,
    Corrupt = 2,
}
