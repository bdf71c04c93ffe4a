//! What can be asked, with every option etcd's KV and lease services have.

use serde::{Deserialize, Serialize};

use super::{Blob, is_default};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Read keys.
    Range(Range),
    /// Write one key.
    Put(Put),
    /// Delete keys.
    DeleteRange(DeleteRange),
    /// Compare, then do one of two lists. The only request besides range, put and delete that may stand inside a txn.
    Txn(Txn),
    /// Give up history.
    Compact(Compact),
    /// A new lease.
    LeaseGrant(LeaseGrant),
    /// End a lease and its keys.
    LeaseRevoke(LeaseRevoke),
    /// Renew a lease.
    LeaseKeepAlive(LeaseKeepAlive),
    /// Ask how long a lease has.
    LeaseTimeToLive(LeaseTimeToLive),
    /// Ask the member itself for the hash of its keys. Answered from local state.
    HashKv(HashKv),
}

/// Read keys from `key` to `range_end`, which is excluded. An empty `range_end` means the one key, a single zero byte all
/// keys from `key` on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Range {
    /// First key.
    pub key: Blob,
    /// End of the range.
    #[serde(skip_serializing_if = "is_default")]
    pub range_end: Blob,
    /// Most keys to answer with; 0 for no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: i64,
    /// The revision to read at; 0 for the newest.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: i64,
    /// Order of the answer.
    #[serde(skip_serializing_if = "is_default")]
    pub sort_order: SortOrder,
    /// What is sorted by.
    #[serde(skip_serializing_if = "is_default")]
    pub sort_target: SortTarget,
    /// Answered from the member's own state, which may be old.
    #[serde(skip_serializing_if = "is_default")]
    pub serializable: bool,
    /// Leave values out.
    #[serde(skip_serializing_if = "is_default")]
    pub keys_only: bool,
    /// Only count.
    #[serde(skip_serializing_if = "is_default")]
    pub count_only: bool,
    /// Leave out keys last written before this revision; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub min_mod_revision: i64,
    /// Leave out keys last written after this revision; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub max_mod_revision: i64,
    /// Leave out keys created before this revision; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub min_create_revision: i64,
    /// Leave out keys created after this revision; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub max_create_revision: i64,
}

/// Order of a range's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    /// By key, if nothing else is asked.
    #[default]
    None,
    /// Smallest first.
    Ascend,
    /// Greatest first.
    Descend,
}

/// What a range's answer is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// The version.
    Version,
    /// The create_revision.
    Create,
    /// The mod_revision.
    Mod,
    /// The value.
    Value,
}

/// Write one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Put {
    /// The key.
    pub key: Blob,
    /// The value, found in no other request of the history.
    #[serde(skip_serializing_if = "is_default")]
    pub value: Blob,
    /// The lease to attach to; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub lease: i64,
    /// Answer with what was there.
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
    /// Keep the value that is there.
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_value: bool,
    /// Keep the lease that is there.
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_lease: bool,
}

/// Delete keys; the range is as in [`Range`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeleteRange {
    /// First key.
    pub key: Blob,
    /// End of the range.
    #[serde(skip_serializing_if = "is_default")]
    pub range_end: Blob,
    /// Answer with what was there.
    #[serde(skip_serializing_if = "is_default")]
    pub prev_kv: bool,
}

/// Compare, then do one of two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Txn {
    /// All must hold for `success`.
    #[serde(skip_serializing_if = "is_default")]
    pub compare: Vec<Compare>,
    /// Done if all compares hold: ranges, puts, deletes and txns.
    #[serde(skip_serializing_if = "is_default")]
    pub success: Vec<Request>,
    /// Done if not.
    #[serde(skip_serializing_if = "is_default")]
    pub failure: Vec<Request>,
}

/// One condition of a txn. Over a range it must hold for every key there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// First key.
    pub key: Blob,
    /// End of the range.
    #[serde(default, skip_serializing_if = "is_default")]
    pub range_end: Blob,
    /// How the key's own is to stand to the target's.
    pub result: CompareResult,
    /// What is compared, and with what.
    pub target: CompareTarget,
}

/// How a key's own must stand to what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompareResult {
    /// The same.
    Equal,
    /// The key's is greater.
    Greater,
    /// The key's is less.
    Less,
    /// Not the same.
    NotEqual,
}

/// What a compare looks at, and the operand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompareTarget {
    /// The version; 0 for a key that is not there.
    Version(i64),
    /// The create_revision; 0 for a key that is not there.
    Create(i64),
    /// The mod_revision; 0 for a key that is not there.
    Mod(i64),
    /// The value; never holds for a key that is not there.
    Value(Blob),
    /// The lease; 0 for none.
    Lease(i64),
}

/// Give up history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compact {
    /// The oldest revision that stays readable.
    pub revision: i64,
    /// Wait until it is done on disk.
    #[serde(skip_serializing_if = "is_default")]
    pub physical: bool,
}

/// A new lease. Ids are not used twice in a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseGrant {
    /// The id; 0 lets the server choose.
    #[serde(skip_serializing_if = "is_default")]
    pub id: i64,
    /// How long it lasts, in seconds.
    pub ttl: i64,
}

/// End a lease and its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseRevoke {
    /// The lease.
    pub id: i64,
}

/// Renew a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseKeepAlive {
    /// The lease.
    pub id: i64,
}

/// Ask how long a lease has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseTimeToLive {
    /// The lease.
    pub id: i64,
    /// Answer with its keys as well.
    #[serde(skip_serializing_if = "is_default")]
    pub keys: bool,
}

/// Ask a member for the hash of its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HashKv {
    /// At which revision; 0 for the newest the member has.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: i64,
}
