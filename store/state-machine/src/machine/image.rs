//! Everything that is stored after one run, to be copied while the store goes on.

use bytes::Bytes;

use super::{Fatal, LeaseInfo, StateMachine};
use crate::command::AlarmKind;
use crate::disk::{self, Marks};
use crate::key_value::Fields;
use crate::outcome::Revision;

/// Rows judged under one lock of the index.
const ROWS_PER_LOCK: usize = 256;
/// Bytes of rows that wait for that, unless one row is larger.
const BYTES_PER_LOCK: usize = 1 << 20;

/// The stored state of one moment. While it lives, files that were rewritten since then keep their room on disk.
pub struct Image<'a> {
    machine: &'a StateMachine,
    disk: disk::Image<'a>,
    marks: Marks,
}

impl StateMachine {
    /// Takes an image of what is stored now. Runs wait for microseconds.
    pub fn image(&self) -> Result<Image<'_>, Fatal> {
        let disk = {
            let _no_run = self.applied_mark.lock();
            self.disk.image()
        };
        let marks = disk.marks()?;
        Ok(Image {
            machine: self,
            disk,
            marks,
        })
    }
}

impl Image<'_> {
    /// Mark of the newest run in it.
    pub fn mark(&self) -> Option<&Bytes> {
        self.marks.applied.as_ref().map(|(_, mark)| mark)
    }

    /// None when the store was never compacted.
    pub fn compact_revision(&self) -> Option<i64> {
        self.marks.compact_revision
    }

    /// By id.
    pub fn leases(&self) -> &[LeaseInfo] {
        &self.marks.leases
    }

    pub fn alarms(&self) -> &[(u64, AlarmKind)] {
        &self.marks.alarms
    }

    /// Visits the rows in order of their revisions: etcd's name of each and its encoded key-value. Compacted rows that
    /// still wait for their sweep are left out, unless a later compaction makes it impossible to tell.
    pub fn rows<E: From<Fatal>>(
        mut self,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let compact_revision = self.marks.compact_revision.unwrap_or(-1);
        let mut settled = Settled::default();
        while let Some(row) = self.machine.guard(|| self.disk.row())? {
            if row.at.main > compact_revision {
                settled.visit(self.machine, compact_revision, &mut visit)?;
                visit(row.row_key, row.kv)?;
            } else {
                settled.push(&row);
                if settled.is_full() {
                    settled.visit(self.machine, compact_revision, &mut visit)?;
                }
            }
            self.disk.advance();
        }
        settled.visit(self.machine, compact_revision, &mut visit)
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
    tombstone: bool,
    row_key_length: usize,
    kv_length: usize,
}

impl Settled {
    fn push(&mut self, row: &disk::Row<'_>) {
        self.bytes.extend_from_slice(row.row_key);
        self.bytes.extend_from_slice(row.kv);
        self.rows.push(SettledRow {
            at: row.at,
            tombstone: row.tombstone,
            row_key_length: row.row_key.len(),
            kv_length: row.kv.len(),
        });
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_PER_LOCK || self.bytes.len() >= BYTES_PER_LOCK
    }

    fn visit<E: From<Fatal>>(
        &mut self,
        machine: &StateMachine,
        compact_revision: i64,
        visit: &mut impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let Settled { rows, bytes } = std::mem::take(self);
        let kept = machine.guard(|| kept(&rows, &bytes, machine, compact_revision))?;
        let mut rest = &bytes[..];
        for (row, kept) in rows.iter().zip(kept) {
            let (row_key, after) = rest.split_at(row.row_key_length);
            let (kv, after) = after.split_at(row.kv_length);
            rest = after;
            if kept {
                visit(row_key, kv)?;
            }
        }
        Ok(())
    }
}

/// Which rows a read at the compact revision sees, and the tombstones of that revision itself. All of them once the
/// index has gone beyond it.
fn kept(
    rows: &[SettledRow],
    bytes: &[u8],
    machine: &StateMachine,
    compact_revision: i64,
) -> Result<Vec<bool>, Fatal> {
    let state = machine.shared.state.read();
    if state.compact_revision != compact_revision {
        return Ok(vec![true; rows.len()]);
    }
    let mut rest = bytes;
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let (_, after) = rest.split_at(row.row_key_length);
        let (kv, after) = after.split_at(row.kv_length);
        rest = after;
        if row.tombstone {
            kept.push(row.at.main == compact_revision);
            continue;
        }
        let fields = Fields::decode(kv)
            .map_err(|error| Fatal::Damaged(format!("the row at {:?}: {error}", row.at)))?;
        let meta = state.index.get(fields.key);
        kept.push(meta.and_then(|meta| meta.visible_at(compact_revision)) == Some(row.at));
    }
    Ok(kept)
}
