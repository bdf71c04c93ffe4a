//! etcd's requests and answers, written and read field by field; numbers from etcd's rpc.proto.

use crate::load::protobuf::{
    bytes_field, fields, find, integer_field, integer_field_always, message_field,
};

pub const PUT: &str = "/etcdserverpb.KV/Put";
pub const RANGE: &str = "/etcdserverpb.KV/Range";
pub const TXN: &str = "/etcdserverpb.KV/Txn";
pub const COMPACT: &str = "/etcdserverpb.KV/Compact";
pub const WATCH: &str = "/etcdserverpb.Watch/Watch";
pub const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
pub const LEASE_KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
pub const STATUS: &str = "/etcdserverpb.Maintenance/Status";
pub const SNAPSHOT: &str = "/etcdserverpb.Maintenance/Snapshot";

/// Field of the compared mod_revision and the number of the target MOD.
const COMPARE_MOD_REVISION: u64 = 6;
const COMPARE_TARGET_MOD: i64 = 2;

/// PutRequest.
pub fn put(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    bytes_field(1, key, out);
    bytes_field(2, value, out);
}

/// RangeRequest over [key, end), or of one key when `end` is empty.
pub fn range(key: &[u8], end: &[u8], serializable: bool, out: &mut Vec<u8>) {
    bytes_field(1, key, out);
    bytes_field(2, end, out);
    integer_field(7, i64::from(serializable), out);
}

/// RangeRequest that only counts the keys in [key, end).
pub fn count(key: &[u8], end: &[u8], out: &mut Vec<u8>) {
    range(key, end, false, out);
    integer_field(9, 1, out);
}

/// RangeRequest for the keys in [key, end) without their values.
pub fn keys_only(key: &[u8], end: &[u8], out: &mut Vec<u8>) {
    range(key, end, false, out);
    integer_field(8, 1, out);
}

/// TxnRequest as Kubernetes writes: when the key still has this mod_revision put the value, else read it.
pub fn guarded_put(key: &[u8], mod_revision: i64, value: &[u8], out: &mut Vec<u8>) {
    message_field(1, out, |compare| {
        integer_field(2, COMPARE_TARGET_MOD, compare);
        bytes_field(3, key, compare);
        integer_field_always(COMPARE_MOD_REVISION, mod_revision, compare);
    });
    message_field(2, out, |success| {
        message_field(2, success, |request| put(key, value, request))
    });
    message_field(3, out, |failure| {
        message_field(1, failure, |request| range(key, &[], false, request));
    });
}

/// CompactionRequest.
pub fn compact(revision: i64, out: &mut Vec<u8>) {
    integer_field(1, revision, out);
}

/// LeaseGrantRequest; the server picks the id.
pub fn lease_grant(ttl_seconds: i64, out: &mut Vec<u8>) {
    integer_field(1, ttl_seconds, out);
}

/// LeaseKeepAliveRequest.
pub fn lease_keep_alive(id: i64, out: &mut Vec<u8>) {
    integer_field(1, id, out);
}

/// WatchRequest that creates a watch on one key from now on.
pub fn watch_create(key: &[u8], prev_kv: bool, out: &mut Vec<u8>) {
    message_field(1, out, |create| {
        bytes_field(1, key, create);
        integer_field(6, i64::from(prev_kv), create);
    });
}

/// The revision in the header every answer starts with.
pub fn header_revision(answer: &[u8]) -> Option<i64> {
    let header = find(answer, 1)?.bytes();
    Some(find(header, 3)?.integer())
}

/// The id and the granted TTL in seconds of a LeaseGrantResponse or LeaseKeepAliveResponse.
pub fn lease_id_and_ttl(answer: &[u8]) -> (i64, i64) {
    let integer = |field| find(answer, field).map_or(0, |value| value.integer());
    (integer(2), integer(3))
}

/// How many keys a RangeResponse holds, and how many it says there are.
pub fn range_counts(answer: &[u8]) -> (usize, i64) {
    let mut held = 0;
    let mut count = 0;
    for (field, value) in fields(answer) {
        match field {
            2 => held += 1,
            4 => count = value.integer(),
            _ => {}
        }
    }
    (held, count)
}

/// Key and mod_revision of each key in a RangeResponse.
pub fn key_revisions(answer: &[u8]) -> impl Iterator<Item = (&[u8], i64)> {
    fields(answer)
        .filter(|(field, _)| *field == 2)
        .map(|(_, key_value)| {
            let key = find(key_value.bytes(), 1).map_or(&[][..], |key| key.bytes());
            let revision = find(key_value.bytes(), 3).map_or(0, |revision| revision.integer());
            (key, revision)
        })
}

/// What a TxnResponse to `guarded_put` says.
#[derive(Debug, PartialEq, Eq)]
pub enum GuardedPut {
    /// The put happened at this revision.
    Done(i64),
    /// The key has this mod_revision instead, 0 when it is absent.
    Conflict(i64),
}

/// Reads a TxnResponse to `guarded_put`; `None` when it is not one.
pub fn guarded_put_answer(answer: &[u8]) -> Option<GuardedPut> {
    if find(answer, 2).is_some_and(|succeeded| succeeded.integer() == 1) {
        return header_revision(answer).map(GuardedPut::Done);
    }
    let response = find(answer, 3)?.bytes();
    let range = find(response, 1)?.bytes();
    let mod_revision = find(range, 2)
        .and_then(|key_value| find(key_value.bytes(), 3))
        .map_or(0, |revision| revision.integer());
    Some(GuardedPut::Conflict(mod_revision))
}

/// Member, leader and raft index of a StatusResponse.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberStatus {
    pub member: i64,
    pub leader: i64,
    pub revision: i64,
    pub raft_index: i64,
}

/// Reads a StatusResponse.
pub fn member_status(answer: &[u8]) -> MemberStatus {
    let header = find(answer, 1).map_or(&[][..], |value| value.bytes());
    let integer = |message, field| find(message, field).map_or(0, |value| value.integer());
    MemberStatus {
        member: integer(header, 2),
        leader: integer(answer, 4),
        revision: integer(header, 3),
        raft_index: integer(answer, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_answers_to_a_guarded_put_are_understood() {
        let mut done = Vec::new();
        message_field(1, &mut done, |header| integer_field(3, 42, header));
        integer_field(2, 1, &mut done);
        assert_eq!(guarded_put_answer(&done), Some(GuardedPut::Done(42)));
        let mut lost = Vec::new();
        message_field(1, &mut lost, |header| integer_field(3, 42, header));
        message_field(3, &mut lost, |response| {
            message_field(1, response, |range| {
                message_field(2, range, |key_value| integer_field(3, 17, key_value));
            });
        });
        assert_eq!(guarded_put_answer(&lost), Some(GuardedPut::Conflict(17)));
        assert_eq!(guarded_put_answer(&[]), None);
    }
}
