//! Making a store from rows that another one had.

use std::path::Path;
use std::sync::Arc;

use super::{Fatal, LeaseInfo, Options};
use crate::auth::AuthTables;
use crate::codec::AuthRow;
use crate::command::AlarmKind;
use crate::digest::Digest;
use crate::disk::{Batch, Disk, Limits, RowKey, Superseded};
use crate::index::Forgotten;
use crate::key_value::Fields;
use crate::outcome::Revision;

/// Bytes of rows that are written together.
const BATCH_BYTES: usize = 1 << 20;
/// Changes that one revision may have; the index counts them with 32 bits.
const SUB_REVISIONS_MAX: i64 = u32::MAX as i64;

/// Why rows cannot become a store.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{0}")]
    Row(String),
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// A store in the making. [`super::StateMachine::open`] takes it after [`Import::finish`].
pub struct Import {
    disk: Disk,
    batch: Batch,
    batch_bytes: usize,
    newest: i64,
    last: Revision,
}

/// Nothing is dropped while rows come in.
struct KeepAll;

impl Superseded for KeepAll {
    fn limits(&self) -> Limits {
        Limits {
            values: -1,
            tombstones: -1,
        }
    }

    fn is_superseded(&self, _key: &[u8], _at: Revision) -> bool {
        false
    }

    fn dropped(&self, _rows: &[Forgotten]) {}
}

impl Import {
    /// Begins a store in `dir`, which is missing or empty.
    pub fn create(dir: &Path, options: &Options) -> Result<Import, Fatal> {
        Ok(Import {
            disk: Disk::open(dir, options, Arc::new(KeepAll))?,
            batch: Batch::default(),
            batch_bytes: 0,
            newest: 1,
            last: Revision::default(),
        })
    }

    /// Adds a row under etcd's name of it. Rows come in order of their revisions. One without a key, which `etcdutl
    /// snapshot restore --bump-revision` writes, only raises the revision.
    pub fn row(&mut self, row_key: &[u8], kv: &[u8]) -> Result<(), ImportError> {
        let (at, tombstone) = RowKey::parse(row_key)
            .ok_or_else(|| ImportError::Row(format!("{row_key:?} is no revision")))?;
        let refused = |why: &str| {
            let Revision { main, sub } = at;
            ImportError::Row(format!("the change at revision {main}_{sub}: {why}"))
        };
        if at <= self.last || at.sub > SUB_REVISIONS_MAX {
            return Err(refused("it is not behind the one before it"));
        }
        let fields = Fields::decode(kv).map_err(|error| refused(&error.to_string()))?;
        self.last = at;
        self.newest = self.newest.max(at.main);
        if fields == Fields::default() {
            return Ok(());
        }
        check(&fields, at, tombstone).map_err(refused)?;
        let mut writer = self.batch.writer(&self.disk);
        if tombstone {
            writer.tombstone(at, kv);
        } else {
            writer.value(at, kv);
        }
        self.batch_bytes += row_key.len() + kv.len();
        if self.batch_bytes >= BATCH_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Makes a hash of what a finished store holds its digest, whatever rows it was made of: two files of one state may
    /// differ in what is compacted and not yet swept.
    pub fn sign(dir: &Path, options: &Options, hash: u32) -> Result<(), Fatal> {
        let disk = Disk::open(dir, options, Arc::new(KeepAll))?;
        let Some(applied) = disk.marks()?.applied else {
            return Err(Fatal::Damaged("a store that is not finished".to_owned()));
        };
        let digest = Digest {
            since: 0,
            value: hash,
        };
        let mut batch = Batch::after(digest);
        batch.writer(&disk).applied(applied.revision, &applied.mark);
        disk.write(batch)?;
        disk.flush()
    }

    /// Goes on with a store that is finished and not open, to change what [`Import::finish`] says of it.
    pub fn reopen(dir: &Path, options: &Options) -> Result<Import, Fatal> {
        Import::create(dir, options)
    }

    pub fn lease(&mut self, lease: &LeaseInfo) {
        self.batch.writer(&self.disk).lease(lease);
    }

    /// Adds an alarm that is raised.
    pub fn alarm(&mut self, member: u64, kind: AlarmKind) {
        self.batch.writer(&self.disk).alarm(member, kind, true);
    }

    /// Adds users and roles.
    pub fn auth(&mut self, auth: &AuthTables) {
        let mut writer = self.batch.writer(&self.disk);
        writer.auth(AuthRow::stamp(auth.stamp));
        for (name, user) in &auth.users {
            writer.auth(AuthRow::user(name, Some(user)));
        }
        for (name, permissions) in &auth.roles {
            writer.auth(AuthRow::role(name, Some(permissions)));
        }
    }

    /// The newest revision of the rows so far; 1 when there are none.
    pub fn newest_revision(&self) -> i64 {
        self.newest
    }

    /// Makes it a store at `revision`, compacted at another or not at all, and puts it on disk.
    pub fn finish(
        mut self,
        revision: i64,
        compact_revision: Option<i64>,
        mark: &[u8],
    ) -> Result<(), Fatal> {
        let mut writer = self.batch.writer(&self.disk);
        if let Some(compact_revision) = compact_revision {
            writer.compact_revision(compact_revision);
        }
        writer.applied(revision, mark);
        self.write()?;
        self.disk.flush()
    }

    fn write(&mut self) -> Result<(), Fatal> {
        self.batch_bytes = 0;
        let next = Batch::after(self.batch.digest());
        self.disk.write(std::mem::replace(&mut self.batch, next))
    }
}

/// What etcd writes and this store relies on.
fn check(fields: &Fields<'_>, at: Revision, tombstone: bool) -> Result<(), &'static str> {
    if fields.key.is_empty() {
        return Err("it has no key");
    }
    if tombstone {
        return Ok(());
    }
    let in_order = fields.create_revision > 0 && fields.create_revision <= fields.mod_revision;
    if fields.mod_revision != at.main || !in_order || fields.version < 1 {
        return Err("its revisions or its version contradict it");
    }
    Ok(())
}
