//! Checksums by which replicas, and an etcd beside them, tell that they hold the same.

use std::ops::ControlFlow;

use crc32c::crc32c_append;

use super::{Fatal, HashKv, StateMachine};
use crate::disk::Row;
use crate::key_value::Fields;
use crate::outcome::{Rejection, Revision};

/// Name of etcd's bucket; its hash begins with it.
const ETCD_BUCKET: &[u8] = b"key";
/// Rows judged under one lock of the index.
const ROWS_PER_LOCK: usize = 256;

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
        let (leases, alarms) = (self.leases(), self.alarms());
        let mut hash = self.hash_kv(0).map_or(0, |hashed| {
            let hash = crc32c_append(hashed.hash, &hashed.hash_revision.to_be_bytes());
            crc32c_append(hash, &hashed.compact_revision.to_be_bytes())
        });
        for lease in leases {
            for number in [lease.id, lease.ttl_seconds, lease.remaining_seconds] {
                hash = crc32c_append(hash, &number.to_be_bytes());
            }
        }
        for (member, kind) in alarms {
            hash = crc32c_append(hash, &member.to_be_bytes());
            hash = crc32c_append(hash, &[kind as u8]);
        }
        hash
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
                if settled.rows.len() >= ROWS_PER_LOCK {
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
        let Settled { rows, bytes } = std::mem::take(settled);
        if rows.is_empty() {
            return Ok(hash);
        }
        let state = self.shared.state.read();
        let mut rest = &bytes[..];
        for row in rows {
            let (row_key, after) = rest.split_at(row.row_key_length);
            let (kv, after) = after.split_at(row.kv_length);
            rest = after;
            let fields = Fields::decode(kv)
                .map_err(|error| Fatal::Damaged(format!("the row at {:?}: {error}", row.at)))?;
            let visible = state
                .index
                .get(fields.key)
                .and_then(|meta| meta.visible_at(last_revision));
            if visible == Some(row.at) {
                hash = crc32c_append(crc32c_append(hash, row_key), kv);
            }
        }
        Ok(hash)
    }
}

/// Rows at or below the compact revision that wait for the index to judge them.
#[derive(Default)]
struct Settled {
    rows: Vec<SettledRow>,
    bytes: Vec<u8>,
}

struct SettledRow {
    at: Revision,
    row_key_length: usize,
    kv_length: usize,
}

impl Settled {
    fn push(&mut self, row: &Row<'_>) {
        self.bytes.extend_from_slice(row.row_key);
        self.bytes.extend_from_slice(row.kv);
        let (row_key_length, kv_length) = (row.row_key.len(), row.kv.len());
        self.rows.push(SettledRow {
            at: row.at,
            row_key_length,
            kv_length,
        });
    }
}
