//! A running checksum over everything that was ever written, by which replicas tell at little cost that they did the same.

use crc32c::crc32c_append;

/// Every row that commands wrote, chained in order: two replicas that have applied the same log have the same one, and
/// two that once differed never have the same one again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// Where it begins: 0 with the store itself, else the compaction at this revision. Digests that begin elsewhere
    /// say nothing about one another.
    pub since: i64,
    pub value: u32,
}

/// What became of a row. The letters are part of the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Written {
    Value = b'v',
    Tombstone = b't',
    Lease = b'l',
    NoLease = b'L',
    Alarm = b'a',
    NoAlarm = b'A',
    Auth = b'u',
    NoAuth = b'U',
    Compacted = b'c',
    Downgrade = b'd',
    NoDowngrade = b'D',
}

impl Digest {
    /// Of a folder whose older build kept none. It begins with the next compaction.
    pub(crate) const UNKNOWN: Digest = Digest {
        since: -1,
        value: 0,
    };

    /// Whether it can be held against that of another replica at all.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.since >= 0
    }

    pub(crate) fn add(&mut self, written: Written, key: &[u8], value: &[u8]) {
        let [a, b, c, d] = u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes();
        let head = crc32c_append(self.value, &[written as u8, a, b, c, d]);
        self.value = crc32c_append(crc32c_append(head, key), value);
    }

    /// A compaction is where the digests of folders that older builds made begin anew, each time, so that all members of
    /// such a cluster begin at the same one.
    pub(crate) fn compacted(&mut self, revision: i64) {
        // Nothing is compacted below 1, and 0 says that it begins with the store.
        if self.since != 0 && revision > 0 {
            *self = Digest {
                since: revision,
                value: 0,
            };
        }
        self.add(Written::Compacted, &revision.to_be_bytes(), &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differed_once_differs_for_good() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        one.add(Written::Value, b"a", b"1");
        other.add(Written::Value, b"a", b"2");
        for digest in [&mut one, &mut other] {
            digest.add(Written::Value, b"a", b"3");
            digest.compacted(5);
        }
        assert_ne!(one, other);
        assert_eq!(one.since, other.since);
    }

    #[test]
    fn where_a_key_ends_counts() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        one.add(Written::Auth, b"ab", b"c");
        other.add(Written::Auth, b"a", b"bc");
        assert_ne!(one, other);
    }

    #[test]
    fn a_compaction_that_compacts_nothing_is_no_beginning() {
        let mut digest = Digest::UNKNOWN;
        digest.compacted(0);
        assert!(!digest.is_known());
    }

    #[test]
    fn one_of_an_older_folder_begins_with_each_compaction() {
        let (mut early, mut late) = (Digest::UNKNOWN, Digest::UNKNOWN);
        assert!(!early.is_known());
        early.compacted(3);
        early.add(Written::Value, b"a", b"1");
        late.add(Written::Value, b"a", b"1");
        for digest in [&mut early, &mut late] {
            digest.compacted(7);
        }
        assert_eq!((early, early.since), (late, 7));
    }
}
