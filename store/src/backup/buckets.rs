//! Names of etcd's buckets and of what stands in them, and the small records among it.

use prost::Message;
use serde::{Deserialize, Serialize};
use state_machine::{AlarmKind, LeaseInfo};

pub(super) const ALARM: &[u8] = b"alarm";
pub(super) const AUTH: &[u8] = b"auth";
pub(super) const AUTH_ROLES: &[u8] = b"authRoles";
pub(super) const AUTH_USERS: &[u8] = b"authUsers";
pub(super) const CLUSTER: &[u8] = b"cluster";
pub(super) const KEY: &[u8] = b"key";
pub(super) const LEASE: &[u8] = b"lease";
pub(super) const MEMBERS: &[u8] = b"members";
pub(super) const MEMBERS_REMOVED: &[u8] = b"members_removed";
pub(super) const META: &[u8] = b"meta";

// In `meta`, in the order of their names.
pub(super) const CONF_STATE: &[u8] = b"confState";
pub(super) const CONSISTENT_INDEX: &[u8] = b"consistent_index";
pub(super) const FINISHED_COMPACTION: &[u8] = b"finishedCompactRev";
pub(super) const SCHEDULED_COMPACTION: &[u8] = b"scheduledCompactRev";
pub(super) const STORAGE_VERSION: &[u8] = b"storageVersion";
pub(super) const TERM: &[u8] = b"term";

/// In `cluster`.
pub(super) const CLUSTER_VERSION: &[u8] = b"clusterVersion";
pub(super) const DOWNGRADE: &[u8] = b"downgrade";

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Length of a revision's name; a tombstone's is one longer.
const REVISION_BYTES: usize = 17;

/// etcd's name of a revision that is not a tombstone.
pub(super) fn revision_name(main: i64) -> [u8; REVISION_BYTES] {
    let mut name = [0; REVISION_BYTES];
    name[..8].copy_from_slice(&main.to_be_bytes());
    name[8] = b'_';
    name
}

/// Main revision of such a name, and whether it is a tombstone's.
pub(super) fn parse_revision_name(name: &[u8]) -> Option<(i64, bool)> {
    let (main, rest) = name.split_first_chunk::<8>()?;
    let (revision, tombstone) = rest.split_at_checked(REVISION_BYTES - 8)?;
    let is_tombstone = match tombstone {
        [] => false,
        [b't'] => true,
        _ => return None,
    };
    (revision[0] == b'_').then(|| (i64::from_be_bytes(*main), is_tombstone))
}

/// etcd's `leasepb.Lease`.
#[derive(Clone, PartialEq, Eq, Message)]
struct LeaseRecord {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl_seconds: i64,
    #[prost(int64, tag = "3")]
    remaining_seconds: i64,
}

pub(super) fn encode_lease(lease: &LeaseInfo) -> Vec<u8> {
    let record = LeaseRecord {
        id: lease.id,
        ttl_seconds: lease.ttl_seconds,
        remaining_seconds: lease.remaining_seconds,
    };
    record.encode_to_vec()
}

pub(super) fn decode_lease(bytes: &[u8]) -> Option<LeaseInfo> {
    let record = LeaseRecord::decode(bytes).ok()?;
    Some(LeaseInfo {
        id: record.id,
        ttl_seconds: record.ttl_seconds,
        remaining_seconds: record.remaining_seconds.max(0),
    })
}

/// etcd's `AlarmMember`, which is the name of an alarm.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct AlarmRecord {
    #[prost(uint64, tag = "1")]
    pub(super) member: u64,
    #[prost(int32, tag = "2")]
    pub(super) alarm: i32,
}

pub(super) fn decode_alarm(name: &[u8]) -> Option<(u64, AlarmKind)> {
    let record = AlarmRecord::decode(name).ok()?;
    let kind = match record.alarm {
        1 => AlarmKind::NoSpace,
        2 => AlarmKind::Corrupt,
        _ => return None,
    };
    Some((record.member, kind))
}

/// A member as etcd writes it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MemberRecord {
    pub(super) id: u64,
    #[serde(rename = "peerURLs")]
    pub(super) peer_urls: Vec<String>,
    #[serde(rename = "isLearner", default, skip_serializing_if = "is_false")]
    pub(super) is_learner: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    #[serde(rename = "clientURLs", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) client_urls: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// A downgrade as etcd writes it.
#[derive(Debug, Serialize)]
pub(super) struct DowngradeRecord {
    #[serde(rename = "target-version")]
    pub(super) target_version: String,
    pub(super) enabled: bool,
}

/// Raft's members as etcd writes them.
#[derive(Debug, Serialize)]
pub(super) struct ConfStateRecord {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) voters: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) learners: Vec<u64>,
    pub(super) auto_leave: bool,
}
