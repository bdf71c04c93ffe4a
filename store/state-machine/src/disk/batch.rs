//! Changes that reach the disk together, and their share of the digest.

use rocksdb::{ColumnFamily, WriteBatch};

use super::{
    ALARM, APPLIED, AUTH, COMPACTED, DOWNGRADE, Disk, FORMAT, FORMAT_VERSION, KV, LEASE, META,
    RowKey,
};
use crate::codec::AuthRow;
use crate::command::{AlarmKind, Release};
use crate::digest::{Digest, Written};
use crate::machine::LeaseInfo;
use crate::outcome::Revision;

/// Changes that reach the disk together.
#[derive(Default)]
pub(crate) struct Batch {
    rows: WriteBatch,
    /// Of everything that was written before, and of these rows.
    digest: Digest,
}

/// A [`Batch`] together with the store it is for.
pub(crate) struct BatchWriter<'a> {
    batch: &'a mut WriteBatch,
    digest: &'a mut Digest,
    kv: &'a ColumnFamily,
    disk: &'a Disk,
}

impl Batch {
    /// What comes behind everything that this digest is of.
    pub(crate) fn after(digest: Digest) -> Batch {
        Batch {
            digest,
            ..Batch::default()
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn into_rows(self) -> WriteBatch {
        self.rows
    }

    pub(crate) fn writer<'a>(&'a mut self, disk: &'a Disk) -> BatchWriter<'a> {
        BatchWriter {
            batch: &mut self.rows,
            digest: &mut self.digest,
            kv: disk.family(KV),
            disk,
        }
    }
}

impl BatchWriter<'_> {
    pub(crate) fn value(&mut self, at: Revision, kv: &[u8]) {
        let row_key = RowKey::new(at, false);
        self.digest.add(Written::Value, row_key.as_ref(), kv);
        self.batch.put_cf(self.kv, row_key, kv);
    }

    pub(crate) fn tombstone(&mut self, at: Revision, kv: &[u8]) {
        let row_key = RowKey::new(at, true);
        self.digest.add(Written::Tombstone, row_key.as_ref(), kv);
        self.batch.put_cf(self.kv, row_key, kv);
    }

    pub(crate) fn lease(&mut self, lease: &LeaseInfo) {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&lease.ttl_seconds.to_be_bytes());
        value[8..].copy_from_slice(&lease.remaining_seconds.to_be_bytes());
        let id = lease.id.to_be_bytes();
        self.digest.add(Written::Lease, &id, &value);
        self.batch.put_cf(self.disk.family(LEASE), id, value);
    }

    pub(crate) fn no_lease(&mut self, id: i64) {
        self.digest.add(Written::NoLease, &id.to_be_bytes(), &[]);
        self.batch
            .delete_cf(self.disk.family(LEASE), id.to_be_bytes());
    }

    pub(crate) fn alarm(&mut self, member: u64, kind: AlarmKind, active: bool) {
        let mut key = [0; 9];
        key[..8].copy_from_slice(&member.to_be_bytes());
        key[8] = kind as u8;
        let family = self.disk.family(ALARM);
        if active {
            self.digest.add(Written::Alarm, &key, &[]);
            self.batch.put_cf(family, key, []);
        } else {
            self.digest.add(Written::NoAlarm, &key, &[]);
            self.batch.delete_cf(family, key);
        }
    }

    pub(crate) fn auth(&mut self, row: AuthRow) {
        let family = self.disk.family(AUTH);
        match row.value {
            Some(value) => {
                self.digest.add(Written::Auth, &row.key, &value);
                self.batch.put_cf(family, row.key, value);
            }
            None => {
                self.digest.add(Written::NoAuth, &row.key, &[]);
                self.batch.delete_cf(family, row.key);
            }
        }
    }

    pub(crate) fn downgrade(&mut self, target: Option<Release>) {
        let family = self.disk.family(META);
        match target {
            Some(Release { major, minor }) => {
                let value = [major.to_be_bytes(), minor.to_be_bytes()].concat();
                self.digest.add(Written::Downgrade, &value, &[]);
                self.batch.put_cf(family, DOWNGRADE, value);
            }
            None => {
                self.digest.add(Written::NoDowngrade, &[], &[]);
                self.batch.delete_cf(family, DOWNGRADE);
            }
        }
    }

    pub(crate) fn compact_revision(&mut self, revision: i64) {
        self.digest.compacted(revision);
        self.batch
            .put_cf(self.disk.family(META), COMPACTED, revision.to_be_bytes());
    }

    /// Comes last: it holds the digest of all before.
    pub(crate) fn applied(&mut self, revision: i64, mark: &[u8]) {
        let Digest { since, value } = *self.digest;
        let row = [
            &revision.to_be_bytes()[..],
            &since.to_be_bytes(),
            &value.to_be_bytes(),
            mark,
        ];
        self.batch
            .put_cf(self.disk.family(META), APPLIED, row.concat());
    }

    pub(super) fn format(&mut self) {
        self.batch
            .put_cf(self.disk.family(META), FORMAT, FORMAT_VERSION);
    }
}
