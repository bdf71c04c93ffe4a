//! Checksums by which replicas, and an etcd beside them, tell that they hold the same.

use std::ops::ControlFlow;

use crc32c::crc32c_append;

use super::settled::{Settled, is_visible};
use super::{Fatal, HashKv, StateMachine};
use crate::command::Release;
use crate::digest::{Digest, Written};
use crate::outcome::{Rejection, Revision};

/// Name of etcd's bucket; its hash begins with it.
const ETCD_BUCKET: &[u8] = b"key";

impl StateMachine {
    /// etcd's HashKV up to `revision`; 0 for the newest, and nothing at all below that.
    pub fn hash_kv(&self, revision: i64) -> Result<HashKv, Rejection> {
        loop {
            let compact_revision = self.compact_revision();
            let newest = self.revision();
            if revision > 0 && revision < compact_revision {
                return Err(Rejection::Compacted { compact_revision });
            }
            if revision > newest {
                return Err(Rejection::FutureRevision);
            }
            let hash_revision = if revision == 0 { newest } else { revision };
            let hashed = self.hash_rows(
                crc32c_append(0, ETCD_BUCKET),
                hash_revision,
                compact_revision,
            );
            let hash = hashed.map_err(|fatal| self.refuse_damaged(&fatal))?;
            // A compaction meanwhile changes what counts and may have dropped rows.
            if self.compact_revision() == compact_revision {
                return Ok(HashKv {
                    hash,
                    hash_revision,
                    compact_revision,
                });
            }
        }
    }

    /// CRC-32C over everything replicated that is stored: equal on replicas that applied the same
    /// commands. Meaningful while nothing is applied.
    pub fn hash(&self) -> u32 {
        self.hash_kv(0).map_or(0, |hashed| self.hash_beside(hashed))
    }

    /// The same, when the hash of the newest revision is there already.
    pub fn hash_beside(&self, hashed: HashKv) -> u32 {
        let hash = crc32c_append(hashed.hash, &hashed.hash_revision.to_be_bytes());
        let mut hash = crc32c_append(hash, &hashed.compact_revision.to_be_bytes());
        for lease in self.leases() {
            for number in [lease.id, lease.ttl_seconds, lease.remaining_seconds] {
                hash = crc32c_append(hash, &number.to_be_bytes());
            }
        }
        for (member, kind) in self.alarms() {
            hash = crc32c_append(hash, &member.to_be_bytes());
            hash = crc32c_append(hash, &[kind as u8]);
        }
        let mut rest = Digest {
            since: 0,
            value: hash,
        };
        if let Some(Release { major, minor }) = self.downgrade() {
            let release = [major.to_be_bytes(), minor.to_be_bytes()].concat();
            rest.add(Written::Downgrade, &release, &[]);
        }
        match self.disk.auth_rows() {
            Ok(rows) => rows
                .iter()
                .for_each(|(key, value)| rest.add(Written::Auth, key, value)),
            Err(fatal) => _ = self.refuse_damaged(&fatal),
        }
        rest.value
    }

    fn hash_rows(
        &self,
        start: u32,
        last_revision: i64,
        compact_revision: i64,
    ) -> Result<u32, Fatal> {
        let mut hash = start;
        let mut settled = Settled::default();
        self.disk.scan(Revision::default(), |row| {
            if row.at.main > last_revision {
                return Ok(ControlFlow::Break(()));
            }
            if row.at.main > compact_revision {
                hash = self.hash_settled(&mut settled, hash, last_revision)?;
                hash = crc32c_append(crc32c_append(hash, row.row_key), row.kv);
            } else if !row.tombstone {
                // A tombstone at the compact revision itself is left out too, as in etcd 3.5.16:
                // older versions drop it.
                settled.push(&row);
                if settled.is_full() {
                    hash = self.hash_settled(&mut settled, hash, last_revision)?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.hash_settled(&mut settled, hash, last_revision)
    }

    /// Adds those of the gathered rows that are still the newest of their key at `last_revision`: what
    /// is compacted and written again later does not count, whether its row is there or not.
    fn hash_settled(
        &self,
        settled: &mut Settled,
        mut hash: u32,
        last_revision: i64,
    ) -> Result<u32, Fatal> {
        let settled = std::mem::take(settled);
        if settled.is_empty() {
            return Ok(hash);
        }
        let state = self.shared.state.read();
        for row in settled.rows() {
            if is_visible(&state, &row, last_revision)? {
                hash = crc32c_append(crc32c_append(hash, row.row_key), row.kv);
            }
        }
        Ok(hash)
    }
}
